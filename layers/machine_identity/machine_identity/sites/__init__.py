"""Servers to which the signer brings keys, each by the interface that it has for that."""

from machine_identity.sites.opening import Sites

__all__ = ["Sites"]
