"""Every format, its own lines, and every expected column written out.

A corpus is called after its format; ``FORMAT.VARIANT.jsonl`` holds a further kind of source that the format reads.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import FORMATS, by_name, detect_format
from oddlog.formats.checks import FEWEST_CASES, check_cases, check_format, read_cases
from oddlog.types import Format

CORPORA = Path(__file__).resolve().parents[1] / "corpora" / "formats"
FEWEST_OF_A_VARIANT = 10
names = [f.name for f in FORMATS]
corpora = sorted(path.stem for path in CORPORA.glob("*.jsonl"))


def test_every_format_has_a_corpus_and_every_corpus_a_format() -> None:
    assert set(corpora) >= set(names)
    assert {corpus.split(".")[0] for corpus in corpora} == set(names)


def test_formats_have_names_of_their_own() -> None:
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("tested", FORMATS, ids=names)
def test_every_line_is_read_as_written(tested: Format) -> None:
    cases = read_cases(CORPORA / f"{tested.name}.jsonl")
    assert len(cases) >= FEWEST_CASES
    assert all(case.keys() == {"text", "ok", "time", "level", "service", "host", "message", "fields"} for case in cases)
    check_format(tested, cases)


@pytest.mark.parametrize("corpus", [c for c in corpora if "." in c])
def test_every_line_of_a_variant_is_read_as_written(corpus: str) -> None:
    cases = read_cases(CORPORA / f"{corpus}.jsonl")
    assert sum(case["ok"] for case in cases) >= FEWEST_OF_A_VARIANT
    check_cases(by_name(corpus.split(".", maxsplit=1)[0]), cases)


@pytest.mark.parametrize("corpus", corpora)
def test_the_format_of_its_own_lines_is_found(corpus: str) -> None:
    text = pl.Series([case["text"] for case in read_cases(CORPORA / f"{corpus}.jsonl")])
    found = detect_format(text, year=2024)
    assert found.format.name == corpus.split(".", maxsplit=1)[0], found
    assert found.confidence == (0.1 if corpus == "plain" else pytest.approx(found.confidence, abs=0.0))


@pytest.mark.parametrize("corpus", [c for c in corpora if c != "plain"])
def test_a_corpus_also_holds_lines_that_are_refused(corpus: str) -> None:
    assert any(not case["ok"] for case in read_cases(CORPORA / f"{corpus}.jsonl"))
