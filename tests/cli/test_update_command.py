"""`oddlog update` as a person types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oddlog
from small_shop import shop_lines

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


@pytest.fixture
def model(quick_model: Path, tmp_path: Path) -> Path:
    """A model of its own: what lies beside it stays in this test."""
    return shutil.copytree(quick_model, tmp_path / "app.model")


@pytest.fixture
def more(tmp_path: Path) -> Path:
    path = tmp_path / "more.log"
    path.write_text("\n".join(shop_lines(60, 7, start=100_000)) + "\n")
    return path


def test_the_new_model_keeps_answers_and_marks_and_the_old_one_stays(
    command: Command, model: Path, more: Path, odd_log: Path
):
    lost = json.loads(command("detect", odd_log, "-m", model).out)
    command("feedback", lost["id"], "anomalous", "-m", model)
    command("feedback", "undo", "1", "-m", model)
    command("feedback", lost["id"], "usual", "-m", model)
    command("mark", "deploy", "shop.pay", "2", "--at", "2026-03-01", "--within", "3d", "-m", model)
    before = oddlog.load(model).id
    new = model.with_name("new.model")
    done = command("update", model, more, "-m", new)
    assert (done.code, done.err) == (0, "")
    learned = json.loads(done.out)
    assert learned["training"]["updates"][0]["model"] == before == oddlog.load(model).id
    assert learned["id"] == oddlog.load(new).id != before
    listed = json.loads(command("feedback", "list", "-m", new, "--all").out)
    assert (listed["n"], listed["answer"], listed["pattern"]) == (1, "usual", lost["pattern"])
    assert json.loads(command("mark", "list", "-m", new).out)["within_s"] == 3 * 86_400
    assert command("detect", odd_log, "-m", new).out == ""
    again = command("update", model, more, "-m", new)  # over what it made: nothing comes twice
    assert again.code == 0
    assert len(command("feedback", "list", "-m", new, "--all").out.splitlines()) == 1
    assert len(command("mark", "list", "-m", new, "--all").out.splitlines()) == 1


def test_people_see_what_was_learned(command: Command, model: Path, more: Path):
    shown = command("update", model, more, "-m", model.with_name("new.model"), terminal=True)
    n_lines = len(more.read_text().splitlines())
    assert f" from {2084 + n_lines:,} lines of 2 sources" in shown.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("{model}", "{more}", "-m", "{model}/../app.model"),
            "{model}/../app.model is the model to go on from, and is",
        ),
        (("{model}", "{tmp}/no.log", "-m", "{tmp}/new.model"), "There is no file or folder {tmp}/no.log"),
        (("{tmp}/no.model", "{more}", "-m", "{tmp}/new.model"), "{tmp}/no.model does not exist. Learn one first"),
        (("{model}", "{more}", "-m", "{more}"), "{more} exists and is no oddlog model, so it is not overwritten."),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(
    command: Command, model: Path, more: Path, tmp_path: Path, words: tuple[str, ...], says: str
):
    places = {"model": model, "more": more, "tmp": tmp_path}
    answer = command("update", *(word.format(**places) for word in words))
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith(f"oddlog: {says.format(**places)}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.model", "more.log"]
