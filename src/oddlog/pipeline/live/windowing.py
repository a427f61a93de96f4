"""The windows of each view while lines come: open ones, and those that are over and wait to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from oddlog.pipeline.learning.checkpointing import under, windows_arrays, windows_of, within
from oddlog.types import EVENTS, State, Tally, Windows
from oddlog.windows import Windower

HURRIED = "lateness given up for once: too many lines wait for their order"


class Windowing:
    """A windower for each view.

    Parameters
    ----------
    windowers : list of Windower
        Of the views, in their order.
    max_waiting : int
        Beyond so many events that wait for their order, lateness is given up for once.
    tally : Tally
        Told when it is.

    """

    def __init__(self, windowers: list[Windower], max_waiting: int, tally: Tally) -> None:
        self.windowers = windowers
        self._max_waiting, self._tally = max_waiting, tally
        self._over: list[list[Windows]] = [[] for _ in windowers]
        self._empty: dict[int, pl.DataFrame] = {}  # the events of each view, none of them

    @property
    def n_open(self) -> int:
        """Windows that are open."""
        return sum(windower.n_open for windower in self.windowers)

    @property
    def n_over(self) -> int:
        """Events of windows that are over and were not taken yet."""
        return sum(int(one.offsets[-1]) for parts in self._over for one in parts)

    @property
    def watermark_us(self) -> int:
        """The farthest that the watermark of any view has come."""
        return max(windower.watermark_us for windower in self.windowers)

    def push(self, events: Sequence[pl.DataFrame], end_us: int) -> None:
        """Take in the events of each view; `end_us` is the latest time of a record (us)."""
        for i, (windower, mine) in enumerate(zip(self.windowers, events, strict=True)):
            self._empty[i] = mine.clear()
            self._close(i, windower.push(mine))
            if windower.n_waiting > self._max_waiting:
                self._tally.add(HURRIED)
                self._pass(i, end_us)

    def let_pass(self, watermark_us: int) -> None:
        """Close the windows that nothing before `watermark_us` is awaited for."""
        for i in range(len(self.windowers)):
            self._pass(i, watermark_us)

    def _pass(self, i: int, watermark_us: int) -> None:
        if self.windowers[i].watermark_us < watermark_us and i in self._empty:
            self._close(i, self.windowers[i].push(self._empty[i], watermark_us))

    def _close(self, i: int, closed: Windows) -> None:
        self._over[i] += [closed] if len(closed) else []

    def over(self) -> list[Windows]:
        """Return the windows that are over since this was asked last, by view."""
        over, self._over = self._over, [[] for _ in self.windowers]
        return [Windows.concat(parts) for parts in over]

    def flush(self) -> list[Windows]:
        """Close all windows that are open, by view."""
        return [windower.flush() for windower in self.windowers]

    def state(self) -> State:
        """Return everything `restore` needs."""
        arrays: dict[str, Any] = {}
        windowers = []
        for i, windower in enumerate(self.windowers):
            part = windower.state()
            arrays |= within(f"windower{i}", part.arrays)
            if self._over[i]:
                arrays |= within(f"over{i}", windows_arrays(Windows.concat(self._over[i])))
            windowers.append(part.meta)
        return State(arrays, {"windowers": windowers})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; there may be more in it."""
        for i, one in enumerate(state.meta["windowers"]):
            self.windowers[i] = Windower.from_state(State(under(f"windower{i}", state.arrays), one), tally=self._tally)
            over = under(f"over{i}", state.arrays)
            self._over[i] = [windows_of(over)] if over else []
            if one["numbers"] is not None:
                self._empty[i] = pl.DataFrame(schema={**EVENTS, **dict.fromkeys(one["numbers"], pl.Float32)})
