"""Mounting in the background, unmounting, status: the commands as people use them, under a real agent."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from backgrounds import PATIENCE_SECONDS, Place
from kmsfs import mountinfo, statusdoor
from kmsfs.cli.codes import ExitCode
from trees import below

IDLE_MEMORY_KIB = 80 * 1024


def test_mount_returns_when_the_mount_answers(volume: Place) -> None:
    """The command returns with a mount that works, and unmounting leaves ciphertext alone."""
    result = volume.mount()
    assert (result.returncode, result.stderr) == (0, "")
    assert str(volume.mountpoint) in result.stdout
    (volume.mountpoint / "readable").write_bytes(b"plain words")
    assert volume.umount().returncode == 0
    assert list(volume.mountpoint.iterdir()) == []
    stored = b"".join(path.read_bytes() for path in volume.ciphertext.iterdir() if path.is_file())
    assert b"plain words" not in stored
    assert not list(volume.ciphertext.glob("*readable*"))


def test_unmounting_returns_when_all_is_done(volume: Place) -> None:
    """A mount right after an unmount finds the volume free and clean, time after time."""
    for turn in range(5):
        assert volume.mount().returncode == 0
        assert volume.status()["volume"]["condition"] == "in use"
        assert volume.status()["running"]["was_clean"]
        (volume.mountpoint / str(turn)).write_bytes(bytes(100_000))
        result = volume.umount()
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert volume.has_ended()
    status = volume.status(volume.ciphertext)
    assert (status["state"], status["volume"]["condition"]) == ("not mounted", "clean")


def test_unmounting_waits_for_the_process(volume: Place) -> None:
    """While the filesystem process still has something to write, unmounting does not return."""
    volume.mount()
    volume.signal(signal.SIGSTOP)
    unmounting = subprocess.Popen(
        [sys.executable, "-P", "-m", "kmsfs", "umount", volume.mountpoint], env=volume.environ
    )
    with unmounting:
        try:
            _wait_for_no_mount(volume.mountpoint)
            with pytest.raises(subprocess.TimeoutExpired):
                unmounting.wait(1)
        finally:
            volume.signal(signal.SIGCONT)
        assert unmounting.wait(PATIENCE_SECONDS) == 0
    assert volume.status(volume.ciphertext)["volume"]["condition"] == "clean"


def test_mount_is_that_of_a_local_filesystem(volume: Place) -> None:
    """Root's mount shows its source and type, lets others in, and honours devices and set-user-ID bits."""
    volume.mount()
    mount = mountinfo.mounted_at(str(volume.mountpoint))
    assert mount is not None
    assert (mount.filesystem, mount.source) == ("fuse.kmsfs", str(volume.ciphertext))
    assert {"rw", "allow_other", "default_permissions"} <= mount.options
    assert not {"nodev", "nosuid", "noexec"} & mount.options


@pytest.mark.parametrize(("words", "shown"), [("nodev,nosuid,noexec", {"nodev", "nosuid", "noexec"})])
def test_options_reach_the_kernel(volume: Place, words: str, shown: set[str]) -> None:
    """What -o says is what the kernel's table shows."""
    volume.mount("-o", words)
    mount = mountinfo.mounted_at(str(volume.mountpoint))
    assert mount is not None
    assert shown <= mount.options


def test_unknown_option_is_an_error(volume: Place) -> None:
    """A word that means nothing is not silently dropped."""
    result = volume.mount("-o", "ro,bogus")
    assert result.returncode == ExitCode.USAGE
    assert "bogus" in result.stderr


@pytest.mark.parametrize("options", [(), ("-o", "ro")], ids=["rw", "ro"])
def test_second_mount_is_refused(volume: Place, options: tuple[str, ...]) -> None:
    """A volume mounted for writing is locked, and whoever wants it, if only to read, hears who has it."""
    volume.mount()
    other = volume.directory / "other"
    other.mkdir()
    result = volume.kmsfs("mount", *options, volume.ciphertext, other)
    assert result.returncode == ExitCode.IN_USE
    assert f"process {volume.pid()}" in result.stderr
    assert str(volume.mountpoint) in result.stderr


def test_read_only_mounts_share_and_change_nothing(volume: Place) -> None:
    """Read-only mounts may be several, refuse writes, keep writers out and leave every byte as it was."""
    volume.mount()
    (volume.mountpoint / "file").write_bytes(b"content")
    volume.umount()
    before = _everything(volume.ciphertext)
    second = volume.directory / "second"
    second.mkdir()
    assert volume.mount("-o", "ro").returncode == 0
    assert volume.mount("-o", "ro", mountpoint=second).returncode == 0
    for mountpoint in (volume.mountpoint, second):
        assert (mountpoint / "file").read_bytes() == b"content"
        with pytest.raises(OSError, match="Read-only"):
            (mountpoint / "file").write_bytes(b"changed")
    assert volume.kmsfs("mount", volume.ciphertext, volume.directory).returncode == ExitCode.MOUNT_POINT
    third = volume.directory / "third"
    third.mkdir()
    assert volume.kmsfs("mount", volume.ciphertext, third).returncode == ExitCode.IN_USE
    for mountpoint in (volume.mountpoint, second):
        assert volume.kmsfs("umount", mountpoint).returncode == 0
    assert volume.has_ended()
    assert _everything(volume.ciphertext) == before


def test_busy_mount_stays(volume: Place) -> None:
    """Unmounting what a program uses is refused, naming the program, and the mount works on."""
    volume.mount()
    with (volume.mountpoint / "file").open("wb") as file:
        result = volume.umount()
        assert result.returncode == ExitCode.BUSY
        assert f"({os.getpid()})" in result.stderr
        file.write(b"still works")
    assert (volume.mountpoint / "file").read_bytes() == b"still works"
    assert volume.umount().returncode == 0


def test_unmounting_what_is_not_mounted(volume: Place) -> None:
    """A directory without a kmsfs mount on it is left alone, other filesystems' mounts too."""
    for path in (volume.mountpoint, volume.directory / "none", Path("/proc")):
        result = volume.kmsfs("umount", path)
        assert result.returncode == ExitCode.MOUNT_POINT
        assert "kmsfs status" in result.stderr
    assert Path("/proc/self").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_unmounts_cleanly(volume: Place, number: signal.Signals) -> None:
    """A signal ends the mount with everything written, no mount point left and the volume clean."""
    volume.mount()
    (volume.mountpoint / "file").write_bytes(b"x" * 300_000)
    volume.signal(number)
    assert volume.has_ended()
    assert mountinfo.mounted_at(str(volume.mountpoint)) is None
    assert volume.status(volume.ciphertext)["volume"]["condition"] == "clean"
    volume.mount()
    assert (volume.mountpoint / "file").read_bytes() == b"x" * 300_000


def test_signal_lets_programs_finish(volume: Place) -> None:
    """Told to stop while a file is open, a mount leaves the tree at once and ends when the file is closed."""
    volume.mount()
    with (volume.mountpoint / "file").open("wb", buffering=0) as file:
        file.write(b"first ")
        volume.signal(signal.SIGTERM)
        _wait_for_no_mount(volume.mountpoint)
        file.write(b"second")
    assert volume.has_ended()
    assert volume.status(volume.ciphertext)["volume"]["condition"] == "clean"
    volume.mount()
    assert (volume.mountpoint / "file").read_bytes() == b"first second"


def test_second_signal_ends_at_once(volume: Place) -> None:
    """Told to stop twice, a mount ends though a file is open, with all that was written before, and clean."""
    volume.mount()
    fd = os.open(volume.mountpoint / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"written")
    volume.signal(signal.SIGTERM)
    _wait_for_no_mount(volume.mountpoint)
    volume.signal(signal.SIGTERM)
    assert volume.has_ended()
    with pytest.raises(OSError, match="endpoint is not connected"):
        os.close(fd)
    assert volume.status(volume.ciphertext)["volume"]["condition"] == "clean"
    volume.mount()
    assert (volume.mountpoint / "file").read_bytes() == b"written"


def test_killed_mount_is_cleaned_up_by_the_next(volume: Place) -> None:
    """What a killed process left at the mount point is shown for what it is, and gone with the next mount."""
    volume.mount()
    (volume.mountpoint / "file").write_bytes(b"synced")
    with (volume.mountpoint / "file").open("rb") as file:
        os.fsync(file.fileno())
    volume.signal(signal.SIGKILL)
    assert volume.has_ended()
    assert "gone" in volume.status()["state"]
    assert volume.status()["volume"]["condition"] == "not unmounted cleanly"
    with pytest.raises(OSError, match="endpoint is not connected"):
        os.listdir(volume.mountpoint)
    result = volume.mount()
    assert result.returncode == 0, result.stderr
    assert (volume.mountpoint / "file").read_bytes() == b"synced"
    status = volume.status()
    assert not status["running"]["was_clean"]
    assert status["volume"]["condition"] == "in use"
    table = [mount for mount in mountinfo.read() if mount.mountpoint == str(volume.mountpoint)]
    assert len(table) == 1


def test_dead_mount_can_be_unmounted(volume: Place) -> None:
    """`kmsfs umount` takes away what a killed process left."""
    volume.mount()
    volume.signal(signal.SIGKILL)
    assert volume.has_ended()
    assert volume.umount().returncode == 0
    assert list(volume.mountpoint.iterdir()) == []


def test_status_tells_all(volume: Place) -> None:
    """By directory or mount point, status names keys, materials, holder and counters of the running mount."""
    volume.mount()
    found = volume.status(volume.mountpoint)
    assert volume.status(volume.ciphertext)["mountpoint"] == str(volume.mountpoint)
    assert found["state"] == "mounted"
    assert found["ciphertext"] == str(volume.ciphertext)
    assert found["owner_uid"] == os.geteuid()
    (key,) = found["volume"]["keys"]
    assert key["key_arn"].startswith("arn:aws:kms:")
    (bucket_key,) = found["volume"]["bucket_keys"]
    assert len(bytes.fromhex(bucket_key["key_material_id"])) == 32
    assert found["volume"]["holder_pid"] == found["running"]["pid"]
    assert found["running"]["counters"]["integrity_errors"] == 0
    text = volume.kmsfs("status", volume.mountpoint).stdout
    for shown in (
        key["key_arn"],
        bucket_key["key_material_id"],
        found["volume"]["volume_id"],
        "integrity errors",
    ):
        assert shown in text
    assert str(volume.mountpoint) in volume.kmsfs("status").stdout


def test_status_of_nothing(volume: Place) -> None:
    """A directory that is neither a volume nor a mount point is an error that says so."""
    result = volume.kmsfs("status", volume.directory)
    assert (result.returncode, "neither" in result.stderr) == (ExitCode.MOUNT_POINT, True)


def test_mount_is_hardened_and_small(volume: Place) -> None:
    """The process cannot be dumped or attached to, may open many files, and an idle one is small."""
    volume.mount()
    running = volume.status()["running"]
    assert running["hardening"]["dumpable"] is False
    assert running["hardening"]["core_limit_bytes"] == 0
    limits = Path(f"/proc/{running['pid']}/limits").read_text(encoding="ascii").splitlines()
    (files,) = (line.split() for line in limits if line.startswith("Max open files"))
    assert files[3] == files[4]
    # Only what cannot be dumped has its memory map owned by root, whoever runs it.
    assert Path(f"/proc/{running['pid']}/maps").stat().st_uid == 0
    assert running["resident_kib"] < IDLE_MEMORY_KIB


def test_read_ahead_is_raised(volume: Place) -> None:
    """The kernel asks for a whole megabyte at a time when it reads ahead."""
    volume.mount()
    mount = mountinfo.mounted_at(str(volume.mountpoint))
    assert mount is not None
    setting = Path("/sys/class/bdi") / mount.device / "read_ahead_kb"
    assert int(setting.read_text(encoding="ascii")) >= 1024


def test_status_door_is_closed_to_others_and_goes(volume: Place) -> None:
    """The socket that tells the status is the owner's alone, and is removed with the mount."""
    volume.mount()
    mount = mountinfo.mounted_at(str(volume.mountpoint))
    assert mount is not None
    door = statusdoor.socket_path(mount.owner_uid, mount.device, volume.environ)
    ours = door.stat()
    assert stat.S_IMODE(ours.st_mode) == 0o600
    volume.umount()
    assert volume.has_ended()
    with suppress(FileNotFoundError):
        # Another mount may have our device number by now, and its door here.
        assert door.stat().st_ctime_ns != ours.st_ctime_ns


@pytest.mark.parametrize("name", ["none", "file", "full", "ciphertext", "ciphertext/inside", "."])
def test_unusable_mount_points(volume: Place, name: str) -> None:
    """What is no empty directory, or would hide the ciphertext, is refused and the volume left as it was."""
    (volume.directory / "file").touch()
    (volume.directory / "full").mkdir()
    (volume.directory / "full" / "thing").touch()
    (volume.ciphertext / "inside").mkdir()
    before = _everything(volume.ciphertext)
    result = volume.kmsfs("mount", volume.ciphertext, volume.directory / name)
    assert result.returncode == ExitCode.MOUNT_POINT
    assert result.stderr.startswith("kmsfs: ")
    assert _everything(volume.ciphertext) == before


def test_nonempty_mount_point_when_asked_for(volume: Place) -> None:
    """With -o nonempty, files in the mount point are hidden until unmount."""
    (volume.mountpoint / "hidden").touch()
    assert volume.mount("-o", "nonempty").returncode == 0
    assert list(volume.mountpoint.iterdir()) == []
    assert volume.umount().returncode == 0
    assert (volume.mountpoint / "hidden").exists()


def test_mounted_over_twice(volume: Place) -> None:
    """A mount point in use by a kmsfs volume is not mounted over by another one."""
    volume.mount()
    other = volume.directory / "other volume"
    assert volume.kmsfs("init", other).returncode == 0
    result = volume.kmsfs("mount", other, volume.mountpoint)
    assert result.returncode == ExitCode.MOUNT_POINT
    assert "already" in result.stderr


def test_odd_paths(volume: Place) -> None:
    """A ciphertext directory and a mount point with any characters in their names work everywhere."""
    odd = volume.directory / os.fsdecode(b"a b,c\\d\t\xc3\xa9\xff")
    odd.mkdir()
    volume.ciphertext = odd / "ci,pher"
    volume.mountpoint = odd / "mo unt"
    volume.mountpoint.mkdir()
    volume.init()
    result = volume.mount()
    assert result.returncode == 0, result.stderr
    (volume.mountpoint / "file").write_bytes(b"content")
    assert volume.status(volume.ciphertext)["mountpoint"] == str(volume.mountpoint)
    assert volume.umount().returncode == 0
    assert volume.has_ended()
    assert mountinfo.mounted_at(str(volume.mountpoint)) is None


def test_log_file(volume: Place) -> None:
    """A log file is its owner's alone and tells of the mount's beginning and end."""
    log = volume.directory / "log"
    volume.mount("--log-file", str(log))
    volume.signal(signal.SIGTERM)
    assert volume.has_ended()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text(encoding="utf-8")
    assert f"mounted {volume.ciphertext}" in text
    assert "SIGTERM" in text


def test_log_without_a_file(volume: Place) -> None:
    """A background mount logs to the system's log, or to a file where there is none, and says where."""
    volume.mount()
    log = volume.status()["running"]["log"]
    assert log == "system log" if Path("/dev/log").is_socket() else Path(log).is_file()


def test_service_manager_is_told(volume: Place) -> None:
    """In the foreground a service manager hears when the mount answers and when it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(volume.directory / "notify"))
        manager.settimeout(PATIENCE_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kmsfs", "mount", "-f", volume.ciphertext, volume.mountpoint],
            env=volume.environ | {"NOTIFY_SOCKET": str(volume.directory / "notify")},
            stderr=subprocess.PIPE,
        )
        with process:
            assert manager.recv(4096).startswith(b"READY=1")
            assert list(volume.mountpoint.iterdir()) == []
            process.send_signal(signal.SIGINT)
            assert manager.recv(4096) == b"STOPPING=1"
            assert process.wait(PATIENCE_SECONDS) == 0


def _everything(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return each file below a directory with its mode, time of change, and content or target."""
    found = {}
    for path in sorted(below(directory)):
        what = path.lstat()
        is_link, is_file = stat.S_ISLNK(what.st_mode), stat.S_ISREG(what.st_mode)
        content = os.readlink(path).encode() if is_link else path.read_bytes() if is_file else b""
        found[str(path)] = (what.st_mode, what.st_mtime_ns, content)
    return found


def _wait_for_no_mount(mountpoint: Path) -> None:
    with open("/proc/self/mounts", "rb") as table:
        while mountinfo.mounted_at(str(mountpoint)) is not None:
            # The kernel announces every change of the table as an exceptional condition (proc_pid_mounts(5)).
            assert any(select.select([], [], [table], PATIENCE_SECONDS)), "still mounted"
            table.seek(0)
            table.read()
