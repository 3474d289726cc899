"""The filesystem benchmark runs to its end and prints a table that can go into the documentation as it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "bench" / "fs.py"


def run(*options: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run the benchmark of the filesystem with tiny amounts, once."""
    command = [sys.executable, str(PROGRAM), "--quick", "--rounds", "1", *map(str, options)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)


def cells(result: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Return the rows of the first table that was printed."""
    lines = result.stdout.partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def number(cell: str) -> float:
    """Return the figure in a cell."""
    return float(cell.replace(",", ""))


def test_compares_with_the_bare_directory(short_directory: Path) -> None:
    """The rows that were asked for have figures of both, and nothing of a volume is left behind."""
    result = run(
        "--rows", "tree", "SQLite", "memory", "--subject", "native", "--peers", "--backing", short_directory
    )
    assert result.returncode == 0, result.stderr
    header, _, *rows = cells(result)
    assert header == ["", "unit", "native", "native again", "native / native"]
    assert [row[0] for row in rows] == [
        "untar",
        "du, cold",
        "grep -r, cold",
        "grep -r, warm",
        "rm -rf",
        "SQLite commit, rollback journal",
        "SQLite commit, WAL",
        "memory, idle",
        "memory, after files came and went",
    ]
    assert all(number(cell) > 0 for row in rows[:-2] for cell in row[2:])
    assert "Machine: " in result.stdout
    assert "Commit: " in result.stdout
    assert list(short_directory.iterdir()) == []


def test_compares_mounts(short_directory: Path) -> None:
    """Files of a mount on the store that can be slow are read by many, and processor time is told."""
    result = run("--rows", "slow", "append", "--peers", "--no-native", "--backing", short_directory)
    assert result.returncode == 0, result.stderr
    _, _, *rows = cells(result)
    assert [row[0] for row in rows] == [
        "append 4 KiB",
        *(f"slow store: open + read, cold, {clients}" for clients in ("1 client", "4 clients", "16 clients")),
    ]
    assert all(number(row[2]) > 0 for row in rows), result.stdout
    assert "| processor time of the process, least, µs each | kmsfs |" in result.stdout
    assert list(short_directory.iterdir()) == []


def test_failure_is_told_and_the_rest_goes_on(short_directory: Path) -> None:
    """A filesystem that cannot be made leaves dashes and its reason; the others have their figures."""
    result = run("--rows", "append", "--peers", "--init-option=--nonsense", "--backing", short_directory)
    assert result.returncode == 0, result.stderr
    *_, row = cells(result)
    assert row[:3] == ["append 4 KiB", "µs", "-"]
    assert number(row[3]) > 0
    assert "- kmsfs, append 4 KiB: kmsfs: " in result.stdout
    assert "nonsense" in result.stdout
    assert list(short_directory.iterdir()) == []


def test_interrupted_run_leaves_nothing(short_directory: Path) -> None:
    """Ctrl-C in the middle of a stage ends every process, mount and file of the run."""
    command = [
        sys.executable,
        str(PROGRAM),
        "--rows",
        "small",
        "--peers",
        "--no-native",
        "--backing",
        short_directory,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            at_work = "*/volume/mountpoint/small/file-00009"
            while process.poll() is None and not list(short_directory.glob(at_work)):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert str(short_directory) not in Path("/proc/self/mountinfo").read_text()
    assert list(short_directory.iterdir()) == []


def test_unknown_row_is_refused() -> None:
    """A row that does not exist is named, with the stages that do."""
    result = run("--rows", "nonsense")
    assert result.returncode == 1
    assert "no such row: nonsense; stages are sequential, random" in result.stderr


def test_agent_benchmark_prints_its_table(short_directory: Path) -> None:
    """A moment of each measurement names every operation and its connections, and the library alone."""
    result = subprocess.run(
        [
            sys.executable,
            str(PROGRAM.with_name("agent.py")),
            "--seconds",
            "0.1",
            "--directory",
            str(short_directory),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    header, _, *rows = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert header.startswith("| operation | connections | per second | p50 µs | p99 µs |")
    names = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows]
    asked = (
        *("GenerateDataKey", "Decrypt", "Sign RSA_2048", "Sign ECC_NIST_P256", "Decrypt RSA_2048"),
        *("DeriveSharedSecret ECC_NIST_P256", "Decapsulate ML_KEM_768"),
    )
    assert set(names) >= {(name, connections) for name in asked for connections in ("1", "16", "64")}
    assert set(names) >= {("RSA_2048 in the library", "-"), ("ECC_NIST_P256 in the library", "-")}
    assert "machine: " in result.stdout
    assert "moto_server" in result.stdout
    assert list(short_directory.iterdir()) == []


def test_grants_benchmark_prints_its_table(short_directory: Path) -> None:
    """One grant and a few of each kind are measured, and nothing is left behind."""
    program = PROGRAM.with_name("grants.py")
    result = subprocess.run(
        [sys.executable, "-P", str(program), "--grants", "20", "--directory", str(short_directory)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    _, _, *rows = result.stdout.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["1"] * 3 + ["20"] * 3
    assert list(short_directory.iterdir()) == []
