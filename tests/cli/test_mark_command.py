"""`oddlog mark` as a person types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_shop import shop_lines

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


@pytest.fixture
def model(quick_model: Path, tmp_path: Path) -> Path:
    """A model of its own: its marks stay in this test."""
    return shutil.copytree(quick_model, tmp_path / "app.model")


@pytest.fixture
def today(tmp_path: Path) -> Path:
    """A log in which shop.pay writes a new line from 08:00:05 on."""
    lines = [f"2026-03-02 08:00:{s:02},000 INFO shop.pay: ledger opened" for s in (5, 6, 7)]
    path = tmp_path / "today.log"
    path.write_text("\n".join([*shop_lines(60, 6), *lines]) + "\n")
    return path


def mark(command: Command, model: Path, *more: str, service: str = "shop.pay") -> Any:
    return command("mark", "deploy", service, "3.8.0", "--at", "2026-03-02T08:00:01Z", "-m", model, *more)


def test_what_is_new_since_a_mark_is_told_until_the_mark_is_undone(command: Command, model: Path, today: Path):
    before = json.loads(command("detect", today, "-m", model).out)
    said = mark(command, model, "--within", "2h", "--who", "kim")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == {
        "n": 1,
        "mark": "deploy",
        "service": "shop.pay",
        "version": "3.8.0",
        "time": "2026-03-02T08:00:01Z",
        "within_s": 7200.0,
        "who": "kim",
    }
    after = json.loads(command("detect", today, "-m", model).out)
    assert after["key"] == "deploy shop.pay 3.8.0"
    assert [reason["kind"] for reason in after["reasons"]] == [
        "new_since_deploy",
        "rate_since_deploy",
        "unseen_template",
    ]
    assert after["reasons"][1]["text"].endswith("min after; not a line before")
    assert json.loads(command("mark", "undo", "1", "-m", model).out)["undone"]["version"] == "3.8.0"
    assert json.loads(command("detect", today, "-m", model).out) == before


def test_people_see_words_and_tables(command: Command, model: Path, today: Path):
    empty = command("mark", "list", "-m", model, terminal=True).out
    assert empty == "No marks. Set one with: oddlog mark deploy SERVICE VERSION -m MODEL\n"
    said = mark(command, model)
    shown = command("mark", "list", "-m", model, terminal=True).out
    assert "shop.pay" in shown
    assert "2026-03-02 08:00:01    24 h  " in shown
    assert "new since deploy shop.pay 3.8.0" in command("detect", today, "-m", model, terminal=True).out
    said = command("mark", "undo", "1", "-m", model, terminal=True).out
    assert said == "Undone: deploy shop.pay 3.8.0 at 2026-03-02 08:00:01 UTC.\n"
    assert command("mark", "list", "-m", model, "--json").out == ""
    assert json.loads(command("mark", "list", "--all", "-m", model, "--json").out)["state"] == "undone"
    again = command("mark", "deploy", "shop.pay", "3.8.0", "-m", model, terminal=True).out
    assert again.startswith("2: deploy shop.pay 3.8.0 at ")


def test_a_service_that_the_model_does_not_know_is_marked_and_told(command: Command, model: Path):
    said = mark(command, model, service="shop.pey")
    assert said.code == 0
    assert said.err.startswith(
        "oddlog: The model knows no service 'shop.pey'. Did you mean 'shop.pay'? There are: shop."
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("deploy", "shop.pay", "1", "--at", "soon"), "'soon' is no time. Write 2026-03-01, 2026-03-01T12:30:00Z, or"),
        (("deploy", "shop.pay", "1", "--within", "long"), "'long' is no duration."),
        (("undo", "3"), "There is no mark 3. Look with: oddlog mark list"),
        (("deploy", "shop.pay"), "Missing argument 'version'. See: oddlog mark deploy --help"),
    ],
)
def test_a_mistake_is_one_clear_line(command: Command, model: Path, words: tuple[str, ...], says: str):
    answer = command("mark", *words, "-m", model)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith(f"oddlog: {says}")
    assert not model.with_name("app.model.marks.jsonl").exists()


@pytest.mark.parametrize("name", ["deploy", "list", "undo"])
def test_every_command_below_helps_with_an_example(command: Command, name: str):
    answer = command("mark", name, "--help")
    assert answer.code == 0
    assert f"Example: oddlog mark {name} " in answer.out
