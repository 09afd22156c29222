"""A machine proves who it is with a JWT that it signs itself.

Import the module that you need: nothing is imported here, because in Lambda every import costs
every caller.
"""
