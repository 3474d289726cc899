"""Owns which key a policy's new files are made with, and which one a header's data key is opened with.

Policies are independent: one whose key cannot be had is refused when it is used, with the reason. Knows
nothing of headers' layout, nor of how keys are come by.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from kmsfs.errors import CorruptHeaderError, KeyUnavailableError
from kmsfs.wrapping import Mode, OpeningKey, SealingKey, referenced_policy


class DirectPolicy(OpeningKey, Protocol):
    """A policy whose data keys come from the KMS one by one."""

    def take(self) -> SealingKey:
        """Return what one new file is made with, and no other.

        Raises:
            KeyUnavailableError: the KMS refuses, or cannot be asked.
            WaitNeededError: it has to be asked first.
        """
        ...

    def refusal(self) -> str:
        """Return why the KMS was last of no use; empty when it was of use since."""
        ...


class Keyring:
    """The keys of an open volume.

    Args:
        keys: every bucket key and customer's key that could be had.
        current: by policy index, the one of them for new files.
        reasons: by key reference, why a key of this volume could not be had.
        policy_reasons: by policy index, why it has no key for new files.
        direct: by policy index, the policies of mode direct.
    """

    __slots__ = ("_current", "_direct", "_keys", "_policy_reasons", "_reasons")

    def __init__(
        self,
        keys: Iterable[OpeningKey],
        current: Mapping[int, SealingKey],
        reasons: Mapping[bytes, str],
        policy_reasons: Mapping[int, str],
        direct: Mapping[int, DirectPolicy] | None = None,
    ) -> None:
        self._direct = dict(direct or {})
        self._keys = {key.id: key for key in (*keys, *self._direct.values())}
        self._current = dict(current)
        self._reasons = dict(reasons)
        self._policy_reasons = dict(policy_reasons)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys, {len(self._reasons)} unavailable)"

    def reasons(self) -> Mapping[int, str]:
        """By policy index, why new files cannot be made under it, or the KMS was last of no use to it."""
        refusals = {index: policy.refusal() for index, policy in self._direct.items()}
        return {**self._policy_reasons, **{index: reason for index, reason in refusals.items() if reason}}

    @property
    def unavailable(self) -> Mapping[bytes, str]:
        """By key reference, why a key of this volume could not be had."""
        return dict(self._reasons)

    def new_key(self, policy: int = 0) -> SealingKey:
        """Return what one new file under `policy` is made with.

        Raises:
            KeyUnavailableError: it cannot be had, or there is no such policy.
            WaitNeededError: mode direct: the KMS has to be asked first.
        """
        key = self._current.get(policy)
        if key is not None:
            return key
        direct = self._direct.get(policy)
        if direct is not None:
            return direct.take()
        raise KeyUnavailableError(self._policy_reasons.get(policy, f"the volume has no policy {policy}"))

    def get(self, reference: bytes, mode: Mode) -> OpeningKey:
        """Return the key that a header names.

        Raises:
            KeyUnavailableError: a key of this volume that could not be had.
            CorruptHeaderError: not a key of this volume.
        """
        key = self._keys.get(reference)
        if key is not None and key.mode is mode:
            return key
        reason = self._reasons.get(reference)
        if key is None and reason is not None:
            raise KeyUnavailableError(reason)
        if mode is Mode.BUCKET:
            raise CorruptHeaderError(f"no bucket key {reference.hex()} belongs to this volume")
        raise CorruptHeaderError(f"policy {referenced_policy(reference)} is not of mode {mode.name.lower()}")
