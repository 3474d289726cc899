"""Owns how many descriptors may be kept for later: a part of those that the process may have open."""

import resource


def share(part: int, most: int) -> int:
    """Return how many descriptors may be kept open for one purpose.

    Args:
        part: no more than one in so many that the process may have.
        most: and no more than that.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if limit == resource.RLIM_INFINITY else min(most, limit // part)
