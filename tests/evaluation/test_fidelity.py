"""evaluation/fidelity.py: what papers say beside what is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from oddlog import plugins
from oddlog.datasets import LogSet
from oddlog.datasets.registry import KNOWN
from oddlog.evaluation.catalogue import Catalogue
from oddlog.evaluation.cells import Cell, members, options_of
from oddlog.evaluation.fidelity import Claim, Measured, claims, measure, page, verdict
from oddlog.evaluation.protocols import parse


def claim(f1: float | None) -> Claim:
    return Claim("M", "P", "snn", "hdfs", "landauer", "said", "paper", "read", "here", "nothing", "because", f1)


def test_every_claim_names_what_there_is():
    there = plugins.found("oddlog.detectors")
    for one in claims():
        assert set(members(one.detector)) <= there.keys()
        assert one.set in KNOWN
        parse(one.protocol)
        for name, options in options_of(one.detector).items():
            plugins.load("oddlog.detectors", name)(**options)


def test_a_figure_says_where_it_was_read_and_without_a_source_there_is_none():
    for one in claims():
        assert (one.f1 is None) == (one.checked == "no"), one.method
        assert one.f1 is None or (one.source and one.why)


@pytest.mark.parametrize(
    ("f1", "literal", "held_out", "says"),
    [
        (0.9, 0.88, 0.1, "reproduced"),
        (0.9, None, 0.91, "reproduced"),
        (0.9, 0.5, 0.9, "not reproduced"),
        (None, 0.5, 0.9, "not verified"),
    ],
)
def test_more_than_three_hundredths_apart_is_not_reproduced(f1, literal, held_out, says):
    ours = {"literal": literal, "held_out": held_out, "oracle": 1.0, "roc_auc": 1.0}
    assert verdict(claim(f1), ours) == says
    text = page([claim(f1)], {("hdfs", "landauer", "snn"): ours}, "head")
    assert ("- **M**, paper: because" in text) == (says == "not reproduced")


def test_what_was_not_measured_is_said():
    assert verdict(claim(0.9), None) == "not measured"


def test_the_literal_verdict_stands_beside_that_of_the_product(
    made_set: LogSet, made_catalogue: Catalogue, tmp_path: Path
):
    (tmp_path / "a").mkdir()
    cell = Cell("jobs", "random", "logcluster:paper")
    told = measure(cell, made_set, made_catalogue, tmp_path / "a")
    assert told["literal"] == 1.0  # other texts are farther than .3 from any usual cluster
    (tmp_path / "b").mkdir()
    assert measure(Cell("jobs", "random", "snn"), made_set, made_catalogue, tmp_path / "b")["literal"] is None
    kept = Measured(tmp_path / "kept")
    kept.write(cell, told)
    assert kept.read()[("jobs", "random", "logcluster:paper")]["literal"] == 1.0
