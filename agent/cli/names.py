"""Alias names as people type them."""

from __future__ import annotations

_PREFIX = "alias/"


def alias_name(text: str) -> str:
    """Return the full name of an alias: ``payroll`` is short for ``alias/payroll``."""
    return text if text.startswith(_PREFIX) else _PREFIX + text
