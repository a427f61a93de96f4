"""What is judged while it comes is judged as if it had come at once."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import oddlog
from oddlog.errors import ModelError
from oddlog.feedback import Answers
from oddlog.model import Model
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.pushed import Pushed
from oddlog.pipeline.live.streaming import LATENESS_S, Streaming
from oddlog.pipeline.live.told import QUIET_US
from oddlog.pipeline.live.windowing import HURRIED
from oddlog.sources import read_blocks
from oddlog.types import LINES, SCORES, LiveIncident, State, Tally
from small_shop import shop_lines


def read(path: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(str(path), Tally())))


def streamed(stream: Streaming, batches: list[pl.DataFrame]) -> tuple[pl.DataFrame, list[LiveIncident]]:
    """Return the final verdicts and what was told of incidents."""
    pushed: list[Pushed] = []
    told: list[LiveIncident] = []
    for i, batch in enumerate(batches):
        pushed.append(stream.push(batch, float(i)))
        told += stream.incidents()
    pushed.append(stream.finish())
    told += stream.incidents()
    verdicts = pl.concat([one.verdicts for one in pushed]).filter(~pl.col("provisional"))
    return verdicts.select(list(SCORES)).sort("start", "key"), told


def cut(lines: pl.DataFrame, at: list[int]) -> list[pl.DataFrame]:
    return [lines[a:b] for a, b in pairwise([0, *sorted(set(at)), len(lines)])]


@pytest.fixture(scope="module")
def model(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


@pytest.fixture(scope="module")
def by_time(small_log: Path) -> Model:
    """A model of stretches of a minute, and of entities."""
    return oddlog.fit(small_log, session="none", entity=r"from (\S+)", detectors=["snn", "new-event"])


@pytest.fixture(scope="module")
def found(model: Model, odd_log: Path) -> Detection:
    return model.detect(odd_log)


any_cuts = st.lists(st.integers(0, 620), max_size=12)
many = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(at=any_cuts)
def test_any_batching_gives_the_verdicts_of_one_detect(at: list[int], model: Model, odd_log: Path, found: Detection):
    verdicts, _ = streamed(Streaming(model, sample_lines=50), cut(read(odd_log), at))
    assert_frame_equal(verdicts, found.scores.sort("start", "key"))
    assert verdicts["is_anomaly"].sum() == 3


@many
@given(at=any_cuts)
def test_so_it_does_for_stretches_of_time_and_entities(at: list[int], by_time: Model, odd_log: Path):
    found = by_time.detect(odd_log)
    verdicts, _ = streamed(Streaming(by_time, sample_lines=50), cut(read(odd_log), at))
    expected = found.scores.filter(~pl.col("key").str.contains("@.*Z$") | (pl.col("key") != "")).sort("start", "key")
    assert_frame_equal(verdicts, expected)


@many
@given(seed=st.integers(0, 1_000), at=any_cuts)
def test_lines_out_of_order_within_the_lateness_change_nothing(
    seed: int, at: list[int], model: Model, odd_log: Path, found: Detection
):
    lines = read(odd_log)
    draw = random.Random(seed)
    ms = lines["text"].str.head(23).str.to_datetime("%Y-%m-%d %H:%M:%S,%3f").dt.timestamp("ms").to_list()
    order = sorted(range(len(lines)), key=lambda i: ms[i] + draw.uniform(0, 4_000))
    positions = lines.select("position", "line")
    stirred = lines[order].with_columns(positions)  # numbered as they arrive
    verdicts, _ = streamed(Streaming(model, sample_lines=50, lateness_s=5), cut(stirred, at))
    assert_frame_equal(verdicts, found.scores.sort("start", "key"))


def test_the_default_members_say_the_same_to_rounding(small_model: Path, odd_log: Path):
    model = oddlog.load(small_model)
    found = model.detect(odd_log)
    lines = read(odd_log)
    verdicts, _ = streamed(Streaming(model, sample_lines=50), cut(lines, list(range(0, len(lines), 41))))
    assert_frame_equal(verdicts, found.scores.sort("start", "key"), rel_tol=1e-5)
    assert verdicts["is_anomaly"].to_list() == found.scores.sort("start", "key")["is_anomaly"].to_list()


def test_the_incidents_are_those_of_detect(model: Model, odd_log: Path, found: Detection):
    _, told = streamed(Streaming(model, sample_lines=50), [read(odd_log)])
    live, (whole,) = told[0], found.incidents
    assert [one.change for one in told] == ["new", "over"]  # more than an hour of other lines follows
    for name in ("key", "keys", "n_windows", "severity", "pattern", "services", "reasons", "new_types", "lines"):
        assert getattr(live.incident, name) == getattr(whole, name), name


def test_an_odd_line_is_told_at_once_and_its_incident_keeps_its_id(model: Model, odd_log: Path):
    lines = read(odd_log)
    lost = next(i for i, text in enumerate(lines["text"]) if "lost" in text)
    stream = Streaming(model, sample_lines=50)
    first = stream.push(lines[: lost + 2], 0.0)  # one line more: a stack trace might have followed
    assert first.lines["text"].to_list() == [lines["text"][lost]]
    (early,) = stream.incidents()
    assert (early.change, early.provisional, early.incident.n_windows) == ("new", True, 0)
    stream.push(lines[lost + 2 :], 1.0)
    stream.finish()
    late, over = stream.incidents()
    assert over.change == "over"
    assert (late.change, late.provisional, late.incident.n_windows) == ("grown", False, 3)
    assert late.incident.id == early.incident.id


@pytest.mark.parametrize("step", [1, 7, 60, 1_000])
def test_the_id_does_not_depend_on_the_batching(step: int, model: Model, odd_log: Path):
    lines = read(odd_log)
    whole = streamed(Streaming(model, sample_lines=50), [lines])[1][-1].incident.id
    _, told = streamed(Streaming(model, sample_lines=50), cut(lines, list(range(0, len(lines), step))))
    assert {one.incident.id for one in told} == {whole}


def test_what_recurs_hours_apart_is_an_incident_each_time_also_when_it_is_caught_up_with_at_once(model: Model):
    """After a kill hours are read in one batch: an incident that shares its new type with a later one keeps its own."""
    texts = [text for i in range(3) for text in shop_lines(220, i + 1, start=i * 8_820, broken=3)]
    lines = frame("a.log", [*texts, *shop_lines(220, 9, start=3 * 8_820)])
    odd = [tuple(f"ord-{i + 1}00{220 + j}" for j in range(3)) for i in range(3)]
    ids = []
    for step in (200, 10_000):
        _, told = streamed(Streaming(model, sample_lines=50), cut(lines, list(range(0, len(lines), step))))
        last = {one.incident.id: one for one in told}
        assert {one.change for one in last.values()} == {"over"}
        assert sorted(one.incident.keys for one in last.values()) == odd
        ids.append(set(last))
    assert ids[0] == ids[1]


@pytest.mark.parametrize("seed", range(4))
def test_lines_that_are_told_before_windows_of_hours_ago_are_judged_take_no_other_incident_s_id(
    seed: int, model: Model
):
    """As the worker catches up: windows that are over are judged later than lines, many of them at once."""
    n, draw = 8, random.Random(seed)
    texts = [text for i in range(n) for text in shop_lines(220, i + 1, start=i * 8_820, broken=3)]
    lines = frame("a.log", [*texts, *shop_lines(420, 9, start=n * 8_820)])
    odd = sorted(tuple(f"ord-{i + 1}00{220 + j}" for j in range(3)) for i in range(n))
    _, slowly = streamed(Streaming(model, sample_lines=50, lateness_s=3_600), cut(lines, [*range(0, len(lines), 200)]))
    stream, told = Streaming(model, sample_lines=50, lateness_s=3_600), []
    for i, batch in enumerate(cut(lines, [draw.randrange(len(lines)) for _ in range(24)])):
        stream.push(batch, float(i), windows=draw.random() < 0.3)
        told += stream.incidents(every=True)
    stream.finish()
    told += stream.incidents(every=True)
    stands = {one.incident.id: one for one in told}  # as a store keeps it
    shown = {id_: one.incident.keys for id_, one in stands.items() if one.change != "withdrawn"}
    assert sorted(shown.values()) == odd
    assert shown == {one.incident.id: one.incident.keys for one in slowly if one.change != "withdrawn"}


def test_windows_that_are_waited_for_longer_than_an_hour_are_still_one_incident(model: Model):
    """What is over is over by the time that windows have been judged up to, not by that of the last line."""
    lines = frame("a.log", [*shop_lines(60, 1, broken=3), *shop_lines(190, 2, start=1_400)])
    batches = cut(lines, list(range(1_200, len(lines), 3)))
    _, told = streamed(Streaming(model, sample_lines=50, lateness_s=3_700), batches)
    assert len({one.incident.id for one in told}) == 1
    assert "over" not in {one.change for one in told}  # the next of it may be judged only now


def test_a_session_that_pauses_is_judged_provisionally_and_once(model: Model):
    steps = [line for line in shop_lines(30, 5) if "handed to carrier" not in line and "receipt" not in line]
    stream = Streaming(model, sample_lines=10)
    stream.push(frame("a.log", steps), 0.0)
    closing = model.views[0].cut.closing
    silent = (closing.pause_us + closing.idle_us) / 2e6 + LATENESS_S  # longer than a pause, not yet over
    (row,) = stream.tick(silent).verdicts.filter("provisional").iter_rows(named=True)
    assert (row["key"], row["is_anomaly"]) == ("ord-500029", True)
    (live,) = (one for one in stream.incidents() if row["key"] in one.incident.keys)
    assert not live.provisional  # others of it are over
    assert stream.tick(silent + 0.1).verdicts.height == 0
    (row,) = stream.tick(silent + 10).verdicts.iter_rows(named=True)  # time goes on with the clock
    assert (row["key"], row["provisional"]) == ("ord-500029", False)


def frame(source: str, texts: list[str]) -> pl.DataFrame:
    ends = [sum(len(text) + 1 for text in texts[: i + 1]) for i in range(len(texts))]
    columns = {"position": ends, "line": range(1, len(texts) + 1), "text": texts}
    return pl.DataFrame(
        {"source": [source] * len(texts), **columns, "count": [1] * len(texts)}, schema=LINES, strict=False
    )


def test_an_incident_is_over_after_an_hour_without_more_of_it(model: Model):
    odd = frame("a.log", shop_lines(40, 6, broken=1))
    stream = Streaming(model, sample_lines=20)
    stream.push(odd, 0.0)
    stream.tick(1.0)
    (new,) = stream.incidents()
    later = frame("a.log", shop_lines(40, 7, start=800 + QUIET_US // 1_000_000 + 3_600))
    offset = odd["position"][-1]
    later = later.with_columns(pl.col("position") + offset, pl.col("line") + len(odd))
    stream.push(later, 2.0)
    stream.tick(3.0)
    changes = [(one.change, one.incident.id) for one in stream.incidents()]
    assert ("over", new.incident.id) in changes
    assert stream.incidents() == []


def test_an_answer_given_while_it_runs_is_heeded(model: Model, odd_log: Path, found: Detection):
    from oddlog.feedback import Answer  # noqa: PLC0415

    answers = Answers()
    incident = found.incidents[0]
    stream = Streaming(model, sample_lines=50)
    answers.add(Answer("usual", incident.pattern, answers.clock(), new_types=incident.new_types))
    stream.heed(answers)
    verdicts, told = streamed(stream, [read(odd_log)])
    assert told == []
    assert verdicts["is_anomaly"].sum() == 0


def test_what_is_held_is_bounded_and_what_is_let_go_is_counted(model: Model, odd_log: Path):
    stream = Streaming(model, sample_lines=50, max_open=8, max_text_bytes=2_000)
    streamed(stream, cut(read(odd_log), list(range(0, 600, 10))))
    assert stream.n_open == 0
    texts = [f"2026-03-05 10:{i // 60:02d}:{i % 60:02d},000 INFO shop.web: Order ord-9{i} received" for i in range(400)]
    stream = Streaming(model, sample_lines=50, max_open=3)
    stream.push(frame("flood.log", texts), 0.0)
    assert stream.n_open <= 3
    assert stream.tally.counts["window closed early, max_open are open"] > 0


def test_lines_that_all_have_one_time_do_not_wait_for_ever(model: Model):
    stream = Streaming(model, sample_lines=50, max_held=800)
    texts = [f"2026-03-05 10:00:00,000 INFO shop.web: Order ord-9{i} received" for i in range(400)]
    stream.push(frame("flood.log", texts), 0.0)
    assert stream.n_open == 399  # the last record is still open
    assert stream.tally.counts[HURRIED] == 1


def test_where_to_resume_is_behind_the_last_complete_record(model: Model, odd_log: Path):
    lines = read(odd_log)
    stream = Streaming(model, sample_lines=50)
    stream.push(lines[:100], 0.0)
    place = stream.places()[str(odd_log)]
    assert (place.line, place.position) == (99, lines["position"][98])  # the hundredth may go on
    stream.tick(10.0)
    assert stream.places()[str(odd_log)].line == 100


@many
@given(at=st.lists(st.integers(0, 620), min_size=1, max_size=4))
@example(at=[318, 322])  # between odd lines
def test_a_stream_goes_on_from_its_state_as_if_nothing_had_happened(
    at: list[int], model: Model, odd_log: Path, found: Detection
):
    lines = read(odd_log)
    told: list[LiveIncident] = []
    verdicts: list[pl.DataFrame] = []
    state = None
    for i, stop in enumerate([*sorted(at), len(lines)]):
        stream = Streaming(model, sample_lines=1)
        if state is not None:
            stream.restore(unpacked(packed(state)))
        begun = 0 if stream.places() == {} else stream.places()[str(odd_log)].line
        for start in range(begun, stop, 100):  # what was not yet part of a complete record comes again
            verdicts.append(stream.push(lines[max(start - 5, 0) : min(start + 100, stop)], float(i)).verdicts)
            told += stream.incidents()
        state = stream.state()
    verdicts.append(stream.finish().verdicts)
    told += stream.incidents()
    final = pl.concat(verdicts).select(list(SCORES)).sort("start", "key")
    assert_frame_equal(final, found.scores.sort("start", "key"))
    assert len({one.incident.id for one in told}) == 1
    assert [one.change for one in told].count("new") == 1


def test_time_that_no_process_ran_does_not_pass_whatever_its_clock_says(model: Model, odd_log: Path):
    lines, up_s = read(odd_log), 1e6
    one, other = Streaming(model, sample_lines=1), Streaming(model, sample_lines=1)
    one.push(lines[:300], up_s)
    other.restore(unpacked(packed(one.state())))
    for stream, begun in ((one, 300), (other, one.places()[str(odd_log)].line)):
        stream.tick(up_s + 0.25)  # the clock says how long the machine is up, and nothing has come yet
        stream.push(lines[begun:], up_s + 0.5)
        stream.finish()
    assert other.late_share == one.late_share == 0
    assert (other.windows, other.odd_windows) == (one.windows, one.odd_windows)


def test_the_state_of_another_version_is_refused_before_anything_is_taken_from_it(model: Model):
    state = Streaming(model).state()
    new = Streaming(model)
    with pytest.raises(ModelError, match="another version of oddlog"):
        new.restore(State(state.arrays, {**state.meta, "version": 1}))
    assert new.state().meta == state.meta


def test_the_state_of_another_model_is_refused(model: Model, by_time: Model):
    with pytest.raises(ModelError, match="another model"):
        Streaming(by_time).restore(Streaming(model).state())
    with pytest.raises(ModelError, match="cannot be read"):
        unpacked(b"{}")
