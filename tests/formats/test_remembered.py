"""A source that is written like others before is found to be what a search finds, at a tenth of the price."""

from __future__ import annotations

import doctest
import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlog.formats import Detected, Remembered, detect_format, remembered
from oddlog.pipeline import reading
from oddlog.pipeline.reading import Reading

CORPORA = sorted(Path(__file__).parent.parent.joinpath("corpora/formats").glob("*.jsonl"))
LOG4J = "2024-11-20 10:11:12,345 INFO [main] org.example.App: request {} of user{}"
OBJECT = '{{"ts":"2024-11-20T10:11:12Z","level":"INFO","service":"svc-{1}","msg":"request {0}"}}'
INSIDE = '{{"ts":"2024-11-20T10:11:12Z","service":"svc-{1}","log":"2024-11-20 10:11:12,345 WARN a.B: request {0}"}}'
PROSE = "took in request {0} for unit {1} again"
KINDS = (
    LOG4J,
    OBJECT,
    INSIDE,
    PROSE,
    "2024-11-20 10:11:12.345 17 INFO nova.api [-] request {0} {1}",
    "a=1 b={0} c={1}",
)


def source(kind: str, number: int, n: int = 60) -> pl.Series:
    return pl.Series([kind.format(i * (number + 1) % 1_000, number) for i in range(n)])


def said(found: Detected) -> tuple[object, ...]:
    return found.format.name, getattr(getattr(found.format, "inner", None), "name", None), found.confidence


def test_examples_in_docstrings_hold():
    assert doctest.testmod(remembered).failed == 0


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_first_of_sources_written_alike_is_searched_for(kind: str, monkeypatch: pytest.MonkeyPatch):
    searched = []

    def counted(*args, **options):
        searched.append(args)
        return detect_format(*args, **options)

    monkeypatch.setattr(reading, "detect_format", counted)
    one = Reading()
    found = [one.detected(source(kind, number), 2024) for number in range(10, 20)]
    assert len(searched) == 1
    assert {said(each) for each in found} == {said(detect_format(source(kind, 5), year=2024))}


def text_of(path: Path) -> list[str]:
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [line for row in rows for line in str(row.get("text", row.get("line", ""))).split("\n") if line]


@cache
def searched(i: int, which: int) -> tuple[pl.Series, Detected]:
    """Return the lines of a corpus, or one of its halves, and what a search says of them."""
    lines = text_of(CORPORA[i])
    sample = pl.Series([lines, lines[: len(lines) // 2], lines[len(lines) // 2 :]][which])
    return sample, detect_format(sample, year=2024, alternatives=False)


@settings(deadline=None, max_examples=8)
@given(order=st.permutations([(i, which) for i in range(0, len(CORPORA), 3) for which in range(3)]))
def test_whatever_was_seen_before_the_same_is_found_as_by_a_search(order: list[tuple[int, int]]):
    one = Remembered()
    for at in order:
        sample, expected = searched(*at)
        found = one.find(sample, year=2024)
        if found is None:
            one.note(sample, expected)
        else:
            assert said(found) == said(expected), CORPORA[at[0]].name


def test_lines_of_sources_that_differ_tell_nothing():
    one = Remembered()
    prose = source(PROSE, 11)
    one.note(prose, detect_format(prose, year=2024))
    assert one.find(source(PROSE, 12), year=2024) is not None
    mixed = pl.concat([prose, source(LOG4J, 3, 600)])
    one.note(mixed, detect_format(mixed, year=2024))
    assert one.find(source(PROSE, 12), year=2024) is None


def test_a_finding_in_doubt_is_not_remembered():
    half = pl.concat([source(LOG4J, 12, 70), source(PROSE, 12, 30)])
    found = detect_format(half, year=2024)
    assert found.confidence == 0.7
    one = Remembered()
    one.note(half, found)
    assert one.find(half, year=2024) is None


def test_a_source_that_the_format_reads_less_of_is_searched_for():
    one = Remembered()
    right = source(LOG4J, 12)
    one.note(right, detect_format(right, year=2024))
    wrong = right.str.replace("2024-11-20", "2024-77-99", literal=True)
    assert one.find(wrong, year=2024) is None


def test_outlines_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remembered, "MOST_OUTLINES", 50)
    one = Remembered()
    for number in range(20):
        lines = pl.Series([f"{'x.' * i}{'-' * number} said" for i in range(1, 30)])
        one.note(lines, detect_format(lines, year=2024))
        assert len(one._of) <= 50 + 30
