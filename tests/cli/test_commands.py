"""What each command answers: help, JSON, exit codes, and options from files and the environment."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from oddlog.cli.app import app

COMMANDS: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call
QUICK = ("--detectors", "snn,new-event")
RUN = [sys.executable, "-m", "oddlog"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_with_an_example_of_itself(command: Command, name: str):
    answer = command(name, "--help")
    assert answer.code == 0
    assert f"Example: oddlog {name} " in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str):
    assert [option.name for option in COMMANDS[name].params if not option.help] == []


def test_no_part_of_a_help_text_is_taken_for_markup(command: Command):
    assert "detector.NAME" in command("fit", "--help").out


def test_without_a_command_there_is_help(command: Command):
    answer = command()
    assert answer.code == 0
    assert all(f" {name} " in answer.out for name in COMMANDS)


def test_the_version_is_said(command: Command):
    assert command("--version").out == "oddlog 0.1.0\n"


def test_an_anomaly_is_one_line_of_json_with_the_fields_others_build_on(
    command: Command, quick_model: Path, odd_log: Path
):
    answer = command("detect", odd_log, "-m", quick_model, "--json")
    assert (answer.code, answer.err) == (0, "")
    (line,) = answer.out.splitlines()
    found = json.loads(line)
    assert set(found) >= {
        *("id", "key", "start", "end", "score", "p_value", "pattern", "services", "hosts", "reasons", "lines")
    }
    assert (found["key"], found["services"]) == ("ord-200060", ["shop.ship"])
    assert (found["start"][:20], found["end"][-1]) == ("2026-03-03T06:33:21.", "Z")
    assert all(set(reason) == {"kind", "text", "numbers"} for reason in found["reasons"])
    assert all(set(line) == {"source", "line", "text", "score", "message"} for line in found["lines"])
    assert found["reasons"][0]["kind"] == "unseen_template"
    assert "lost: carrier refused parcel" in found["reasons"][0]["text"]


def test_a_pipe_gets_json_and_a_terminal_text(command: Command, quick_model: Path, odd_log: Path):
    piped = command("detect", odd_log, "-m", quick_model)
    shown = command("detect", odd_log, "-m", quick_model, terminal=True)
    assert json.loads(piped.out)["n_windows"] == 3
    assert "Judged 632 lines: 3 of 123 sessions odd" in shown.out
    assert "never seen before" in shown.out


def test_fit_inspect_templates_and_formats_answer_in_json(command: Command, small_log: Path, tmp_path: Path):
    fitted = json.loads(command("fit", small_log, "-m", tmp_path / "a.model", *QUICK).out)
    inspected = json.loads(command("inspect", tmp_path / "a.model").out)
    assert fitted == inspected
    assert (fitted["templates"], fitted["training"]["lines"]) == (6, 2084)
    rows = [json.loads(line) for line in command("templates", small_log).out.splitlines()]
    assert len(rows) == 6
    assert {"lines": 400, "level": "INFO", "template": "Order <*> receipt sent"} in rows
    (row,) = [json.loads(line) for line in command("formats", small_log).out.splitlines()]
    assert (row["format"], row["confidence"], row["service"]) == ("log4j", 1.0, "shop.web")


def test_on_a_terminal_all_of_them_show_tables(command: Command, quick_model: Path, small_log: Path):
    assert "Most frequent message types" in command("inspect", quick_model, terminal=True).out
    assert "Order <*> receipt sent" in command("templates", small_log, terminal=True).out
    assert "log4j" in command("formats", small_log, terminal=True).out


def test_what_could_tie_lines_together_fits_into_eighty_columns(
    command: Command, quick_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    shown = command("inspect", quick_model, terminal=True).out
    assert re.search(r"^candidate +coverage +values +score +why not *$", shown, re.MULTILINE)
    assert "beside the message types: no detector here reads numbers." in " ".join(shown.split())


def test_a_limit_hides_and_says_how_to_see_all(command: Command, small_log: Path):
    shown = command("templates", small_log, "--limit", 2, terminal=True).out
    assert "… and 4 more: --limit 6 shows all." in shown
    assert "receipt sent" in shown or "received from" in shown or "charged" in shown
    assert "payment retried" not in shown


def test_fail_on_anomaly_exits_with_three_only_when_something_is_odd(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path
):
    assert command("detect", odd_log, "-m", quick_model).code == 0
    assert command("detect", odd_log, "-m", quick_model, "--fail-on-anomaly").code == 3
    usual = tmp_path / "usual.log"
    usual.write_text("".join(line for line in odd_log.read_text().splitlines(keepends=True) if "ord-3" in line))
    answer = command("detect", usual, "-m", quick_model, "--fail-on-anomaly")
    assert (answer.code, answer.out) == (0, "")


def test_scores_are_written_as_parquet(command: Command, quick_model: Path, odd_log: Path, tmp_path: Path):
    scores, lines = tmp_path / "scores.parquet", tmp_path / "lines.parquet"
    assert command("detect", odd_log, "-m", quick_model, "--scores", scores, "--line-scores", lines).code == 0
    assert pl.read_parquet(scores).columns == [
        *("key", "start", "end", "n_events", "score", "p_value", "threshold", "is_anomaly")
    ]
    assert pl.read_parquet(lines).columns == [
        *("source", "line", "time", "template", "score", "p_value", "is_anomaly", "reason")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.parquet", "scores.parquet"]


def test_options_come_from_toml_then_from_the_environment_then_from_the_command_line(
    command: Command, small_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tmp_path / "oddlog.toml"
    config.write_text('[fit]\ndetectors = "new-event"\nexclude = "service = \'shop.mail\'"\nseed = 1\n')
    words = ("--config", config, "fit", small_log, "-m", tmp_path / "a.model")

    def learned(*more: str) -> tuple[list[str], str, int]:
        answer = json.loads(command(*words, *more).out)
        model = json.loads((tmp_path / "a.model" / "model.json").read_bytes())
        return answer["training"]["views"]["sessions"]["members"], answer["reading"]["exclude"], model["seed"]

    assert learned() == (["new-event"], "service = 'shop.mail'", 1)
    monkeypatch.setenv("ODDLOG_FIT_SEED", "2")
    assert learned() == (["new-event"], "service = 'shop.mail'", 2)
    assert learned("--seed", "3", "--exclude", "") == (["new-event"], "", 3)


def test_toml_sets_flags_too(command: Command, quick_model: Path, odd_log: Path, tmp_path: Path):
    config = tmp_path / "oddlog.toml"
    config.write_text(f'[detect]\nfail-on-anomaly = true\nmodel = "{quick_model}"\n')
    assert command("--config", config, "detect", odd_log).code == 3


@pytest.mark.parametrize(
    "words", [["--help"], ["templates", "{log}", "--limit", "3"], ["detect", "{log}", "-m", "{model}"]]
)
def test_a_reader_that_goes_away_is_no_error(words: list[str], quick_model: Path, odd_log: Path):
    places = {"log": odd_log, "model": quick_model}
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [*RUN, *(word.format(**places) for word in words)], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_reader_that_goes_away_hides_no_anomaly(quick_model: Path, odd_log: Path):
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([*RUN, "detect", odd_log, "-m", quick_model, "--fail-on-anomaly"], stdout=write, check=False)
    os.close(write)
    assert ended.returncode == 3


def until_stopped(running: subprocess.Popen[bytes], number: signal.Signals) -> bytes:
    """Send the signal, again if it came just before the command began to wait; return what the command said."""
    for _ in range(5):
        running.send_signal(number)
        try:
            return running.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            continue
    running.kill()
    return running.communicate()[1]


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "oddlog: Interrupted. Nothing half-written was left.\n"),
        (signal.SIGTERM, 143, "oddlog: Stopped by SIGTERM. Nothing half-written was left.\n"),
        (signal.SIGHUP, 129, "oddlog: Stopped by SIGHUP. Nothing half-written was left.\n"),
    ],
)
@pytest.mark.parametrize("name", ["fit", "detect"])
def test_a_stopped_command_leaves_nothing_behind(
    name: str, number: signal.Signals, code: int, says: str, quick_model: Path, odd_log: Path, tmp_path: Path
):
    work, scratch, pipe = tmp_path / "work", tmp_path / "scratch", tmp_path / "lines.log"
    work.mkdir()
    scratch.mkdir()
    os.mkfifo(pipe)
    outputs = {
        "fit": ["-m", work / "a.model", *QUICK],
        "detect": ["-m", quick_model, "--scores", work / "s.parquet", "--line-scores", work / "l.parquet"],
    }
    # A pipe that never ends: what reads it is in the midst of its work when the signal comes.
    running = subprocess.Popen(
        [*RUN, name, odd_log, pipe, *outputs[name]], stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)}
    )
    with pipe.open("wb", buffering=0) as writer:  # opens once the other side reads
        writer.write(b"2026-03-02 08:00:00,000 INFO shop.web: Order ord-1 received\n" * 1000)
        while fcntl.ioctl(writer, termios.FIONREAD, b"\0" * 4) != b"\0" * 4:
            os.sched_yield()  # until all is read, and the command waits for more
        err = until_stopped(running, number)
    assert (running.returncode, err.decode()) == (code, says)
    assert list(work.iterdir()) == list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_between_the_two_renames_the_old_model_comes_back(
    number: signal.Signals,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_log: Path,
):
    folder = tmp_path / "a.model"
    command("fit", small_log, "-m", folder, "--detectors", "new-event")
    before = (folder / "manifest.json").read_bytes()
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name == "new":
            os.kill(os.getpid(), number)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    answer = command("fit", small_log, "-m", folder, *QUICK)
    assert answer.code == 128 + number
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.model"]


def test_simulate_writes_a_data_centre_in_the_shape_that_is_asked_for(command: Command, tmp_path: Path):
    words = ("--system", "datacentre", "--entries", "30000", "--days", "2", "--incidents-in-training", "none")
    answer = command("simulate", tmp_path / "dc", *words, "--as", "access")
    assert answer.code == 0
    assert answer.err == ""
    assert "with their labels" in answer.out
    assert {path.name for path in tmp_path.glob("dc/*/*")} == {"web.log"}
    assert '"GET /parcels/P' in (tmp_path / "dc/today/web.log").read_text()
