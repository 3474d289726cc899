"""The setting ``quotas``: how many requests, keys, aliases and grants there may be.

Named and grouped as AWS KMS does. What AWS lets nobody raise (policies of 32 KiB, 25 rotations on demand) is
no setting here either.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.api.quotas import GROUPS


class RequestRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests per second, and how many at once after a pause; by default those of one second."""

    per_second: float
    burst: float | None = None


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotas of requests, by group, and of resources, in each Region.

    ``per`` says who shares a request quota: all principals of an account, as on AWS, or nobody. Groups of
    requests that are not named are not limited.
    """

    per: Literal["account", "principal"] = "account"
    requests: dict[str, RequestRate] = msgspec.field(default_factory=dict)
    keys: int = 100_000
    aliases_per_key: int = 50
    grants_per_key: int = 50_000


def check_quotas(quotas: Quotas) -> None:
    """Make sure that quotas can be kept.

    Raises:
        ValueError: The message says what is wrong with them.
    """
    for group, rate in quotas.requests.items():
        place = f"quotas.requests.{group}"
        if group not in GROUPS:
            raise ValueError(
                f"{place}: there is no such group; groups are the names of operations, and "
                f"{', '.join(sorted(name for name in GROUPS if name.islower()))}"
            )
        if not 0 < rate.per_second < float("inf"):
            raise ValueError(f"{place}.per_second must be a positive number")
        if rate.burst is not None and not 1 <= rate.burst < float("inf"):
            raise ValueError(f"{place}.burst must be at least 1")
    for name in ("keys", "aliases_per_key", "grants_per_key"):
        if getattr(quotas, name) < 1:
            raise ValueError(f"quotas.{name} must be at least 1")
