"""`oddlog report` and `oddlog detect --report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


def test_report_writes_a_page_and_says_so_in_one_line(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path
):
    page = tmp_path / "a.html"
    answer = command("report", odd_log, "-m", quick_model, "-o", page)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"632 lines: 3 of 123 sessions odd, 0 lines odd by themselves, 1 incident. Written to {page}\n"
    )
    assert "1 incident, critical" in page.read_text(encoding="utf-8")


def test_detect_writes_the_same_page_besides_what_it_prints(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path
):
    command("report", odd_log, "-m", quick_model, "-o", tmp_path / "a.html")
    answer = command("detect", odd_log, "-m", quick_model, "--report", tmp_path / "b.html")
    assert json.loads(answer.out)["key"] == "ord-200060"
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_labels_of_windows_are_compared(command: Command, quick_model: Path, odd_log: Path, tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text("key,label\nord-200060,1\nord-200061,1\nord-200001,0\n")
    answer = command("report", odd_log, "-m", quick_model, "-o", tmp_path / "a.html", "--labels", labels)
    assert answer.code == 0
    assert "Receiver operating characteristic" in (tmp_path / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("report", "{tmp}/missing.log", "-m", "{model}", "-o", "{tmp}/no/a.html"),
            "{tmp}/no/a.html cannot be written: there is no folder {tmp}/no. Type: mkdir -p {tmp}/no",
        ),
        (
            ("report", "{tmp}/missing.log", "-m", "{model}", "-o", "{tmp}"),
            "{tmp} is a folder, and a file is to be written there. Name a file: {tmp}/report.html",
        ),
        (
            ("detect", "{tmp}/missing.log", "-m", "{model}", "--report", "{tmp}/no/a.html"),
            "{tmp}/no/a.html cannot be written: there is no folder {tmp}/no. Type: mkdir -p {tmp}/no",
        ),
        (
            ("report", "{tmp}/missing.log", "-m", "{model}", "-o", "{tmp}/a.html", "--labels", "{tmp}/no.csv"),
            "The labels {tmp}/no.csv cannot be read: No such file or directory. Give a CSV with the columns key,label.",
        ),
        (
            ("report", "{tmp}/missing.log", "-m", "{tmp}/no.model", "-o", "{tmp}/a.html"),
            "{tmp}/no.model does not exist. Learn one first: oddlog fit LOGS -m {tmp}/no.model",
        ),
    ],
)
def test_a_mistake_is_said_before_anything_is_read(
    command: Command, words: tuple[str, ...], says: str, quick_model: Path, tmp_path: Path
):
    places = {"model": quick_model, "tmp": tmp_path}
    answer = command(*(word.format(**places) for word in words))
    assert (answer.code, answer.out, answer.err) == (2, "", f"oddlog: {says.format(**places)}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "left"), [("1", "are anomalous: recall can be told"), ("0", "are usual: the share of false alarms can")]
)
def test_labels_of_one_kind_are_explained(
    command: Command, quick_model: Path, odd_log: Path, tmp_path: Path, label: str, left: str
):
    labels = tmp_path / "labels.csv"
    labels.write_text(f"key,label\nord-200060,{label}\nord-200001,{label}\n")
    answer = command("report", odd_log, "-m", quick_model, "-o", tmp_path / "a.html", "--labels", labels)
    assert answer.code == 0
    assert left in " ".join(answer.err.split())
