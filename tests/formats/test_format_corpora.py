"""Every format, its own lines, and every expected column written out."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import FORMATS, detect_format
from oddlog.formats.checks import FEWEST_CASES, check_format, read_cases
from oddlog.types import Format

CORPORA = Path(__file__).resolve().parents[1] / "corpora" / "formats"
names = [f.name for f in FORMATS]


def test_every_format_has_a_corpus_and_every_corpus_a_format() -> None:
    assert {path.stem for path in CORPORA.glob("*.jsonl")} == set(names)


def test_formats_have_names_of_their_own() -> None:
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("tested", FORMATS, ids=names)
def test_every_line_is_read_as_written(tested: Format) -> None:
    cases = read_cases(CORPORA / f"{tested.name}.jsonl")
    assert len(cases) >= FEWEST_CASES
    assert all(case.keys() == {"text", "ok", "time", "level", "service", "host", "message", "fields"} for case in cases)
    check_format(tested, cases)


@pytest.mark.parametrize("name", names)
def test_the_format_of_its_own_lines_is_found(name: str) -> None:
    text = pl.Series([case["text"] for case in read_cases(CORPORA / f"{name}.jsonl")])
    found = detect_format(text, year=2024)
    assert found.format.name == name, found
    assert found.confidence == (0.1 if name == "plain" else pytest.approx(found.confidence, abs=0.0))


@pytest.mark.parametrize("name", [n for n in names if n != "plain"])
def test_a_corpus_also_holds_lines_that_are_refused(name: str) -> None:
    assert any(not case["ok"] for case in read_cases(CORPORA / f"{name}.jsonl"))
