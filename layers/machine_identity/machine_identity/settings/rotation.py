"""What the rotation function is told, and the timing contract that follows from it.

An operator chooses a provider, an algorithm and how long a key signs; every wait is derived from
these (see ``Policy``). What cannot be safe stops the function at its start, in one sentence with
the numbers in it; the signer, which reads none of this, goes on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Self

from machine_identity.errors import SettingsError
from machine_identity.jwk import ALGORITHMS
from machine_identity.policy import Policy
from machine_identity.providers import DEFAULT, NAMES, PROVIDERS, Provider
from machine_identity.settings.environment import Environment

_STACK: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
"""As CloudFormation names a stack, which is also a valid value of a tag."""


PARAMETERS: Final[Mapping[str, str]] = {
    "SigningAlgorithm": "SIGNING_ALGORITHM",
    "RotationIntervalDays": "ROTATION_INTERVAL_DAYS",
    "PublicUrl": "PUBLIC_URL",
    "Provider": "PROVIDER",
}
"""What an operator changes in the template, and the variable that each becomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSettings:
    """The environment of the rotation function."""

    identity: str
    stack: str
    state_bucket: str
    published_bucket: str
    public_url: str
    """Our issuer: the documents' paths are appended to it."""
    policy: Policy
    variables: Mapping[str, str] = field(repr=False, compare=False)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the variables. Raises SettingsError, and PolicyError for an unsafe combination."""
        environment = Environment(variables)
        stack = environment.text("STACK_NAME")
        if not _STACK.fullmatch(stack):
            raise SettingsError("STACK_NAME must be at most 128 letters, digits and '-'")
        return cls(
            identity=environment.identity(),
            stack=stack,
            state_bucket=environment.text("STATE_BUCKET"),
            published_bucket=environment.text("PUBLISHED_BUCKET"),
            public_url=_public_url(environment),
            policy=_policy(environment),
            variables=variables,
        )

    def policy_under(self, changes: Mapping[str, str]) -> Policy:
        """Return the contract as it would be if these parameters of the template were changed.

        Raises SettingsError, and PolicyError for an unsafe combination.
        """
        if unknown := sorted(changes.keys() - PARAMETERS.keys()):
            known = ", ".join(PARAMETERS)
            raise SettingsError(f"no setting of rotation is called {unknown[0]}: it has {known}")
        changed = {PARAMETERS[name]: value for name, value in changes.items()}
        try:
            return self.from_environment({**self.variables, **changed}).policy
        except SettingsError as error:
            raise type(error)(_in_parameters(str(error))) from None


def _in_parameters(sentence: str) -> str:
    """Return the sentence with the names that the template gives the variables."""
    for parameter, variable in PARAMETERS.items():
        sentence = sentence.replace(variable, parameter)
    return sentence


def _public_url(environment: Environment) -> str:
    url = environment.url("PUBLIC_URL")
    if url.endswith("/"):
        raise SettingsError(
            "PUBLIC_URL must not end with a slash: paths that begin with one are appended to it, "
            "and an issuer is compared character by character"
        )
    return url


def _policy(environment: Environment) -> Policy:
    provider = PROVIDERS[environment.choice("PROVIDER", NAMES, DEFAULT)]
    algorithm = environment.choice("SIGNING_ALGORITHM", ALGORITHMS, "RS256")
    if algorithm not in provider.algorithms:
        taken = ", ".join(provider.algorithms)
        raise SettingsError(
            f"SIGNING_ALGORITHM must be one that the PROVIDER {provider.name} takes: {taken}"
        )
    days = environment.number("ROTATION_INTERVAL_DAYS", 30, least=1, most=365)
    return replace(
        contract(provider),
        algorithm=algorithm,
        issuer=_public_url(environment),
        rotation_interval=timedelta(days=days),
    )


def contract(provider: Provider) -> Policy:
    """Return the timing contract with a provider, where an operator changes nothing."""
    return Policy(
        key_set_cache=provider.key_set_cache,
        uploads=provider.is_uploaded_to,
        provider_leeway=provider.leeway,
        assertion_lifetime=provider.assertion_lifetime,
    )
