"""The rules of the source tree that no linter knows: sizes, names, and who may import what."""

from __future__ import annotations

import ast
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
FORBIDDEN_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc"})

KMSFS_CRYPTO_FLOOR = ("xaes", "chunks", "names", "header", "records", "bucketkeys")
ONLY_IMPORTED_BY = {
    "cryptography": ("agent/crypto/*", "agent/seal/*", *(f"kmsfs/{name}.py" for name in KMSFS_CRYPTO_FLOOR)),
    "nacl": ("agent/crypto/ed25519.py",),
    "pyfuse3": ("kmsfs/fuse/loop.py",),
}
"""Third-party package → the only files of the two programs that may import it."""

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
"""Marks of unfinished work, written so that this file does not match itself."""

MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|Users)/")
"""Paths that exist only on somebody's machine."""


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the tree that match, those that git ignores left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file()]


def relative(path: Path) -> str:
    """Return the path as it is written in a message."""
    return path.relative_to(ROOT).as_posix()


def imported_names(path: Path) -> set[str]:
    """Return the dotted names that a module imports anywhere, type-checking blocks included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


PYTHON_FILES = tracked("*.py")
PROGRAM_FILES = [path for path in PYTHON_FILES if relative(path).startswith(("agent/", "kmsfs/"))]


def test_there_is_something_to_check() -> None:
    """The lists that the other tests go through hold both packages."""
    names = {relative(path) for path in PROGRAM_FILES}
    assert {"agent/__init__.py", "kmsfs/__init__.py"} <= names


def test_files_are_short() -> None:
    """No Python file is longer than 400 lines."""
    long = {relative(path): lines for path in PYTHON_FILES if (lines := line_count(path)) > MAX_LINES}
    assert not long


def line_count(path: Path) -> int:
    """Return the number of lines in a file."""
    return path.read_bytes().count(b"\n")


def test_modules_are_named_for_what_they_hold() -> None:
    """No module or package is a drawer for odds and ends."""
    nameless = [
        relative(path)
        for path in PYTHON_FILES
        if FORBIDDEN_NAMES & {path.stem, *path.relative_to(ROOT).parent.parts}
    ]
    assert not nameless


@pytest.mark.parametrize("package", sorted(ONLY_IMPORTED_BY))
def test_package_stays_on_its_floor(package: str) -> None:
    """Cryptography is called only by the crypto floors, pyfuse3 only by the loop."""
    allowed = ONLY_IMPORTED_BY[package]
    strays = [
        relative(path)
        for path in PROGRAM_FILES
        if any(name.partition(".")[0] == package for name in imported_names(path))
        and not any(fnmatch(relative(path), pattern) for pattern in allowed)
    ]
    assert not strays


def test_filesystem_knows_only_the_agents_wire() -> None:
    """The filesystem imports of the agent its client and its wire shapes, nothing else."""
    strays = {
        f"{relative(path)}: {name}"
        for path in PROGRAM_FILES
        if relative(path).startswith("kmsfs/")
        for name in imported_names(path)
        if name.startswith("agent.") and name.split(".")[1] not in {"api", "client"}
    }
    assert not strays


def test_modules_say_what_they_own() -> None:
    """Every Python file that holds anything begins with a docstring."""
    silent = [
        relative(path)
        for path in PYTHON_FILES
        if (module := ast.parse(path.read_bytes())).body and not ast.get_docstring(module)
    ]
    assert not silent


def test_nothing_is_left_unfinished() -> None:
    """No file carries a mark of unfinished work."""
    assert not lines_matching(
        UNFINISHED, tracked("*.py", "*.sh", "*.toml", "*.md", "scripts", ".ci", "systemd")
    )


def test_nothing_names_one_machine() -> None:
    """No file carries a path that exists only on the machine it was written on."""
    assert not lines_matching(
        MACHINE_PATHS, tracked("*.py", "*.sh", "*.toml", "*.md", "scripts", ".ci", "systemd")
    )


def lines_matching(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """Return `file:line: text` of every line that matches."""
    return [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{relative(path)}: {node.name}"
        for path in PYTHON_FILES
        if relative(path).startswith("tests/")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent
