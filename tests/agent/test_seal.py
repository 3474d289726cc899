"""Sealing and unsealing the root key: by key file, by passphrase, and all that may be wrong with either."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.crypto.kdf import Argon2Cost
from agent.seal import keyfile, passphrase
from agent.seal.descriptor import KEY_FILE, PASSPHRASE, is_initialized, seal_kind
from agent.seal.errors import SealError

CHEAP = Argon2Cost(iterations=1, lanes=1, memory_kib=512)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "state"


def test_key_file_round_trip(state: Path) -> None:
    """A root key sealed by key file comes back, and everything is private."""
    root_key = keyfile.create(state)
    assert len(root_key) == 32
    assert keyfile.unseal(state) == root_key
    assert seal_kind(state) == KEY_FILE
    modes = {path.name: path.stat().st_mode & 0o777 for path in (state, *state.iterdir())}
    assert modes == {"state": 0o700, "seal.json": 0o600, "seal.key": 0o600}
    assert root_key.hex() not in (state / "seal.key").read_text()


def test_passphrase_round_trip(state: Path) -> None:
    """A root key sealed by passphrase comes back; the passphrase is not in the state directory."""
    root_key = passphrase.create(state, b"correct horse", CHEAP)
    assert passphrase.unseal(state, b"correct horse") == root_key
    assert seal_kind(state) == PASSPHRASE
    assert b"correct horse" not in (state / "seal.json").read_bytes()


def test_default_cost(state: Path) -> None:
    """The default cost is what a descriptor records and what unsealing pays."""
    root_key = passphrase.create(state, b"x")
    seal = json.loads((state / "seal.json").read_text())["seal"]
    assert (seal["iterations"], seal["lanes"], seal["memory_kib"]) == (3, 4, 256 * 1024)
    assert passphrase.unseal(state, b"x") == root_key


@pytest.mark.parametrize(
    ("typed", "again"), [("caf\u00e9".encode(), "cafe\u0301".encode()), (b"\xff\xfe", b"\xff\xfe")]
)
def test_passphrases_typed_alike(state: Path, typed: bytes, again: bytes) -> None:
    """Two spellings of the same text open the same seal; bytes that are no text are taken as they are."""
    root_key = passphrase.create(state, typed, CHEAP)
    assert passphrase.unseal(state, again) == root_key


@pytest.mark.parametrize("wrong", [b"correct hors", b"Correct horse", b"correct horse ", b"\xff"])
def test_wrong_passphrase(state: Path, wrong: bytes) -> None:
    """A wrong passphrase is refused with what to do, and without the passphrase."""
    passphrase.create(state, b"correct horse", CHEAP)
    with pytest.raises(SealError, match=r"passphrase is wrong.*Try again") as caught:
        passphrase.unseal(state, wrong)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("useless", [b"", b"x" * 4097])
def test_useless_passphrases(state: Path, useless: bytes) -> None:
    """An empty passphrase and an endless one seal nothing."""
    with pytest.raises(SealError):
        passphrase.create(state, useless, CHEAP)
    assert not is_initialized(state)


def test_key_file_elsewhere(state: Path, tmp_path: Path) -> None:
    """A key file may lie anywhere, be moved, and be the administrator's own."""
    own = tmp_path / "own.key"
    own.touch(0o600)
    own.write_text("ab" * 32 + "\n")
    root_key = keyfile.create(state, own)
    assert own.read_text() == "ab" * 32 + "\n"
    assert not (state / "seal.key").exists()
    assert keyfile.unseal(state) == root_key
    own.rename(tmp_path / "moved.key")
    with pytest.raises(SealError, match=r"own.key is missing. Restore it"):
        keyfile.unseal(state)
    assert keyfile.unseal(state, tmp_path / "moved.key") == root_key


def test_an_interrupted_init_goes_on(state: Path) -> None:
    """A key file without a descriptor, as a crash between the two leaves it, is used."""
    keyfile.create(state)
    (state / "seal.json").unlink()
    (state / "seal.json.new").write_bytes(b"{")
    root_key = keyfile.create(state)
    assert keyfile.unseal(state) == root_key


@pytest.mark.parametrize("make", [keyfile.create, lambda state: passphrase.create(state, b"x", CHEAP)])
def test_no_second_root_key(state: Path, make: Callable[[Path], bytes]) -> None:
    """A state directory is initialized once: another root key would orphan every key in it."""
    root_key = keyfile.create(state)
    with pytest.raises(SealError, match="initialized already"):
        make(state)
    assert keyfile.unseal(state) == root_key


@pytest.mark.parametrize(
    ("content", "mode", "refusal"),
    [
        (None, 0o600, "is missing"),
        ("ab" * 32 + "\n", 0o600, "is not the key file of"),
        ("ab" * 32, 0o640, "open to other users. Run `chmod 600"),
        ("ab" * 32, 0o604, "open to other users"),
        ("", 0o600, "does not hold 64 hexadecimal digits"),
        ("ab" * 31, 0o600, "does not hold"),
        ("ab" * 33, 0o600, "does not hold"),
        ("zz" * 32, 0o600, "does not hold"),
        (" ab" * 21 + "\n", 0o600, "does not hold"),
        ("é" * 32, 0o600, "does not hold"),
    ],
)
def test_unusable_key_files(state: Path, content: str | None, mode: int, refusal: str) -> None:
    """A key file that is missing, wrong, malformed or open to others is refused, saying what to do."""
    keyfile.create(state)
    path = state / "seal.key"
    path.unlink()
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(SealError, match=refusal):
        keyfile.unseal(state)


def test_a_key_file_of_someone_else(state: Path) -> None:
    """A key file that another user owns, and so can read or exchange, is refused."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    keyfile.create(state)
    os.chown(state / "seal.key", 12345, -1)
    with pytest.raises(SealError, match="belongs to another user"):
        keyfile.unseal(state)


def test_a_directory_is_no_key_file(state: Path) -> None:
    """A key file must be a file."""
    keyfile.create(state)
    (state / "seal.key").unlink()
    (state / "seal.key").mkdir()
    with pytest.raises(SealError):
        keyfile.unseal(state)


def test_every_value_of_the_descriptor_counts(state: Path) -> None:
    """No parameter, and no byte of the wrapped key, can be changed."""
    passphrase.create(state, b"x", CHEAP)
    path = state / "seal.json"
    original = json.loads(path.read_text())
    changes = [
        {"seal": original["seal"] | {"memory_kib": 1024}},
        {"seal": original["seal"] | {"iterations": 2}},
        {"seal": original["seal"] | {"lanes": 2}},
        {"seal": original["seal"] | {"salt": "A" * 22 + "=="}},
        {"wrapped_root_key": "B" + original["wrapped_root_key"][1:]},
        {"check": "00" * 32},
    ]
    for change in changes:
        path.write_text(json.dumps(original | change))
        with pytest.raises(SealError):
            passphrase.unseal(state, b"x")
    path.write_text(json.dumps(original))
    passphrase.unseal(state, b"x")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"format": 2}, "format 2"),
        ({"surprise": 1}, "damaged"),
        ({"check": 1}, "damaged"),
        ({"seal": {"kind": "tpm"}}, "damaged"),
        (
            {"seal": {"kind": "passphrase", "salt": "A" * 22 + "==", "iterations": 1, "lanes": 1}},
            "damaged",
        ),
        (
            {
                "seal": {
                    "kind": "passphrase",
                    "salt": "A" * 22 + "==",
                    "iterations": 1,
                    "lanes": 1,
                    "memory_kib": 1 << 40,
                }
            },
            "damaged",
        ),
    ],
)
def test_malformed_descriptors(state: Path, change: dict[str, object], refusal: str) -> None:
    """A descriptor that makes no sense is refused before anything is derived from it."""
    passphrase.create(state, b"x", CHEAP)
    path = state / "seal.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SealError, match=refusal):
        passphrase.unseal(state, b"x")


def test_the_other_kind_is_named(state: Path, tmp_path: Path) -> None:
    """Unsealing by the wrong means says which one is right."""
    keyfile.create(state)
    with pytest.raises(SealError, match="sealed by a key file"):
        passphrase.unseal(state, b"x")
    passphrase.create(tmp_path / "other", b"x", CHEAP)
    with pytest.raises(SealError, match="sealed by a passphrase"):
        keyfile.unseal(tmp_path / "other")


def test_nothing_to_unseal(state: Path) -> None:
    """Without a descriptor the next step is named."""
    with pytest.raises(SealError, match=r"not initialized. Run `kms-agent init`"):
        seal_kind(state)
