"""kmsfs umount: the command line of `umount`."""

import click

from kmsfs.umount import unmount


@click.command()
@click.argument("mountpoint", metavar="MOUNTPOINT")
def umount(mountpoint: str) -> None:
    """Unmount the volume at MOUNTPOINT; return once everything is on disk."""
    unmount(mountpoint)
