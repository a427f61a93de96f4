"""`oddlog watch` as a person would run it, in a process of its own: what it prints, and that it ends in order."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import oddlog
from oddlog.pipeline.learning.checkpointing import unpacked

Command = Callable[..., Any]
RUN = [sys.executable, "-c", "from oddlog.cli import main; main()"]


class Watching:
    """A running `oddlog watch`, whose lines are read one by one."""

    def __init__(self, *words: object) -> None:
        environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
        self.process = subprocess.Popen(
            [*RUN, "watch", *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip
        self._killer = threading.Timer(60, self.process.kill)  # a test that waits for ever is stopped
        self._killer.start()

    def until(self, word: str) -> str:
        """Return the first line of output that holds a word."""
        for line in self.process.stdout:
            if word in line:
                return line
        raise AssertionError(f"{word} never came: {self.process.stderr.read()}")

    def end(self) -> tuple[int, str, str]:
        """Press Ctrl-C; return how it ended and what else it said."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def close(self) -> None:
        self._killer.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def watching() -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(*words: object) -> Watching:
        started.append(Watching(*words))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_standard_input_is_judged_until_it_ends(quick_model: Path, odd_log: Path):
    done = subprocess.run(
        [*RUN, "watch", "-", "-m", quick_model], input=odd_log.read_bytes(), capture_output=True, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    incidents = [one for one in told if one["type"] == "incident"]
    assert [one["n_windows"] for one in incidents if one["change"] == "new"] == [3]
    assert {one["key"] for one in told if one["type"] == "window"} == set(incidents[0]["keys"])
    assert sum(one["type"] == "line" for one in told) == 3
    assert all("lost: carrier refused" in one["text"] for one in told if one["type"] == "line")
    n = len(odd_log.read_text().splitlines())
    said = rf"Judged {n} lines: 3 of \d+ windows odd, 3 lines odd by themselves, 1 incident told"
    assert re.search(said, done.stderr.decode())


def test_a_growing_file_is_followed_and_resumed_without_loss_or_repetition(
    watching: Callable[..., Watching], quick_model: Path, odd_log: Path, tmp_path: Path
):
    lines = odd_log.read_text().splitlines(keepends=True)
    lost = [i for i, line in enumerate(lines) if "lost" in line]
    log, noted = tmp_path / "grow.log", tmp_path / "app.resume"
    log.write_text("".join(lines[: lost[0] + 2]))
    words = (log, "-m", quick_model, "--from-start", "--resume", noted, "--json")
    first = watching(*words)
    assert json.loads(first.until('"type":"line"'))["line"] == lost[0] + 1
    early = json.loads(first.until('"type":"incident"'))
    code, out, err = first.end()
    before = [json.loads(line)["key"] for line in out.splitlines() if '"type":"window"' in line]
    assert code == 0
    assert "Judged" in err
    log.write_text("".join(lines))
    second = watching(*words)
    assert json.loads(second.until('"type":"line"'))["line"] == lost[1] + 1
    incident = json.loads(second.until('"change":"grown"'))
    assert incident["id"] == early["id"]
    assert incident["n_windows"] == 3  # also the one that was open or told of when reading stopped
    assert len(before) <= 1
    assert second.end()[0] == 0
    state = unpacked(noted.read_bytes())
    assert state.meta["places"][str(log)]["line"] == len(lines)


def test_what_makes_no_sense_is_refused_in_one_line(command: Command, quick_model: Path, tmp_path: Path):
    answer = command("watch", "-", "-m", quick_model, "--resume", tmp_path / "app.resume")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "cannot be read again" in answer.err
    assert command("watch", "-", "a.log", "-m", quick_model).code == 2
    (tmp_path / "no.json").write_text("{}")
    answer = command("watch", "a.log", "-m", quick_model, "--resume", tmp_path / "no.json")
    assert (answer.code, "does not say where reading stopped" in answer.err) == (2, True)


def test_without_a_model_it_learns_one_from_what_comes_and_then_judges(
    tmp_path: Path, small_log: Path, odd_log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ODDLOG_FIT_DETECTORS", "snn,new-event")
    log = tmp_path / "app.log"
    log.write_bytes(small_log.read_bytes())
    words = ["watch", str(log), "-m", str(tmp_path / "new.model"), "--learn", "1h", "--learn-lines", "2000", "--json"]
    with subprocess.Popen([*RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(120, process.kill)
        killer.start()
        said = ""
        while "Learned from" not in said:
            said = process.stderr.readline()
            assert said, "it has ended"
        with log.open("ab") as file:
            file.write(odd_log.read_bytes())
        told = next(json.loads(line) for line in process.stdout if '"type":"incident"' in line)
        process.send_signal(signal.SIGINT)
        process.communicate()
        killer.cancel()
    assert process.returncode == 0
    assert told["services"] == ["shop.ship"]
    assert oddlog.load(tmp_path / "new.model").training["lines"] == len(small_log.read_text().splitlines())


def test_input_that_ends_before_there_is_enough_is_said(tmp_path: Path):
    words = [*RUN, "watch", "-", "-m", str(tmp_path / "new.model")]
    done = subprocess.run(
        words, input="2026-03-02 08:00:00,000 INFO a: b\n" * 9, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "The input has ended before there was enough to learn from: 9 of 10,000 lines" in done.stderr
    assert not (tmp_path / "new.model").exists()
