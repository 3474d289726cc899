"""How many data keys the agent gives out and opens, signs and agrees on, with the audit log durable.

Starts an agent of its own in a scratch directory, then asks it from another process that does as little as
it can: raw sockets, requests built beforehand, answers only counted. So the agent is what is measured.
It imports nothing of the agent: beside this file, Python would take this file for it. What signing costs
in the library alone is measured in the same run, and boto3's calls over TCP beside moto_server's.

Run it as ``python bench/agent.py [--seconds N] [--directory DIR]``; the directory should lie on the kind of
disk that the agent will have, since each answer waits for its audit record to reach it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

import beside_moto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTEXT = {"kmsfs:volume": "benchmark"}
CONNECTIONS = (1, 16, 64)
MESSAGE = b"what is signed here is short, as most of what is signed with a KMS key is"
SIGNATURES = (("RSA_2048", "RSASSA_PSS_SHA_256"), ("ECC_NIST_P256", "ECDSA_SHA_256"))
START_SECONDS = 30


@dataclass(frozen=True)
class Result:
    """One line of the table; latencies in microseconds, no connections for the library alone."""

    operation: str
    connections: int
    per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float


@dataclass
class Caller:
    """One connection with one request in flight."""

    connection: socket.socket
    sent_at: float = 0
    received: bytearray = field(default_factory=bytearray)


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5, help="per measurement")
    parser.add_argument("--directory", type=Path, help="where the scratch directory is made")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)  # how the asking process is started
    arguments = parser.parse_args()
    if arguments.ask:
        path, connections, request_path = arguments.ask
        request = Path(request_path).read_bytes()
        print(json.dumps(ask(path, int(connections), request, arguments.seconds)))
        return
    scratch = Path(tempfile.mkdtemp(prefix="kms-bench-", dir=arguments.directory or "/var/tmp"))  # noqa: S108 - on disk
    try:
        with running_agent(scratch) as (agent, path):
            results = [
                measure(agent, path, scratch, name, request, connections, arguments.seconds)
                for name, request in requests(path).items()
                for connections in CONNECTIONS
            ]
            results += [measure_library(spec, arguments.seconds) for spec, _ in SIGNATURES]
            report(results)
            beside_moto.compare(network_address(path), access_key(path), arguments.seconds)
    finally:
        shutil.rmtree(scratch)


@contextmanager
def running_agent(scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run an agent with all its files in the scratch directory; yield it and its socket."""
    with tempfile.TemporaryDirectory(prefix="kms-") as short:
        path = f"{short}/agent.sock"
        config = scratch / "config.yaml"
        config.write_text(
            json.dumps(
                {
                    "state_directory": str(scratch / "state"),
                    "socket": path,
                    "region": beside_moto.REGION,
                    "listen": [{"address": "127.0.0.1", "port": 0}],
                }
            )
        )
        with (scratch / "agent.log").open("wb") as log:
            agent = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent", "serve", "--init", "--config", config], stderr=log
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not Path(path).exists():
                if agent.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit((scratch / "agent.log").read_text())
                time.sleep(0.05)
            yield agent, path
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait()


def requests(path: str) -> dict[str, bytes]:
    """Return the requests to measure, as bytes on the wire."""
    key_id = answer(path, on_the_wire("CreateKey", {}))["KeyMetadata"]["KeyId"]
    named = {"KeyId": key_id, "EncryptionContext": CONTEXT}
    generate = on_the_wire("GenerateDataKey", {**named, "KeySpec": "AES_256"})
    blob = answer(path, generate)["CiphertextBlob"]
    return {
        "GenerateDataKey": generate,
        "Decrypt": on_the_wire("Decrypt", {**named, "CiphertextBlob": blob}),
        **{f"Sign {spec}": signing_request(path, spec, algorithm) for spec, algorithm in SIGNATURES},
        **secret_requests(path),
    }


def signing_request(path: str, spec: str, algorithm: str) -> bytes:
    """Make a key, and return a request to sign with it."""
    created = on_the_wire("CreateKey", {"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"})
    key_id = answer(path, created)["KeyMetadata"]["KeyId"]
    message = base64.b64encode(MESSAGE).decode()
    return on_the_wire("Sign", {"KeyId": key_id, "Message": message, "SigningAlgorithm": algorithm})


def secret_requests(path: str) -> dict[str, bytes]:
    """Make key pairs, and return requests for what only their private halves can open."""

    def make(spec: str, usage: str) -> dict[str, str]:
        created = on_the_wire("CreateKey", {"KeySpec": spec, "KeyUsage": usage})
        return {"KeyId": answer(path, created)["KeyMetadata"]["KeyId"]}

    rsa_key = make("RSA_2048", "ENCRYPT_DECRYPT") | {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    plaintext = {"Plaintext": base64.b64encode(bytes(32)).decode()}
    sealed = answer(path, on_the_wire("Encrypt", rsa_key | plaintext))["CiphertextBlob"]
    ecdh_key = make("ECC_NIST_P256", "KEY_AGREEMENT")
    peer = answer(path, on_the_wire("GetPublicKey", ecdh_key))["PublicKey"]
    kem_key = make("ML_KEM_768", "ENCAPSULATE_DECAPSULATE") | {"EncapsulationAlgorithm": "ML_KEM"}
    hidden = answer(path, on_the_wire("Encapsulate", kem_key))["SharedSecretCiphertextBlob"]
    return {
        "Decrypt RSA_2048": on_the_wire("Decrypt", rsa_key | {"CiphertextBlob": sealed}),
        "DeriveSharedSecret ECC_NIST_P256": on_the_wire(
            "DeriveSharedSecret", ecdh_key | {"KeyAgreementAlgorithm": "ECDH", "PublicKey": peer}
        ),
        "Decapsulate ML_KEM_768": on_the_wire(
            "Decapsulate", kem_key | {"SharedSecretCiphertextBlob": hidden}
        ),
    }


def answer(path: str, request: bytes) -> dict[str, Any]:
    """Ask once, and return the answer's JSON."""
    received = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(request)
        while not size_of_answer(received) or len(received) < size_of_answer(received):
            received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(received.decode(errors="replace"))
    found: dict[str, Any] = json.loads(body)
    return found


def network_address(path: str) -> str:
    """Return the address of the agent's TCP port."""
    doors: list[str] = answer(path, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")["doors"]
    return doors[1]


def access_key(path: str) -> dict[str, str]:
    """Make an access key of the account's root; return it under boto3's names."""
    root = {"PrincipalArn": "arn:aws:iam::000000000000:root"}
    made = answer(path, on_the_wire("CreateAccessKey", root, service="KmsAgent"))
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def on_the_wire(name: str, parameters: dict[str, Any], *, service: str = "TrentService") -> bytes:
    """Return a whole HTTP request."""
    body = json.dumps(parameters).encode()
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n"
        f"X-Amz-Target: {service}.{name}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(
    agent: subprocess.Popen[bytes],
    path: str,
    scratch: Path,
    name: str,
    request: bytes,
    connections: int,
    seconds: float,
) -> Result:
    """Have another process ask, and look how much processor time the agent took meanwhile."""
    request_path = scratch / "request"
    request_path.write_bytes(request)
    before = cpu_seconds(agent.pid)
    asking = subprocess.run(
        [sys.executable, __file__, "--seconds", str(seconds), "--ask", path, str(connections), request_path],
        stdout=subprocess.PIPE,
        check=True,
    )
    cpu = cpu_seconds(agent.pid) - before
    found = json.loads(asking.stdout)
    return Result(
        name,
        connections,
        found["answers"] / found["seconds"],
        found["p50_us"],
        found["p99_us"],
        cpu / found["answers"] * 1e6,
    )


def measure_library(spec: str, seconds: float) -> Result:
    """Sign in one thread of this process, with nothing around it."""
    sign = library_signer(spec)
    latencies = []
    start, cpu_start = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        sign()
        latencies.append(time.perf_counter() - before)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    count = len(latencies)
    latencies.sort()
    return Result(
        f"{spec} in the library",
        0,
        count / took,
        latencies[count // 2] * 1e6,
        latencies[count * 99 // 100] * 1e6,
        cpu / count * 1e6,
    )


def library_signer(spec: str) -> Callable[[], bytes]:
    """Return a function that signs the message with a new key, as the agent would."""
    if spec == "RSA_2048":
        rsa_key, pss = rsa.generate_private_key(65537, 2048), padding.PSS(padding.MGF1(SHA256()), 32)
        return lambda: rsa_key.sign(MESSAGE, pss, SHA256())
    ec_key, ecdsa = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256())
    return lambda: ec_key.sign(MESSAGE, ecdsa)


def ask(path: str, connections: int, request: bytes, seconds: float) -> dict[str, float]:
    """Keep one request in flight on each connection; return the number of answers and their latencies."""
    selector = selectors.DefaultSelector()
    callers = []
    for _ in range(connections):
        caller = Caller(socket.socket(socket.AF_UNIX))
        caller.connection.connect(path)
        selector.register(caller.connection, selectors.EVENT_READ, caller)
        callers.append(caller)
    latencies: list[float] = []
    start = time.perf_counter()
    end = start + seconds
    for caller in callers:
        caller.sent_at = time.perf_counter()
        caller.connection.sendall(request)
    flying = connections
    while flying:
        for ready, _ in selector.select():
            caller = ready.data
            caller.received += caller.connection.recv(65536)
            answer_bytes = size_of_answer(caller.received)
            if not answer_bytes or len(caller.received) < answer_bytes:
                continue
            now = time.perf_counter()
            if not caller.received.startswith(b"HTTP/1.1 200") or len(caller.received) != answer_bytes:
                raise SystemExit(caller.received.decode(errors="replace"))
            latencies.append(now - caller.sent_at)
            caller.received.clear()
            if now < end:
                caller.sent_at = time.perf_counter()
                caller.connection.sendall(request)
            else:
                flying -= 1
    took = time.perf_counter() - start
    for caller in callers:
        caller.connection.close()
    selector.close()
    latencies.sort()
    return {
        "answers": len(latencies),
        "seconds": took,
        "p50_us": latencies[len(latencies) // 2] * 1e6,
        "p99_us": latencies[len(latencies) * 99 // 100] * 1e6,
    }


def size_of_answer(start: bytes | bytearray) -> int:
    """Return the size in bytes of the whole HTTP answer, or 0 while its head is incomplete."""
    head, found, _ = start.partition(b"\r\n\r\n")
    if not found:
        return 0
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return len(head) + 4 + int(rest.partition(b"\r\n")[0])


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(results: list[Result]) -> None:
    """Print the table, and what it was measured on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    print("| operation | connections | per second | p50 µs | p99 µs | CPU µs per request |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for result in results:
        print(
            f"| {result.operation} | {result.connections or '-'} | {result.per_second:,.0f} "
            f"| {result.p50_us:,.0f} | {result.p99_us:,.0f} | {result.cpu_us:,.0f} |"
        )
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    print(f"\nmachine: {processor}, {os.cpu_count()} processors, {system}")
    print(f"commit: {commit or 'unknown'}, audit log durable (fdatasync before each answer)")


if __name__ == "__main__":
    main()
