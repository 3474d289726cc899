"""What an adversary with the backing store can do to headers of the modes direct and customer: nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.api import operations
from agent.api.shapes.keys import CreateKeyRequest
from agents import RunningAgent
from asked import Asked
from kmsfs import customerkeys
from kmsfs.core import Core
from kmsfs.customerkeys import CustomerKeys
from kmsfs.directkeys import DirectKeys
from kmsfs.errors import CorruptFileError, KeyUnavailableError
from kmsfs.keyring import Keyring, PolicyKeys
from kmsfs.patience import Patience
from kmsfs.volume import CUSTOMER, DIRECT, Policy
from kmsfs.wrapping import policy_reference
from offline import HEADER_BYTES, OfflineVolume, find, read

CONTENT = b"some content" * 700
CUSTOMER_KEY = bytes(range(32))


class ModeVolume(OfflineVolume):
    """A volume whose policies are all of one mode; the first is that of new files."""

    def __init__(self, path: Path, mode: str, service: Asked, key_arn: str) -> None:
        super().__init__(path)
        volume_id = self.description.volume_id
        made = [
            Policy(index, "", mode, customer=customerkeys.new_check(CUSTOMER_KEY, volume_id))
            if mode == CUSTOMER
            else Policy(index, key_arn, mode)
            for index in range(2)
        ]
        self.description = replace(self.description, policies=tuple(made))
        self._service = service

    def keyring(self, current: int = 0) -> Keyring:
        """Return the keys of both policies; `current` is the policy whose key new files get."""
        volume_id, policies = self.description.volume_id, self.description.policies
        keyring = Keyring()
        for index in (current, 1 - current):
            if policies[index].mode == DIRECT:
                direct = DirectKeys(self._service, volume_id, policies[index], Patience(0))
                keyring.put(PolicyKeys(index, direct=direct))
            else:
                key = CustomerKeys((CUSTOMER_KEY,)).require(policies[index], volume_id)
                keyring.put(PolicyKeys(index, (key,), key))
        return keyring


@pytest.fixture
def service(shared_agent: RunningAgent) -> Iterator[Asked]:
    """The agent that all tests share."""
    asked = Asked(shared_agent.url)
    yield asked
    asked.close()


@pytest.fixture(params=[DIRECT, CUSTOMER])
def volume(request: pytest.FixtureRequest, tmp_path: Path, service: Asked) -> ModeVolume:
    """A volume with a file to attack, one to take parts of, and one left alone."""
    arn = service.call(operations.CREATE_KEY, CreateKeyRequest()).key_metadata.arn
    assert arn is not None
    made = ModeVolume(tmp_path, request.param, service, arn)
    for name in (b"file", b"other", b"untouched"):
        made.write_file(name, CONTENT)
    return made


def path_of(volume: ModeVolume, name: bytes) -> Path:
    """Return where a file lies."""
    with volume.core() as core:
        return Path(os.fsdecode(volume.stored_path(core, name)))


def refuses(core: Core, name: bytes) -> bool:
    """Say whether opening a file is refused as corrupt."""
    nodeid = find(core, name)
    try:
        core.files.release(core.open(nodeid, os.O_RDONLY).chunks.inode)
    except CorruptFileError:
        return True
    return False


def test_every_byte_of_a_header_counts(volume: ModeVolume) -> None:
    """Changing any byte of a header is refused at open, and changing it back mends the file."""
    descriptor = os.open(path_of(volume, b"file"), os.O_RDWR)
    try:
        header = os.pread(descriptor, HEADER_BYTES, 0)
        with volume.core() as core:
            for offset in range(HEADER_BYTES):
                os.pwrite(descriptor, bytes([header[offset] ^ 1 << offset % 8]), offset)
                assert refuses(core, b"file"), f"byte {offset}"
                os.pwrite(descriptor, header[offset : offset + 1], offset)
            assert read(core, b"file") == CONTENT
            assert read(core, b"untouched") == CONTENT
    finally:
        os.close(descriptor)


PARTS = {
    "wrapped key": slice(96, 376),
    "wrapped key and its size": slice(12, 14),
    "file id and all behind": slice(32, 376),
    "all before the sealed block": slice(0, 376),
    "sealed block": slice(376, 512),
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_two_headers_do_not_mix(volume: ModeVolume, part: str) -> None:
    """A header with a part of another file's is refused, whichever check it is that sees it."""
    path, other = path_of(volume, b"file"), path_of(volume, b"other").read_bytes()
    raw = bytearray(path.read_bytes())
    raw[PARTS[part]] = other[PARTS[part]]
    if raw == path.read_bytes():
        raw[PARTS[part]] = b"\0" + bytes([raw[13] ^ 1])
    path.write_bytes(raw)
    with volume.core() as core:
        assert refuses(core, b"file")
        assert read(core, b"untouched") == CONTENT


@pytest.mark.parametrize(
    ("reference", "mode"),
    [
        (policy_reference(1), None),
        (policy_reference(2), None),
        (policy_reference(0xFFFF), None),
        (b"\1" + policy_reference(0)[1:], None),
        (b"b" * 16, 1),
        (policy_reference(0), 1),
        (policy_reference(0), 2),
        (policy_reference(0), 3),
    ],
)
def test_a_header_stays_in_its_policy_and_mode(
    volume: ModeVolume, reference: bytes, mode: int | None
) -> None:
    """The key reference of another policy, and another mode, do not open the file."""
    path = path_of(volume, b"file")
    raw = bytearray(path.read_bytes())
    if mode == raw[9]:
        mode = 4
    raw[48:64] = reference
    raw[9] = raw[9] if mode is None else mode
    path.write_bytes(raw)
    with volume.core() as core:
        assert refuses(core, b"file")


def test_what_was_held_in_memory_does_not_open_a_changed_header(volume: ModeVolume) -> None:
    """A file that was just opened is refused once its header is changed."""
    path = path_of(volume, b"file")
    with volume.core() as core:
        assert read(core, b"file") == CONTENT
        core.files.drop(os.stat(path).st_ino)
        raw = bytearray(path.read_bytes())
        raw[97] ^= 1
        with path.open("r+b") as file:
            file.write(raw)
        assert refuses(core, b"file")


def test_a_policy_whose_key_was_not_given(tmp_path: Path, service: Asked) -> None:
    """Its files list with their sizes, and opening one is ENOKEY with what to do."""
    volume = ModeVolume(tmp_path, CUSTOMER, service, "")
    volume.write_file(b"file", CONTENT)
    reference = policy_reference(0)
    missing = Keyring(PolicyKeys(0, missing={reference: "give it with …"}, reason="give it with …"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume, "keyring", lambda _current: missing)
        with volume.core() as core:
            assert core.attributes.getattr(find(core, b"file")).size == len(CONTENT)
            for call in (lambda: read(core, b"file"), lambda: core.files.new_file(0)):
                with pytest.raises(KeyUnavailableError, match="give it with"):
                    call()
