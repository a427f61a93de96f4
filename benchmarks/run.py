"""Every speed benchmark in order, and a page of what came out.

    python benchmarks/run.py [--data ../shared/data] [--quick]

Without `--data` the lines are made (see `storage_lines.py`); with it, those of `hdfs/HDFS_2percent.log.gz` in that
folder are read and repeated. `--quick` takes minutes: fewer rounds, and memory at 1 and 3 M lines instead of 10 and
30. Figures and the commands that printed them go to `benchmarks/results/speed.md`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGES = ("oddlog", "polars", "numpy", "torch", "scikit-learn", "onnxruntime", "drain3")


class Step(NamedTuple):
    """One benchmark: what it is about, what is asked of it, and its command."""

    title: str
    asked: str
    script: str
    options: tuple[str, ...]


def steps(sample: str, like: str, *, quick: bool) -> list[Step]:
    """Return the benchmarks; `sample` is a file of lines, `like` one to repeat, empty for made lines."""
    repeated = ("--like", like) if like else ()
    memory = "1000000,3000000" if quick else "10000000,30000000"
    return [
        Step("Reading", "", "read_speed.py", (sample, "--repeat", "1", "--rounds", "2" if quick else "5")),
        Step(
            "Raw lines to templates",
            "at least 800,000 lines per CPU-second without parameters, 500,000 with, 15 × Drain3",
            "template_speed.py",
            ("--data", sample, "--copies", "1", "--repeats", "2" if quick else "5"),
        ),
        Step("Windows", "", "window_speed.py", ()),
        Step(
            "The whole way",
            "`--help` within 0.3 s; `fit` within 120 s for 1 M lines on 2 cores; `detect` 250,000 lines per CPU-second",
            "whole_way_speed.py",
            (*repeated, "--repeats", "1" if quick else "3"),
        ),
        Step("Memory", "at most 700 MB at 10 M and at 30 M lines", "memory.py", (*repeated, "--lines", memory)),
    ]


def machine() -> str:
    """Return what this was measured on."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def versions() -> str:
    """Return the versions that matter."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def measure(step: Step, shown: dict[str, str]) -> str:
    """Run one benchmark, pass its output on, and return its section of the page."""
    print(f"\n## {step.title}", flush=True)
    command = [sys.executable, str(HERE / step.script), *step.options]
    printed, began = [], time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            printed.append(line)
    if child.returncode:
        printed.append(f"\n**{step.script} failed** (exit {child.returncode}).\n")
        print(printed[-1])
    words = " ".join(["python", f"benchmarks/{step.script}", *step.options])
    for path, name in shown.items():
        words = words.replace(path, name)
    asked = f"Asked: {step.asked}.\n\n" if step.asked else ""
    took = f"\n({time.perf_counter() - began:.0f} s)\n"
    return f"\n## {step.title}\n\n{asked}    {words}\n\n{''.join(printed)}{took}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with hdfs/HDFS_2percent.log.gz")
    parser.add_argument("--quick", action="store_true", help="minutes instead of half an hour")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "speed.md")
    options = parser.parse_args()
    like = options.data / "hdfs" / "HDFS_2percent.log.gz" if options.data else None
    if like is not None and not like.exists():
        sys.exit(f"There is no {like}. Leave --data out: then lines are made.")
    options.results.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        sample = Path(folder, "storage.log")
        n_lines = "500000" if options.quick else "1000000"
        make = [sys.executable, str(HERE / "storage_lines.py"), str(sample), "--lines", n_lines]
        subprocess.run(make + (["--like", str(like)] if like else []), check=True)
        shown = {str(sample): "storage.log", **({str(like): like.name} if like else {})}
        page = head(quick=options.quick, own=like is None)
        for step in steps(str(sample), str(like or ""), quick=options.quick):
            page += measure(step, shown)
            options.results.write_text(page)
    print(f"\nWritten to {options.results}")


def head(*, quick: bool, own: bool) -> str:
    """Return what the page begins with."""
    command = f"python benchmarks/run.py{' --quick' if quick else ''}{'' if own else ' --data DATA'}"
    lines = (
        "made by `storage_lines.py`" if own else "a 2 % sample of HDFS_v1, repeated with later dates and other blocks"
    )
    return (
        f"# Speed\n\nPrinted by `{command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.\n\n"
        f"- Machine: {machine()}; load average {os.getloadavg()[0]:.1f} at the start (CPU-seconds grow with what "
        f"others do on the same cores)\n- Lines: {lines}\n- {versions()}\n"
    )


if __name__ == "__main__":
    main()
