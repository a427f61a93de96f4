"""`oddlog maintenance` as a person types it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oddlog.cli.beginning import Told
from oddlog.feedback import Settings, beside

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


@pytest.fixture
def model(quick_model: Path, tmp_path: Path) -> Path:
    """A model of its own: what is announced stays in this test."""
    return shutil.copytree(quick_model, tmp_path / "app.model")


def heeded(model: Path) -> list[str]:
    """What a service that judges with the model goes by."""
    book, _ = Told("", None).with_settings(Settings.load(beside(model, "rules")))
    return [one.says for one in book.maintenance]


def test_what_is_announced_is_heeded_listed_and_ended(command: Command, model: Path):
    said = command("maintenance", "announce", "--host", "db-2", "--for", "2h", "--who", "kim", "-m", model)
    assert (said.code, said.err) == (0, "")
    first = json.loads(said.out)
    assert (first["n"], first["fields"]["host"], first["who"]) == (1, "db-2", "kim")
    times = ("--days", "sat,sun", "--from", "22:00", "--to", "02:00")
    command("maintenance", "announce", "--service", "pay-*, gateway", "--match", "refused", *times, "-m", model)
    assert heeded(model)[0].startswith("nothing of db-2 is told from ")
    assert heeded(model)[1:] == [
        "nothing of pay-*, gateway that says “refused” is told sat, sun from 22:00 to 02:00 UTC"
    ]
    listed = [json.loads(row) for row in command("maintenance", "list", "-m", model).out.splitlines()]
    assert [one["n"] for one in listed] == [1, 2]
    assert listed[0]["who"] == "kim"
    assert json.loads(command("maintenance", "end", "1", "-m", model).out)["ended"]["fields"]["host"] == "db-2"
    assert len(heeded(model)) == 1


def test_what_is_over_is_not_listed(command: Command, model: Path):
    times = ("--from", "2026-03-02T08:00Z", "--for", "30min")
    assert command("maintenance", "announce", "--source", "http/shop", *times, "-m", model).code == 0
    assert command("maintenance", "list", "-m", model).out == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("announce", "--host", "db-2"), "names no time"),
        (("announce", "--host", "db-2", "--for", "2h", "--to", "02:00"), "how long it lasts"),
        (("end", "7"), "no maintenance number 7"),
    ],
)
def test_what_makes_no_sense_is_refused(command: Command, model: Path, words: tuple[str, ...], says: str):
    said = command("maintenance", *words, "-m", model)
    assert said.code == 2
    assert says in said.err
