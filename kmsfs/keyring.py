"""Owns which key a policy's new files are made with, and which one a header's data key is opened with.

Policies are independent: one whose key cannot be had is refused when it is used, with the reason. Knows
nothing of headers' layout, nor of how keys are come by.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from kmsfs.errors import CorruptHeaderError, KeyUnavailableError
from kmsfs.wrapping import Mode, OpeningKey, SealingKey, referenced_policy


class DirectPolicy(OpeningKey, Protocol):
    """A policy whose data keys come from the KMS one by one."""

    may_wait: bool

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

    def close(self) -> None:
        """Forget every key."""
        ...


class PolicyKeys(NamedTuple):
    """The keys of one policy.

    Attributes:
        policy: its index.
        keys: what opens its files, as far as it could be had.
        current: the one of them for new files; None where there is none.
        missing: by key reference, why a key of it could not be had.
        reason: why there is none for new files; empty where there is.
        direct: in place of all those, where its mode is direct.
    """

    policy: int
    keys: tuple[OpeningKey, ...] = ()
    current: SealingKey | None = None
    missing: Mapping[bytes, str] = {}
    reason: str = ""
    direct: DirectPolicy | None = None


class Keyring:
    """The keys of an open volume.

    Args:
        policies: the keys of each policy.
    """

    __slots__ = ("_current", "_direct", "_keys", "_may_wait", "_missing", "_reasons")

    def __init__(self, *policies: PolicyKeys) -> None:
        self._keys: dict[bytes, OpeningKey] = {}
        self._current: dict[int, SealingKey] = {}
        self._direct: dict[int, DirectPolicy] = {}
        self._missing: dict[bytes, str] = {}
        self._reasons: dict[int, str] = {}
        self._may_wait = False
        for policy in policies:
            self.put(policy)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} keys, {len(self._missing)} unavailable)"

    def put(self, keys: PolicyKeys) -> None:
        """Take the keys of one more policy, or those that one has now."""
        for key in keys.keys:
            self._keys[key.id] = key
            self._missing.pop(key.id, None)
        self._missing.update(keys.missing)
        self._reasons.pop(keys.policy, None)
        if keys.current is not None:
            self._current[keys.policy] = keys.current
        if keys.reason:
            self._reasons[keys.policy] = keys.reason
        if keys.direct is not None:
            before = self._direct.get(keys.policy)
            if before is not None and before is not keys.direct:
                before.close()
            keys.direct.may_wait = self._may_wait
            self._direct[keys.policy] = keys.direct
            self._keys[keys.direct.id] = keys.direct

    def reasons(self) -> Mapping[int, str]:
        """By policy index, why new files cannot be made under it, or the KMS was last of no use to it."""
        refusals = {index: direct.refusal() for index, direct in self._direct.items()}
        return {**self._reasons, **{index: reason for index, reason in refusals.items() if reason}}

    @property
    def unavailable(self) -> Mapping[bytes, str]:
        """By key reference, why a key of this volume could not be had."""
        return dict(self._missing)

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
        raise KeyUnavailableError(self._reasons.get(policy, f"the volume has no policy {policy}"))

    def get(self, reference: bytes, mode: Mode) -> OpeningKey:
        """Return the key that a header names.

        Raises:
            KeyUnavailableError: a key of this volume that could not be had.
            CorruptHeaderError: not a key of this volume.
        """
        key = self._keys.get(reference)
        if key is not None and key.mode is mode:
            return key
        reason = self._missing.get(reference)
        if key is None and reason is not None:
            raise KeyUnavailableError(reason)
        if mode is Mode.BUCKET:
            raise CorruptHeaderError(f"no bucket key {reference.hex()} belongs to this volume")
        raise CorruptHeaderError(f"policy {referenced_policy(reference)} is not of mode {mode.name.lower()}")

    @property
    def may_wait(self) -> bool:
        """Whether WaitNeededError is raised, rather than waited in the call."""
        return self._may_wait

    def let_wait(self) -> None:
        """From now on raise WaitNeededError where the KMS has to be asked, rather than ask it in the call."""
        self._may_wait = True
        for direct in self._direct.values():
            direct.may_wait = True

    def close(self) -> None:
        """Forget the data keys that came one by one, and ask for no more."""
        for direct in self._direct.values():
            direct.close()
