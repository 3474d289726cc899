"""kmsfs ls: list a directory of a volume that is not mounted."""

import grp
import json
import os
import pwd
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Final

import click

from kmsfs import logs, offline, paths
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.show import show_name
from kmsfs.cli.targets import Target, TargetType
from kmsfs.core import Core
from kmsfs.customerkeys import CustomerKeys
from kmsfs.entries import Entry

_NANOSECONDS: Final = 1_000_000_000
_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@click.command()
@click.argument("target", metavar="DIR[:PATH]", type=TargetType())
@click.option("-l", "--long", "as_long", is_flag=True, help="Show mode, links, owner, size and time.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with one object for each entry.")
@agent_option
@customer_key_options
def ls(
    target: Target, *, as_long: bool, as_json: bool, agent_url: str | None, customer_keys: CustomerKeys
) -> ExitCode:
    """List a directory, or show one entry, of the volume in DIR without mounting it."""
    logs.warnings_to_terminal_too()
    with offline.opened(target.directory, agent_url, read_only=True, customer_keys=customer_keys) as core:
        found = sorted(_entries(core, target.path), key=lambda row: row[0])
        refused = core.volume.counters.integrity_errors
    if as_json:
        click.echo(json.dumps([_as_dict(*row) for row in found], indent=2))
    else:
        for name, entry, link in found:
            show_name(_long(name, entry, link) if as_long else name)
    return ExitCode.DAMAGED if refused else ExitCode.DONE


def _entries(core: Core, path: bytes) -> Iterator[tuple[bytes, Entry, bytes | None]]:
    """Yield name, description and link target of what is to be shown."""
    entry = paths.find(core, path)
    if not stat.S_ISDIR(entry.status.st_mode):
        yield path, entry, _link(core, entry)
        return
    for name, child in paths.children(core, entry.nodeid):
        yield name, child, _link(core, child)


def _link(core: Core, entry: Entry) -> bytes | None:
    return core.tree.readlink(entry.nodeid) if stat.S_ISLNK(entry.status.st_mode) else None


def _long(name: bytes, entry: Entry, link: bytes | None) -> bytes:
    status = entry.status
    when = datetime.fromtimestamp(status.st_mtime_ns // _NANOSECONDS, UTC).astimezone()
    columns = (
        f"{stat.filemode(status.st_mode)} {status.st_nlink:>3} {_user(status.st_uid):<8} "
        f"{_group(status.st_gid):<8} {entry.size:>12} {when:%Y-%m-%d %H:%M:%S} "
    )
    return columns.encode() + name + (b"" if link is None else b" -> " + link)


def _as_dict(name: bytes, entry: Entry, link: bytes | None) -> dict[str, object]:
    status = entry.status
    return {
        "name": os.fsdecode(name),
        "type": _KINDS[stat.S_IFMT(status.st_mode)],
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "links": status.st_nlink,
        "size_bytes": entry.size,
        "mtime_ns": status.st_mtime_ns,
        "target": None if link is None else os.fsdecode(link),
    }


@cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
