"""What a model remembers of its training, so that it can learn more without the old logs.

For each view a sample of its distinct windows with their weights, and of windows as they were for members that read
more than counts; of sessions a draw with those that were not over, to learn when one is; how many lines of each type
and level each stretch of time held; and when. At most 20,000 windows and a million events of each kind: common windows
first, and a draw of the others. Rows of types stay what they are when more is learned (`updating.grown`), so the
windows need no translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import polars as pl
import zstandard
from numpy.typing import NDArray

from oddlog.pipeline.learning.distinct import counts_hash, sampled
from oddlog.pipeline.learning.view import Gathered
from oddlog.pipeline.learning.whole import WholeWindows
from oddlog.types import CLOSED_BY, F64, I8, I64, NO_TIME, State, Windows

MOST_WINDOWS = 20_000
MOST_EVENTS = 1_000_000
MOST_TIMES = 1_000  # quantiles of the times of all lines
PART = "memory"
_END, _REST = CLOSED_BY.index("end"), CLOSED_BY.index("rest")
_OF_EVENTS = ("template", "time_us", "level", "service", "numbers")


@dataclass(frozen=True)
class Sample:
    """Windows with their labels [w]."""

    windows: Windows
    label: I8

    def arrays(self, prefix: str, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
        """Return what `of_arrays` needs; of the events only what `names` says."""
        windows = self.windows
        own: dict[str, NDArray[Any]] = {name: getattr(windows, name) for name in ("start", "end", "weight", *names)}
        own |= {"label": self.label, "lengths": windows.lengths.astype(np.uint32)}
        return {f"{prefix}.{name}": array for name, array in own.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str, n_numbers: int) -> Self:
        """Rebuild; keys and places of lines are forgotten."""
        own = {name.removeprefix(f"{prefix}."): a for name, a in arrays.items() if name.startswith(f"{prefix}.")}
        n, e = len(own["lengths"]), int(own["lengths"].sum())
        of_events: dict[str, NDArray[Any]] = {
            "template": np.zeros(e, np.uint32),
            "time_us": np.repeat(own["start"], own["lengths"]),
            "level": np.zeros(e, np.uint8),
            "service": np.zeros(e, np.uint16),
            "numbers": np.full((e, n_numbers), np.nan, np.float32),
        } | {name: own[name] for name in _OF_EVENTS if name in own}
        windows = Windows(
            key=pl.Series("key", [f"remembered-{i}" for i in range(n)], dtype=pl.String),
            start=own["start"],
            end=own["end"],
            closed_by=np.full(n, _END, np.uint8),
            weight=own["weight"],
            offsets=np.concatenate([[0], np.cumsum(own["lengths"])]).astype(np.int64),
            source=np.zeros(e, np.uint16),
            line=np.arange(e, dtype=np.uint64),
            **of_events,
        )
        return cls(windows, own["label"])


@dataclass(frozen=True)
class Begun:
    """Sessions, those that the end of the log cut off among them: from them it is learned when one is over.

    Attributes
    ----------
    windows : Windows
        Cut before that was known.
    end_us : int
        Where their log ended.

    """

    windows: Windows
    end_us: int

    def some(self) -> Begun:
        """Return as many of them as are remembered."""
        draw = WholeWindows(MOST_WINDOWS, MOST_EVENTS)
        nothing = np.zeros(len(self.windows), np.int64)
        draw.add(self.windows, nothing.astype(np.int8), nothing)
        return Begun(draw.whole().windows, self.end_us)

    def ending(self, end_us: int) -> Windows:
        """Return the sessions as if their log had ended then: only how long they were silent at its end matters."""
        windows, by = self.windows, end_us - self.end_us
        if NO_TIME in (self.end_us, end_us):
            return windows
        start, end, time_us = (
            np.where(time == NO_TIME, NO_TIME, time + by) for time in (windows.start, windows.end, windows.time_us)
        )
        return replace(windows, start=start, end=end, time_us=time_us)


@dataclass(frozen=True)
class ViewMemory:
    """What is remembered of one view.

    Attributes
    ----------
    counted : Sample
        Distinct windows with weights, merged by their counts.
    whole : Sample or None
        Windows as they were.
    begun : Begun or None
        Of a view of sessions.
    n_windows, n_open : float
        Windows there were.

    """

    counted: Sample
    whole: Sample | None
    begun: Begun | None
    n_windows: float
    n_open: float

    @classmethod
    def of(cls, gathered: Gathered, begun: Begun | None, k: int) -> Self:
        """Return what to remember of the windows that a view was learned from."""
        # A session that rested when its log ended may go on in the next one: half of it must not pass for usual there.
        timed = begun is not None and begun.end_us != NO_TIME
        over = np.flatnonzero((gathered.windows.closed_by != _REST) | (not timed))
        windows, label = gathered.windows.take(over), gathered.label[over]
        kept = sampled(counts_hash(windows, k), windows.weight, MOST_WINDOWS)
        by_weight = kept[np.argsort(-windows.weight[kept], kind="stable")]
        kept = np.sort(by_weight[np.cumsum(windows.lengths[by_weight]) <= MOST_EVENTS])
        whole = None
        if gathered.whole is not None:
            draw = WholeWindows(MOST_WINDOWS, MOST_EVENTS)
            whole_over = gathered.whole.of(np.flatnonzero((gathered.whole.windows.closed_by != _REST) | (not timed)))
            draw.add(whole_over.windows, whole_over.label, whole_over.fold)
            some = draw.whole()
            whole = Sample(some.windows, some.label)
        counted = Sample(windows.take(kept), label[kept])
        resting = float(gathered.windows.weight.sum() - windows.weight.sum())
        n_windows, n_open = gathered.n_windows - resting, gathered.n_open + resting
        return cls(counted, whole, begun and begun.some(), n_windows, n_open)


@dataclass(frozen=True)
class Memory:
    """What a model remembers of its training.

    Attributes
    ----------
    views : mapping
        By name.
    by_type : pl.DataFrame
        ``template level fold n``: lines of each type and level in each stretch of time.
    times : F64 [x]
        Quantiles of the times of all lines, us; empty if they have none.
    options : mapping
        How the views were learned: `names`, `candidates`, `recurring`.

    """

    views: Mapping[str, ViewMemory]
    by_type: pl.DataFrame
    times: F64
    options: Mapping[str, Any] = field(default_factory=dict)

    def times_again(self, n: int) -> I64:
        """Return `n` times spread as the remembered ones are."""
        if not len(self.times):
            return np.empty(0, np.int64)
        at = (np.arange(n) + 0.5) / max(n, 1)
        return np.interp(at, np.linspace(0, 1, len(self.times)), self.times).astype(np.int64)

    def by_type_in(self, fold_of: I64) -> pl.DataFrame:
        """Return `by_type` with each old stretch of time [f] called by a new one; without times it keeps its name."""
        if not len(fold_of):
            return self.by_type
        fold = pl.Series("fold", fold_of[self.by_type["fold"].to_numpy()], dtype=pl.Int64)
        by = ["template", "level", "fold"]
        return self.by_type.with_columns(fold).group_by(by).agg(pl.col("n").sum()).sort(by)

    def states(self) -> dict[str, State]:
        """Return the parts on disk: arrays packed with zstd, for a model is loaded far more often than it learns."""
        own = {name: self.by_type[name].to_numpy() for name in self.by_type.columns} | {"times": self.times}
        parts = {PART: packed(own, {"views": list(self.views), "options": dict(self.options)})}
        for name, view in self.views.items():
            arrays = view.counted.arrays("counted", ("template",))
            if view.whole is not None:
                arrays |= view.whole.arrays("whole", _OF_EVENTS)
            meta = {"n_windows": view.n_windows, "n_open": view.n_open, "whole": view.whole is not None, "end_us": None}
            if view.begun is not None:
                begun = Sample(view.begun.windows, np.zeros(len(view.begun.windows), np.int8))
                arrays |= begun.arrays("begun", ("template", "time_us"))
                meta["end_us"] = view.begun.end_us
            parts[f"{PART}.{name}"] = packed(arrays, meta)
        return parts

    @classmethod
    def from_states(cls, states: Mapping[str, State], n_numbers: int) -> Self:
        """Rebuild."""
        meta, own = states[PART].meta, unpacked(states[PART])
        views = {}
        for name in meta["views"]:
            state, arrays = states[f"{PART}.{name}"], unpacked(states[f"{PART}.{name}"])
            whole = Sample.of_arrays(arrays, "whole", n_numbers) if state.meta["whole"] else None
            begun = None
            if state.meta["end_us"] is not None:
                begun = Begun(Sample.of_arrays(arrays, "begun", n_numbers).windows, state.meta["end_us"])
            counted = Sample.of_arrays(arrays, "counted", n_numbers)
            views[name] = ViewMemory(counted, whole, begun, state.meta["n_windows"], state.meta["n_open"])
        times = own.pop("times")
        return cls(views, pl.DataFrame(own), times, meta["options"])


def packed(arrays: Mapping[str, NDArray[Any]], meta: dict[str, Any]) -> State:
    """Return arrays as part of a model, packed with zstd."""
    pack = zstandard.ZstdCompressor(level=9).compress
    shapes = {name: {"dtype": array.dtype.str, "shape": list(array.shape)} for name, array in arrays.items()}
    content = {
        name: np.frombuffer(pack(np.ascontiguousarray(array).tobytes()), np.uint8) for name, array in arrays.items()
    }
    return State(content, meta | {"arrays": shapes})


def unpacked(state: State) -> dict[str, NDArray[Any]]:
    """Return what was `packed`."""
    unpack = zstandard.ZstdDecompressor().decompress
    return {
        name: np.frombuffer(unpack(state.arrays[name].tobytes()), np.dtype(of["dtype"])).reshape(of["shape"]).copy()
        for name, of in state.meta["arrays"].items()
    }
