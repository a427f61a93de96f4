"""Counts judged while they come are those that one `detect` of all lines finds."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import oddlog
from made_rates import DAY, FAILED, MONDAY, QUERY, More, Silent, traffic, write
from oddlog.feedback import Answer, Answers
from oddlog.model import Model
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.rating import KEPT
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources import read_blocks
from oddlog.types import SCORES, LiveIncident, Tally

FAST: dict[str, Any] = {"session": "none", "window": "600s", "detectors": ["new-event"]}
NEXT = MONDAY + 4 * DAY
STORM = NEXT + 720
ATTACKER = "203.0.113.9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rates")
    changes = (
        More(FAILED, STORM, 10, 20.0, ATTACKER),
        More(QUERY, STORM + 240, 8, 60.0),
        Silent("auth", STORM + 420, 60),
    )
    write(traffic(MONDAY, 4 * DAY, 1), folder / "train.log")
    write(traffic(NEXT, DAY, 2, *changes), folder / "today.log")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return oddlog.fit(folder / "train.log", **FAST)


@pytest.fixture(scope="module")
def found(model: Model, folder: Path) -> Detection:
    return model.detect(folder / "today.log")


@pytest.fixture(scope="module")
def today(folder: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(str(folder / "today.log"), Tally())))


def rated(found: Detection, model: Model) -> pl.DataFrame:
    return found.scores.filter(pl.col("threshold") == model.rates.watch.threshold).sort("start", "key")


def streamed(stream: Streaming, batches: list[pl.DataFrame]) -> tuple[pl.DataFrame, list[LiveIncident]]:
    """Return the last verdict of each ten minutes, and what was told of incidents."""
    pushed, told = [], []
    for i, batch in enumerate(batches):
        pushed += [stream.push(batch, float(i)), stream.tick(float(i))]
        told += stream.incidents(every=True)
    pushed.append(stream.finish())
    told += stream.incidents(every=True)
    verdicts = pl.concat([one.verdicts for one in pushed]).filter(pl.col("view") == "rates")
    last = verdicts.unique("key", keep="last", maintain_order=True)
    return last.select(list(SCORES)).sort("start", "key"), told


def cut(lines: pl.DataFrame, at: list[float]) -> list[pl.DataFrame]:
    edges = sorted({0, len(lines), *(int(one * len(lines)) for one in at)})
    return [lines[a:b] for a, b in pairwise(edges)]


def at(text: str) -> str:
    return str(json.loads(text)["ts"])


few = settings(
    max_examples=4, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@few
@given(at=st.lists(st.floats(0, 1), max_size=20))
def test_any_batching_gives_the_verdicts_of_one_detect(
    at: list[float], model: Model, today: pl.DataFrame, found: Detection
):
    verdicts, told = streamed(Streaming(model, sample_lines=50), cut(today, at))
    assert_frame_equal(verdicts, rated(found, model), rel_tol=1e-9)
    assert verdicts["is_anomaly"].sum() > 3
    kinds = {one.incident.reasons[0].kind for one in told}
    assert kinds == {one.reasons[0].kind for one in found.incidents}


def test_what_is_told_live_is_what_detect_tells_minutes_after_it_began(
    model: Model, today: pl.DataFrame, found: Detection
):
    stream = Streaming(model, sample_lines=50)
    told: dict[str, list[tuple[int, LiveIncident]]] = {}
    minute = pl.Series([(int(ts[11:13]) * 60 + int(ts[14:16])) // 4 * 4 for ts in map(at, today["text"])])
    afternoon = today.filter((minute >= 700) & (minute < 1_320))
    for (i,), part in afternoon.group_by(minute.filter((minute >= 700) & (minute < 1_320)), maintain_order=True):
        stream.push(part, float(i))
        stream.tick(float(i))
        for one in stream.incidents():
            told.setdefault(one.incident.id, []).append((NEXT + i + 4, one))
    first = {one[0][1].incident.reasons[0].kind: one[0] for one in told.values()}
    assert first["concentration"][0] - STORM <= 4
    assert first["rate"][0] - (STORM + 240) <= 4
    assert first["silence"][0] - (STORM + 420) <= 25
    assert first["concentration"][1].incident.reasons[0].numbers["entity"] == ATTACKER
    assert len(told) == len(found.incidents)
    for changes in told.values():
        assert (changes[0][1].change, changes[-1][1].change) == ("new", "over")
        assert not any(one.provisional for _, one in changes)
    (attack,) = (c for c in told.values() if c[0][1].incident.reasons[0].kind == "concentration")
    whole = next(one for one in found.incidents if one.reasons[0].kind == "concentration")
    last = attack[-1][1].incident
    assert (last.start, last.end, last.services) == (whole.start, whole.end, whole.services)
    assert [line.text for line in last.lines] == [line.text for line in whole.lines]
    assert last.lines[0].text.count(ATTACKER) == 1


def test_it_goes_on_from_its_state_and_tells_nothing_twice(model: Model, today: pl.DataFrame, found: Detection):
    parts = cut(today, [0.2, 0.505, 0.52, 0.7, 0.82])
    pushed, told, state = [], [], None
    for i, part in enumerate(parts):
        stream = Streaming(model, sample_lines=1)
        if state is not None:
            stream.restore(unpacked(packed(state)))
            assert stream.incidents() == []
        pushed += [stream.push(part, float(i)), stream.tick(i + 0.6)]
        told += stream.incidents()
        state = stream.state()
    pushed.append(stream.finish())
    told += stream.incidents()
    verdicts = pl.concat([one.verdicts for one in pushed]).filter(pl.col("view") == "rates")
    last = verdicts.unique("key", keep="last", maintain_order=True).select(list(SCORES)).sort("start", "key")
    assert_frame_equal(last, rated(found, model), rel_tol=1e-9)
    assert [one.change for one in told].count("new") == len(found.incidents)
    assert len({one.incident.id for one in told}) == len(found.incidents)


def test_an_answer_holds_for_what_is_counted_too(model: Model, today: pl.DataFrame, found: Detection):
    answers = Answers()
    for one in found.incidents:
        answers.add(Answer("usual", one.pattern, answers.clock(), new_types=one.new_types))
    verdicts, told = streamed(Streaming(model, sample_lines=50, answers=answers), cut(today, [0.5]))
    assert told == []
    assert len(verdicts) > 0


def test_counts_are_forgotten_after_some_hours(model: Model, today: pl.DataFrame):
    stream = Streaming(model, sample_lines=50)
    for i, part in enumerate(cut(today, [i / 48 for i in range(48)])):
        stream.push(part, float(i))
    counting = stream._deciding.rating._counting
    minutes = counting.table("cells")["minute"]
    assert minutes.max() - minutes.min() <= KEPT + 120
    assert counting.hosts.names
    assert set(counting.table("hosts")["host"].unique()) <= set(range(len(counting.hosts.names)))
