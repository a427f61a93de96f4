"""pipeline/learning/corrupting.py: usual windows made odd on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_windows import windows_of
from oddlog.pipeline.learning.corrupting import KINDS, corrupted
from oddlog.types import NO_TIME, Windows

K = 6


def sessions(bags: list[list[int]], pause_us: int = 1_000_000) -> Windows:
    """Return windows with an event every second and a number that is ten times the type."""
    plain = windows_of(bags)
    rank = np.arange(len(plain.template)) - np.repeat(plain.offsets[:-1], plain.lengths)
    numbers = (10.0 * plain.template).astype(np.float32)[:, None]
    return replace(plain, time_us=rank * pause_us, start=np.zeros(len(bags), np.int64), numbers=numbers)


def types(windows: Windows) -> list[list[int]]:
    return [part.tolist() for part in np.split(windows.template, windows.offsets[1:-1])]


@pytest.fixture
def twins() -> dict[str, tuple[Windows, np.ndarray]]:
    usual = sessions([[0, 1, 2, 3, 4, 5]] * 20)
    return corrupted(usual, usual, 0, K)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_twin_of_every_window(twins: dict[str, tuple[Windows, np.ndarray]], kind: str):
    made, of = twins[kind]
    assert of.tolist() == list(range(20))
    assert made.offsets[-1] == len(made.template) == len(made.time_us) == len(made.numbers) == len(made.line)


def test_a_truncated_twin_is_the_beginning_of_its_window(twins: dict[str, tuple[Windows, np.ndarray]]):
    for bag in types(twins["truncate"][0]):
        assert bag == [0, 1, 2, 3, 4, 5][: len(bag)]
        assert len(bag) in {3, 4}
    assert (twins["truncate"][0].end <= 3_000_000).all()


def test_one_event_is_dropped_or_comes_in(twins: dict[str, tuple[Windows, np.ndarray]]):
    for bag in types(twins["drop"][0]):
        assert len(bag) == 5
        assert bag == sorted(set(bag))
    for bag in types(twins["insert"][0]):
        assert len(bag) == 7
        assert any([*bag[:i], *bag[i + 1 :]] == [0, 1, 2, 3, 4, 5] for i in range(7))


def test_swapped_neighbours_keep_the_times_in_order(twins: dict[str, tuple[Windows, np.ndarray]]):
    made, _ = twins["swap"]
    for bag in types(made):
        assert sorted(bag) == [0, 1, 2, 3, 4, 5]
        assert sum(a != b for a, b in zip(bag, range(6), strict=True)) == 2
    assert made.time_us.tolist() == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000] * 20
    assert (made.numbers[:, 0] == 10.0 * made.template).all()  # a number goes where its event goes


def test_one_number_is_ten_times_as_large(twins: dict[str, tuple[Windows, np.ndarray]]):
    made, _ = twins["scale"]
    ratio = made.numbers[:, 0] / np.maximum(10.0 * made.template, 1)
    assert np.bincount(made.window_of_event, ratio == 10).tolist() == [1] * 20
    assert set(np.round(ratio, 3).tolist()) <= {0.0, 1.0, 10.0}


def test_a_delay_comes_in_once_and_behind_the_first_event(twins: dict[str, tuple[Windows, np.ndarray]]):
    made, _ = twins["delay"]
    for times in np.split(made.time_us, made.offsets[1:-1]):
        assert sorted(np.diff(times).tolist()) == [1_000_000] * 4 + [11_000_000]


def test_what_usual_windows_do_is_no_corruption():
    usual = sessions([[0, 1, 2], [1, 0, 2], [0, 2, 1]] * 10)
    made, _ = corrupted(usual, usual, 0, K)["swap"]
    assert {tuple(bag) for bag in types(made)} <= {(1, 2, 0), (2, 0, 1), (2, 1, 0)}


def test_windows_that_cannot_be_corrupted_have_no_twin():
    short = sessions([[1, 2], [3]])
    assert [len(corrupted(short, short, 0, K)[kind][0]) for kind in ("truncate", "drop", "insert", "swap")] == [0] * 4
    alike = sessions([[1, 1, 1]])
    assert len(corrupted(alike, alike, 0, K)["swap"][0]) == 0
    without = replace(sessions([[0, 1, 2]]), numbers=np.full((3, 1), np.nan, np.float32))
    assert len(corrupted(without, without, 0, K)["scale"][0]) == 0
    timeless = replace(without, time_us=np.full(3, NO_TIME))
    assert len(corrupted(timeless, timeless, 0, K)["delay"][0]) == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, K), max_size=7), max_size=8), st.integers(0, 3))
def test_corrupting_never_raises_and_changes_nothing_that_was_given(bags: list[list[int]], seed: int):
    usual = sessions(bags)
    before = [usual.template.copy(), usual.time_us.copy(), usual.numbers.copy(), usual.offsets.copy()]
    for made, of in corrupted(usual, usual, seed, K).values():
        assert len(made) == len(of)
        assert made.offsets[-1] == len(made.template)
    after = [usual.template, usual.time_us, usual.numbers, usual.offsets]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_the_same_seed_makes_the_same_twins_and_another_seed_others():
    usual = sessions([[0, 1, 2, 3, 4, 5]] * 20)
    one, again, other = (types(corrupted(usual, usual, seed, K)["swap"][0]) for seed in (0, 0, 1))
    assert one == again != other
