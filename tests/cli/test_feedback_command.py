"""`oddlog feedback` as a person types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


@pytest.fixture
def model(quick_model: Path, tmp_path: Path) -> Path:
    """A model of its own: what is said of its incidents stays in this test."""
    return shutil.copytree(quick_model, tmp_path / "app.model")


@pytest.fixture
def lost(command: Command, model: Path, odd_log: Path) -> dict[str, Any]:
    """The one incident there is."""
    incident: dict[str, Any] = json.loads(command("detect", odd_log, "-m", model).out)
    return incident


def test_one_answer_and_the_incident_is_gone_until_it_is_undone(
    command: Command, model: Path, odd_log: Path, lost: dict[str, Any]
):
    said = command("feedback", lost["id"][:6], "usual", "--note", "carrier on strike", "--who", "kim", "-m", model)
    assert (said.code, said.err) == (0, "")
    record = json.loads(said.out)
    assert (record["n"], record["pattern"], record["answer"]) == (1, lost["pattern"], "usual")
    assert (record["who"], record["note"]) == ("kim", "carrier on strike")
    assert record["says"] == lost["reasons"][0]["text"]
    after = command("detect", odd_log, "-m", model, "--fail-on-anomaly")
    note = "oddlog: 1 incident of 1 pattern you called usual is not shown; oddlog detect --all shows it.\n"
    assert (after.code, after.out, after.err) == (0, "", note)
    every = json.loads(command("detect", odd_log, "-m", model, "--all").out)
    assert (every["id"], every["answer"]) == (lost["id"], "usual")
    assert "called usual by kim on " in every["notes"][0]
    assert json.loads(command("feedback", "undo", "1", "-m", model).out)["undone"]["pattern"] == lost["pattern"]
    assert json.loads(command("detect", odd_log, "-m", model).out) == lost


def test_people_see_words_and_tables(command: Command, model: Path, odd_log: Path, lost: dict[str, Any]):
    shown = command("detect", odd_log, "-m", model, terminal=True).out
    assert f"id {lost['id'][:8]}" in shown
    empty = command("feedback", "list", "-m", model, terminal=True).out
    assert empty.startswith("No answers. Give one with: oddlog feedback ID")
    said = command("feedback", lost["id"], "mute", "--until", "8h", "-m", model, terminal=True).out
    assert said.startswith(f"1: pattern {lost['pattern']}")
    assert "muted until" in said
    assert said.endswith("To take it back: oddlog feedback undo 1\n")
    listed = command("feedback", "list", "-m", model, terminal=True).out
    words = listed.split()
    assert {lost["id"][:8], lost["pattern"][:8]} <= set(words)
    assert lost["pattern"] not in words
    assert "mute" in listed
    hidden = command("detect", odd_log, "-m", model, terminal=True).out
    assert "1 incident of 1 pattern you muted is not shown; oddlog detect --all shows it." in hidden
    assert "Nothing odd." in hidden
    assert "muted until" in command("detect", odd_log, "-m", model, "--all", terminal=True).out
    assert "Undone: mute" in command("feedback", "undo", lost["id"], "-m", model, terminal=True).out


def test_what_is_confirmed_says_so_in_the_list_of_incidents(
    command: Command, model: Path, odd_log: Path, lost: dict[str, Any]
):
    command("feedback", lost["id"], "anomalous", "--who", "kim", "-m", model)
    (again,) = [json.loads(line) for line in command("detect", odd_log, "-m", model).out.splitlines()]
    assert (again["answer"], again["severity"]) == ("anomalous", pytest.approx(2 * lost["severity"]))
    assert "confirmed by kim" in command("detect", odd_log, "-m", model, terminal=True).out


def test_the_list_shows_what_holds_and_on_demand_all(command: Command, model: Path, lost: dict[str, Any]):
    for word in ("usual", "anomalous"):
        command("feedback", lost["id"], word, "-m", model)
    command("feedback", "undo", lost["pattern"], "-m", model)

    def listed(*more: str) -> list[tuple[int, str, str]]:
        rows = map(json.loads, command("feedback", "list", "-m", model, *more).out.splitlines())
        return [(row["n"], row["answer"], row["state"]) for row in rows]

    assert listed() == [(1, "usual", "holds")]
    assert listed("--all") == [(1, "usual", "holds"), (2, "anomalous", "undone")]


def test_exported_answers_hold_for_another_model(
    command: Command, model: Path, quick_model: Path, odd_log: Path, lost: dict[str, Any], tmp_path: Path
):
    command("feedback", lost["id"], "usual", "-m", model)
    exported = command("feedback", "export", "-m", model).out
    (tmp_path / "answers.jsonl").write_text(exported)
    other = shutil.copytree(quick_model, tmp_path / "other.model")
    for new in (1, 0):
        done = command("feedback", "import", tmp_path / "answers.jsonl", "-m", other)
        assert json.loads(done.out) == {"read": 1, "new": new}
    assert command("detect", odd_log, "-m", other).out == ""
    shown = command("feedback", "import", tmp_path / "answers.jsonl", "-m", other, terminal=True)
    assert shown.out == "0 of 1 answers are new.\n"


def test_answers_come_from_standard_input_too(model: Path, lost: dict[str, Any]):
    record = {"time": "2026-03-09T12:00:00Z", "pattern": lost["pattern"], "answer": "usual"}
    code = "from oddlog.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "feedback", "import", "-", "-m", model],
        input=json.dumps(record).encode(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"read": 1, "new": 1}


def test_a_pattern_may_be_named_without_an_incident(command: Command, model: Path, odd_log: Path):
    pattern = json.loads(command("detect", odd_log, "-m", model).out)["pattern"]
    model.with_name("app.model.incidents.jsonl").unlink()
    assert command("feedback", "--pattern", pattern, "usual", "-m", model).code == 0
    assert command("detect", odd_log, "-m", model).out == ""


def test_a_broken_line_is_told_and_the_other_answers_hold(
    command: Command, model: Path, odd_log: Path, lost: dict[str, Any]
):
    command("feedback", lost["id"], "usual", "-m", model)
    path = model.with_name("app.model.answers.jsonl")
    path.write_bytes(path.read_bytes() + b'{"time":"2026-03')
    found = command("detect", odd_log, "-m", model)
    assert found.out == ""
    assert f"oddlog: {path} holds 1 line that is broken off or makes no sense, passed over.\n" in found.err


def test_where_nobody_may_write_beside_the_model_detect_works_and_says_so(command: Command, model: Path, odd_log: Path):
    model.with_name("app.model.incidents.jsonl").mkdir()  # also root cannot append to a folder
    found = command("detect", odd_log, "-m", model)
    assert (found.code, json.loads(found.out)["n_windows"]) == (0, 3)
    assert "cannot be written: Is a directory. Answers will need --pattern instead of an id.\n" in found.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("abc", "usual"), "No incident 'abc' is among the 1 remembered ones."),
        (("{id}", "usuall"), "'usuall' is no answer. Did you mean 'usual'? There are: anomalous, mute, usual."),
        (("{id}",), "'{id}' is not an incident and an answer. Type: oddlog feedback ID usual|anomalous|mute -m MODEL"),
        (("{id}", "usual", "--until", "8h"), "--until goes with mute, not with usual."),
        (("{id}", "mute", "--until", "soon"), "'soon' is no time. Write 2026-03-09T06:00Z, or how long from now: 8h."),
        (("{id}", "mute", "--until", "2026-03-09"), "2026-03-09T00:00Z has passed: nothing would be muted."),
        (("usual", "--pattern", "xyz"), "'xyz' is no pattern: these are 16 hexadecimal digits."),
        (("undo", "7"), "There is no answer 7: there are 0. Look with: oddlog feedback list"),
        (("import", "{tmp}/no.jsonl"), "{tmp}/no.jsonl cannot be read: No such file or directory."),
        (
            ("import", "{tmp}/bad.jsonl"),
            "Line 1 of {tmp}/bad.jsonl is no JSON. Import what oddlog feedback export wrote.",
        ),
        (("import", "{tmp}/odd.jsonl"), 'This is no answer: {{"answer":"usual"}}. Import what oddlog feedback export'),
    ],
)
def test_a_mistake_is_one_clear_line_and_changes_nothing(
    command: Command, model: Path, lost: dict[str, Any], tmp_path: Path, words: tuple[str, ...], says: str
):
    (tmp_path / "bad.jsonl").write_text("usual\n")
    (tmp_path / "odd.jsonl").write_text('{"answer":"usual"}\n')
    places = {"id": lost["id"], "tmp": tmp_path}
    answer = command("feedback", *(word.format(**places) for word in words), "-m", model)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith(f"oddlog: {says.format(**places)}")
    assert not model.with_name("app.model.answers.jsonl").exists()


def test_a_model_that_is_not_there_cannot_be_answered(command: Command, tmp_path: Path):
    for words in (("abc", "usual"), ("list",), ("undo", "1"), ("export",)):
        answer = command("feedback", *words, "-m", tmp_path / "no.model")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(f"oddlog: {tmp_path}/no.model does not exist. Learn one first")


@pytest.mark.parametrize("name", ["answer", "list", "undo", "export", "import"])
def test_every_command_below_helps_with_an_example(command: Command, name: str):
    answer = command("feedback", name, "--help")
    assert answer.code == 0
    assert "Example: oddlog feedback " in answer.out
