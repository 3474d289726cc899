"""Owns the errors of keeping keys. Knows nothing of SQL or of who prints them."""


class StoreError(Exception):
    """Keys cannot be read or kept; the message says what to do next."""


class StoreInUseError(StoreError):
    """Another process has the store open."""


class StoreVersionError(StoreError):
    """The store was written by a newer kms-agent."""


class StoreCorruptError(StoreError):
    """The store is not a key store, or a record in it makes no sense."""


class StoreUnavailableError(StoreError):
    """The disk did not take a transaction; nothing of it counts."""
