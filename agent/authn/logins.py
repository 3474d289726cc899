"""Owns the way from a login to its user id, as the system knows it now. Knows nothing of principals."""

import pwd


def uid_of(login: str) -> int | None:
    """Return the user id of a login, or None. It may wait for a name service."""
    try:
        return pwd.getpwnam(login).pw_uid
    except (KeyError, ValueError):
        return None
