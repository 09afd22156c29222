"""Bearer tokens on other people's HTTP clients: ``httpx_auth``, ``requests_auth``.

Each needs the extra of its name; nothing here imports what the other needs.
"""
