"""Records have exact types, and no more fields than a block can bear."""

from __future__ import annotations

import json

import polars as pl
import pytest

from oddlog.formats import by_name, detect_format, parse_lines
from oddlog.formats.csv_table import CsvTable
from oddlog.formats.json_lines import decoded, slowly
from oddlog.types import LINES, RECORDS, Tally


def lines_of(*texts: str) -> pl.DataFrame:
    n = len(texts)
    columns = {"source": ["a.log"] * n, "position": range(n), "line": range(1, n + 1), "text": texts, "count": [1] * n}
    return pl.DataFrame(columns, schema=LINES)


def test_records_are_lines_and_more_in_exact_types() -> None:
    lines = lines_of("2024-11-20 10:11:12 INFO [main] a.B: x", "no header")
    records = parse_lines(lines, by_name("log4j"), year=2024)
    assert records.schema == {**LINES, "ok": pl.Boolean, **RECORDS, "f.thread": pl.String}
    assert records.columns[:6] == ["source", "position", "line", "text", "count", "ok"]
    assert records["level"].to_list() == ["INFO", "UNKNOWN"]
    assert records["message"].to_list() == ["x", "no header"]
    assert records.select(lines.columns).equals(lines)


def test_blocks_of_one_source_can_be_joined_diagonally() -> None:
    blocks = [
        ['{"a":1,"message":"x"}'],
        ['{"a":"word","b":2.5,"message":"x"}'],
        ['{"a":[1],"message":"x"}', "not json"],
        ['{"a":true,"message":"x"}', '{"a":null}'],
        [],
    ]
    frames = [parse_lines(lines_of(*block), by_name("json"), year=2024) for block in blocks]
    joined = pl.concat(frames, how="diagonal")
    assert joined["n.a"].to_list() == [1.0, None, None, None, None, None]
    assert joined["f.a"].to_list() == [None, "word", None, None, "true", None]


def test_fields_beyond_64_of_a_kind_are_counted() -> None:
    wide = {f"n{i:03d}": i for i in range(70)} | {f"w{i:03d}": "x" for i in range(65)}
    tally = Tally()
    records = parse_lines(
        lines_of(json.dumps(wide), json.dumps({"n069": 1, "w064": "y"})), by_name("json"), year=2024, tally=tally
    )
    assert sum(c.startswith("n.") for c in records.columns) == 64
    assert sum(c.startswith("f.") for c in records.columns) == 64
    assert {"n.n069", "f.w064"} <= set(records.columns), "those that most lines have are kept"
    assert tally.counts == {"fields beyond 64 of a kind, not kept": 7}


def test_a_csv_block_without_its_header_is_read_by_the_format_bound_to_it() -> None:
    first = ["Time,Level,Message", *[f"2024-11-20 10:11:{i:02d},INFO,message {i}" for i in range(30)]]
    found = detect_format(pl.Series(first), year=2024)
    assert isinstance(found.format, CsvTable)
    records = parse_lines(lines_of("2024-11-20 10:12:00,ERROR,later"), found, year=2024)
    assert records.select("ok", "level", "message").row(0) == (True, "ERROR", "later")


def test_the_quick_and_the_slow_reader_of_json_agree() -> None:
    text = pl.Series(['{"a":1,"b":{"c":"x","d":[1]}}', '{"a":2.5,"e":true}', '{"b":{"c":"y"}}'])
    quick, _ = decoded(text)
    slow, ok = slowly(text)
    assert ok.all()
    assert quick.select(sorted(slow.columns)).equals(slow.select(sorted(slow.columns)))


@pytest.mark.parametrize("depth", [10, 100, 5_000])
def test_deep_json_neither_raises_nor_hangs(depth: int) -> None:
    text = '{"message":"x","a":' + "[" * depth + "]" * depth + "}"
    records = by_name("json").parse(pl.Series([text, '{"message":"y"}']), year=2024)
    assert records["message"].to_list()[1] == "y"
    assert records["ok"].to_list()[1]
