"""fio writes blocks that carry their own checksum and reads every one back, also after a remount."""

from __future__ import annotations

import pytest

from mounts import Volume
from programs import run

JOBS = {
    "sequential": ["--rw=write", "--bs=128k"],
    "sequential, small appends": ["--rw=write", "--bs=1000", "--size=2000000"],
    "random": ["--rw=randwrite", "--bs=4k"],
    "random, odd sizes": ["--rw=randwrite", "--bsrange=512-80k"],
    "random, synced": ["--rw=randwrite", "--bs=4k", "--fdatasync=16", "--size=4m"],
    "mapped": ["--rw=randwrite", "--bs=4k", "--ioengine=mmap"],
    "vectored": ["--rw=randwrite", "--bs=16k", "--ioengine=pvsync2"],
    "direct": ["--rw=randwrite", "--bs=4k", "--direct=1", "--ioengine=libaio", "--iodepth=8"],
    "direct, large": ["--rw=write", "--bs=1m", "--direct=1", "--ioengine=libaio", "--iodepth=4"],
    "several files": ["--rw=randwrite", "--bs=8k", "--nrfiles=8", "--openfiles=4"],
}


@pytest.mark.parametrize("name", JOBS)
def test_every_block_verifies(volume: Volume, name: str) -> None:
    """Two processes write and verify at once; after a remount every block still verifies."""
    command = [
        "fio",
        "--name=verify",
        f"--directory={volume.path}",
        "--size=16m",
        "--numjobs=2",
        "--verify=crc32c",
    ]
    command += ["--verify_fatal=1", "--fallocate=none", "--randseed=7", "--ioengine=psync", *JOBS[name]]
    run(*command, "--do_verify=1", "--verify_state_save=0", directory=volume.path)
    volume.remount()
    run(*command, "--verify_only", "--verify_state_load=0", directory=volume.path)
