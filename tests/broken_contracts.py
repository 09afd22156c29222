"""Timing contracts that are broken on purpose, each in one term of one sum."""

from datetime import timedelta

from machine_identity.policy import Policy

NOTHING = timedelta()


class NaivePolicy(Policy):
    """Signs with whatever it has just seen published."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        del longest_max_age
        return NOTHING


class NoOriginPolicy(Policy):
    """Forgets that the origin may serve an old copy."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        return super().publication_interval(longest_max_age) - self.origin_staleness


class NoEdgePolicy(Policy):
    """Forgets that a CDN may serve an old copy."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        return super().publication_interval(longest_max_age) - self.edge_staleness


class NoCachePolicy(Policy):
    """Forgets that a provider may keep a set for longer than max-age."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        cached = max(self.max_age, longest_max_age)
        return self.origin_staleness + self.edge_staleness + cached + self.clock_skew


class NoSkewPolicy(Policy):
    """Forgets that two clocks differ."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        return super().publication_interval(longest_max_age) - self.clock_skew


class NoMaxAgePolicy(Policy):
    """Forgets that copies of an older set were served with a longer max-age."""

    def publication_interval(self, longest_max_age: timedelta = NOTHING) -> timedelta:
        del longest_max_age
        return super().publication_interval()


class NoSignerPolicy(Policy):
    """Forgets that a signer may sign with an old copy of the keyring."""

    @property
    def verified_interval(self) -> timedelta:
        return super().verified_interval - self.signer_bound


class NoRetirementPolicy(Policy):
    """Forgets that what a key signed is accepted for a while after it retired."""

    @property
    def verified_interval(self) -> timedelta:
        return NOTHING

    @property
    def retire_interval(self) -> timedelta:
        return NOTHING
