"""The setting ``principals``: rules that say who a local process, or the holder of a certificate, is.

Owns the grammar of a rule, and what may stand in one. Whether a rule matches somebody is decided in
``agent.authn.mapping``.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

LOCAL_FIELDS: Final = ("uid", "user", "gid", "group", "unit")
CERTIFICATE_FIELDS: Final = ("uri", "dns")
RESERVED_TAGS: Final = frozenset({"uid", "gid", "unit"})
"""Tags that the kernel's word gives; no rule may say otherwise."""

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_ARN: Final = re.compile(
    r"arn:aws:iam::[0-9]{12}:(?:root|(?:user|role)/(?:[\w+=,.@-]+/)*[\w+=,.@-]+)", re.ASCII
)
_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")
_MAX_TAG_KEY: Final = 128
_MAX_TAG_VALUE: Final = 256
_SAMPLE: Final = "x"


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a rule is about: all that is given has to be true. ``*`` and ``?`` are wildcards in the texts.

    ``group`` is any group of the process, ``gid`` its primary one; ``unit`` is the systemd unit. ``uri`` and
    ``dns`` are names in a client certificate.
    """

    uid: int | None = None
    user: str | None = None
    gid: int | None = None
    group: str | None = None
    unit: str | None = None
    uri: str | None = None
    dns: str | None = None

    def given(self) -> frozenset[str]:
        """Return the names of the fields that are set."""
        return frozenset(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class PrincipalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. ``arn`` may have variables in braces; ``account`` is that of ``{account}``."""

    match: Match
    arn: str
    account: str | None = None
    tags: dict[str, str] = {}
    via_service: str | None = None


def check_rule(place: str, rule: PrincipalRule) -> None:
    """Make sure that a rule means something.

    Args:
        place: Where in the file it stands, for messages.
        rule: The rule.

    Raises:
        ValueError: The message says what is wrong with it.
    """
    given = rule.match.given()
    if not given:
        raise ValueError(f"{place}.match is empty: say whom the rule is about")
    if given & {*LOCAL_FIELDS} and given & {*CERTIFICATE_FIELDS}:
        raise ValueError(f"{place}.match has names of certificates beside local ones; make it two rules")
    if {*CERTIFICATE_FIELDS} <= given:
        raise ValueError(f"{place}.match has uri and dns; make it two rules")
    if rule.account is not None and not _ACCOUNT_ID.fullmatch(rule.account):
        raise ValueError(f"{place}.account must be 12 digits, in quotes")
    known = variables(rule.match)
    for name in _VARIABLE.findall(rule.arn):
        if name not in known:
            raise ValueError(f"{place}.arn has {{{name}}}; here it can have {', '.join(sorted(known))}")
    sample = fill(rule.arn, dict.fromkeys(known, _SAMPLE) | {"account": rule.account or "0" * 12})
    if not _ARN.fullmatch(sample):
        raise ValueError(f"{place}.arn must be like arn:aws:iam::{{account}}:user/NAME, not {rule.arn!r}")
    for key, value in rule.tags.items():
        if key in RESERVED_TAGS or not 0 < len(key) <= _MAX_TAG_KEY or len(value) > _MAX_TAG_VALUE:
            raise ValueError(
                f"{place}.tags: {key!r} cannot be a tag: at most {_MAX_TAG_KEY} characters, its value "
                f"{_MAX_TAG_VALUE}, and none of {', '.join(sorted(RESERVED_TAGS))}"
            )


def variables(match: Match) -> frozenset[str]:
    """Return the variables that the ARN of a rule can have."""
    given = match.given()
    if given & {*CERTIFICATE_FIELDS}:
        pattern = match.uri or match.dns or ""
        return frozenset({"account", *(str(number + 1) for number in range(pattern.count("*")))})
    return frozenset({"account", "uid", "gid", "user"}) | (given & {"group", "unit"})


def fill(template: str, values: dict[str, str]) -> str:
    """Put values into a template; every variable in it has one."""
    return _VARIABLE.sub(lambda found: values[found[1]], template)
