"""features/fused.py: an event as one vector, on the yardsticks of usual windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oddlog.features.fused import DAY_US, FURTHEST, Fused
from oddlog.features.text import embed
from oddlog.testing import context, windows
from oddlog.types import F32, NO_TIME, OVERFLOW, Context, Number, Templates, Windows

SECOND = 1_000_000
TEXTS = ("Open connection to <*>", "Read <*> bytes", "Read <*> of <*> bytes", "Close connection to <*>")


def shop(numbers: tuple[Number, ...] = (), services: tuple[str, ...] = ()) -> Context:
    """A context of four types that differ in their words."""
    made = context(4).templates
    templates = Templates(TEXTS, made.level, made.count, made.key, made.row, embed(TEXTS))
    return Context(templates, numbers, services)


def all_of(fused: Fused, batch: Windows) -> F32:
    event = np.arange(len(batch.template))
    return fused.vectors(batch, batch.offsets[:-1][batch.window_of_event], event)


def column(fused: Fused, batch: Windows, name: str) -> list[float]:
    return all_of(fused, batch)[:, fused.names.index(name)].round(4).tolist()


def test_every_column_has_a_name_and_a_group():
    fused = Fused.learn(windows([[0, 1, 2, 3]]), shop())
    assert all_of(fused, windows([[0, 1]])).shape == (2, fused.width)
    assert list(fused.groups) == ["text", "level", "time", "place"]
    assert sorted(np.concatenate(list(fused.groups.values())).tolist()) == list(range(fused.width))
    assert fused.names[-3:] == ("time: gap", "time: rate", "place: first")


def test_what_training_held_has_mean_zero_and_what_varied_a_deviation_near_one():
    draw = np.random.default_rng(0)
    batch = windows([draw.integers(0, 4, 20).tolist() for _ in range(50)])
    found = all_of(Fused.learn(batch, shop()), batch)
    assert np.abs(found.mean(0)).max() < 1e-3
    deviation = found.std(0)
    assert deviation.max() < 1.0
    assert deviation[found.any(0)].min() > 0.3  # shrunk by the 0.1 that is added, more so where little varies


def test_a_constant_feature_is_zero_and_what_then_differs_is_ten():
    usual = windows([[0, 1, 2, 3]] * 3)
    fused = Fused.learn(usual, shop())
    assert set(column(fused, usual, "level: ERROR")) == {0.0}
    odd = replace(usual, level=np.full(12, 6, np.uint8))
    assert set(column(fused, odd, "level: ERROR")) == {10.0}
    assert set(column(fused, odd, "level: INFO")) == {-10.0}


def test_an_unseen_type_has_a_flag_and_no_text_of_its_own():
    usual = windows([[0, 1, 2, 3]] * 3)
    fused = Fused.learn(usual, shop())
    odd = windows([[0, 4, 99, OVERFLOW]])
    assert column(fused, odd, "text: unseen") == [0.0, 10.0, 10.0, 10.0]
    assert column(fused, odd, "text: embedding 1")[1:] == [0.0, 0.0, 0.0]
    assert column(fused, odd, "text: speaks of begin")[1:] == [0.0, 0.0, 0.0]


def test_a_rare_type_lies_further_out_than_a_common_one():
    fused = Fused.learn(windows([[0, 1, 1, 1, 1, 1, 1, 2]]), shop())
    common, rare, never = column(fused, windows([[1, 2, 3]]), "text: rarity")
    assert common < 0 < rare < never


def test_types_of_alike_texts_still_differ():
    signs = [i for i, name in enumerate(Fused.learn(windows([[0]]), context()).names) if "sign" in name]
    usual = windows([[0, 1, 2, 3, 4, 5]])  # six types without an embedding
    found = all_of(Fused.learn(usual, context()), usual)[:, signs]
    assert len(np.unique(found, axis=0)) == 6


def test_numbers_are_scaled_as_they_say_and_absent_ones_stand_in_the_middle():
    numbers = (Number("duration", "ms", "log"), Number("share"))
    values = np.array([[0, 0.5], [np.e - 1, np.nan], [np.nan, 1.0], [np.e**2 - 1, 0.0]], np.float32)
    batch = replace(windows([[0, 1, 2, 3]]), numbers=values)
    fused = Fused.learn(batch, shop(numbers))
    measured = fused.measured(batch, np.zeros(4, np.int64), np.arange(4))[:, :4].round(6)
    nan = np.nan
    assert np.array_equal(measured, [[0, 0.5, 1, 1], [1, nan, 1, 0], [nan, 1, 0, 1], [2, 0, 1, 1]], equal_nan=True)
    assert column(fused, batch, "numbers: duration (log)")[2] == 0.0
    assert column(fused, batch, "numbers: duration (log)")[3] == pytest.approx(1 / (np.sqrt(2 / 3) + 0.1), abs=1e-4)
    assert "numbers: duration (log)" in fused.names
    assert column(fused, batch, "numbers: has share")[1] < 0 < column(fused, batch, "numbers: has share")[0]


def test_one_wild_number_is_cut_at_ten_deviations():
    batch = replace(windows([[0] * 50]), numbers=np.ones((50, 1), np.float32))
    fused = Fused.learn(batch, shop((Number("size"),)))
    wild = replace(windows([[0, 0, 0]]), numbers=np.array([[1e30], [-1e30], [np.inf]], np.float32))
    assert column(fused, wild, "numbers: size") == [FURTHEST, -FURTHEST, 0.0]
    assert np.isfinite(all_of(fused, wild)).all()


def test_a_number_that_training_never_held_is_absent_all_the_same():
    usual = replace(windows([[0, 1]]), numbers=np.full((2, 1), np.nan, np.float32))
    fused = Fused.learn(usual, shop((Number("size"),)))
    assert column(fused, usual, "numbers: size") == [0.0, 0.0]
    assert column(fused, replace(usual, numbers=np.ones((2, 1), np.float32)), "numbers: has size") == [10.0, 10.0]


def test_the_gap_is_that_to_the_event_before_in_the_same_window():
    batch = replace(windows([[0, 1], [0, 1]]), time_us=np.array([0, 7, 100, 103]) * SECOND)
    fused = Fused.learn(batch, shop())
    at = fused.measured(batch, np.array([0, 0, 2, 2]), np.arange(4))
    assert at[:, 0] == pytest.approx(np.log1p([0, 7_000, 0, 3_000]))
    assert at[:, 1] == pytest.approx(np.log([1, 2 / 8, 1, 2 / 4]))
    assert at[:, 2].tolist() == [1, 0, 1, 0]


def test_without_times_nothing_is_said_of_time():
    batch = replace(windows([[0, 1, 2]] * 2), time_us=np.full(6, NO_TIME))
    fused = Fused.learn(batch, shop())
    assert column(fused, batch, "time: gap") == [0.0] * 6
    assert np.isfinite(all_of(fused, windows([[0, 1]]))).all()


@pytest.mark.parametrize(("days", "cycles"), [(1.9, ()), (2, ("hour",)), (13.9, ("hour",)), (14, ("hour", "weekday"))])
def test_the_calendar_is_read_only_where_training_saw_it_twice(days: float, cycles: tuple[str, ...]):
    batch = replace(windows([[0, 1]]), time_us=np.array([0, round(days * DAY_US)]))
    fused = Fused.learn(batch, shop())
    assert fused.cycles == cycles
    assert ("time: hour sin" in fused.names) == ("hour" in cycles)


def test_six_in_the_morning_is_a_quarter_of_a_day():
    batch = replace(windows([[0, 1, 2]]), time_us=np.array([0, DAY_US // 4, 3 * DAY_US]))
    fused = Fused.learn(batch, shop())
    assert fused.measured(batch, np.zeros(3, np.int64), np.arange(3))[1, 2:4] == pytest.approx([1.0, 0.0], abs=1e-12)


def test_services_are_told_apart_only_where_there_are_several():
    names = ("", "payments", "orders")
    alone = replace(windows([[0, 1]]), service=np.array([1, 1], np.uint16))
    assert "service" not in Fused.learn(alone, shop(services=names)).groups
    both = replace(windows([[0, 1]]), service=np.array([1, 2], np.uint16))
    fused = Fused.learn(both, shop(services=names))
    unseen = replace(both, service=np.array([1, 65_535], np.uint16))
    assert column(fused, unseen, "service: unseen") == [0.0, 10.0]


def test_heavier_windows_make_the_yardsticks():
    light = Fused.learn(windows([[0] * 3, [1]]), shop())
    heavy = Fused.learn(windows([[0] * 3, [1]], weight=[1, 9]), shop())
    rarity = light.names.index("text: rarity")
    assert light.of_type[0, rarity] < light.of_type[1, rarity]
    assert heavy.of_type[0, rarity] > heavy.of_type[1, rarity]


def test_some_events_have_the_vectors_they_have_among_all():
    draw = np.random.default_rng(1)
    batch = windows([draw.integers(0, 5, n).tolist() for n in (5, 1, 9)])
    fused = Fused.learn(batch, shop())
    some = np.array([14, 0, 5, 6])
    first = batch.offsets[:-1][batch.window_of_event[some]]
    assert np.array_equal(fused.vectors(batch, first, some), all_of(fused, batch)[some])


def test_it_comes_back_from_its_arrays():
    batch = replace(windows([[0, 1], [2]]), numbers=np.ones((3, 1), np.float32))
    fused = Fused.learn(batch, shop((Number("size", scale="log"),)))
    back = Fused.from_arrays({**fused.arrays(), "other": np.zeros(1)}, fused.meta())
    assert back.names == fused.names
    assert np.array_equal(all_of(back, batch), all_of(fused, batch))
