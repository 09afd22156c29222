"""What the jwks function is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from machine_identity.settings.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksSettings:
    """The environment of the jwks function."""

    identity: str
    published_bucket: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables. Raises SettingsError."""
        environment = Environment(variables)
        return cls(
            identity=environment.identity(),
            published_bucket=environment.text("PUBLISHED_BUCKET"),
        )
