"""Services that a model has never seen are learning for a day, and then odd as any other."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.pipeline.judging.newcomers import VANISHED
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES, LiveIncident, State
from small_shop import shop_lines


@pytest.fixture(scope="module")
def model(small_log: Path) -> oddlog.Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


def frame(texts: list[str], first: int = 1) -> pl.DataFrame:
    numbers = range(first, first + len(texts))
    columns = {"source": "app.log", "position": numbers, "line": numbers, "text": texts, "count": 1}
    return pl.DataFrame(columns, schema=LINES, strict=False)


def gift(day: int, what: str, n: int = 40) -> list[str]:
    """Return lines of a service that is new, in sessions of its own."""
    return [f"2026-03-{2 + day:02d} 12:{i:02d}:00,000 ERROR shop.gift: Card crd-{day}{i:04d} {what}" for i in range(n)]


def told(stream: Streaming, texts: list[str], first: int, now_s: float) -> tuple[pl.DataFrame, list[LiveIncident]]:
    pushed = [stream.push(frame(texts, first), now_s), stream.tick(now_s + 1)]
    return pl.concat([one.lines for one in pushed]), stream.incidents()


def test_a_new_service_is_one_notice_and_none_of_its_lines_is_odd_for_a_day(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    told(stream, shop_lines(30, 5), 1, 0.0)
    lines, incidents = told(stream, gift(0, "printed"), 1_001, 10.0)
    assert len(lines) == 0
    (one,) = incidents
    assert (one.incident.key, one.incident.urgency) == ("service shop.gift", "notice")
    assert one.incident.reasons[0].numbers["types"] == 1
    state = unpacked(packed(stream.state()))
    stream = Streaming(model, sample_lines=1)
    stream.restore(state)
    _, incidents = told(stream, gift(2, "printed"), 2_001, 20.0)
    assert [(one.change, one.incident.key) for one in incidents] == [("over", "service shop.gift")]
    lines, incidents = told(stream, gift(3, "went up in flames", 3), 3_001, 30.0)
    assert len(lines) == 3
    assert "went up in flames" in incidents[0].incident.reasons[0].text


DAY_S = 86_400.0


def test_the_notice_of_a_service_that_vanishes_is_over_after_a_day_without_a_line(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    told(stream, shop_lines(30, 5), 1, 0.0)
    told(stream, gift(0, "printed"), 1_001, 10.0)
    state = unpacked(packed(stream.state()))
    for noted in (state, older(state)):  # a checkpoint from before this was noted counts from when it is read
        stream = Streaming(model, sample_lines=1)
        stream.restore(noted)
        stream.tick(20.0)
        assert stream.incidents() == []
        stream.tick(DAY_S - 10.0)
        assert stream.incidents() == []
        stream.tick(DAY_S + 60.0)
        ((key, change, notes),) = [(one.incident.key, one.change, one.incident.notes) for one in stream.incidents()]
        assert (key, change, notes) == ("service shop.gift", "over", (VANISHED,))
        assert not stream.going
        stream.tick(3 * DAY_S)
        assert stream.incidents() == []
        lines, _ = told(stream, gift(2, "printed", 3), 2_001, 3 * DAY_S)
        assert len(lines) == 0  # what it wrote while it was learning stays usual of it
        lines, _ = told(stream, gift(2, "went up in flames", 3), 3_001, 3 * DAY_S + 10)
        assert len(lines) == 3


def older(state: State) -> State:
    """Return a state as it was when nothing was noted of when a service was heard of."""
    meta = json.loads(json.dumps(state.meta))
    for _, one in meta["telling"]["newcomers"]["seen"]:
        del one["heard_us"], one["heard"]
    return State(state.arrays, meta)


def test_what_a_new_service_writes_in_its_first_day_is_learned_also_where_a_batch_holds_more(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    told(stream, shop_lines(30, 5), 1, 0.0)
    lines, _ = told(stream, [*gift(0, "printed"), *gift(2, "printed"), *gift(2, "went up in flames", 3)], 1_001, 10.0)
    assert len(lines) == 3


def test_a_new_service_whose_lines_come_days_late_goes_on_learning(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    told(stream, shop_lines(30, 5), 1, 0.0)
    for part in range(3):
        texts = [one.replace("2026-03-02", "2026-02-26") for one in gift(0, "printed")[part * 10 : part * 10 + 10]]
        _, incidents = told(stream, texts, 1_001 + part * 10, 10.0 + part)
        assert [one.change for one in incidents] == (["new"] if part == 0 else [])
    assert stream.going


def test_what_a_known_service_writes_stays_odd_meanwhile(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    told(stream, shop_lines(30, 5), 1, 0.0)
    told(stream, gift(0, "printed"), 1_001, 10.0)
    lines, incidents = told(stream, [one.replace("gift", "mail") for one in gift(1, "printed", 3)], 2_001, 20.0)
    assert len(lines) == 3
    assert [one.incident.services for one in incidents] == [("shop.mail",)]


def test_a_log_whose_services_are_all_called_otherwise_is_judged(model: oddlog.Model):
    stream = Streaming(model, sample_lines=20)
    lines, _ = told(stream, gift(0, "printed"), 1, 0.0)
    assert len(lines) == 40
