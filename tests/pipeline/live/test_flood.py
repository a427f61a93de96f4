"""A flood of lines no two of which are of one kind: what is held stays bounded, and a look stays cheap."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.lazyframe.frame import LazyFrame

import oddlog
from oddlog.model import Model
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live import held, naming
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.live.unfolding import FORGOTTEN
from oddlog.types import LINES


@pytest.fixture(scope="module")
def model(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


def word(number: int) -> str:
    return "".join("bcdfghjklm"[int(digit)] + "aeiou"[int(digit) % 5] for digit in str(number))


def flood(first: int, n: int) -> pl.DataFrame:
    """Return `n` lines, each of a kind of its own."""
    numbers = range(first, first + n)
    texts = [f"2026-03-05 10:{i // 60 % 60:02d}:{i % 60:02d},000 ERROR shop.web: {word(i)} lost" for i in numbers]
    place = [i + 1 for i in numbers]
    columns = {"source": ["a.log"] * n, "position": place, "line": place, "text": texts, "count": [1] * n}
    return pl.DataFrame(columns, schema=LINES, strict=False)


def looked_at(stream: Streaming, n: int, step: int = 50) -> list[list[tuple[str, str]]]:
    told = []
    for at in range(0, n, step):
        stream.push(flood(at, step), at / step)
        stream.tick(at / step + 0.6)
        told.append([(one.change, one.incident.id) for one in stream.incidents(every=True)])
    return told


def test_each_kind_is_an_incident_and_calls_of_polars_do_not_grow_with_kinds(
    model: Model, monkeypatch: pytest.MonkeyPatch
):
    calls = []
    collect = LazyFrame.collect

    def counted(self, *args, **options):
        calls.append(1)
        return collect(self, *args, **options)

    def of(n: int) -> int:
        stream = Streaming(model, sample_lines=20)
        stream.push(flood(0, n), 0.0)
        stream.tick(0.6)
        monkeypatch.setattr(LazyFrame, "collect", counted)
        calls.clear()
        assert len(stream.incidents(every=True)) == n
        monkeypatch.setattr(LazyFrame, "collect", collect)
        return len(calls)

    assert of(200) <= of(50) + 5


def test_what_is_let_go_is_over_and_counted_and_never_called_usual(model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held, "MOST_LINES", 100)
    stream = Streaming(model, sample_lines=20)
    told = looked_at(stream, 600)
    changes = [change for some in told for change, _ in some]
    assert changes.count("new") == 600
    assert changes.count("over") == stream.tally.counts[FORGOTTEN] == 500
    assert "withdrawn" not in changes


def test_what_a_checkpoint_holds_does_not_grow_with_the_flood(model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held, "MOST_LINES", 100)
    monkeypatch.setattr(naming, "MOST_NAMES", 300)
    stream = Streaming(model, sample_lines=20, max_unseen=200)
    sizes = []
    for part in range(6):
        for at in range(part * 400, part * 400 + 400, 50):
            stream.push(flood(at, 50), at / 50)
            stream.tick(at / 50 + 0.6)
            stream.incidents(every=True)
        own = stream._teller.unfolding.state()
        sizes.append({name: len(value) for name, value in own.meta.items() if isinstance(value, (list, dict))})
    names = stream._teller.unfolding._naming
    assert max(len(one) for one in (names._rank, names._id)) <= 1_000
    assert sizes[-1] == sizes[-2]
    again = Streaming(model, sample_lines=20, max_unseen=200)
    again.restore(unpacked(packed(stream.state())))
    assert again._teller.unfolding.state().meta["names"] == stream._teller.unfolding.state().meta["names"]
