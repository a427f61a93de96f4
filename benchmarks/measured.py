"""A command run as a child process: CPU-seconds, seconds by the clock, and the most memory it ever held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ODDLOG = str(Path(sys.executable).with_name("oddlog"))


class Cost(NamedTuple):
    """What a command cost."""

    cpu_s: float  # user and system, all threads
    wall_s: float
    peak_mb: float  # resident, 1 MB = 10^6 bytes


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; its output is shown only if it fails.

    The caller must hold little memory itself: a child's peak counts from the fork on.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB here
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * unit / 1e6)


def lines_file(path: Path, n_lines: int, like: str) -> None:
    """Write `n_lines` lines: our own, or those of the file `like` repeated."""
    maker = [sys.executable, str(Path(__file__).with_name("storage_lines.py")), str(path), "--lines", str(n_lines)]
    run(maker + (["--like", like] if like else []))
