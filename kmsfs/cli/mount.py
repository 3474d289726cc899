"""kmsfs mount: the command line of `mount`, in the foreground or the background."""

import os
from dataclasses import replace
from pathlib import Path

import click

from kmsfs import logs, options
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.show import show_line
from kmsfs.customerkeys import CustomerKeys
from kmsfs.daemonize import Foreground, become_daemon
from kmsfs.mount import MountPlan
from kmsfs.mount import mount as run_mount


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("mountpoint", metavar="MOUNTPOINT")
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground, log to standard error.")
@click.option("-o", "mount_options", metavar="OPTIONS", multiple=True, help="Mount options, comma-separated.")
@click.option(
    "--log-file",
    type=click.Path(dir_okay=False),
    help="Append the log to this file. Without it a background mount logs to the system's log.",
)
@agent_option
@customer_key_options
def mount(
    directory: str,
    mountpoint: str,
    *,
    foreground: bool,
    mount_options: tuple[str, ...],
    log_file: str | None,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> None:
    """Mount the volume in DIR at MOUNTPOINT, and return once the mount answers.

    Options are those of mount(8): ro, noexec, nodev, nosuid, allow_other, nodefault_permissions, nonempty
    and their opposites. For root, allow_other, dev and suid are on, as on a local filesystem. Anybody else
    may have allow_other where /etc/fuse.conf permits it.
    """
    plan = MountPlan(
        ciphertext=os.path.abspath(directory),  # noqa: PTH100 - a lexical form, symlinks are resolved later
        mountpoint=os.path.abspath(mountpoint),  # noqa: PTH100 - a mount that hangs must not be asked
        options=options.parse(mount_options, is_root=os.geteuid() == 0),
        agent_url=agent_url,
        customer_keys=customer_keys,
    )
    if log_file is not None:
        log_file = os.path.abspath(log_file)  # noqa: PTH100 - as above
        logs.to_file(Path(log_file))
    elif foreground:
        logs.to_terminal()
    start = Foreground() if foreground else become_daemon()
    if start is None:
        show_line(f"Mounted {plan.ciphertext} at {plan.mountpoint}")
        return
    log = log_file or ("standard error" if foreground else logs.to_system(os.environ))
    if not foreground:
        logs.warnings_to_terminal_too()
    run_mount(replace(plan, log=log), start)
