"""What is collected of a whole log while it is judged."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog
from oddlog.features.text import embed
from oddlog.model import Model
from oddlog.pipeline import Detection
from oddlog.pipeline.events import Codes
from oddlog.pipeline.judging import overview
from oddlog.pipeline.judging.overview import Collector
from oddlog.pipeline.reading import Reading
from oddlog.templates import Matcher, mine, with_embedding
from oddlog.types import LEVELS, NO_TIME, Context, Number
from small_shop import shop_lines

SECOND = 1_000_000


@pytest.fixture(scope="module")
def shop(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


@pytest.fixture(scope="module")
def found(shop: Model, odd_log: Path) -> Detection:
    return shop.detect(odd_log, overview=True)


def test_without_being_asked_nothing_is_collected(shop: Model, odd_log: Path, found: Detection):
    plain = shop.detect(odd_log)
    assert plain.overview is None
    assert plain.incidents == found.incidents
    assert plain.scores.equals(found.scores)


def test_lines_and_errors_are_counted_by_service_and_second(found: Detection, odd_log: Path):
    lines, errors = Counter(), Counter()
    for line in odd_log.read_text().splitlines():
        day, time, level, service, _ = line.split(" ", 4)
        at = datetime.fromisoformat(f"{day}T{time.split(',')[0]}+00:00")
        key = (int(at.timestamp()) * SECOND, service.rstrip(":"))
        lines[key] += 1
        errors[key] += level == "ERROR"
    told = found.overview
    assert told.width_us == SECOND
    assert {(i, s): n for i, s, n in told.rates.select("interval", "service", "lines").iter_rows()} == lines
    assert told.rates["errors"].sum() == sum(errors.values()) == 3
    assert told.rates["odd"].sum() == 0
    assert told.rates["interval"].is_sorted()


def test_new_message_types_are_told_with_where_they_came_first(found: Detection, odd_log: Path):
    assert found.overview.n_news == 1
    assert found.overview.news.rows(named=True) == [
        {
            "text": "Order <*> lost: carrier refused parcel <*>",
            "level": "ERROR",
            "n": 3,
            "first": datetime(2026, 3, 3, 6, 33, 25, 432_000, tzinfo=UTC),
            "service": "shop.ship",
            "source": str(odd_log),
            "line": 316,
        }
    ]


def test_scores_of_each_view_are_kept(found: Detection):
    (view,) = found.overview.views
    assert (view.name, view.noun, view.n_odd) == ("sessions", "sessions", 3)
    assert view.threshold == found.scores["threshold"][0]
    expected = found.scores["score"].drop_nulls().drop_nans().sort().to_numpy()
    np.testing.assert_allclose(np.sort(view.score), expected, rtol=1e-6)


def test_an_incident_is_seen_from_near(found: Detection):
    (one,) = found.incidents
    near = found.overview.closeups[one.id]
    assert (near.key, near.noun, near.n_lines) == ("ord-200060", "sessions", 4)
    assert [(d.text, d.kind, d.seen, d.usual) for d in near.differences] == [
        ("Order <*> lost: carrier refused parcel <*>", "unseen_template", 1, 0),
        ("Order <*> handed to carrier <*>", "missing_event", 0, 1),
        ("Order <*> receipt sent", "missing_event", 0, 1),
    ]
    assert near.lines.filter("odd")["message"].to_list() == ["Order ord-200060 lost: carrier refused parcel 895973"]
    assert near.lines["message"][0].startswith("Order ord-200060 received from 192.0.2.")
    assert len(near.starts) == one.n_windows == 3


def test_a_line_odd_by_itself_is_seen_with_its_neighbours(shop: Model, tmp_path: Path):
    lines = shop_lines(60, 2, start=80_000)
    lines[100] = "2026-03-03 06:40:00,000 CRITICAL shop.disk: Volume 7 is gone"
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines) + "\n")
    told = shop.detect(log, overview=True)
    single = next(one for one in told.incidents if not one.n_windows)
    near = told.overview.closeups[single.id]
    assert near.lines["line"].to_list() == [98, 99, 100, 101, 102, 103, 104]
    assert near.lines.filter("odd")["message"].to_list() == ["Volume 7 is gone"]
    assert (near.key, near.n_lines, near.differences) == ("", 0, ())
    assert told.overview.rates.filter(pl.col("odd") > 0).select("service", "odd").rows() == [("shop.disk", 1)]


def test_a_stack_trace_comes_with_its_line_and_what_follows_does_not(shop: Model, tmp_path: Path):
    lines = shop_lines(60, 2, start=80_000)
    trace = ["java.io.IOException: no route", *(f"\tat com.example.Pay.step{i}(Pay.java:{i})" for i in range(6))]
    lines[100:100] = ["2026-03-03 06:40:00,000 ERROR shop.pay: Charge failed", *trace]
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines) + "\n")
    told = shop.detect(log, overview=True)
    single = next(one for one in told.incidents if not one.n_windows)
    near = told.overview.closeups[single.id].lines
    assert near.filter("odd")["text"].to_list() == ["\n".join(lines[100:108])]
    # lines 98 to 104 are asked for; those behind 101 are part of its record
    assert near.filter(pl.col("message").is_not_null())["line"].to_list() == [98, 99, 100, 101]


def collector() -> Collector:
    context = Context(with_embedding(mine(*empty_types()), embed))
    return Collector(context, Matcher(context.templates), Codes(["", "a", "b"]), Codes(["x.log"]))


def empty_types():
    return np.empty(0, np.uint64), pl.Series([], dtype=pl.String), np.empty(0, np.int64), np.empty(0, np.uint8)


def block(rows, *, field: str = "n.duration_ms") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return records and events of (second or None, service code, level, number or None)."""
    n = len(rows)
    events = pl.DataFrame(
        {
            "time_us": [NO_TIME if at is None else at * SECOND for at, *_ in rows],
            "level": [LEVELS.index(level) for _, _, level, _ in rows],
            "service": [service for _, service, _, _ in rows],
            "source": [0] * n,
            "line": list(range(1, n + 1)),
            "count": [1] * n,
            "template": [0] * n,
        },
        schema_overrides={
            "time_us": pl.Int64,
            "level": pl.UInt8,
            "service": pl.UInt16,
            "source": pl.UInt16,
            "line": pl.UInt64,
            "count": pl.UInt32,
            "template": pl.UInt32,
        },
    )
    return pl.DataFrame({field: [value for *_, value in rows]}, schema={field: pl.Float32}), events


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-5_000, 200_000),
        st.integers(0, 2),
        st.sampled_from(["INFO", "ERROR", "CRITICAL"]),
        st.none() | st.floats(0, 1e6, width=32) | st.just(float("nan")),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(2, 30))
def test_any_blocks_and_any_width_give_the_sums_of_the_slow_way(rows, cut: int, most: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "MOST_INTERVALS", most)
        patch.setattr(overview, "COMPACT_ROWS", 10)
        collecting = collector()
        collecting._add_news = lambda _: None  # these lines are of no model
        for part in (rows[:cut], rows[cut:]):
            if part:
                collecting.add_records(*block(part))
        told = collecting.overview(Reading())
    timed = [row for row in rows if row[0] is not None]
    width = told.width_us // SECOND
    lines, errors, numbers = Counter(), Counter(), {}
    for at, service, level, value in timed:
        key = (at // width * width * SECOND, ["", "a", "b"][service])
        lines[key] += 1
        errors[key] += level != "INFO"
        if value is not None and np.isfinite(value):
            numbers.setdefault(key, []).append(np.log1p(value))
    assert told.n_untimed == len(rows) - len(timed)
    assert {(i, s): n for i, s, n in told.rates.select("interval", "service", "lines").iter_rows()} == lines
    assert {(i, s): n for i, s, n in told.rates.select("interval", "service", "errors").iter_rows()} == errors
    assert told.rates["interval"].n_unique() <= most or width == overview.WIDTHS_US[-1] // SECOND
    means = {(i, s): (mean, n) for i, s, mean, n in told.numbers.select("interval", "service", "mean", "n").iter_rows()}
    assert means.keys() == numbers.keys()
    for key, values in numbers.items():
        assert means[key] == (pytest.approx(np.mean(values)), len(values))


def test_each_width_holds_the_one_before_a_whole_number_of_times():
    widths = overview.WIDTHS_US
    assert all(longer % shorter == 0 for shorter, longer in itertools.pairwise(widths))


@pytest.mark.parametrize(
    ("name", "followed"),
    [("duration_ms", True), ("bytes", True), ("cpu", True), ("request_id", False), ("pid", False), ("src.port", False)],
)
def test_numbers_that_name_something_are_not_followed(name: str, followed: bool):
    followed_here = collector()._measured(*block([(1, 0, "INFO", 2.0)], field=f"n.{name}"))
    assert [(code, value.name) for code, value in followed_here] == ([(0, f"n.{name}")] if followed else [])


def test_the_numbers_that_a_model_watches_are_followed_and_no_others():
    collecting = collector()
    collecting.context = replace(collecting.context, numbers=(Number("bytes"), Number("00000000000000ab:1", "ms")))
    collecting.__post_init__()
    collecting._add_news = lambda _: None
    records, events = block([(1, 1, "INFO", 9.0), (2, 1, "INFO", 9.0)])
    watched = {"n.00": [5.0, None], "n.01": [None, 7.0]}
    collecting.add_records(
        records, events.with_columns(**{n: pl.Series(v, dtype=pl.Float32) for n, v in watched.items()})
    )
    numbers = collecting.overview(Reading()).numbers.sort("name")
    assert numbers.select("name", "service", "n").rows() == [("00000000000000ab:1", "a", 1), ("bytes", "a", 1)]
    np.testing.assert_allclose(numbers["mean"], [np.log(8), np.log(6)])


def test_services_beyond_the_limit_are_counted_together():
    collecting = collector()
    collecting.services = Codes([f"s{i}" for i in range(200)])
    collecting._add_news = lambda _: None
    collecting.add_records(*block([(1, i, "INFO", None) for i in range(200)]))
    rates = collecting.overview(Reading()).rates
    assert rates["service"].n_unique() == overview.MOST_SERVICES + 1
    assert rates.filter(pl.col("service") == "(others)")["lines"].to_list() == [200 - overview.MOST_SERVICES]
