"""The view of single lines: how new a line's type is, and how grave its level and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from oddlog.calibration import EventCalibrator
from oddlog.incidents import alarming, pressing
from oddlog.types import F64, I64, U8, U32, Bool, State


@dataclass(frozen=True)
class EventView:
    """Scores single lines by how new the type is, and how grave level and words are.

    ``novelty = news × −log10((lines of the type in training + 1/2) / (lines in training + 1))``, then
    `incidents.pressing`. `news` is 1 for a type never seen, 1/2 for one seen in one of five stretches of time
    only, and 1/10 for all others: these are known, and can only be odd as part of their window. The p-value says
    how often a usual line scores as high, measured on each stretch against what was learned from the other four.
    What is news in a stretch counts once there, however many lines it has: a burst of one new type is told once,
    and must not raise the bar for all other news.
    """

    count: I64  # [k] lines of each type in training
    stretches: I64  # [k] stretches of time, of five, that hold the type
    calibrator: EventCalibrator
    threshold: float  # of the p-value: at or below it a line is odd

    def score(self, template: U32, level: U8, alarming_words: Bool) -> F64:
        """Return the score of each event [e]."""
        return line_scores(self.count, self.stretches, template, level, alarming_words)

    def p_value(self, scores: F64) -> F64:
        """Return the share of usual lines that score as high [e]."""
        return self.calibrator.p_value(scores)

    def is_anomaly(self, template: U32, p_value: F64) -> Bool:
        """Return which events [e] are odd by themselves."""
        odd: Bool = (_at(self.stretches, template) <= NEWS_STRETCHES) & (p_value <= self.threshold)
        return odd

    def state(self) -> State:
        """Return what `from_state` needs."""
        calibrator = self.calibrator.state()
        own = {"count": self.count, "stretches": self.stretches}
        arrays = {f"calibrator.{name}": array for name, array in calibrator.arrays.items()}
        return State(own | arrays, {"threshold": self.threshold, "calibrator": calibrator.meta})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        prefix = "calibrator."
        arrays = {n.removeprefix(prefix): a for n, a in state.arrays.items() if n.startswith(prefix)}
        calibrator = EventCalibrator.from_state(State(arrays, state.meta["calibrator"]))
        return cls(state.arrays["count"], state.arrays["stretches"], calibrator, state.meta["threshold"])


NEWS_STRETCHES = 1  # a type that stood in more stretches of the training time is known
NEWS_OF_STRETCHES = np.array([1.0, 0.5, 0.1])


def line_scores(count: I64, stretches: I64, template: U32, level: U8, alarming_words: Bool) -> F64:
    """Return how pressing lines [e] are; see `EventView`."""
    rarity = -np.log10((_at(count, template) + 0.5) / (count.sum() + 1.0))
    news = NEWS_OF_STRETCHES[np.minimum(_at(stretches, template), 2)]
    return pressing(rarity * news, level, alarming_words)


def _at(by_type: I64, template: U32) -> I64:
    """Return the entry of each event's type [e], 0 for types the model has never seen."""
    padded = np.append(by_type, 0)
    entry: I64 = padded[np.minimum(template, len(by_type))]
    return entry


def learn_event_view(by_type: pl.DataFrame, texts: Sequence[str], rate: float) -> EventView:
    """Learn from ``template level fold n``: how many lines of each type and level each fold of time holds."""
    words = alarming(texts)
    k = len(texts)

    def sums(frame: pl.DataFrame) -> tuple[I64, I64]:
        each = frame.group_by("template", "fold").agg(n=pl.col("n").sum())
        template = each["template"].to_numpy()
        count = np.bincount(template, each["n"].to_numpy(), minlength=k).astype(np.int64)
        return count, np.bincount(template, minlength=k)

    scores, weights = [np.empty(0)], [np.empty(0)]
    for (fold,), part in by_type.partition_by("fold", as_dict=True, maintain_order=True).items():
        count, stretches = sums(by_type.filter(pl.col("fold") != fold))
        template = part["template"].to_numpy()
        scores.append(line_scores(count, stretches, template, part["level"].to_numpy(), words[template]))
        weights.append(np.where(stretches[template] <= NEWS_STRETCHES, 1.0, part["n"].to_numpy()))
    calibrator = EventCalibrator().fit(np.concatenate(scores), np.concatenate(weights))
    return EventView(*sums(by_type), calibrator, rate)
