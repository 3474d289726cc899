"""Mount options: what -o accepts, who may give it, and what libfuse is told."""

from __future__ import annotations

import os

import pytest

from kmsfs.options import (
    ROOT_DEFAULTS,
    USER_DEFAULTS,
    MountOptionError,
    MountOptions,
    libfuse_options,
    parse,
)

PARSED: list[tuple[list[str], bool, MountOptions]] = [
    ([], True, MountOptions(allow_other=True, devices=True, set_id=True)),
    ([], False, MountOptions()),
    (["ro"], False, MountOptions(read_only=True)),
    (["ro,noexec"], False, MountOptions(read_only=True, executables=False)),
    (["ro", "noexec"], False, MountOptions(read_only=True, executables=False)),
    (["ro,rw"], False, MountOptions()),
    (["rw", "ro"], False, MountOptions(read_only=True)),
    (["defaults"], False, MountOptions()),
    (["", ",,"], False, MountOptions()),
    (["allow_other"], False, MountOptions(allow_other=True)),
    (["noallow_other,nodev,nosuid"], True, MountOptions()),
    (["nodev"], True, MountOptions(allow_other=True, set_id=True)),
    (["nosuid,suid"], True, ROOT_DEFAULTS),
    (["nodefault_permissions"], False, MountOptions(default_permissions=False)),
    (["nopoll"], False, MountOptions(polls=False)),
    (["nopoll,poll"], False, MountOptions()),
    (["nonempty,exec"], False, MountOptions(nonempty=True)),
]


@pytest.mark.parametrize(("texts", "is_root", "expected"), PARSED)
def test_parse(texts: list[str], is_root: bool, expected: MountOptions) -> None:  # noqa: FBT001 - a table's column
    """Words mean what mount(8) says, later ones win, and root's defaults are those of a local filesystem."""
    assert parse(texts, is_root=is_root) == expected


@pytest.mark.parametrize("word", ["bogus", "RO", " ro", "uid=0", "fsname=x", "subtype=x"])
def test_unknown_word_is_refused(word: str) -> None:
    """A word that is not in the table is an error that names it and the known ones."""
    with pytest.raises(MountOptionError, match="unknown mount option") as caught:
        parse(["ro," + word], is_root=True)
    assert repr(word) in str(caught.value)
    assert "noexec" in str(caught.value)


@pytest.mark.parametrize("word", ["dev", "suid"])
def test_device_nodes_and_set_id_are_for_root(word: str) -> None:
    """A user is told at once what fusermount3 would silently ignore."""
    with pytest.raises(MountOptionError, match="root only"):
        parse([word], is_root=False)


def test_libfuse_is_told() -> None:
    """Each attribute becomes the word that libfuse knows, beside the names shown in the table of mounts."""
    assert libfuse_options(USER_DEFAULTS, "/c") == {"default_permissions", "subtype=kmsfs", "fsname=/c"}
    assert libfuse_options(ROOT_DEFAULTS, "/c") == {
        "default_permissions",
        "allow_other",
        "dev",
        "suid",
        "subtype=kmsfs",
        "fsname=/c",
    }
    strictest = MountOptions(read_only=True, executables=False, default_permissions=False)
    assert libfuse_options(strictest, "/c") == {"ro", "noexec", "subtype=kmsfs", "fsname=/c"}


def test_source_is_escaped() -> None:
    """A path that libfuse would split or pyfuse3 refuse is spelled in plain ASCII."""
    source = os.fsdecode(b"/a b,c\\d\n\xc3\xa9\xff")
    assert r"fsname=/a\040b\054c\134d\012\303\251\377" in libfuse_options(USER_DEFAULTS, source)
