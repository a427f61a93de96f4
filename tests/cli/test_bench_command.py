"""`oddlog bench` and `oddlog datasets` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_sets import write_made_set

Command = Callable[..., Any]  # the fixture `command`: code, out, err of one call


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    return write_made_set(tmp_path / "jobs")


def test_a_bench_of_ones_own_folder_ends_with_two_reports(command: Command, jobs: Path, tmp_path: Path):
    words = ("--set", jobs, "--protocol", "time-usual", "--detectors", "new-event", "-o", tmp_path / "bench")
    said = command("bench", "run", *words)
    assert (said.code, said.err) == (0, "")
    assert "1/1 jobs time-usual new-event seed 0: F1 1.000 AUC 1.000" in said.out
    assert "report.html" in said.out
    [result] = json.loads((tmp_path / "bench" / "results.json").read_bytes())
    assert result["command"].startswith("oddlog bench run --set ")
    again = command("bench", "run", *words)
    assert "1 cells, 1 of them finished before" in again.out
    assert command("bench", "report", "-o", tmp_path / "bench").code == 0


def test_a_slip_names_the_nearest_and_exits_with_2(command: Command, jobs: Path, tmp_path: Path):
    said = command("bench", "run", "--set", jobs, "--detectors", "sn", "-o", tmp_path / "bench")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("oddlog: There is no detector 'sn'. Did you mean 'snn'?")
    said = command("bench", "run", "--set", "hdsf", "--detectors", "snn", "-o", tmp_path / "bench")
    assert "There is no set 'hdsf', and no folder of that name. Did you mean 'hdfs'?" in said.err
    said = command("bench", "run", "-o", tmp_path / "bench")
    assert "No set was named. Add, for instance: --sets hdfs" in said.err


def test_sets_are_listed_for_people_and_for_machines(command: Command):
    rows = {row["set"]: row for row in json.loads(command("datasets", "list").out)}
    assert rows["bgl"]["md5"] == "4452953c470f2d95fcb32d5f6e733f7a"
    assert rows["nova"]["terms"].startswith("AGPL")
    assert "HDFS_v1" in command("datasets", "list", terminal=True).out


def test_a_set_without_raw_files_says_how_to_get_them(command: Command, tmp_path: Path):
    said = command("datasets", "prepare", "bgl", "--data", tmp_path / "none", "--to", tmp_path / "sets")
    assert said.code == 2
    assert "Type: oddlog datasets fetch bgl --to" in said.err


def test_a_made_set_is_prepared_without_raw_files(command: Command, tmp_path: Path):
    said = command("datasets", "prepare", "shop", "--to", tmp_path / "sets")
    assert said.code == 0
    assert "18 files of logs, labelled by session" in " ".join(said.out.split())


@pytest.mark.parametrize("words", [("bench", "run"), ("bench", "report"), ("datasets", "fetch"), ("datasets", "list")])
def test_help_shows_an_example(command: Command, words: tuple[str, ...]):
    assert f"Example: oddlog {' '.join(words)}" in command(*words, "--help").out
