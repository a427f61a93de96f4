"""Lines of many sources, read and cleaned together, become the records that each source's file holds."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from oddlog.pipeline.live.arriving import MOST_AHEAD, MOST_SOURCES, TOO_MANY, Arriving
from oddlog.pipeline.reading import Reading
from oddlog.types import LINES, RECORDS, Tally

TRACE = ["java.lang.IllegalStateException: charge", "\tat shop.Pay.charge(Pay.java:41)", "Caused by: none left"]


def json_line(draw: random.Random, i: int, name: str) -> list[str]:
    said = draw.choice(
        ["order paid", "card declined", "Bearer abcdefghijklmnop1234", "message repeated 2 times: [ x ]"]
    )
    fields = {"ts": f"2026-03-05T10:{i // 60:02d}:{i % 60:02d}.123456Z", "level": "INFO", "service": name, "msg": said}
    return [json.dumps(fields | {f"own_{name}": i, "took_ms": draw.choice([i, "slow" if i > 150 else i])})]


def java_line(draw: random.Random, i: int, name: str) -> list[str]:
    text = f"2026-03-05 10:{i // 60:02d}:{i % 60:02d},123 {draw.choice(['INFO', 'ERROR'])} shop.{name}: step {i}  done"
    return [text, *(TRACE if draw.random() < 0.05 else [])]


def yearless_line(draw: random.Random, i: int, name: str) -> list[str]:
    day = "Dec 31 23" if i < 100 else "Jan  1 00"
    said = draw.choice(["session opened", "session closed", "last message repeated 3 times"])
    return [f"{day}:{i % 60:02d}:{i % 60:02d} web-1 {name}[{i}]: {said}"]


def plain_line(draw: random.Random, i: int, name: str) -> list[str]:
    return draw.choice([[f"{name} did step {i}"], [f"{name} saw"], ["Traceback (most recent call last)", " x", "Err"]])


KINDS = (json_line, java_line, yearless_line, plain_line)


def made(draw: random.Random, folder: Path, n: int) -> dict[str, list[str]]:
    """Return lines of `n` sources, which are files, too."""
    texts: dict[str, list[str]] = {}
    for s in range(n):
        lines = [line for i in range(draw.randrange(60, 200)) for line in KINDS[s % len(KINDS)](draw, i, f"s{s}")]
        path = folder / f"source{s}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        texts[str(path)] = lines
    return texts


def mixed(draw: random.Random, texts: dict[str, list[str]]) -> pl.DataFrame:
    """Return the lines of all sources as they might arrive, numbered as a spool numbers them."""
    left = {name: list(lines) for name, lines in texts.items()}
    rows: list[tuple[str, int, int, str, int]] = []
    line = dict.fromkeys(texts, 0)
    while left:
        name = draw.choice(list(left))
        for _ in range(draw.randrange(1, 6)):
            if left[name]:
                line[name] += 1
                rows.append((name, len(rows) + 1, line[name], left[name].pop(0), 1))
        if not left[name]:
            del left[name]
    return pl.DataFrame(rows, schema=LINES, orient="row")


def of_source(records: list[pl.DataFrame], name: str) -> pl.DataFrame:
    mine = pl.concat([frame.filter(pl.col("source") == name) for frame in records], how="diagonal_relaxed")
    mine = mine.drop("position", *[column for column in mine.columns if mine[column].null_count() == len(mine)])
    return mine.select(sorted(mine.columns))


@pytest.mark.parametrize("seed", range(6))
def test_any_batching_of_many_sources_gives_the_records_of_each_file(seed: int, tmp_path: Path):
    draw = random.Random(seed)
    texts = made(draw, tmp_path, 9)
    lines = mixed(draw, texts)
    cuts = sorted({0, len(lines), *(draw.randrange(len(lines)) for _ in range(draw.choice([2, 20, 200])))})
    arriving = Arriving(Reading(tally=Tally()), sample_lines=20)
    found = [frame for a, b in pairwise(cuts) for frame in arriving.push(lines[a:b], 0.0)] + arriving.finish()
    for name in texts:
        reading = Reading(tally=Tally())
        whole = [frame for frame in reading.records(name) if len(frame)]
        assert_frame_equal(of_source(found, name), of_source(whole, name), check_column_order=False)
    assert arriving.earliest is None
    assert {name: place.line for name, place in arriving.places().items()} == {n: len(t) for n, t in texts.items()}


def test_what_was_seen_of_each_source_is_dropped_when_it_comes_again(tmp_path: Path):
    draw = random.Random(1)
    lines = mixed(draw, made(draw, tmp_path, 6))
    first, again = (Arriving(Reading(tally=Tally()), sample_lines=20) for _ in range(2))
    before = first.push(lines[:400], 0.0)
    again.resume(first.places())
    after = again.push(lines[: first.earliest - 1], 0.0)
    assert after == []
    after = again.push(lines[first.earliest - 1 :], 1.0) + again.finish()
    places = [(frame["source"], frame["line"]) for frame in before + after]
    assert sum(len(source) for source, _ in places) == len(
        {place for source, line in places for place in zip(source, line, strict=True)}
    )
    whole = Arriving(Reading(tally=Tally()), sample_lines=20)
    assert sum(map(len, whole.push(lines, 0.0) + whole.finish())) == sum(map(len, before + after))


def test_sources_that_have_too_many_fields_together_keep_them_all():
    def line(s: int, i: int) -> str:
        fields = {f"field{s}_{n}": i for n in range(20)}
        return json.dumps({"ts": f"2026-03-05T10:00:{i:02d}Z", "msg": "done", **fields})

    arriving = Arriving(Reading(tally=Tally()), sample_lines=5)
    for i in range(0, 60, 6):
        rows = [(f"s{s}", 100 * i + s * 6 + k, i + k + 1, line(s, i + k), 1) for s in range(8) for k in range(6)]
        for frame in arriving.push(pl.DataFrame(rows, schema=LINES, orient="row"), float(i)):
            for (name,), mine in frame.group_by("source"):
                s = str(name)[1:]
                assert [f"n.field{s}_{n}" in mine.columns for n in range(20)] == [True] * 20
                assert mine[f"n.field{s}_0"].null_count() == 0


def test_a_record_without_an_end_takes_bounded_memory():
    arriving = Arriving(Reading(tally=Tally()), sample_lines=2)
    texts = ["2026-03-05 10:00:00,123 INFO shop.pay: begun", "2026-03-05 10:00:01,123 INFO shop.pay: failed"]
    texts += ["\tat shop.Pay.charge(Pay.java:41)"] * (MOST_AHEAD + 50_000)
    for at in range(0, len(texts), 30_000):
        some = texts[at : at + 30_000]
        rows = {"source": "a", "position": range(at, at + len(some)), "line": range(at, at + len(some)), "text": some}
        arriving.push(pl.DataFrame({**rows, "count": 1}).cast(dict(LINES)), 0.0)
    assert len(arriving._sources["a"].ahead[0]) <= MOST_AHEAD
    assert arriving.earliest == 1
    (last,) = arriving.finish()
    assert last["message"][0].startswith("failed")
    assert arriving.places()["a"].line == len(texts) - 1


def test_sources_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("oddlog.pipeline.live.arriving.MOST_SOURCES", 3)
    assert MOST_SOURCES > 3
    arriving = Arriving(Reading(tally=Tally()), sample_lines=1)
    rows = [(f"s{i % 5}", i + 1, i + 1, f"2026-03-05 10:00:0{i},123 INFO a.b: said", 1) for i in range(10)]
    done = arriving.push(pl.DataFrame(rows, schema=LINES, orient="row"), 0.0) + arriving.finish()
    assert sum(map(len, done)) == 6
    assert arriving.tally.counts[TOO_MANY] == 4
    assert set(RECORDS) <= set(done[0].columns)
