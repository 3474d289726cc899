"""What the agent does to its own process before it has a key, seen in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

HARDENED = """
import ctypes, json, pathlib, resource
from agent.hardening import harden_process
hardening = harden_process()
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "claims_lock": hardening.memory_locked,
    "locked_kb": int(status["VmLck"].split()[0]),
}))
"""


def test_nothing_of_the_process_reaches_a_core_file_or_swap() -> None:
    """No dumps and no tracing by the same user; memory is locked exactly if the agent says so."""
    printed = subprocess.run(
        [sys.executable, "-P", "-c", HARDENED], stdout=subprocess.PIPE, check=True, text=True
    )
    found = json.loads(printed.stdout)
    assert (found["dumpable"], found["core"]) == (0, [0, 0])
    assert found["claims_lock"] == (found["locked_kb"] > 0)
