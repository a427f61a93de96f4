"""What has drifted is found and named, the same while it comes and at once; what is usual is left alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oddlog
from made_rates import DAY, FAILED, MONDAY, More, Slower, traffic, write
from oddlog.model import Model, load
from oddlog.pipeline.drifting import Drift
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources import read_blocks
from oddlog.types import Tally

FAST: dict[str, Any] = {"session": "none", "window": "600s", "detectors": ["new-event"]}
NEXT = MONDAY + 7 * DAY
CHANGED = NEXT + 720


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift")
    write(traffic(MONDAY, 7 * DAY, 1), folder / "train.log")
    changes = (More(FAILED, CHANGED, 9 * DAY, 1.0), Slower(CHANGED, 9 * DAY, 9.0))
    write(traffic(NEXT, 2 * DAY, 2, *changes), folder / "drifted.log")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return oddlog.fit(folder / "train.log", **FAST)


@pytest.fixture(scope="module")
def found(model: Model, folder: Path) -> Drift:
    drift = model.detect(folder / "drifted.log").drift
    assert drift is not None
    return drift


@pytest.fixture(scope="module")
def lines(folder: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(str(folder / "drifted.log"), Tally())))


def live(stream: Streaming, batches: list[pl.DataFrame], since: int = 0) -> Drift | None:
    for i, batch in enumerate(batches, since):
        stream.push(batch, float(i), windows=False)
        stream.tick(float(i))
    stream.finish()
    return stream.drift()


def test_what_has_drifted_is_named_with_what_is_usual_and_what_is_now(found: Drift):
    said = {(one.service, one.of): one for one in found.drifted}
    failed = said["auth", "types"]
    assert failed.says.startswith('"log-in of <*> failed": usual 9.')
    assert 0.4 < failed.now < 0.7
    assert failed.lasts
    assert abs((failed.since.timestamp() / 60 - CHANGED) / 60) <= 6  # hours
    assert said["auth", "levels"].says.startswith("lines of WARNING: usual 9")
    assert said["db", "values"].says.startswith("values of duration_ms: typically 5")
    assert said["db", "values"].now > 1.25 * said["db", "values"].usual
    assert ("", "types") not in said  # the service says it
    assert found.proposal.startswith("5 figures of auth") or "have drifted for a day and more" in found.proposal
    assert found.as_dict()["drifted"][0]["lasts"]


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_usual_week_does_not_drift(model: Model, folder: Path, seed: int):
    write(traffic(NEXT, 7 * DAY, seed), folder / "usual.log")
    drift = model.detect(folder / "usual.log").drift
    assert drift is not None
    assert not drift.drifted
    assert drift.evidence < 0.7
    assert drift.figures[0].lines == pytest.approx(drift.figures[0].usual_lines, rel=0.1)


def test_before_enough_blocks_have_come_it_is_too_early_to_tell(model: Model, folder: Path, found: Drift):
    assert Drift(watched=50).says == "Too early to tell what has drifted: 0 of 1 hours have come."
    write(traffic(NEXT, 5 * 60, 3), folder / "early.log")
    early = model.detect(folder / "early.log").drift
    assert (early.judged, early.minutes) == (4, 60)  # the last hour is not over
    assert 15 <= early.least <= 30
    assert early.says == f"Too early to tell what has drifted: 4 of {early.least} hours have come."
    assert early.as_dict()["says"] == early.says
    assert found.judged >= found.least
    assert found.says == ""
    write(traffic(NEXT, DAY, 4), folder / "day.log")
    day = model.detect(folder / "day.log").drift
    assert day.says.startswith(f"Nothing has drifted: {day.watched:,} figures followed, the nearest has ")


def test_a_night_of_trouble_is_an_incident_and_no_drift(model: Model, folder: Path):
    write(traffic(NEXT, 2 * DAY, 6, More(FAILED, CHANGED, 8 * 60, 5.0)), folder / "incident.log")
    found = model.detect(folder / "incident.log")
    assert found.incidents
    assert found.drift is not None
    assert not found.drift.drifted


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.lists(st.integers(0, 20_000), max_size=8))
def test_any_batching_gives_what_all_lines_at_once_give(at: list[int], model: Model, lines: pl.DataFrame, found: Drift):
    batches = [lines[a:b] for a, b in pairwise([0, *sorted(set(at)), len(lines)])]
    assert live(Streaming(model), batches) == found


def test_a_stream_goes_on_from_its_state(model: Model, lines: pl.DataFrame, found: Drift):
    half = len(lines) // 2
    one, other = Streaming(model), Streaming(model)
    one.push(lines[:half], 0.0)
    one.tick(0.0)
    place = one.places()["app.log"] if "app.log" in one.places() else next(iter(one.places().values()))
    other.restore(unpacked(packed(one.state())))
    assert live(other, [lines.filter(pl.col("position") > place[0])], 1) == found


def test_a_model_knows_its_usual_blocks_after_it_was_saved(model: Model, folder: Path, found: Drift):
    model.save(folder / "saved.model")
    again = load(folder / "saved.model").detect(folder / "drifted.log").drift
    assert again is not None
    assert [one.says for one in again.drifted] == [one.says for one in found.drifted]


def test_a_model_of_an_hour_says_nothing_of_drift(folder: Path):
    write(traffic(MONDAY, 120, 1), folder / "short.log")
    short = oddlog.fit(folder / "short.log", **FAST)
    assert short.rates is None
    assert short.detect(folder / "drifted.log").drift is None
