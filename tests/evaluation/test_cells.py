"""One cell: the product learns from one part and judges the other, and the labels meet its verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from oddlog import fit
from oddlog.datasets import LogSet, read_set
from oddlog.errors import ConfigError
from oddlog.evaluation import cells
from oddlog.evaluation.catalogue import Catalogue, catalogue
from oddlog.evaluation.cells import Cell, learn, run
from oddlog.evaluation.protocols import split
from oddlog.evaluation.scoring import cases_of, figures
from oddlog.evaluation.sharing import Shared

CELL = Cell("jobs", "time-usual", "new-event")


def test_a_catalogue_has_each_session_with_its_label_and_system(made_catalogue: Catalogue):
    cases = made_catalogue.cases
    assert len(cases) == 240
    assert cases["label"].sum() == 20
    assert cases.row(11, named=True)["key"] == "job-0011"
    assert (cases.row(11, named=True)["lines"], cases.row(11, named=True)["system"]) == (4, "north")
    assert (cases["start"].diff().drop_nulls() > 0).all()


def test_sessions_with_a_new_type_are_found_and_usual_ones_pass(made_set: LogSet, made_catalogue: Catalogue):
    done = run(CELL, made_set, made_catalogue)
    cases = cases_of(done.judged, (0, 0), by_session=True)
    told = figures(cases)
    assert told["anomalous"] == 10
    assert (told["recall"], told["precision"], told["roc_auc"]) == (1.0, 1.0, 1.0)
    assert told["distinct_cases"] == 2


def test_what_is_judged_changes_no_byte_of_what_was_learned(
    made_set: LogSet, made_catalogue: Catalogue, tmp_path: Path
):
    parts = split(made_catalogue, CELL.protocol)
    with Shared(made_set, made_catalogue, parts, tmp_path / "a") as shared:
        clean = learn(CELL, shared)
    poisoned = tmp_path / "poisoned"
    (poisoned / "logs").mkdir(parents=True)
    text = (made_set.root / "jobs.log").read_text().splitlines()
    later = [text[row].split("worker:")[0] + f"worker: [job-9999] kernel panic {row}" for row in parts.test]
    for row, line in zip(parts.test, later, strict=True):
        text[row] = line
    (poisoned / "logs" / "jobs.log").write_text("\n".join(text) + "\n")
    with Shared(replace(made_set, folder=poisoned), made_catalogue, parts, tmp_path / "a") as shared:
        again = learn(CELL, shared)
    clean.save(tmp_path / "one")
    again.save(tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_labels_do_not_reach_what_is_learned_without_them(made_set: LogSet, tmp_path: Path):
    other = tmp_path / "other"
    (other / "logs").mkdir(parents=True)
    (other / "logs" / "jobs.log").write_bytes((made_set.root / "jobs.log").read_bytes())
    (other / "set.json").write_bytes((made_set.folder / "set.json").read_bytes())
    labels = pl.read_csv(made_set.folder / "labels.csv")
    labels.with_columns(label=1 - pl.col("label")).write_csv(other / "labels.csv")
    cell = replace(CELL, protocol="time")
    ids = []
    for of in (made_set, read_set(other)):
        listed = catalogue(of)
        with Shared(of, listed, split(listed, "time"), tmp_path / "same") as shared:
            ids.append(learn(cell, shared).id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize("protocol", ["time", "random", "contaminated", "leave-one-system-out"])
def test_every_line_judged_has_the_label_of_its_session(made_set: LogSet, made_catalogue: Catalogue, protocol: str):
    done = run(replace(CELL, protocol=protocol), made_set, made_catalogue)
    keys = done.judged["key"].str.replace(r"#\d+$", "")
    number = keys.str.extract(r"(\d+)$").cast(pl.Int64).to_numpy()
    assert (done.judged["label"].to_numpy() == (number % 12 == 11)).all()
    assert len(np.unique(number)) == len(np.unique(made_catalogue.case[done.split.test]))


@pytest.mark.parametrize("session", ["", "none"])
def test_labels_to_learn_from_are_those_of_the_windows_to_learn_from(made_set: LogSet, tmp_path: Path, session: str):
    """Windows of a stream are called as the product calls them; here every window of five lines has a key of its own."""
    of = made_set
    if session:
        marked = [
            n for n, text in enumerate((made_set.root / "jobs.log").read_text().splitlines(), 1) if "quota" in text
        ]
        stream = tmp_path / "stream"
        (stream / "logs").mkdir(parents=True)
        (stream / "logs" / "jobs.log").write_bytes((made_set.root / "jobs.log").read_bytes())
        (stream / "labels_lines.csv").write_text("\n".join(["source,line", *(f"jobs.log,{n}" for n in marked)]) + "\n")
        of = read_set(stream).read_as(session=session, window="5")
    listed = catalogue(of)
    parts = split(listed, "time")
    cell = replace(CELL, protocol="time")
    with Shared(of, listed, parts, tmp_path / "root") as shared:
        shared.train()
        written = pl.read_csv(cells._labels(cell, shared))
    assert written["key"].n_unique() == len(written)
    assert written["label"].sum() == 10
    how = {"session": listed.choice.value or "none", "window": of.about.window}
    model = fit(tmp_path / "root" / "train", detectors=["new-event"], rates=False, **how)
    assert set(model.detect(tmp_path / "root" / "train").scores["key"]) == set(written["key"])


def test_a_protocol_that_shows_no_labels_lets_nobody_learn_from_them(made_set: LogSet, tmp_path: Path):
    listed = catalogue(made_set)
    with pytest.raises(ConfigError, match="learns from labels, and random shows none"):
        run(Cell("jobs", "random", "svm"), made_set, listed, tmp_path)
