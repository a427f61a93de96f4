"""What was odd in training already, time and again, is no news.

Trimming keeps odd windows out of what the members learn, so that repeated anomalies cannot pass for usual. But a
request that is declined ten times a day, every day, is how the system is: to report the next one helps nobody. So
where something was trimmed, we remember *what* makes windows odd (a type that should not be there, that is missing,
that stands there so often), and how large a share of the training windows had it. A window that is odd by nothing
but such known things is no rarer than the rarest of them::

    training   “card declined” is here        0.9 % of the sessions, in 5 of 5 stretches of time
    today      “card declined” is here        p = max(p, 0.009): known
    today      “card declined” 40 times       never so often in training: p stays

Where nothing was trimmed, nothing is known: usual windows are near each other then, and a rare combination of
things that each happen is news.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from oddlog.explain import Oddity, leading, type_counts
from oddlog.types import F64, I64, U64, State, Windows

RECURRING_FOLDS = 3  # of five: what comes back in most stretches of time is part of how the system is
KINDS = ("unseen_template", "missing_event", "unexpected_event", "count_off", "held")
HELD = KINDS.index("held")  # a type that stands at least so often in a window, odd or not


@dataclass(frozen=True)
class Known:
    """Known oddities.

    Attributes
    ----------
    oddity : U64 [x]
        Ascending; see `_code`.
    share : F64 [x]
        Of the training windows that had it.

    """

    oddity: U64
    share: F64

    @classmethod
    def nothing(cls) -> Self:
        """Return that nothing is known."""
        return cls(np.empty(0, np.uint64), np.empty(0))

    @classmethod
    def learn(cls, windows: Windows, fold: I64, trimmed: I64, found: Sequence[list[Oddity]], k: int) -> Self:
        """Learn from all training `windows` [w], their folds of time, and what made the `trimmed` ones odd."""
        if not len(trimmed):
            return cls.nothing()
        codes = [_code(oddity) for one in found for oddity in leading(one)]
        of_code = np.repeat(trimmed, [len(leading(one)) for one in found])
        odd = pl.DataFrame({"oddity": np.array(codes, np.uint64), "window": of_code})
        # Only of types that make trimmed windows odd: otherwise one kind of trouble would make every combination
        # of common types pass for known.
        held = _held(windows, k).filter((pl.col("oddity") // (1 << 16)).is_in(odd["oddity"] // (1 << 16)))
        every = pl.concat([odd, held])
        at = every["window"].to_numpy()
        recurring = (
            every.with_columns(fold=pl.Series(fold[at]), weight=pl.Series(windows.weight[at]))
            .group_by("oddity")
            .agg(folds=pl.col("fold").n_unique(), share=pl.col("weight").sum() / windows.weight.sum())
            .filter(pl.col("folds") >= RECURRING_FOLDS)
            .sort("oddity")
        )
        return cls(recurring["oddity"].to_numpy(), recurring["share"].to_numpy())

    def floor(self, found: Sequence[list[Oddity]]) -> F64:
        """Return the least p-value [w] of windows that are odd in these ways, 0 where one of them is news."""
        share = dict(zip(self.oddity.tolist(), self.share.tolist(), strict=True))

        def of(oddity: Oddity) -> float:
            held = share.get(_code(oddity, HELD), 0.0) if oddity.seen > oddity.expected else 0.0
            own: float = share.get(_code(oddity), 0.0)
            return max(held, own)

        return np.array([min(map(of, leading(one)), default=0.0) for one in found])

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({"oddity": self.oddity, "share": self.share})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        return cls(**state.arrays)


def _code(oddity: Oddity, kind: int | None = None) -> int:
    """Return type, kind and how often about (once, twice, 3-4, 5-8 …) as one number."""
    about = int(np.ceil(np.log2(oddity.seen))) + 1 if oddity.seen >= 1 else 0
    return int(oddity.template) << 16 | (KINDS.index(oddity.kind) if kind is None else kind) << 8 | about


def _held(windows: Windows, k: int) -> pl.DataFrame:
    """Return ``oddity window``: the codes of each type that a window holds, for all numbers up to how often."""
    counted = type_counts(windows).filter(pl.col("template") < k)
    about = np.ceil(np.log2(counted["n"].to_numpy())).astype(np.uint64) + np.uint64(1)
    base = counted["template"].to_numpy().astype(np.uint64) << np.uint64(16) | np.uint64(HELD << 8)
    upto = np.arange(1, int(about.max(initial=0)) + 1, dtype=np.uint64)
    row, column = np.nonzero(upto[None, :] <= about[:, None])
    return pl.DataFrame(
        {"oddity": base[row] | upto[column], "window": counted["window"].cast(pl.Int64).to_numpy()[row]}
    )
