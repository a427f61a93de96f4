"""Services that a model has never seen are learning for a day, and then odd as any other."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import oddlog
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.streaming import Streaming
from oddlog.types import LINES, LiveIncident
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
