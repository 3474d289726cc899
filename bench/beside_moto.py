"""The agent beside moto_server, each asked by one boto3 client over plaintext TCP on this machine, signed.

Both are asked in turns in one run, so that a machine that is slow for a while is slow for both. What boto3
itself takes for a call is in both columns. moto_server keeps no keys, checks no signature unless told to, and
records nothing: it is there as what people would otherwise test against.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REGION = "us-east-1"
ROUNDS = 10
START_SECONDS = 60
CONTEXT = {"purpose": "benchmark"}


def compare(agent_url: str, credentials: Mapping[str, str], seconds: float) -> None:
    """Ask both, and print the table; without moto_server and boto3, print what to install.

    Args:
        agent_url: The agent's TCP port.
        credentials: An access key of the agent's, under boto3's names.
        seconds: For how long each operation of each system is asked altogether.
    """
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which("moto_server", path=places)
    if program is None or importlib.util.find_spec("boto3") is None:
        print("\nNot compared with moto_server: it is not installed here. pip install --group bench")
        return
    with running_moto(program) as moto_url:
        agent = calls(client(agent_url, credentials))
        moto = calls(client(moto_url, credentials))
        print("\n| through boto3 | kms-agent, µs | moto_server, µs | times as fast | boto3's own CPU, µs |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name in agent:
            cpu_start = time.process_time()
            ours, theirs = in_turns(agent[name], moto[name], seconds)
            own = (time.process_time() - cpu_start) / (len(ours) + len(theirs))
            us, them = statistics.median(ours), statistics.median(theirs)
            print(f"| {name} | {us * 1e6:,.0f} | {them * 1e6:,.0f} | {them / us:.1f} | {own * 1e6:,.0f} |")
    print("\nmedians, one call after the other, the two in turns")


@contextmanager
def running_moto(program: str) -> Iterator[str]:
    """Run moto_server, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    moto = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if moto.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("moto_server does not start")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        moto.kill()
        moto.wait()


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def client(url: str, credentials: Mapping[str, str]) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a client as anybody would make it."""
    import boto3  # noqa: PLC0415 - only this table needs it

    return boto3.Session(region_name=REGION).client("kms", endpoint_url=url, **credentials)


def calls(kms: Any) -> dict[str, Callable[[], object]]:  # noqa: ANN401 - as above
    """Make a key, and return what is measured with it."""
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=bytes(64), EncryptionContext=CONTEXT)["CiphertextBlob"]
    return {
        "Encrypt": lambda: kms.encrypt(KeyId=key_id, Plaintext=bytes(64), EncryptionContext=CONTEXT),
        "Decrypt": lambda: kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT),
        "GenerateDataKey": lambda: kms.generate_data_key(
            KeyId=key_id, KeySpec="AES_256", EncryptionContext=CONTEXT
        ),
    }


def in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Return how long each call of each took, in seconds; who comes first turns with each round."""
    took: dict[Callable[[], object], list[float]] = {ours: [], theirs: []}
    for number in range(ROUNDS):
        for call in (ours, theirs) if number % 2 else (theirs, ours):
            end = time.perf_counter() + seconds / ROUNDS
            while (start := time.perf_counter()) < end:
                call()
                took[call].append(time.perf_counter() - start)
    return took[ours], took[theirs]
