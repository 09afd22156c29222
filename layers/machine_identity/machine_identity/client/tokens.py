"""The access tokens of one registration, for threads and for an asyncio loop.

A token that is at hand costs a look-up, in a loop too: it hops to no thread. Else a thread asks,
the loop goes on, and however many tasks wait, they wait for that one thread (``waiting``), so that
the loop's pool is left to others. Programs without a loop import no asyncio.
"""

from functools import partial

from machine_identity.client_credentials import AccessToken
from machine_identity.providers import Client
from machine_identity.token_source import TokenSource


class Tokens:
    """Hands out tokens for one client and scope; threads and loops may share it."""

    def __init__(self, source: TokenSource, client: Client) -> None:
        """Take the source, and the client whose configured scope is asked for."""
        self._source = source
        self._client = client

    def get(self) -> AccessToken:
        """Return a token that is good for a while yet. Raises TokenRequestError.

        ``.value`` is what stands after ``Bearer``; no repr shows it.
        """
        return self._source.get(self._client, self._client.scope)

    async def get_async(self) -> AccessToken:
        """Do as ``get`` does, and let the loop go on meanwhile."""
        token = self._source.at_hand(self._client, self._client.scope)
        if token is not None:
            return token
        from machine_identity.client import waiting  # noqa: PLC0415 - imports asyncio

        return await waiting.shared((self, ""), self.get)

    def instead_of(self, refused: AccessToken) -> AccessToken | None:
        """Return another token in place of one that an API refused, or None.

        Whoever comes with a refused token that was replaced already gets the new one at once. None
        means that there is no use in asking: the token is new, or was to be replaced within the
        last half minute. Raises TokenRequestError.
        """
        return self._source.instead_of(refused, self._client, self._client.scope)

    async def instead_of_async(self, refused: AccessToken) -> AccessToken | None:
        """Do as ``instead_of`` does, and let the loop go on meanwhile."""
        from machine_identity.client import waiting  # noqa: PLC0415 - imports asyncio

        return await waiting.shared((self, refused.value), partial(self.instead_of, refused))
