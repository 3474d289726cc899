"""What programs do to a volume before the power goes, written by hand: one for each thing to get wrong."""

from __future__ import annotations

from collections.abc import Callable

from program import Program

CHUNK = 4096
LONG = b"n" * 200
FILE = (b"file",)


def text(seed: int, length: int) -> bytes:
    """Return content that differs from that of every other seed at every byte."""
    return bytes((seed * 37 + at * 11 + at // 251) % 255 + 1 for at in range(length))


def create_and_sync(program: Program) -> None:
    """A file as an editor saves it."""
    with program.mounted():
        program.create(b"file")
        program.write(FILE, 0, text(1, 3 * CHUNK + 100))
        program.fsync(FILE)
        program.close(b"file")
        program.fsync_directory()


def append_to_a_log(program: Program) -> None:
    """Records of a log, each synced after it, within a chunk and over its end."""
    with program.mounted():
        program.create(b"file")
        for number in range(8):
            program.append(FILE, text(number, 700))
            program.fsync(FILE, data_only=number % 2 == 0)
        program.append(FILE, text(9, 300))
        program.append(FILE, text(10, 2 * CHUNK))


def write_pages_of_a_database(program: Program) -> None:
    """Pages in place, some at odd places, while the file grows."""
    with program.mounted():
        program.create(b"file")
        program.write(FILE, 0, text(1, 6 * CHUNK))
        program.fsync(FILE)
        program.write(FILE, 2 * CHUNK, text(2, CHUNK))
        program.append(FILE, text(3, CHUNK))
        program.write(FILE, 100, text(4, 50))
        program.fsync(FILE, data_only=True)
        program.write(FILE, 4 * CHUNK - 10, text(5, 20))
        program.append(FILE, text(6, 10))


def cut_and_extend(program: Program) -> None:
    """Truncation down and up, writes into the hole and behind it."""
    with program.mounted():
        program.create(b"file")
        program.write(FILE, 0, text(1, 4 * CHUNK + 10))
        program.fsync(FILE)
        program.truncate(FILE, 2 * CHUNK + 100)
        program.fsync(FILE)
        program.truncate(FILE, 5 * CHUNK)
        program.write(FILE, 3 * CHUNK + 5, text(2, 100))
        program.fsync(FILE)
        program.truncate(FILE, 9)
        program.write(FILE, 2 * CHUNK + 5, text(3, 100))
        program.truncate(FILE, 0)
        program.append(FILE, text(4, 20))


def rename_over(program: Program) -> None:
    """A configuration file that is replaced, twice, the second time without a sync."""
    with program.mounted():
        for number in range(3):
            program.create(b"new")
            program.write((b"new",), 0, text(number, 5000 + number))
            if number < 2:
                program.fsync((b"new",))
            program.close(b"new")
            program.rename((b"new",), FILE)
            if number == 0:
                program.fsync_directory()
        program.mkdir(b"a")
        program.rename(FILE, (b"a", b"file"))


def trees(program: Program) -> None:
    """Directories made, filled, renamed over one another and removed."""
    with program.mounted():
        program.mkdir(b"a")
        program.mkdir(b"a", b"b")
        program.create(b"a", b"b", b"file")
        program.write((b"a", b"b", b"file"), 0, text(1, 100))
        program.fsync((b"a", b"b", b"file"))
        program.fsync_directory(b"a", b"b")
        program.mkdir(b"c")
        program.mkdir(b"c", b"d")
        program.fsync_directory(b"c")
        program.rmdir(b"c", b"d")
        program.rename((b"a", b"b"), (b"b",))
        program.rename((b"b",), (b"c",))
        program.fsync_directory()
        program.unlink(b"c", b"file")
        program.rmdir(b"c")
        program.rmdir(b"a")


def long_names(program: Program) -> None:
    """Names that have a sidecar: made, renamed, replaced, removed."""
    with program.mounted():
        program.create(LONG)
        program.write((LONG,), 0, text(1, 10))
        program.fsync((LONG,))
        program.create(LONG + b"2")
        program.rename((LONG + b"2",), (LONG,))
        program.mkdir(LONG + b"3")
        program.rename((LONG,), (LONG + b"3", LONG))
        program.fsync_directory(LONG + b"3")
        program.unlink(LONG + b"3", LONG)
        program.rmdir(LONG + b"3")


def links_and_attributes(program: Program) -> None:
    """Symbolic and hard links, and an attribute of a file that has no header yet."""
    with program.mounted():
        program.symlink((b"link",), b"target")
        program.create(b"file")
        program.set_attribute(FILE, b"first")
        program.append(FILE, text(1, 10))
        program.fsync(FILE)
        program.set_attribute(FILE, b"second")
        program.link(FILE, (b"other",))
        program.rename((b"link",), (b"moved",))
        program.set_attribute(FILE, None)
        program.unlink(b"file")
        program.append((b"other",), text(2, 5000))
        program.exchange((b"other",), (b"moved",))
        program.mkdir(b"a")
        program.rename((b"other",), (b"a", b"link"))


def rotate_logs(program: Program) -> None:
    """Files that move on several times in one mount, written to in between, and on again in the next one."""
    for mount in range(2):
        with program.mounted():
            for number in range(3):
                for older in (2, 1, 0):
                    if (b"%d" % older,) in program.current():
                        program.rename((b"%d" % older,), (b"%d" % (older + 1),))
                program.create(b"0")
                program.append((b"0",), text(10 * mount + number, 2 * CHUNK + 700))
                if number != 1:
                    program.fsync((b"0",))
                    program.fsync_directory()
                program.append((b"0",), text(10 * mount + number + 5, 50))
                program.close(b"0")


def move_about(program: Program) -> None:
    """Files and directories that change places with one another; files that lose their first name."""
    with program.mounted():
        program.mkdir(b"a")
        program.mkdir(b"b")
        for number, place in enumerate(((b"a", b"file"), (b"b", b"file"), (b"a", b"other"))):
            program.create(*place)
            program.write(place, 0, text(number, 3000 + number))
            program.fsync(place)
    with program.mounted(crashes=True):
        program.exchange((b"a", b"file"), (b"b", b"file"))
        program.rename((b"a", b"file"), (b"a", b"moved"))
        program.link((b"a", b"other"), (b"b", b"other"))
        program.unlink(b"a", b"other")
        program.rename((b"b", b"other"), (b"b", b"moved"))
        program.exchange((b"a",), (b"b",))
        program.rename((b"a",), (b"b", b"a"))
    with program.mounted():
        program.write((b"b", b"a", b"file"), 10, text(4, 100))
        program.rename((b"b", b"a"), (b"c",))
        program.fsync_directory()
        program.rename((b"c", b"file"), (b"file",))


def two_mounts(program: Program) -> None:
    """Mounts one after the other, under new key material each."""
    for number in range(3):
        program.keys.rotate()
        with program.mounted():
            program.create(b"%d" % number)
            program.write((b"%d" % number,), 0, text(number, CHUNK + 10))


def a_crash_before_the_cut(program: Program) -> None:
    """A mount that ends by a crash, and the next, which recovers the volume, before the power goes."""
    with program.mounted(crashes=True):
        program.create(b"file")
        program.write(FILE, 0, text(1, 2 * CHUNK + 10))
        program.fsync(FILE)
        program.append(FILE, text(2, CHUNK))
        program.create(b"empty")
    program.keys.rotate()
    with program.mounted(crashes=True):
        program.append(FILE, text(3, 100))
    with program.mounted():
        program.write(FILE, 10, text(4, 100))


def killed_while_the_description_is_written(program: Program) -> None:
    """Mounts that are killed once a new description is in its place and not durable yet."""
    for _ in range(3):
        program.keys.rotate()
        program.killed_at_mount()
    with program.mounted():
        program.create(b"file")


def wrap_keys_anew(program: Program) -> None:
    """Headers come under new material while files are written to, and the bucket keys before it go."""
    for number in range(3):
        with program.mounted():
            program.create(b"%d" % number)
            program.write((b"%d" % number,), 0, text(number, CHUNK + 10))
            program.fsync((b"%d" % number,))
            program.keys.rotate()
            program.rewrap()
            program.append((b"0",), text(7, 200))
            program.rewrap()


def encrypt_anew(program: Program) -> None:
    """Files get other inodes, one of them twice; what was written just before is in the new one."""
    with program.mounted():
        for number in range(2):
            program.create(b"%d" % number)
            program.write((b"%d" % number,), 0, text(number, 2 * CHUNK + 10))
            program.fsync((b"%d" % number,))
            program.close(b"%d" % number)
        program.fsync_directory()
        program.truncate((b"1",), 5 * CHUNK)
        program.set_attribute((b"1",), b"value")
        program.reencrypt(b"0")
        program.reencrypt(b"1")
        program.append((b"0",), text(3, 100))
        program.reencrypt(b"0")
    with program.mounted():
        program.reencrypt(b"1")


WORKLOADS: dict[str, Callable[[Program], None]] = {
    work.__name__: work
    for work in (
        create_and_sync,
        append_to_a_log,
        write_pages_of_a_database,
        cut_and_extend,
        rename_over,
        trees,
        long_names,
        links_and_attributes,
        rotate_logs,
        move_about,
        two_mounts,
        a_crash_before_the_cut,
        killed_while_the_description_is_written,
        wrap_keys_anew,
        encrypt_anew,
    )
}
