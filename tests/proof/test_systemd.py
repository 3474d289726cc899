"""The unit files on a machine that boots: systemd itself starts, restarts, stops and refuses."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from machines import Machine, machine

pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-nspawn") is None, reason="systemd-container is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a container takes root"),
]

SET_UP = """
systemctl enable --now kms-agent
kms-agent key create --alias mail
kmsfs init /srv/mail.encrypted --key alias/mail
mkdir -p /srv/mail /etc/kmsfs
printf 'CIPHERTEXT=/srv/mail.encrypted\\nMOUNTPOINT=/srv/mail\\n' > /etc/kmsfs/mail.conf
systemctl enable --now kmsfs@mail
"""
SHOW = "systemctl show --value --property"


@pytest.fixture
def computer() -> Iterator[Machine]:
    """Give a machine on a disk of its own in memory: an overlay cannot lie on an overlay."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory, machine(Path(directory)) as made:
        yield made


def test_mounts_at_boot_and_after_a_crash(computer: Machine) -> None:
    """A mount survives its process, keeps its data, stops unmounted, and comes up with the machine."""
    said = computer.boot(
        SET_UP
        + f"""
        echo precious > /srv/mail/letter
        sync /srv/mail/letter
        first=$({SHOW} MainPID kmsfs@mail)
        kill -9 "$first"
        until second=$({SHOW} MainPID kmsfs@mail) && [ "$second" != 0 ] && [ "$second" != "$first" ] \\
            && systemctl is-active --quiet kmsfs@mail; do sleep 0.1; done
        cat /srv/mail/letter
        systemctl restart kms-agent
        cat /srv/mail/letter
        systemctl restart kmsfs@mail
        cat /srv/mail/letter
        systemctl stop kmsfs@mail
        mountpoint --quiet /srv/mail || echo unmounted
        grep -rl precious /srv/mail.encrypted || echo nothing in plain
        """
    )
    assert said.splitlines()[-5:] == ["precious", "precious", "precious", "unmounted", "nothing in plain"]

    said = computer.boot("""
        systemctl is-active kms-agent kmsfs@mail
        cat /srv/mail/letter
        kms-agent audit verify >&2
        systemctl show --value --property=Result,NRestarts kmsfs@mail kms-agent
        """)
    assert said.splitlines()[:3] == ["active", "active", "precious"]


def test_a_disabled_key_is_not_tried_again(computer: Machine) -> None:
    """A mount whose key is disabled fails at once with the agent's reason in the journal, and stays down."""
    said = computer.boot(
        SET_UP
        + f"""
        systemctl stop kmsfs@mail
        kms-agent key disable alias/mail > /dev/null
        systemctl start kmsfs@mail && exit 1
        {SHOW} NRestarts kmsfs@mail
        {SHOW} ActiveState kmsfs@mail
        journalctl -u kmsfs@mail -o cat | grep -c 'is disabled'
        kms-agent key enable alias/mail > /dev/null
        systemctl start kmsfs@mail
        systemctl is-active kmsfs@mail
        """
    )
    assert said.splitlines()[-4:] == ["0", "failed", "1", "active"]


def test_a_service_waits_for_its_mount(computer: Machine) -> None:
    """A service that requires the mount starts after it and is stopped before it goes."""
    computer.write(
        "/etc/systemd/system/letters.service",
        "[Unit]\nRequires=kmsfs@mail.service\nAfter=kmsfs@mail.service\n"
        "[Service]\nExecStart=/bin/sh -c 'exec sleep infinity > /srv/mail/open'\n"
        "ExecStop=/bin/sh -c 'echo stopped in time >> /srv/mail/log'\n",
    )
    said = computer.boot(
        SET_UP
        + """
        systemctl stop kmsfs@mail
        systemctl start letters
        mountpoint /srv/mail
        systemctl stop kmsfs@mail
        systemctl is-active letters || true
        systemctl start kmsfs@mail
        cat /srv/mail/log
        """
    )
    assert said.splitlines()[-3:] == ["/srv/mail is a mountpoint", "inactive", "stopped in time"]


def test_a_user_has_units_of_their_own(computer: Machine) -> None:
    """An ordinary user's agent and mount run under the user's own manager."""
    said = computer.boot("""
        useradd --create-home --home-dir /srv/alice alice
        chmod 666 /dev/fuse
        uid=$(id -u alice)
        systemctl start "user@$uid"
        as_alice() { setpriv --reuid alice --regid alice --init-groups env HOME=/srv/alice USER=alice \\
            XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
        as_alice systemctl --user start kms-agent
        cd /srv/alice
        as_alice kmsfs init /srv/alice/.notes.encrypted
        as_alice mkdir -p /srv/alice/notes /srv/alice/.config/kmsfs
        printf 'CIPHERTEXT=/srv/alice/.notes.encrypted\\nMOUNTPOINT=/srv/alice/notes\\n' \\
            > /srv/alice/.config/kmsfs/notes.conf
        as_alice systemctl --user start kmsfs@notes
        as_alice sh -c 'echo private > /srv/alice/notes/diary'
        as_alice systemctl --user restart kmsfs@notes
        as_alice cat /srv/alice/notes/diary
        as_alice systemctl --user stop kmsfs@notes
        mountpoint --quiet /srv/alice/notes || echo unmounted
        """)
    assert said.splitlines()[-2:] == ["private", "unmounted"]
