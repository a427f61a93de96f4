"""What a person reads when something is wrong: what was asked, what there is, what to type next, on one line."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oddlog.plugins import found

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call
FIT = ("fit", "{log}", "-m", "{tmp}/a.model", "--detectors", "new-event")
DETECT = ("detect", "{log}", "-m", "{model}")

MESSAGES = [
    (("fit",), "Missing argument 'paths'. See: oddlog fit --help"),
    (("fit", "{log}"), "Missing option '-m' / '--model'. See: oddlog fit --help"),
    (("fti", "{log}"), "No such command 'fti'. Did you mean 'fit'? See: oddlog --help"),
    (
        (*FIT, "--sesion", "x"),
        "No such option: --sesion (Possible options: --json, --session, --since). See: oddlog fit --help",
    ),
    (
        (*FIT, "--window", "nonsense"),
        "'nonsense' is no window. Write a duration or a number of lines: --window 60s or --window 100.",
    ),
    (
        (*FIT, "--session", "none", "--window", "99999999999999d"),
        "'99999999999999d' is no window. Write a duration or a number of lines: --window 60s or --window 100.",
    ),
    (
        (*FIT, "--since", "99999999d"),
        "'99999999d' is no time. Write 2026-03-01, 2026-03-01T12:30:00Z, or how far back: 7d.",
    ),
    ((*FIT, "--since", "2030-01-01"), "No record is left to learn from. Loosen --exclude, --since and --until."),
    ((*FIT, "--entity", "clinet"), "There is no field 'clinet'. There are: thread."),
    (
        (*FIT[:-1], "sn"),
        f"There is no detector called 'sn'. Did you mean 'snn'? There are: {', '.join(sorted(found('oddlog.detectors')))}.",
    ),
    (
        (*FIT, "--exclude", "thraed = 'a'"),
        (
            "--exclude \"thraed = 'a'\" names 'thraed', which no record has. Did you mean 'f.thread'? "
            "Their columns are: count, f.thread, host, level, line, message, position, service, source, text, time."
        ),
    ),
    (
        (*FIT, "--exclude", "level ="),
        (
            "--exclude 'level =' is no condition: unable to parse 'level =' as Expr. "
            "Write it as in SQL: --exclude \"level = 'DEBUG' OR message LIKE '%healthz%'\""
        ),
    ),
    (("fit", "", *FIT[2:]), "An empty path was given. Is a variable in the command empty? Name a file or a folder."),
    (
        ("fit", "{log}", "-m", "{log}"),
        "{log} exists and is no oddlog model, so it is not overwritten. Give another place with -m.",
    ),
    (
        ("fit", "{log}", "-m", "{log}/a/b.model"),
        "No model can be written to {log}/a/b.model, in {log}: that is no folder. Give another place with -m.",
    ),
    (
        ("detect", "{log}", "-m", "{tmp}/nowhere"),
        "{tmp}/nowhere does not exist. Learn one first: oddlog fit LOGS -m {tmp}/nowhere",
    ),
    (
        ("inspect", "{log}"),
        "{log} is no model: it is a file, and a model is a folder. Name a folder that oddlog fit wrote.",
    ),
    (("inspect", "{tmp}"), "{tmp} is no model: it has no manifest.json. Name a folder that oddlog fit wrote."),
    (
        (*DETECT, "--scores", "{tmp}/no/s.parquet"),
        "{tmp}/no/s.parquet cannot be written: there is no folder {tmp}/no. Type: mkdir -p {tmp}/no",
    ),
    (
        (*DETECT, "--line-scores", "{tmp}"),
        "{tmp} is a folder, and a file is to be written there. Name a file: {tmp}/scores.parquet",
    ),
    (
        ("detect", "{tmp}/a\nb\x1b[31m*", "-m", "{model}"),
        "The pattern {tmp}/a\\nb\\x1b[31m* matches no file. Look with: ls {tmp}",
    ),
    ((*FIT, "--labels", "{tmp}"), "The labels {tmp} are a folder. Give a CSV with the columns key,label."),
    (
        (*FIT, "--labels", "{tmp}/no.csv"),
        "The labels {tmp}/no.csv cannot be read: No such file or directory. Give a CSV with the columns key,label.",
    ),
    (
        (*FIT, "--detectors", "cart"),
        (
            "The detector 'cart' learns from labels, and none are given. Give some with --labels FILE, a CSV with the "
            "columns key,label; or name others, such as snn."
        ),
    ),
    (
        (*DETECT, "--limit", "-1"),
        "Invalid value for '--limit': Input should be greater than or equal to 0. See: oddlog detect --help",
    ),
    (("simulate", "{tmp}/shop", "--lines", "5"), "A simulation of 5 lines is too small. Ask for 20000 or more."),
    (
        ("simulate", "{tmp}/dc", "--system", "datacenter"),
        "There is no system 'datacenter'. Did you mean 'datacentre'? There are: datacentre, shop.",
    ),
    (
        ("simulate", "{tmp}/dc", "--as", "syslog"),
        "--as and --incidents-in-training are for the data centre. Add: --system datacentre.",
    ),
    (
        ("simulate", "{tmp}/dc", "--system", "datacentre", "--entries", "5000", "--days", "2"),
        "5000 entries are too few for 2.0 days. Ask for 30000 or more, or fewer days.",
    ),
    (
        ("simulate", "{tmp}/dc", "--system", "datacentre", "--as", "sislog"),
        "There is no shape 'sislog'. Did you mean 'syslog'? There are: access, all, json, syslog.",
    ),
    (
        ("--config", "{tmp}/no.toml", *FIT),
        "The configuration {tmp}/no.toml cannot be read: No such file or directory. Check the path.",
    ),
]


@pytest.mark.parametrize(("words", "says"), MESSAGES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_one_clear_line(
    command: Command, words: tuple[str, ...], says: str, quick_model: Path, small_log: Path, tmp_path: Path
):
    places = {"log": small_log, "model": quick_model, "tmp": tmp_path}
    answer = command(*(word.format(**places) for word in words))
    assert (answer.code, answer.out, answer.err) == (2, "", f"oddlog: {says.format(**places)}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[fit\n", "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 5)"),
        ("[fti]\nseed = 1\n", "sets 'fti', which is no command's table. Did you mean 'fit'?"),
        ("fit = 1\n", "sets 'fit', which is no command's table."),
        ("[fit]\nsesion = 'x'\n", "sets 'sesion', which [fit] does not have. Did you mean 'session'?"),
        ("[fit]\nseed = 'x'\n", "Invalid value for '--seed': Input should be a valid integer"),
        ("[fit]\ntrain-share = [1]\n", "Invalid value for '--train-share': Input should be a valid number"),
        ("[fit]\nredact = 'perhaps'\n", "Invalid value for '--redact': Input should be a valid boolean"),
        ("[fit]\nwindow = ['x']\n", "is no window. Write a duration or a number of lines"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(
    command: Command, toml: str, says: str, small_log: Path, tmp_path: Path
):
    config = tmp_path / "oddlog.toml"
    config.write_text(toml)
    answer = command("--config", config, "fit", small_log, "-m", tmp_path / "a.model")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert says in answer.err


def test_what_is_passed_over_is_said_and_the_rest_is_judged(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path
):
    (tmp_path / "core.log").write_bytes(bytes(range(256)) * 100)
    packed = gzip.compress(odd_log.read_bytes(), mtime=0)
    (tmp_path / "broken.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "empty").mkdir()
    names = ("core.log", "broken.gz", "empty", "no.log")
    answer = command("detect", odd_log, *(tmp_path / name for name in names), "-m", quick_model)
    assert answer.code == 0
    assert '"key":"ord-200060"' in answer.out
    told = answer.err.replace(str(tmp_path), "TMP").splitlines()
    assert told[0] == "oddlog: Passed over: The folder TMP/empty holds no logs; there is: no file."
    assert told[1].startswith("oddlog: Passed over: There is no file or folder TMP/no.log; TMP has 3 entries.")
    assert told[2] == "oddlog: Passed over: TMP/core.log holds no log lines: it is binary."
    assert told[3].startswith("oddlog: TMP/broken.gz was read only up to line 3")
    assert told[3].endswith(": it breaks off in the middle.")
    assert len(told) == 4


def test_of_many_sources_passed_over_the_first_ten_are_named(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path
):
    names = [tmp_path / f"{i}.log" for i in range(15)]
    answer = command("detect", odd_log, *names, "-m", quick_model)
    assert answer.code == 0
    assert answer.err.count("oddlog: Passed over: ") == 10
    assert answer.err.endswith("oddlog: Further sources that cannot be read are only counted.\n")


def test_when_nothing_can_be_read_that_is_an_error(command: Command, tmp_path: Path):
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 100)
    answer = command("formats", tmp_path / "a.log", tmp_path / "b.log")
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == (
        f"oddlog: None of the 2 sources could be read; the first says: {tmp_path}/a.log holds no log lines: "
        "it is binary. Leave it out, or turn it into text first."
    )


def test_notes_go_to_standard_error_where_json_is_read(command: Command, quick_model: Path, tmp_path: Path):
    (tmp_path / "a.json").write_text('{"time":"2026-03-02T08:00:00Z","level":"info","msg":"hello"}\n' * 9)
    answer = command("detect", tmp_path / "a.json", "-m", quick_model)
    assert "oddlog: Lines of a format the model has not learned from: json.\n" in answer.err
    assert answer.out.startswith('{"id":')


def test_a_line_of_a_log_cannot_move_the_cursor_of_a_terminal(command: Command, quick_model: Path, tmp_path: Path):
    (tmp_path / "a.log").write_text(
        "2026-03-02 08:00:00,000 ERROR shop.web: red \x1b]0;title\x07 [bold]alert[/bold]\n" * 3
    )
    shown = command("detect", tmp_path / "a.log", "-m", quick_model, terminal=True).out
    assert "\x1b]0;" not in shown
    assert "[bold]alert[/bold]" in shown


def test_our_own_failure_is_one_line_too_and_a_traceback_only_with_debug(
    command: Command, small_log: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("float division\nby zero")

    monkeypatch.setattr("oddlog.pipeline.looking.templates_of", broken)
    answer = command("templates", small_log)
    assert answer.code == 1
    assert answer.err == (
        "oddlog: Something went wrong in oddlog itself: ZeroDivisionError: float division by zero. "
        "Please report it with --debug.\n"
    )
    with pytest.raises(ZeroDivisionError):
        command("templates", small_log, "--debug")


def test_a_temporary_file_that_was_cut_off_is_no_failure_of_ours(
    command: Command, small_log: Path, monkeypatch: pytest.MonkeyPatch
):
    def cut_off(*_: object, **__: object) -> None:
        raise pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")

    monkeypatch.setattr("oddlog.pipeline.looking.templates_of", cut_off)
    answer = command("templates", small_log)
    assert (answer.code, answer.err) == (
        2,
        "oddlog: A temporary file was cut off, as on a full disk. Free some space, or set TMPDIR to a larger place.\n",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (FIT, "The model cannot be written to {tmp}/out/a.model: File too large. Free some space"),
        ((*DETECT, "--scores", "{tmp}/out/s.parquet"), "{tmp}/out/s.parquet cannot be written: File too large."),
        ((*DETECT, "--line-scores", "{tmp}/out/l.parquet"), "File too large"),
    ],
)
def test_on_a_full_disk_nothing_half_written_is_left(
    words: tuple[str, ...], says: str, quick_model: Path, small_log: Path, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    places = {"log": small_log, "model": quick_model, "tmp": tmp_path}
    filled = [word.format(**places).replace("/a.model", "/out/a.model") for word in words]
    # -B: the byte code of a module that is imported first here must not be cut off, too.
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from oddlog.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-B", "-c", code, *filled],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={"TMPDIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),  # bytes a file may grow to
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("oddlog: ")
    assert ended.stderr.count("\n") == 1
    assert says.format(**places) in ended.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
