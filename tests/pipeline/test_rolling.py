"""A threshold that rolls with the stream: the same in batch and live, and said where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import oddlog
from made_orders import orders
from naive.calibration import rolling_thresholds
from oddlog.errors import ConfigError, ModelError
from oddlog.model import Model
from oddlog.pipeline import rolling
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.learning.checkpointing import packed, unpacked
from oddlog.pipeline.live.streaming import Streaming
from oddlog.pipeline.rolling import Thresholds, ViewRolling
from oddlog.sources import read_blocks
from oddlog.types import NO_TIME, SCORES, Tally
from small_shop import shop_lines

TEN_MINUTES = 600_000_000
many = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("rolling") / "usual.log"
    path.write_text("\n".join(orders(800, 1, 0.0, 0.35)) + "\n")
    return oddlog.fit(path, detectors=["snn", "new-event"], false_alarms="100/day")


@pytest.fixture(scope="module", autouse=True)
def _a_short_memory() -> Iterator[None]:
    """Fade within two hours, so that a log of hours is enough to move a threshold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling, "SIZE", 400)
        patch.setattr(rolling, "BLOCKS", 3)
        yield


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of orders that grow longer, some of which are lost."""
    path = tmp_path_factory.mktemp("rolling") / "today.log"
    path.write_text("\n".join([*orders(150, 2, 20_000.0, 0.35), *orders(600, 3, 21_600.0, 0.24, lost=200)]) + "\n")
    return path


@pytest.fixture(scope="module")
def found(model: Model, log: Path) -> Detection:
    return model.detect(log, threshold="rolling")


def windows_of(found: Detection) -> pl.DataFrame:
    return found.scores.filter(pl.col("key").str.starts_with("ord-")).sort("start", "key")


def read(path: Path) -> pl.DataFrame:
    return pl.concat(list(read_blocks(str(path), Tally())))


def live(stream: Streaming, batches: list[pl.DataFrame]) -> pl.DataFrame:
    pushed = [stream.push(batch, float(i), windows=bool(i % 3)) for i, batch in enumerate(batches)]
    verdicts = pl.concat([one.verdicts for one in [*pushed, stream.finish()]]).filter(~pl.col("provisional"))
    return verdicts.select(list(SCORES)).filter(pl.col("key").str.starts_with("ord-")).sort("start", "key")


def test_verdicts_hold_the_threshold_that_judged_them(model: Model, found: Detection, log: Path):
    verdicts, view = windows_of(found), model.views[0]
    assert verdicts["threshold"].n_unique() > 5
    assert verdicts["is_anomaly"].to_list() == (verdicts["score"] > verdicts["threshold"]).to_list()
    learned = windows_of(model.detect(log))
    assert learned["threshold"].unique().to_list() == [view.threshold]
    assert learned["score"].to_list() == verdicts["score"].to_list()
    assert 0 < verdicts["is_anomaly"].sum() < learned["is_anomaly"].sum()
    # p-values are those of the threshold: what is odd lies below the rate, what is not does not
    beyond = view.calibrator.rates_beyond(np.array([view.threshold]))[0]
    below = verdicts["p_value"].to_numpy() <= beyond
    assert below.tolist() == verdicts["is_anomaly"].to_list()
    assert "threshold that rolls with the windows" in found.notes[0]


def test_it_is_one_fold_over_blocks_in_the_order_in_which_windows_close(model: Model, found: Detection, log: Path):
    """The slow twin: thresholds of blocks, from the verdicts of `detect` by the learned threshold."""
    view = model.views[0]
    verdicts = windows_of(model.detect(log))
    closing = view.cut.closing
    assert closing is not None
    end = verdicts["end"].dt.epoch("us").to_numpy()
    last = int(read(log)["text"].str.head(23).str.to_datetime("%Y-%m-%d %H:%M:%S,%3f").max().timestamp() * 1e6)
    closes = np.minimum(end + closing.idle_us, last)
    block = (closes - 1) // TEN_MINUTES
    surprise = -np.log10(verdicts["p_value"].to_numpy())
    numbers = sorted(set(block.tolist()))
    usual = -np.log10(view.calibrator.rates_of(view.calibrator.usual(rolling.QUANTILES)))
    learned = -np.log10(view.calibrator.rates_beyond(np.array([view.threshold]))[0])
    slow = rolling_thresholds(usual.tolist(), learned, [surprise[block == n].tolist() for n in numbers], 400, 3)
    for n, value in zip(numbers, slow[:-1], strict=True):
        told = windows_of(found)["threshold"].to_numpy()[block == n]
        assert len(set(told.tolist())) == 1
        moved = view.calibrator.threshold(10.0**-value) - view.calibrator.threshold(10.0**-learned)
        assert told[0] == pytest.approx(view.threshold + moved)


@many
@given(at=st.lists(st.integers(0, 10_300), max_size=12))
def test_any_batching_gives_the_verdicts_of_one_detect(at: list[int], model: Model, log: Path, found: Detection):
    lines = read(log)
    batches = [lines[a:b] for a, b in pairwise([0, *sorted(set(at)), len(lines)])]
    assert_frame_equal(live(Streaming(model, threshold="rolling", sample_lines=50), batches), windows_of(found))


def test_a_stream_goes_on_from_its_state(model: Model, log: Path, found: Detection):
    lines = read(log)
    one = Streaming(model, threshold="rolling", sample_lines=50)
    first = one.push(lines[:5_000], 0.0).verdicts
    other = Streaming(model, threshold="rolling", sample_lines=50)
    other.restore(unpacked(packed(one.state())))
    place = next(iter(one.places().values()))
    rest = live(other, [lines.filter(pl.col("position") > place[0])])
    both = pl.concat([first.filter(~pl.col("provisional")).select(list(SCORES)), rest]).sort("start", "key")
    assert_frame_equal(both, windows_of(found))


def test_incidents_live_are_those_of_detect_also_by_a_rolling_threshold(model: Model, log: Path, found: Detection):
    stream = Streaming(model, threshold="rolling", sample_lines=50)
    stream.push(read(log), 0.0)
    stream.finish()
    live_ones = {one.incident.pattern: one.incident for one in stream.incidents(every=True) if one.change == "new"}
    for whole in found.incidents:
        assert whole.reasons
        if whole.n_windows:
            assert live_ones[whole.pattern].reasons == whole.reasons
            assert live_ones[whole.pattern].n_windows == whole.n_windows


def test_which_of_them_judges_is_told_and_what_the_other_would_say(model: Model, log: Path):
    told = {}
    for kind in ("learned", "rolling"):
        thresholds = Thresholds(model, kind, Tally())
        stream = Streaming(model, threshold=kind, sample_lines=50)
        stream.push(read(log), 0.0)
        stream.finish()
        (told[kind],) = stream._deciding.thresholds.told()
        assert thresholds.told()[0].windows == 0
    learned, by_rolling = told["learned"], told["rolling"]
    assert (learned.judges, by_rolling.judges) == ("learned", "rolling")
    assert (learned.windows, learned.odd, learned.odd_rolling) == (
        by_rolling.windows,
        by_rolling.odd,
        by_rolling.odd_rolling,
    )
    assert learned.odd > learned.odd_rolling
    assert learned.says.startswith(f"The last {learned.windows:,} sessions: {learned.odd} beyond the learned")
    assert by_rolling.says.split("which judges")[0].endswith(f"(now {by_rolling.rolling:.2f}), ")


@many
@given(
    closed=st.lists(st.tuples(st.integers(1, 40), st.floats(0, 8)), max_size=40),
    at=st.lists(st.integers(0, 40), max_size=5),
)
def test_windows_may_come_in_any_pieces_of_the_order_in_which_they_closed(
    closed: list[tuple[int, float]], at: list[int], model: Model
):
    closed = sorted(closed)
    closes = np.array([block * TEN_MINUTES for block, _ in closed], np.int64)
    score = np.array([score for _, score in closed])
    p_value = model.views[0].calibrator.rates_of(score)
    whole = np.ones(len(closed), np.bool_)
    once = ViewRolling(model.views[0], TEN_MINUTES).fold(closes, whole, score, p_value)
    pieces = ViewRolling(model.views[0], TEN_MINUTES)
    cuts = [0, *sorted(one for one in set(at) if one <= len(closed)), len(closed)]
    told = [pieces.fold(closes[a:b], whole[a:b], score[a:b], p_value[a:b]) for a, b in pairwise(cuts)]
    assert np.concatenate(told).tolist() == once.tolist()


def test_windows_without_a_time_are_judged_by_the_learned_threshold_and_move_nothing(model: Model):
    view = ViewRolling(model.views[0], TEN_MINUTES)
    closes = np.full(50, NO_TIME)
    told = view.fold(closes, np.ones(50, np.bool_), np.full(50, 9.0), np.full(50, 1e-9))
    assert set(told.tolist()) == {model.views[0].threshold}
    assert view.told("rolling").windows == 0


@pytest.mark.parametrize(
    "judge",
    [lambda model, kind: model.detect([], threshold=kind), lambda model, kind: Streaming(model, threshold=kind)],
)
def test_what_cannot_roll_is_said(judge: Callable[[Model, str], object], model: Model, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no threshold called 'roling' to judge by\. Did you mean 'rolling'"):
        judge(model, "roling")
    bare = [line.split(" ", 2)[2] for line in shop_lines(400, 1)]
    (tmp_path / "bare.log").write_text("\n".join(bare) + "\n")
    untimed = oddlog.fit(tmp_path / "bare.log", detectors=["snn", "new-event"])
    with pytest.raises(ModelError, match=r"lines without times, so its threshold cannot roll.* --threshold learned"):
        judge(untimed, "rolling")
