"""The filesystem benchmark runs to its end and prints a table that can go into the documentation as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "bench" / "fs.py"


def test_prints_medians_and_ratios(tmp_path: Path) -> None:
    """One quick round on the bare directory names every measurement of its stages, machine and commit."""
    options = [
        "--rounds",
        "1",
        "--systems",
        "plain,plain",
        "--stages",
        "tree,memory",
        "--backing",
        str(tmp_path),
    ]
    result = subprocess.run(
        [sys.executable, str(PROGRAM), *options], check=True, capture_output=True, text=True, timeout=120
    )
    header, _, *rows = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert header == "|  | unit | backing | backing again | backing / backing again |"
    names = [row.split("|")[1].strip() for row in rows]
    assert names == [
        "untar, 1,700 files",
        "du, cold",
        "grep -r, cold",
        "grep -r, warm",
        "rm -rf",
        "memory, idle",
        "memory, after 2,000 files",
    ]
    assert "Machine: " in result.stdout
    assert "Commit: " in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_unknown_stage_is_refused() -> None:
    """A stage that does not exist is named, with those that do."""
    result = subprocess.run(
        [sys.executable, str(PROGRAM), "--stages", "nonsense"], check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "no such stage: nonsense; there are sequential, random" in result.stderr


def test_agent_benchmark_prints_its_table(tmp_path: Path) -> None:
    """A moment of each measurement names every operation and its connections, and the library alone."""
    result = subprocess.run(
        [
            sys.executable,
            str(PROGRAM.with_name("agent.py")),
            "--seconds",
            "0.1",
            "--directory",
            str(tmp_path),
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
    assert list(tmp_path.iterdir()) == []


def test_grants_benchmark_prints_its_table(tmp_path: Path) -> None:
    """One grant and a few of each kind are measured, and nothing is left behind."""
    program = PROGRAM.with_name("grants.py")
    result = subprocess.run(
        [sys.executable, "-P", str(program), "--grants", "20", "--directory", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    _, _, *rows = result.stdout.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["1"] * 3 + ["20"] * 3
    assert list(tmp_path.iterdir()) == []
