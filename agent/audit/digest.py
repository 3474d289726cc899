"""Owns the digest: what the log was at the end of an hour, or when a file of it was full. Opens no file.

The shape follows CloudTrail's (docs.aws.amazon.com/awscloudtrail, "CloudTrail digest file structure"), with
the signature inside, since a file has no metadata to keep it in, and with the log's chain. Each digest
begins where the one before ends, in time and in the chain, and names its hash and signature.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from agent.audit import signed
from agent.audit.chain import GENESIS, Link
from agent.crypto.digestkey import ALGORITHM, DigestKey, PublicKey

MAX_DIGEST_BYTES: Final = 64 * 1024
HASH_ALGORITHM: Final = "SHA-256"


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in the chain: how many records there are up to here, and the hash of the last."""

    sequence: int
    hash: str


class LogFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A file of the log, all of it."""

    name: str
    size_bytes: int
    first_sequence: int
    last_sequence: int
    hash_value: str
    hash_algorithm: str = HASH_ALGORITHM


class Digest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A digest, as it is written but for the signature; times as records have them."""

    digest_version: Literal["1"] = "1"
    aws_account_id: str
    digest_number: int
    digest_file: str
    digest_start_time: str
    digest_end_time: str
    digest_public_key_fingerprint: str
    digest_signature_algorithm: str = ALGORITHM
    previous_digest_file: str | None
    previous_digest_hash_value: str | None
    previous_digest_hash_algorithm: str = HASH_ALGORITHM
    previous_digest_signature: str | None
    chain_start: Position
    chain_end: Position
    log_files: tuple[LogFile, ...]


class DigestError(Exception):
    """This is no digest of this agent's."""


@dataclass(frozen=True, slots=True)
class SignedDigest:
    """A digest and the bytes of its file."""

    digest: Digest
    content: bytes

    @property
    def end(self) -> Link:
        """Where the chain stood when its period ended."""
        return Link(self.digest.chain_end.sequence, self.digest.chain_end.hash)


def sign(
    previous: SignedDigest | None,
    key: DigestKey,
    *,
    account_id: str,
    stem: str,
    end_time: str,
    end: Link,
    log_files: tuple[LogFile, ...],
) -> SignedDigest:
    """Return the digest that follows `previous`; without one, the first, whose period is a moment.

    Args:
        previous: the digest before.
        key: what it is signed with.
        account_id: whose log this is.
        stem: what the digest's name begins with.
        end_time: when its period ends.
        end: where the chain ends with it.
        log_files: what was written in between.
    """
    start = GENESIS if previous is None else previous.end
    digest = Digest(
        aws_account_id=account_id,
        digest_number=1 if previous is None else previous.digest.digest_number + 1,
        digest_file=f"{stem}.json",
        digest_start_time=end_time if previous is None else previous.digest.digest_end_time,
        digest_end_time=end_time,
        digest_public_key_fingerprint=key.public_key.fingerprint,
        previous_digest_file=None if previous is None else previous.digest.digest_file,
        previous_digest_hash_value=None if previous is None else hashlib.sha256(previous.content).hexdigest(),
        previous_digest_signature=None if previous is None else signed.signature_of(previous.content),
        chain_start=Position(start.sequence, start.digest),
        chain_end=Position(end.sequence, end.digest),
        log_files=log_files,
    )
    return SignedDigest(digest, signed.seal(msgspec.json.encode(digest), key))


def read(name: str, content: bytes, key: PublicKey) -> SignedDigest:
    """Return a digest that this agent wrote.

    Args:
        name: its file's name.
        content: what is in the file.
        key: what it was signed with.

    Raises:
        DigestError: it did not, or the file was renamed.
    """
    try:
        digest = msgspec.json.decode(signed.unseal(content, key), type=Digest)
    except (signed.SignatureError, ValueError, RecursionError):
        raise DigestError(
            f"{name} is not signed by this agent: it was changed, or the root key is another"
        ) from None
    if digest.digest_file != name:
        raise DigestError(f"{name} was written as {digest.digest_file}")
    return SignedDigest(digest, content)
