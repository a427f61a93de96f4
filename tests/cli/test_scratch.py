"""Temporary files go with their process, however it ends: at once, or where it was killed, at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ODD = "2026-03-02 09:00:00,000 ERROR shop.ship: Order ord-7 lost: no carrier is left\n" * 2
RUN = [sys.executable, "-m", "oddlog"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(scratch: Path, quick_model: Path) -> Iterator[Start]:
    """Start `oddlog watch -` on a pipe that stays open; it is at work."""
    started: list[subprocess.Popen[str]] = []

    def start(*before: str) -> subprocess.Popen[str]:
        words = [*before, *RUN, "watch", "-", "-m", str(quick_model)]
        environment = {**os.environ, "TMPDIR": str(scratch), "POLARS_MAX_THREADS": "1"}
        started.append(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        )
        started[-1].stdin.write(ODD)
        started[-1].stdin.flush()
        assert "carrier" in started[-1].stdout.readline()
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()
        one.stdin.close()
        one.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_watch_that_is_ended_leaves_nothing_behind(number: signal.Signals, watch: Start, scratch: Path):
    running = watch()
    assert len(list(scratch.iterdir())) == 1
    running.send_signal(number)
    assert running.wait(60) == 0  # it ends in order: nothing was broken off
    assert list(scratch.iterdir()) == []


def test_a_hangup_that_nohup_keeps_away_ends_nothing(watch: Start):
    running = watch("nohup")
    running.send_signal(signal.SIGHUP)
    running.stdin.write(ODD.replace("ord-7 lost", "ord-8 is lost"))
    running.stdin.close()
    assert running.wait(60) == 0
    assert "is lost" in running.stdout.read()


def test_what_a_killed_command_left_goes_at_the_next_start_and_what_one_that_runs_holds_stays(
    watch: Start, scratch: Path
):
    killed = watch()
    (left,) = scratch.iterdir()
    running = watch()
    (held,) = set(scratch.iterdir()) - {left}
    (left / "spilled").write_bytes(bytes(1_000))
    killed.kill()
    killed.wait()
    assert left.exists()
    later = watch()
    assert not left.exists()
    assert held.exists()
    for one in (running, later):
        one.send_signal(signal.SIGTERM)
        one.wait(60)
    assert list(scratch.iterdir()) == []
