"""Signing keys that are kept: those of this record and scope, and no more than said."""

from dataclasses import replace

from agent.api.enums import AccessKeyStatus
from agent.authn.signingkeys import MAX_SIGNING_KEYS, SigningKeys
from agent.keys.identity import AccessKey
from agent.sigv4.canonical import Scope, signing_key

SCOPE = Scope("20270115", "local", "kms")
RECORD = AccessKey(
    "AKIAIOSFODNN7EXAMPLE", "arn:aws:iam::000000000000:root", "0" * 12, AccessKeyStatus.ACTIVE, 0.0, b"secret"
)


class Unwrapping:
    """Takes wrapped secrets for secrets, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _access_key_id: str, wrapped: bytes) -> bytes:
        self.count += 1
        return wrapped


def test_a_key_is_derived_once() -> None:
    """The same record and scope are unwrapped once; a changed secret, and another scope, are others."""
    unwrap = Unwrapping()
    keys = SigningKeys(unwrap)
    assert keys.get(RECORD, SCOPE) == keys.get(RECORD, SCOPE) == signing_key("secret", SCOPE)
    assert unwrap.count == 1
    assert keys.get(replace(RECORD, wrapped_secret=b"other"), SCOPE) == signing_key("other", SCOPE)
    tomorrow = replace(SCOPE, date="20270116")
    assert keys.get(RECORD, tomorrow) == signing_key("secret", tomorrow)
    assert unwrap.count == 3


def test_the_least_recently_used_goes_first() -> None:
    """No more are kept than said, and which one goes is not the one in use."""
    unwrap = Unwrapping()
    keys = SigningKeys(unwrap)
    for number in range(MAX_SIGNING_KEYS + 1):
        keys.get(RECORD, SCOPE)
        keys.get(replace(RECORD, access_key_id=f"AKIA{number:016}"), SCOPE)
    assert unwrap.count == MAX_SIGNING_KEYS + 2
    keys.get(replace(RECORD, access_key_id=f"AKIA{0:016}"), SCOPE)
    assert unwrap.count == MAX_SIGNING_KEYS + 3
