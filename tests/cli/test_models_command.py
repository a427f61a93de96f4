"""`oddlog models` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oddlog

Command = Callable[..., Any]


def test_models_are_brought_listed_turned_to_and_back(
    command: Command, quick_model: Path, small_log: Path, tmp_path: Path
):
    data = tmp_path / "data"
    data.mkdir()
    assert "There is no model in" in command("models", "list", "--data", data, terminal=True).out
    oddlog.fit(small_log, detectors=["new-event"]).save(tmp_path / "other")
    first, second = (oddlog.load(path).id[:12] for path in (quick_model, tmp_path / "other"))
    assert command("models", "use", quick_model, "--data", data).out.startswith(f"{first} judges now.")
    command("models", "use", tmp_path / "other", "--data", data)
    command("models", "use", tmp_path / "other", "--data", data)
    assert command("models", "rollback", "--data", data).out == f"{first} judges again.\n"
    command("models", "use", second[:6], "--data", data)
    found = [json.loads(line) for line in command("models", "list", "--data", data, "--json").out.splitlines()]
    assert [(one["name"], one["is_current"], one["why"]) for one in found] == [
        (second, True, "asked for"),
        (first, False, f"back from {second}"),
    ]
    shown = command("models", "list", "--data", data, terminal=True).out
    assert f"{second}  judges" in shown
    assert sorted(path.name for path in (data / "models").iterdir()) == sorted(
        [first, second, "current", "history.jsonl"]
    )


def test_a_folder_that_is_not_there_and_no_command_are_told_in_a_sentence(command: Command, tmp_path: Path):
    answer = command("models", "list", "--data", tmp_path / "none")
    assert answer.code == 2
    assert answer.err == f"oddlog: There is no folder {tmp_path}/none. Name the folder of a service with --data.\n"
    answer = command("models")
    assert answer.code == 2
    assert (
        "oddlog: oddlog models needs one of its commands: list, use, learn, challenge, promote, drop, rollback. See: "
        "oddlog models --help" in answer.err
    )


def test_a_model_that_is_not_there_is_refused(command: Command, tmp_path: Path):
    answer = command("models", "use", "nope", "--data", tmp_path)
    assert answer.code == 2
    assert "There is no model nope in" in answer.err


def test_a_challenger_that_was_asked_for_is_taken_back(command: Command, quick_model: Path, tmp_path: Path):
    command("models", "use", quick_model, "--data", tmp_path)
    command("models", "learn", "--data", tmp_path)
    assert command("models", "drop", "--data", tmp_path).out == "No challenger is learned any more.\n"
    answer = command("models", "drop", "--data", tmp_path)
    assert (answer.code, "No model challenges" in answer.err) == (2, True)
