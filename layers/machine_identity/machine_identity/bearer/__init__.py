"""A guard for any Python service: who may call, answered as RFC 6750 says.

``bearer.judgement`` decides, ``bearer.wsgi`` and ``bearer.asgi`` stand in front of an application.
"""
