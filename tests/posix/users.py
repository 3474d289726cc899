"""What several users do in a directory, one Python expression at a time, and what comes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALICE, BOB, CAROL = 60001, 60002, 60003
TEAM, OTHERS = 60100, 60101
GROUPS = {ALICE: [TEAM], BOB: [TEAM, OTHERS], CAROL: [OTHERS]}

# Evaluates an expression as a user and prints what came of it; `see` shows whose a thing is.
HEAD = """
import errno, os, stat, subprocess, sys
def see(path):
    found = os.lstat(path)
    return oct(found.st_mode), found.st_uid, found.st_gid
def put(path, content=b"text", flags=os.O_CREAT | os.O_WRONLY, mode=0o666):
    fd = os.open(path, flags, mode)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
def get(path):
    with open(path, "rb") as file:
        return file.read()
def acl(path):
    command = ["getfacl", "--numeric", "--omit-header", "--no-effective", "--", path]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
def set_acl(*words):
    return subprocess.run(["setfacl", *words], stderr=subprocess.DEVNULL).returncode
uid, groups, mask = int(sys.argv[1]), eval(sys.argv[2]), int(sys.argv[3], 8)
os.setgroups(groups); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid); os.umask(mask)
os.chdir(sys.argv[4])
try:
    print(repr(eval(sys.argv[5])))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


Step = tuple[int, str] | tuple[int, str, int]
"""Who does what, under which umask."""


def do(directory: Path, uid: int, code: str, umask: int = 0o022) -> str:
    """Do something as a user; return what it gave, or the name of its error."""
    groups = GROUPS.get(uid, [])
    command = [
        sys.executable,
        "-P",
        "-S",
        "-c",
        HEAD,
        str(uid),
        repr(groups),
        f"{umask:o}",
        str(directory),
        code,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
