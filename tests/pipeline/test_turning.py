"""A field that turns from number to text is counted by its name, one that holds both by nature is not."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.pipeline.reading import Reading
from oddlog.pipeline.turning import MOST_NAMED, OTHERS, Turning
from oddlog.types import Tally

TURNED = "field ms holds text where it held numbers"


def block(first: int, **fields: list[float | str | None]) -> pl.DataFrame:
    """Return records whose fields have these values, numbers and words in columns of their own."""
    n = len(next(iter(fields.values())))
    columns: dict[str, list[float | str | None]] = {}
    for name, values in fields.items():
        columns[f"n.{name}"] = [v if isinstance(v, float) else None for v in values]
        columns[f"f.{name}"] = [v if isinstance(v, str) else None for v in values]
    types = {name: pl.Float32 if name[0] == "n" else pl.String for name in columns}
    frame = pl.DataFrame(
        {"source": ["a.json"] * n, "line": list(range(first, first + n)), **columns},
        types | {"source": pl.String, "line": pl.UInt64},
    )
    return frame.select(pl.exclude([name for name in columns if frame[name].null_count() == n]))


@pytest.mark.parametrize("cut", [50, 150, 151, 200])
def test_text_behind_numbers_is_counted_wherever_the_blocks_end(cut: int):
    values = [1.0] * 150 + ["timeout"] * 100
    tally = Tally()
    turning = Turning(tally)
    for first in range(0, 250, cut):
        turning.note(block(first + 1, ms=values[first : first + cut]))
    assert tally.counts == {TURNED: 100}
    assert tally.examples == {TURNED: "a.json:151"}


def test_what_holds_both_by_nature_is_not_told():
    tally = Tally()
    turning = Turning(tally)
    turning.note(block(1, size=[1.0, "-"] * 60))
    turning.note(block(121, size=[1.0] * 200 + ["-"] * 9))
    assert not tally.counts


def test_words_of_a_field_that_a_model_watches_are_told_from_the_first():
    tally = Tally()
    Turning(tally, ["ms"]).note(block(1, ms=["slow", "fast", None]))
    assert tally.counts == {TURNED: 2}


def test_so_many_fields_are_named():
    tally = Tally()
    names = [f"f{i}" for i in range(MOST_NAMED + 4)]
    Turning(tally, names).note(block(1, **{name: ["text"] for name in names}))
    assert len(tally.counts) == MOST_NAMED + 1
    assert tally.counts[OTHERS] == 4


def orders(n: int, ms: object) -> str:
    """Return the JSON lines of `n` orders."""
    return "".join(
        json.dumps(
            {
                "time": f"2026-03-02T{o // 60:02d}:{o % 60:02d}:{s:02d}Z",
                "order": f"ord-7{o:03d}",
                "ms": ms(o) if callable(ms) else ms,
                "msg": f"step {'abc'[s]}",
            }
        )
        + "\n"
        for o in range(n)
        for s in range(3)
    )


def test_fit_and_detect_tell_it_like_everything_that_was_cleaned(tmp_path: Path):
    half = tmp_path / "half.json"
    half.write_text(orders(80, lambda o: 10 + o % 7 if o < 40 else "n/a"))
    learned = oddlog.fit(half, session="order", detectors=["snn", "new-event"], rates=False)
    assert learned.training["tally"]["counts"][TURNED] == 120
    assert learned.training["tally"]["examples"][TURNED] == f"{half}:121"
    usual, today = tmp_path / "usual.json", tmp_path / "today.json"
    usual.write_text(orders(80, lambda o: 10 + o % 7))
    today.write_text(orders(5, "fast"))
    model = oddlog.fit(usual, session="order", detectors=["snn", "values"], rates=False)
    assert [number.name for number in model.context.numbers] == ["ms"]
    assert not [told for told in model.training["tally"]["counts"] if "text" in told]
    assert model.detect(today).tally.counts[TURNED] == 15


def test_the_example_is_a_place_and_not_the_text_which_may_be_secret(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(orders(80, lambda o: 10 if o < 40 else "password=hunter2"))
    reading = Reading()
    list(reading.records(path))
    assert reading.tally.examples[TURNED] == f"{path}:121"
