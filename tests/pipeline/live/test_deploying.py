"""What is new since a deployment is one incident, live as in `detect`, whenever it is marked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import oddlog
from deployed_shop import DAY, NOON, deployed_lines
from oddlog.feedback import Answer, Answers, Mark, Marks
from oddlog.model import Model
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.deploying import FORGOTTEN
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources import read_blocks
from oddlog.types import Incident, LiveIncident, Tally

DEPLOY = Mark("shop.pay", "3.8.0", NOON)
N_LINES = 530
many = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deployed") / "today.log"
    path.write_text("\n".join(sorted(deployed_lines())) + "\n")
    return path


class Live:
    """A stream, what it has told last of each incident, and every change in order."""

    def __init__(self, model: Model, *marks: Mark) -> None:
        self.model, self.marks = model, marks
        self.told: dict[str, LiveIncident] = {}
        self.changes: list[tuple[str, str]] = []
        self.too_late = False
        self.again = 1 << 40
        self.stream = self._open()

    def _open(self) -> Streaming:
        stream = Streaming(self.model, sample_lines=1)
        stream.mark(standing(*self.marks))
        return stream

    def mark(self, *marks: Mark) -> None:
        self.marks = marks
        self.too_late = any(change == "over" for _, change in self.changes)  # that is not unsaid any more
        self.stream.mark(standing(*marks))

    def restart(self) -> None:
        kept = packed(self.stream.state())
        self.stream = self._open()
        self.stream.restore(unpacked(kept))
        # What was not yet part of a complete record comes again.
        self.again = next((one.line for one in self.stream.places().values()), 0)

    def push(self, lines: pl.DataFrame) -> None:
        self.stream.push(lines, 0.0)
        self.again = 1 << 40
        self.look()

    def look(self) -> None:
        for one in self.stream.incidents(every=True):
            self.told[one.incident.id] = one
            self.changes.append((one.incident.key, one.change))

    def finish(self) -> None:
        self.stream.finish()
        self.look()

    @property
    def told_as_over(self) -> set[str]:
        return {one.incident.key for one in self.told.values() if one.change == "over"}

    @property
    def standing(self) -> dict[str, Incident]:
        """What was told and not withdrawn, by key."""
        told = {one.incident.key: one.incident for one in self.told.values() if one.change != "withdrawn"}
        return {key: one for key, one in told.items() if not key.startswith("service ")}  # that is new: live only


def standing(*marks: Mark) -> tuple[Mark, ...]:
    known = Marks()
    for one in marks:
        known.add(one)
    return known.standing()


def lines_of(path: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(str(path), Tally())))


def at_once(model: Model, today: Path, *marks: Mark) -> dict[str, Incident]:
    known = Marks()
    for one in marks:
        known.add(one)
    return {one.key: one for one in model.detect(today, marks=known, now=NOON).incidents}


def same(one: Incident, other: Incident, *, windows: bool) -> bool:
    """Whether two incidents are alike in everything; the order of windows is that of their end live."""
    keys = {} if windows else {"keys": other.keys, "n_windows": other.n_windows}
    left, right = (replace(some, keys=tuple(sorted(some.keys))) for some in (replace(one, **keys), other))
    assert left == right
    return True


OTHERS = (DEPLOY, Mark("shop.gift", "1.1", NOON + timedelta(minutes=40)), Mark("shop.web", "5", NOON - DAY))


@many
@given(
    at=st.lists(st.integers(0, N_LINES), max_size=8),
    marked=st.integers(0, 9),
    restarted=st.integers(0, 9),
    several=st.booleans(),
)
@example(at=[], marked=0, restarted=9, several=False)
@example(at=[100, 200], marked=3, restarted=9, several=True)  # when all is over
def test_live_is_as_at_once_whenever_it_is_marked_or_restarted(
    at: list[int], marked: int, restarted: int, several: bool, model: Model, today: Path
):
    marks = OTHERS if several else (DEPLOY,)
    lines = lines_of(today)
    live = Live(model)
    places = [0, *sorted({min(one, len(lines)) for one in at}), len(lines)]
    for i, (start, end) in enumerate(pairwise(places)):
        if i == marked:
            live.mark(*marks)
        live.push(lines[min(start, live.again) : end])
        if i == restarted and i >= marked:
            live.restart()
    if marked >= len(places) - 1:
        live.mark(*marks)
    live.finish()
    expected = at_once(model, today, *marks)
    for key in expected:
        if key.startswith("deploy"):
            found, other = live.standing[key], expected[key]
            if key in live.told_as_over:  # its rates are those of then
                found, other = (replace(one, reasons=one.reasons[:1] + one.reasons[2:]) for one in (found, other))
            assert same(found, other, windows=not live.too_late)
    if not live.too_late:
        assert set(live.standing) == set(expected)
        assert {key: one.notes for key, one in live.standing.items()} == {
            key: one.notes for key, one in expected.items()
        }


def until(lines: pl.DataFrame, time: str) -> pl.DataFrame:
    return lines.filter(pl.col("text").str.slice(11, 5) < time, pl.col("text").str.slice(8, 2) == "03")


def test_what_was_told_is_withdrawn_when_the_deployment_is_marked_and_told_in_its_incident(model: Model, today: Path):
    live = Live(model)
    live.push(until(lines_of(today), "12:55"))
    live.stream.tick(600.0)
    live.look()
    before = set(live.standing)
    assert len(before) >= 2
    live.mark(DEPLOY)
    live.look()
    assert live.changes[-1] == ("deploy shop.pay 3.8.0", "new")
    assert {key for key, change in live.changes if change == "withdrawn"} == before
    assert set(live.standing) == {"deploy shop.pay 3.8.0"}
    live.mark()
    live.look()
    assert set(live.standing) == before  # told again: nothing explains it any more


def test_it_is_over_after_an_hour_without_new_types_and_goes_on_with_the_next(model: Model, today: Path):
    live, lines = Live(model, DEPLOY), lines_of(today)
    live.push(until(lines, "12:45"))
    live.push(until(lines, "13:00").filter(pl.col("text").str.slice(11, 5) >= "12:45"))
    later = lines[:1].with_columns(
        text=pl.lit("2026-03-03 13:55:00,000 INFO shop.web: Order ord-1 received from 192.0.2.7"),
        source=pl.lit("other.log"),
    )
    live.push(later)
    live.stream.tick(1.0)
    live.look()
    live.push(lines.filter(pl.col("text").str.starts_with("2026-03-03 14:00")))
    live.stream.tick(2.0)
    live.look()
    told = [change for key, change in live.changes if key.startswith("deploy") and change != "grown"]
    assert told == ["new", "over", "new"]


def test_what_somebody_called_usual_is_put_down_to_no_deployment(model: Model, today: Path):
    live = Live(model, DEPLOY)
    live.push(until(lines_of(today), "12:55"))
    one = live.standing["deploy shop.pay 3.8.0"]
    answers = Answers()
    answers.add(Answer("usual", one.pattern, NOON, one.id, one.patterns, one.new_types))
    live.stream.heed(answers)
    live.look()
    assert live.changes[-1] == ("deploy shop.pay 3.8.0", "withdrawn")
    assert not live.standing


def test_many_deployments_and_sessions_are_bounded(model: Model, today: Path):
    marks = [Mark("shop.pay", str(i), NOON + timedelta(seconds=i)) for i in range(300)]
    live = Live(model, *marks)
    live.push(lines_of(today))
    live.finish()
    assert any("beyond 200" in reason for reason in live.stream.tally.counts)
    assert sum(key.startswith("deploy") for key in live.standing) == 1


def test_one_that_is_followed_no_more_is_excused_after_a_restart_too(
    model: Model, today: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("oddlog.pipeline.live.deploying.MOST_FOLLOWED", 1)
    live = Live(model, DEPLOY)
    live.push(lines_of(today))
    live.finish()
    excused = live.stream._teller.deploying.since.excused
    assert excused
    other = Mark("shop.pay", "3.9.0", NOON + 2 * DAY)
    live.mark(DEPLOY, other)
    live.restart()
    assert live.stream._teller.deploying.since.excused == excused
    assert live.stream.tally.counts[FORGOTTEN] == 1
    live.mark(other)  # that of the first one is taken back
    assert not live.stream._teller.deploying.since.excused
