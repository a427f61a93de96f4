"""The events of open windows, held in growing arrays.

A window's events are runs of neighbours; each run points to the window's run before it. Adding to a window
therefore costs what is added, not what is open, and closing costs what the window holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlog.types import I64

_SPARE = 65_536  # dead events that are not worth a compaction


class Grown:
    """An array that grows at its end, doubling its room."""

    def __init__(self, like: NDArray[Any]) -> None:
        self.size = 0
        self._room: NDArray[Any] = np.empty((0, *like.shape[1:]), like.dtype)

    @property
    def values(self) -> NDArray[Any]:
        """The array so far, a view."""
        return self._room[: self.size]

    def append(self, more: NDArray[Any]) -> None:
        """Add `more` at the end."""
        need = self.size + len(more)
        if need > len(self._room):
            room = np.empty((max(need, 2 * len(self._room), 256), *self._room.shape[1:]), self._room.dtype)
            room[: self.size] = self.values
            self._room = room
        self._room[self.size : need] = more
        self.size = need


def ranges(start: I64, stop: I64) -> I64:
    """Return the positions of all ranges `start:stop`, one after the other.

    >>> ranges(np.array([5, 0]), np.array([7, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    lengths = stop - start
    before = np.cumsum(lengths) - lengths
    return np.repeat(start - before, lengths) + np.arange(int(lengths.sum()))


class Held:
    """Events of open windows as columns, and the runs they stand in.

    Parameters
    ----------
    columns : dict of empty arrays [0, ...]
        The columns to hold, with their types.

    """

    def __init__(self, columns: dict[str, NDArray[Any]]) -> None:
        self._clear(columns)

    def _clear(self, columns: dict[str, NDArray[Any]]) -> None:
        self._columns = {name: Grown(column) for name, column in columns.items()}
        self._runs = {name: Grown(np.empty(0, np.int64)) for name in ("start", "stop", "before")}
        self.live = 0

    @property
    def names(self) -> list[str]:
        """The columns held."""
        return list(self._columns)

    @property
    def size(self) -> int:
        """How many events stand here, those of closed windows among them."""
        return next(iter(self._columns.values())).size

    def add(self, columns: dict[str, NDArray[Any]], order: I64) -> int:
        """Append the events at `order`; return the position of the first."""
        base = self.size
        for name, grown in self._columns.items():
            grown.append(columns[name][order])
        return base

    def add_runs(self, start: I64, stop: I64, before: I64) -> I64:
        """Append runs; `before` is the window's run before it, -1 for none. Return their numbers."""
        first = self._runs["start"].size
        for name, values in (("start", start), ("stop", stop), ("before", before)):
            self._runs[name].append(values)
        self.live += int((stop - start).sum())
        return np.arange(first, first + len(start))

    def runs_of(self, head: I64) -> tuple[I64, I64, I64]:
        """Return (which of `head`, start, stop) of all runs that end in the runs `head` [x], -1 for none."""
        which = np.flatnonzero(head >= 0)
        run = head[which]
        found: list[tuple[I64, I64, I64]] = []
        while len(run):
            found.append((which, self._runs["start"].values[run], self._runs["stop"].values[run]))
            run = self._runs["before"].values[run]
            more = run >= 0
            which, run = which[more], run[more]
        if not found:
            none = np.empty(0, np.int64)
            return none, none, none
        which, start, stop = (np.concatenate(part) for part in zip(*found, strict=True))
        return which, start, stop

    def gather(self, name: str, index: I64) -> NDArray[Any]:
        """Return the column `name` at `index`."""
        return self._columns[name].values[index]

    def is_sparse(self) -> bool:
        """Whether more is dead than alive."""
        return self.size - self.live > max(self.live, _SPARE)

    def compact(self, head: I64) -> I64:
        """Keep only the windows whose last runs are `head` [x], one run each; return their new runs."""
        which, start, stop = self.runs_of(head)
        order = np.lexsort((start, which))
        index = ranges(start[order], stop[order])
        kept = {name: grown.values[index] for name, grown in self._columns.items()}
        lengths = np.zeros(len(head), np.int64)
        np.add.at(lengths, which, stop - start)
        self._clear({name: column[:0] for name, column in kept.items()})
        self.add(kept, np.arange(len(index)))
        ends = np.cumsum(lengths)
        return self.add_runs(ends - lengths, ends, np.full(len(head), -1))
