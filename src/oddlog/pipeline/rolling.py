"""What judges windows: the threshold that was learned, or one that rolls with the stream.

::

    closed windows ──► scores ──► blocks of time in which they closed ──► the threshold of each block ──► verdicts
                                  one fold: it comes from the blocks before

The same in batch, where all windows are scored before the fold, and live, where blocks come one by one. What is known
of the stream is no part of the model. Whichever of the two judges, it is counted what the other would say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import repeat
from typing import Any, Self

import numpy as np
import polars as pl

from oddlog.config import parse_time
from oddlog.errors import ConfigError, ModelError, did_you_mean
from oddlog.model import Model
from oddlog.pipeline.judging.views import PARTIAL, Cut, View
from oddlog.pipeline.learning.checkpointing import under, within
from oddlog.thresholds import Rolling
from oddlog.types import CLOSED_BY, F64, I64, NO_TIME, Bool, State, Tally, Windows

LEARNED, ROLLING = KINDS = ("learned", "rolling")
QUANTILES = 10_000  # of usual windows, by which it is told whether a threshold can roll
SIZE = 10_000  # windows that are remembered, fading
BLOCKS = 24  # blocks in which they fade at least, and that come first: a day, or four hours of ten minutes
KEPT = 24  # blocks that it is told of
UNTIMED = "window without a time, or begun before the input: judged by the learned threshold"
US_PER_HOUR = 3_600_000_000
US_PER_DAY = 24 * US_PER_HOUR
_OPEN, _IDLE, _REST, _HEADLESS = (CLOSED_BY.index(name) for name in ("open", "idle", "rest", "headless"))


Framed = Callable[[Windows], pl.DataFrame]  # gives `types.SCORES` of windows that were scored


@dataclass(frozen=True)
class Rolled:
    """What the two thresholds of a view say of the windows of the last blocks: how many are odd.

    Attributes
    ----------
    view : str
        Which view.
    windows : int
        Closed in the last `KEPT` blocks.
    odd, odd_rolling : int
        Beyond the threshold that was learned, and beyond the one that rolls.
    threshold, rolling : float
        These thresholds, now.
    judges : str
        Which of `KINDS` the verdicts go by.

    """

    view: str
    windows: int
    odd: int
    odd_rolling: int
    threshold: float
    rolling: float
    judges: str = LEARNED

    @property
    def says(self) -> str:
        """What both say, and which of them judges, in a sentence."""
        learned = f"{self.odd:,} beyond the learned threshold ({self.threshold:.2f})"
        rolling = f"{self.odd_rolling:,} beyond one that rolls with them (now {self.rolling:.2f})"
        first, second = (learned, rolling) if self.judges == LEARNED else (rolling, learned)
        return f"The last {self.windows:,} {self.view}: {first}, which judges, and {second}."


def require_kind(text: str) -> None:
    """Raise ConfigError unless `text` names what can judge."""
    if text not in KINDS:
        learned = "How it is learned is chosen by oddlog fit --threshold."
        raise ConfigError(
            f"There is no threshold called '{text}' to judge by.", f"{did_you_mean(text, KINDS)} {learned}"
        )


def why_not(model: Model) -> str:
    """Return why no threshold of a model can roll; empty if one can."""
    if model.training.get("start") is None:
        return "The model was learned from lines without times, so its threshold cannot roll with them."
    if not any(_rolling_of(view).rolls for view in model.views):
        return "The usual windows of this model score too much alike for its threshold to roll."
    return ""


def closes_us(windows: Windows, cut: Cut, until_us: int) -> I64:
    """Return when each window [w] was closed (us); the input has come as far as `until_us`.

    A session that was silent for too long closes when it has been, one that the input broke off where that ends. Of
    one that began before the input nobody knows how it ended: `NO_TIME`, as for windows without times.
    """
    closes = windows.end.copy()
    timed = closes != NO_TIME
    if cut.closing is not None:
        idle = timed & (windows.closed_by == _IDLE)
        closes[idle] = np.minimum(closes[idle] + cut.closing.idle_us, until_us)
    closes[timed & np.isin(windows.closed_by, (_OPEN, _REST))] = until_us
    closes[windows.closed_by == _HEADLESS] = NO_TIME
    return closes


class ViewRolling:
    """Folds the windows of one view.

    Parameters
    ----------
    view : View
        What judges them.
    block_us : int
        Length of a block.

    """

    def __init__(self, view: View, block_us: int) -> None:
        self.view, self._block_us = view, block_us
        self._rolling = _rolling_of(view)
        self._base = view.calibrator.threshold(10.0**-self._rolling.learned)
        self._block = 0  # which is open, since the epoch
        self._counts = np.zeros(3, np.int64)  # of it: windows, odd by the learned threshold, by the rolling one
        self._last: list[list[int]] = []  # of the blocks before
        self.value = view.threshold

    @property
    def least(self) -> float:
        """The lowest that the threshold may ever be."""
        return self._of(self._rolling.least) if self._rolling.rolls else self.view.threshold

    def _of(self, surprise: float) -> float:
        """Return the threshold of the combined score that a -log10 p stands for; the learned one is itself."""
        return self.view.threshold + self.view.calibrator.threshold(10.0**-surprise) - self._base

    def fold(self, closes: I64, is_whole: Bool, score: F64, p_value: F64) -> F64:
        """Return the threshold of each window [w], and take them in.

        Parameters
        ----------
        closes : I64 [w]
            When each was closed (us); one without a time is judged by the learned threshold.
        is_whole : Bool [w]
            Those that move the threshold; others, of which it is not known how they end, are only judged.
        score, p_value : F64 [w]
            By the model.

        """
        threshold = np.full(len(closes), self.view.threshold)
        timed = np.flatnonzero(closes != NO_TIME)
        block = (closes[timed] - 1) // self._block_us  # what ends with a block is of it
        order = np.argsort(block, kind="stable")
        each, starts = np.unique(block[order], return_index=True)
        for which, at in zip(each.tolist(), np.split(timed[order], starts)[1:], strict=True):
            if which > self._block:  # what comes later than its block is of the one that is open
                self._settle()
                self._block = which
            threshold[at] = self.value
            self._add(at[is_whole[at]], score, p_value)
        return threshold

    def _add(self, at: I64, score: F64, p_value: F64) -> None:
        is_odd = score[at] > self.value
        learned = score[at] > self.view.threshold
        self._counts += np.array([len(at), np.count_nonzero(learned), np.count_nonzero(is_odd)])
        self._rolling.push(-np.log10(p_value[at]), is_odd)

    def _settle(self) -> None:
        if self._counts[0]:
            self._last = [*self._last, self._counts.tolist()][-KEPT:]
            self._counts[:] = 0
            self._rolling.settle()
            self.value = self._of(self._rolling.value)

    def told(self, judges: str) -> Rolled:
        """Return what both thresholds say of the last blocks."""
        windows, odd, rolled = (sum(column) for column in zip((0, 0, 0), *self._last, strict=True))
        return Rolled(self.view.name, windows, odd, rolled, self.view.threshold, self.value, judges)

    def state(self) -> State:
        """Return everything `restore` needs."""
        return State(
            {**self._rolling.state().arrays, "counts": self._counts}, {"block": self._block, "last": self._last}
        )

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be of the same model."""
        self._rolling.restore(state)
        self._counts = np.array(state.arrays["counts"])
        self._block, self._last = int(state.meta["block"]), [list(one) for one in state.meta["last"]]
        self.value = self._of(self._rolling.value)


class Thresholds:
    """What judges the windows of all views.

    Parameters
    ----------
    model : Model
        Whose views.
    kind : str
        One of `KINDS`.
    tally : Tally
        Told of windows that a threshold cannot roll for.

    Raises
    ------
    ConfigError
        If there is no such kind.
    ModelError
        If no threshold of the model can roll, and it is asked to.

    """

    def __init__(self, model: Model, kind: str, tally: Tally) -> None:
        require_kind(kind)
        why = why_not(model) if kind == ROLLING else ""
        if why:
            raise ModelError(why, "Judge by the learned one: --threshold learned.")
        self.kind, self._tally = kind, tally
        block_us = US_PER_HOUR if _learned_us(model) >= US_PER_DAY else US_PER_HOUR // 6
        self._of = {view.name: ViewRolling(view, block_us) for view in model.views}
        self._noted: dict[str, list[_Scored]] = defaultdict(list)

    @property
    def rolls(self) -> bool:
        """Whether the threshold that judges rolls."""
        return self.kind == ROLLING

    def verdicts(self, view: View, windows: Windows, until_us: int) -> pl.DataFrame:
        """Return `types.SCORES` of windows [w] that were closed after all that were given before; see `closes_us`."""
        scored = self._scored(view, windows, until_us)
        (threshold,) = self._fold(view, [scored])
        return view.framed(windows, scored.score, scored.p_value, threshold if self.rolls else None)

    def verdicts_now(self, view: View, windows: Windows) -> pl.DataFrame:
        """Return `types.SCORES` of windows [w] that are not closed yet, by what judges now; nothing is taken in."""
        if not self.rolls:
            return view.verdicts(windows)
        return view.verdicts(windows, np.full(len(windows), self._of[view.name].value))

    def framed(self, view: View, parts: Iterable[Windows], until_us: int) -> Iterator[Framed]:
        """Yield what gives the verdicts of each part of the input, when it is given the windows of that part again.

        For a threshold that rolls, all `parts` are scored first, in whichever order they come; else none of them.
        """
        if not self.rolls:
            yield from repeat(view.verdicts)
        scored = [self._scored(view, windows, until_us) for windows in parts]
        for one, threshold in zip(scored, self._fold(view, scored), strict=True):
            yield partial(view.framed, combined=one.score, p_value=one.p_value, threshold=threshold)

    def note(self, view: View, windows: Windows, verdict: pl.DataFrame, until_us: int) -> None:
        """Keep the verdicts of a part of the input by the learned threshold, to tell what the other would say."""
        if self.rolls:
            return
        score, p_value = (verdict[name].to_numpy() for name in ("score", "p_value"))
        self._noted[view.name].append(_Scored.of(view, windows, until_us, score, p_value))

    def told(self) -> tuple[Rolled, ...]:
        """Return for each view what both thresholds say."""
        for name, scored in self._noted.items():
            self._fold(self._of[name].view, scored)
        self._noted.clear()
        return tuple(one.told(self.kind) for one in self._of.values())

    def says(self) -> list[str]:
        """Return in a sentence which threshold has judged, if it was another than the learned one."""
        each = [f"{name} at {one.value:.2f} (learned {one.view.threshold:.2f})" for name, one in self._of.items()]
        said = f"Judged by a threshold that rolls with the windows: {', '.join(each)} in the end."
        return [said] if self.rolls else []

    def _scored(self, view: View, windows: Windows, until_us: int) -> _Scored:
        least = self._of[view.name].least if self.rolls else None
        return _Scored.of(view, windows, until_us, *view.judge(windows, above=least))

    def _fold(self, view: View, scored: Sequence[_Scored]) -> list[F64]:
        """Return the threshold of each window [w] of each part, all of which were closed after those before."""
        if not scored:
            return []
        columns = (np.concatenate([getattr(one, name) for one in scored]) for name in _Scored.names())
        closes, is_whole, score, p_value = columns
        if self.rolls:
            self._tally.add(UNTIMED, int((closes == NO_TIME).sum()))
        threshold = self._of[view.name].fold(closes, is_whole, score, p_value)
        return np.split(threshold, np.cumsum([len(one.closes) for one in scored])[:-1])

    def state(self) -> State:
        """Return everything `restore` needs."""
        arrays: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        for name, one in self._of.items():
            state = one.state()
            arrays |= within(name, state.arrays)
            meta[name] = state.meta
        return State(arrays, meta)

    def restore(self, state: State) -> None:
        """Go on where `state` was taken."""
        for name, meta in state.meta.items():
            self._of[name].restore(State(under(name, state.arrays), meta))


@dataclass(frozen=True)
class _Scored:
    """Windows [w] as the fold needs them; see `ViewRolling.fold`."""

    closes: I64
    is_whole: Bool
    score: F64
    p_value: F64

    @classmethod
    def of(cls, view: View, windows: Windows, until_us: int, score: F64, p_value: F64) -> Self:
        is_whole = ~np.isin(windows.closed_by, PARTIAL) & ~np.isnan(score)
        return cls(closes_us(windows, view.cut, until_us), is_whole, score, p_value)

    @classmethod
    def names(cls) -> list[str]:
        return [one.name for one in fields(cls)]


def _rolling_of(view: View) -> Rolling:
    """Return the rolling threshold of a view, in -log10 p by its calibration."""
    usual = -np.log10(view.calibrator.rates_of(view.calibrator.usual(QUANTILES)))
    learned = -np.log10(view.calibrator.rates_beyond(np.array([view.threshold])))
    return Rolling(usual, float(learned[0]), SIZE, BLOCKS)


def _learned_us(model: Model) -> int:
    """Return how long a time the model was learned from (us)."""
    start, end = (model.training.get(name) for name in ("start", "end"))
    return 0 if not start or not end else round((parse_time(end) - parse_time(start)).total_seconds() * 1e6)
