"""Servers to which the signer brings keys, each by the interface that it has for that."""
