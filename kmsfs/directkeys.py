"""Owns the data keys of policies of mode direct: each is made, and opened, by a call to the KMS of its own.

Data keys of new files are fetched ahead, as many as are used up while more are on their way; those of opened
files are kept for some seconds. What is not there has to be waited for: on a mount in a worker thread, while
other requests go on. Knows nothing of headers' layout but where they hold the file's id.
"""

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple

from agent.api.errors import ServiceError
from kmsfs import kms
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError, KmsfsError, WaitNeededError
from kmsfs.kms import Kms
from kmsfs.patience import Patience
from kmsfs.volume import Policy
from kmsfs.wrapping import BLOB_SIZE_MAX, FILE_ID, Mode, policy_reference

# How long the data key of a file that was opened serves to open it again. So a key that is disabled or denied
# is missed at the latest so long after.
KEPT_SECONDS: Final = 10
KEPT_KEYS: Final = 256
# How long a data key that was fetched ahead may make a new file.
AHEAD_SECONDS: Final = 30
AHEAD_KEYS: Final = 64

_FETCHERS: Final = 4
_FILE_ID_SIZE: Final = 16
_LOG: Final = logging.getLogger(__name__)


class DrawnKey(NamedTuple):
    """The data key of one file that is to be, as the KMS made it: for its header.

    Attributes:
        id: the key reference.
        file_id: 16 bytes; the blob is good for this file alone.
        data_key: 32 bytes.
        blob: its CiphertextBlob.
    """

    id: bytes
    file_id: bytes
    data_key: bytes
    blob: bytes

    def __repr__(self) -> str:
        return f"DrawnKey({self.file_id.hex()})"

    @property
    def mode(self) -> Mode:
        """Direct."""
        return Mode.DIRECT

    @property
    def wrapped_size(self) -> int:
        """Bytes of the blob."""
        return len(self.blob)

    def draw(self) -> tuple[bytes, bytes]:
        """Return file id and data key."""
        return self.file_id, self.data_key

    def wrap(self, data_key: bytes, head: bytes) -> bytes:
        """Return the blob; its EncryptionContext ties it to the file, the commitment the file to it."""
        if data_key != self.data_key or head[FILE_ID] != self.file_id:
            raise AssertionError("a blob is of one data key and for one file")
        return self.blob


class DirectKeys:
    """The data keys of one policy.

    Args:
        service: who makes and opens them.
        volume_id: 16 bytes.
        policy: of mode direct.
        patience: with the service.

    Attributes:
        id: the key reference of its files.
        mode: of its files.
        may_wait: whether to raise WaitNeededError rather than to ask the service within a call.
    """

    def __init__(self, service: Kms, volume_id: bytes, policy: Policy, patience: Patience) -> None:
        self.id = policy_reference(policy.index)
        self.mode = Mode.DIRECT
        self.may_wait = False
        self._service = service
        self._volume_id = volume_id
        self._policy = policy
        self._patience = patience
        self._kept = _Kept()
        self._ahead: deque[tuple[DrawnKey, float]] = deque()
        self._wanted = 0
        self._on_their_way = 0
        self._refused: KmsfsError | None = None
        self._last_refusal = ""
        self._lock = threading.Lock()
        self._fetchers: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"DirectKeys(policy {self._policy.index})"

    def unwrap(self, wrapped: bytes, head: bytes) -> bytes:
        """Return the data key (32 bytes) that a blob holds for the file that `head` names.

        Raises:
            CorruptHeaderError: the KMS key did not make it for this file.
            KeyUnavailableError: the KMS refuses, or cannot be asked.
            WaitNeededError: it has to be asked first.
        """
        file_id = head[FILE_ID]
        name = file_id + wrapped
        outcome = self._kept.take(name)
        while outcome is None:
            self._do(partial(self._open, name, file_id, wrapped))
            outcome = self._kept.take(name)
        if isinstance(outcome, KmsfsError):
            raise outcome
        return outcome

    def take(self) -> DrawnKey:
        """Return the data key of one new file.

        Raises:
            KeyUnavailableError: the KMS refuses, or cannot be asked.
            WaitNeededError: it has to be asked first.
        """
        while (drawn := self._next()) is None:
            refused, self._refused = self._refused, None
            if refused is not None:
                raise refused
            self._wanted = min(max(2 * self._wanted, 1), AHEAD_KEYS)
            self._do(self._fetch_for_one)
        if len(self._ahead) < self._wanted // 2:
            self._fetch_ahead()
        return drawn

    def refusal(self) -> str:
        """Return why the KMS was last of no use; empty when it was of use since."""
        return self._last_refusal

    def close(self) -> None:
        """Forget every key, and fetch no more."""
        self._patience.close()
        if self._fetchers is not None:
            self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._ahead.clear()
        self._kept.clear()

    def _do(self, work: Callable[[], None]) -> None:
        if self.may_wait:
            raise WaitNeededError(work)
        work()

    def _open(self, name: bytes, file_id: bytes, blob: bytes) -> None:
        context = kms.file_context(self._volume_id, self._policy.index, file_id)
        question = partial(kms.decrypt, self._service, self._policy.key_arn, blob, context)
        try:
            outcome: bytes | KmsfsError = self._patience.ask(question)
        except KeyUnavailableError as error:
            if kms.is_foreign(error):
                outcome = CorruptHeaderError(
                    "the KMS key did not make the data key of a header for this file"
                )
            else:
                outcome = error
                self._note(error)
        else:
            self._note(None)
        self._kept.put(name, outcome)

    def _next(self) -> DrawnKey | None:
        """Return a data key that was fetched ahead and is not too old."""
        now = time.monotonic()
        while self._ahead:
            drawn, until = self._ahead.popleft()
            if until > now:
                return drawn
            self._wanted = 0
        return None

    def _fetch_ahead(self) -> None:
        with self._lock:
            count = self._wanted - len(self._ahead) - self._on_their_way
            self._on_their_way += max(count, 0)
        if self._fetchers is None:
            self._fetchers = ThreadPoolExecutor(_FETCHERS, "data-keys")
        for _ in range(count):
            self._fetchers.submit(self._fetch_one_ahead)

    def _fetch_one_ahead(self) -> None:
        try:
            self._fetch()
        except KeyUnavailableError:
            # Whoever finds nothing here asks anew, and is told.
            _LOG.debug("no data key could be fetched ahead")
        finally:
            with self._lock:
                self._on_their_way -= 1

    def _fetch_for_one(self) -> None:
        try:
            self._fetch()
        except KeyUnavailableError as error:
            self._refused = error

    def _fetch(self) -> None:
        file_id = os.urandom(_FILE_ID_SIZE)
        context = kms.file_context(self._volume_id, self._policy.index, file_id)
        question = partial(kms.generate_data_key, self._service, self._policy.key_arn, context)
        try:
            made = self._patience.ask(question)
            drawn = DrawnKey(self.id, file_id, made.plaintext, _fitting(made.blob))
        except KeyUnavailableError as error:
            self._note(error)
            raise
        self._note(None)
        self._refused = None
        self._ahead.append((drawn, time.monotonic() + AHEAD_SECONDS))

    def _note(self, error: KeyUnavailableError | None) -> None:
        """Keep why the KMS is of no use, and log it when that is news; its silence is logged once for all."""
        refusal = "" if error is None else str(error)
        before, self._last_refusal = self._last_refusal, refusal
        if error is not None and refusal != before and isinstance(error.__cause__, ServiceError):
            _LOG.warning("policy %d: %s", self._policy.index, refusal)


class _Kept:
    """What the KMS said of wrapped data keys: a key serves for some seconds, a refusal once."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[bytes, tuple[bytes | KmsfsError, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: bytes) -> bytes | KmsfsError | None:
        with self._lock:
            found = self._outcomes.get(name)
            if found is None:
                return None
            outcome, until = found
            if until <= time.monotonic():
                del self._outcomes[name]
                return None
            if isinstance(outcome, KmsfsError):
                del self._outcomes[name]
            return outcome

    def put(self, name: bytes, outcome: bytes | KmsfsError) -> None:
        with self._lock:
            now = time.monotonic()
            self._outcomes.pop(name, None)
            self._outcomes[name] = (outcome, now + KEPT_SECONDS)
            while len(self._outcomes) > KEPT_KEYS or next(iter(self._outcomes.values()))[1] <= now:
                self._outcomes.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._outcomes.clear()


def _fitting(blob: bytes) -> bytes:
    if len(blob) > BLOB_SIZE_MAX:
        raise KeyUnavailableError(
            f"the service's ciphertext of a data key has {len(blob)} bytes, and a header has room for "
            f"{BLOB_SIZE_MAX}: use the mode bucket with this key",
        )
    return blob
