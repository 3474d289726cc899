"""Owns the errors of sealing and unsealing. Knows nothing of who prints them."""


class SealError(Exception):
    """The root key cannot be had; the message says why and what to do next."""


class UnwrapError(Exception):
    """Key material does not authenticate under this root key: damaged, moved, or of another agent."""
