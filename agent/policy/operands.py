"""Owns the values that conditions compare: numbers, dates, truth, bytes, addresses. Knows no operators.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators". Every reader takes a text, of a
policy or of a request alike, and raises `PolicyError` if it is not what it should be.
"""

import base64
import binascii
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from agent.policy.errors import PolicyError, quote

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d))?", re.ASCII
)
_MAPPED_BITS: Final = 96
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOLS: Final = {"true": True, "false": False}


def number(text: str) -> Decimal:
    """Read an integer or decimal number."""
    if _NUMBER.fullmatch(text) is None:
        raise PolicyError(f"{quote(text)} is not a number")
    return Decimal(text)


def moment(text: str) -> Decimal:
    """Read a date of ISO 8601's W3C profile, or seconds since the epoch; return the latter."""
    if _NUMBER.fullmatch(text) is not None:
        return Decimal(text)
    found = _DATE.fullmatch(text)
    if found is None:
        raise PolicyError(f"{quote(text)} is not a date; write 2026-01-31T23:59:59Z, or seconds since 1970")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    written = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        whole = datetime.fromisoformat(f"{written}{zone or 'Z'}")
    except ValueError:
        raise PolicyError(f"{quote(text)} is not a date that exists") from None
    return Decimal(int((whole - _EPOCH).total_seconds())) + Decimal(f"0.{fraction or 0}")


def boolean(text: str) -> bool:
    """Read `true` or `false`, in any case."""
    truth = _BOOLS.get(text.lower())
    if truth is None:
        raise PolicyError(f"{quote(text)} is neither true nor false")
    return truth


def binary(text: str) -> bytes:
    """Read Base64."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise PolicyError(f"{quote(text)} is not Base64") from None


def network(text: str) -> Network:
    """Read an address, or a range in CIDR notation, of IPv4 or IPv6; IPv4 within IPv6 is IPv4."""
    try:
        read = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PolicyError(f"{quote(text)} is not an IP address or range; write 203.0.113.0/24") from None
    if isinstance(read, ipaddress.IPv6Network) and read.prefixlen >= _MAPPED_BITS:
        mapped = read.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, read.prefixlen - _MAPPED_BITS))
    return read
