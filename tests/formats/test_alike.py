"""Formats that are alike read a line alike, whatever lines of other sources stand around it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from oddlog.formats import FORMATS, likeness
from oddlog.formats.alike import _LOOK_AROUND
from oddlog.formats.checks import bound, read_cases
from oddlog.types import Format

CORPORA = Path(__file__).resolve().parents[1] / "corpora" / "formats"
SAID = ("ok", "level", "service", "host", "message")


@pytest.mark.parametrize("tested", [f for f in FORMATS if f.name not in _LOOK_AROUND], ids=lambda f: f.name)
def test_a_line_is_read_by_itself(tested: Format):
    text = pl.Series("text", [case["text"] for case in read_cases(CORPORA / f"{tested.name}.jsonl")])
    ready, again = bound(tested, text), bound(tested, text)
    assert likeness(ready) == likeness(again)
    whole = ready.parse(text, year=2026).select(SAID)
    for i in range(len(text)):
        assert again.parse(text[i : i + 1], year=2026).select(SAID).rows() == whole[i : i + 1].rows(), text[i]


def test_formats_that_look_around_and_those_of_others_are_only_like_themselves():
    class Theirs:
        name = "theirs"

    assert likeness(Theirs()) != likeness(Theirs())
    for one in (f for f in FORMATS if f.name in _LOOK_AROUND):
        assert likeness(one) == likeness(one) != likeness(type(one)())


def test_formats_that_differ_in_what_stands_inside_are_not_alike():
    from oddlog.formats.json_lines import JsonLines  # noqa: PLC0415

    inner = [f for f in FORMATS if f.name in ("syslog", "log4j")]
    found = {likeness(JsonLines(one)) for one in (None, *inner)}
    assert len(found) == 3
