"""features/portable.py: one layout of event vectors for all sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oddlog.features.portable import NAME_SIGNS, TYPE, WIDTH, Portable
from oddlog.testing import context, usual_windows, windows, with_durations
from oddlog.types import Context, Number, Windows


def vectors(learned: Portable, batch: Windows):
    event = np.arange(len(batch.template))
    return learned.vectors(batch, batch.offsets[:-1][batch.window_of_event], event)


def test_the_layout_is_the_same_whatever_a_site_has():
    many = Context(context(k=40).templates, (Number("ms"), Number("bytes", scale="log")), ("web", "db"))
    batch = replace(usual_windows(), numbers=np.ones((len(usual_windows().template), 2), np.float32))
    for learned, given in (
        (Portable.learn(usual_windows(), context()), usual_windows()),
        (Portable.learn(batch, many), batch),
        (Portable.learn(windows([[0]]), context(k=1)), windows([[0], [5]])),
    ):
        found = vectors(learned, given)
        assert found.shape == (len(given.template), WIDTH)
        assert np.isfinite(found).all()
        assert np.abs(found).max() <= 30


def test_a_type_has_the_same_columns_at_every_site_but_for_how_rare_it_is():
    one = Portable.learn(usual_windows(), context(k=6)).of_type[2]
    other = Portable.learn(windows([[2, 3]]), context(k=9)).of_type[2]
    rarity = TYPE - 2
    assert np.array_equal(np.delete(one, rarity), np.delete(other, rarity))
    assert one[rarity] != other[rarity]


def test_no_two_types_are_alike_and_the_unseen_one_is_marked():
    table = Portable.learn(usual_windows(), context()).of_type
    assert len(np.unique(table[:, : TYPE - 2], axis=0)) == len(table)
    assert table[:, -1].tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_a_number_stands_under_its_name_wherever_it_is_listed():
    templates, numbers = context().templates, (Number("ms"), Number("bytes"))
    plain = windows([[0, 1], [2, 4]])
    values = np.array([[1, 9], [2, 7], [3, 8], [4, np.nan]], np.float32)
    one = vectors(*_learned(Context(templates, numbers), replace(plain, numbers=values)))
    other = vectors(*_learned(Context(templates, numbers[::-1]), replace(plain, numbers=values[:, ::-1].copy())))
    assert np.allclose(one, other, atol=1e-6)


def test_an_absent_number_is_told_from_one_that_is_usual():
    templates = context().templates
    batch = with_durations(windows([[0, 1], [2, 4]]))
    absent = replace(batch, numbers=np.where(np.arange(4)[:, None] == 1, np.nan, batch.numbers).astype(np.float32))
    learned, _ = _learned(Context(templates, (Number("duration_ms", "ms", "log"),)), batch)
    there, gone = vectors(learned, batch)[1], vectors(learned, absent)[1]
    values = slice(TYPE + 16, TYPE + 16 + NAME_SIGNS)
    present = slice(TYPE + 16 + NAME_SIGNS, TYPE + 16 + 2 * NAME_SIGNS)
    assert np.abs(there[present]).tolist() == [1] * NAME_SIGNS
    assert gone[present].tolist() == gone[values].tolist() == [0] * NAME_SIGNS


def test_stored_and_read_back_it_gives_the_same():
    learned, batch = _learned(context(), usual_windows(20))
    back = Portable.from_arrays(learned.arrays(), learned.meta())
    assert np.array_equal(vectors(learned, batch), vectors(back, batch))


def _learned(given: Context, batch: Windows) -> tuple[Portable, Windows]:
    return Portable.learn(batch, given), batch
