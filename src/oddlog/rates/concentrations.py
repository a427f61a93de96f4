"""Concentration: one entity (an address, a user) causes most of a type's failed lines, and many of them.

In ten minutes of most types a single entity causes most lines, as there are one or two of them. So what is compared is
how many lines the busiest entity causes, with how many it usually causes.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.counting import BUCKET
from oddlog.rates.member import CANDIDATES, LEAST_SCORE, count_deviate, frame
from oddlog.rates.series import Counted
from oddlog.types import State

ALL_FAILED, ALL_LINES = -2, -1
"""Instead of a template: all failed lines together, and all lines whatsoever."""
LEAST_LINES = 10
LEAST_SHARE = 0.5
PRIOR_ALPHA = 1.0  # who tries a thing once tries it several times
PRIOR_MEAN = 0.2  # lines of the busiest entity where training holds none
ENOUGH_LINES = 10  # of all entities, before the largest share of one says something
KEPT = 0.99  # quantile of these shares that reasons name


class Concentration:
    """How many of a type's lines the busiest entity causes in ten minutes."""

    name = "concentration"

    def __init__(self) -> None:
        self._template = np.empty(0, np.int64)  # [x] ascending
        self._mean = np.empty(0)  # [x] lines of the busiest entity in ten minutes
        self._alpha = np.empty(0)
        self.share = np.empty(0)  # [x] the largest that is usual; NaN where there were never enough lines
        self.most = np.empty(0)  # [x] lines of the busiest entity in its busiest ten minutes

    def learn(self, counted: Counted) -> pl.DataFrame:
        """Learn; return the candidates of the training time."""
        top = busiest(counted)
        buckets = max(int(np.unique(counted.span.minute[counted.span.observed] // BUCKET).size), 1)
        learned = (
            top.group_by("template")
            .agg(
                total=pl.col("n").sum(),
                square=(pl.col("n").cast(pl.Float64) ** 2).sum(),
                most=pl.col("n").max(),
                share=(pl.col("n") / pl.col("all"))
                .filter(pl.col("all") >= ENOUGH_LINES)
                .quantile(KEPT, interpolation="higher"),
            )
            .sort("template")
        )
        mean = learned["total"].to_numpy() / buckets
        variance = learned["square"].to_numpy() / buckets - mean**2
        self._template = learned["template"].to_numpy()
        self._mean = np.maximum(mean, PRIOR_MEAN)
        self._alpha = np.maximum((variance - mean) / np.maximum(mean**2, 1e-12), PRIOR_ALPHA)
        self._alpha = np.minimum(self._alpha, 1 / self._mean + PRIOR_ALPHA)
        self.share = learned["share"].fill_null(np.nan).to_numpy()
        self.most = learned["most"].to_numpy().astype(np.float64)
        return self._far(top)

    def judge(self, counted: Counted) -> pl.DataFrame:
        """Return where one entity causes far more lines of a type than any usually does."""
        return self._far(busiest(counted))

    def usual(self, template: int) -> tuple[float, float]:
        """Return the largest usual share, and most lines, of one entity in ten minutes; (NaN, 0) where unknown."""
        at = int(np.searchsorted(self._template, template))
        if at < len(self._template) and self._template[at] == template:
            return float(self.share[at]), float(self.most[at])
        return float("nan"), 0.0

    def _far(self, top: pl.DataFrame) -> pl.DataFrame:
        some = top.filter((pl.col("n") >= LEAST_LINES) & (pl.col("n") >= LEAST_SHARE * pl.col("all")))
        if not len(some):
            return pl.DataFrame(schema=CANDIDATES)
        template, seen = some["template"].to_numpy(), some["n"].to_numpy().astype(np.float64)
        mean, alpha = np.full(len(some), PRIOR_MEAN), np.full(len(some), 1 / PRIOR_MEAN + PRIOR_ALPHA)
        if len(self._template):
            at = np.minimum(np.searchsorted(self._template, template), len(self._template) - 1)
            known = self._template[at] == template
            mean, alpha = np.where(known, self._mean[at], mean), np.where(known, self._alpha[at], alpha)
        columns = {
            "subject": template,
            "minute": some["bucket"].to_numpy() * BUCKET + BUCKET - 1,
            "span": np.full(len(some), BUCKET),
            "score": count_deviate(seen, mean, alpha),
            "seen": seen,
            "usual": mean,
            "who": some["entity"],
        }
        return frame(columns).filter(pl.col("score") >= LEAST_SCORE).sort("subject", "minute")

    def state(self) -> State:
        """Return what `from_state` needs."""
        names = ("template", "mean", "alpha")
        own = {name: getattr(self, f"_{name}") for name in names}
        return State(own | {"share": self.share, "most": self.most})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._template, self._mean, self._alpha = (state.arrays[name] for name in ("template", "mean", "alpha"))
        self.share, self.most = state.arrays["share"], state.arrays["most"]
        return self


def busiest(counted: Counted) -> pl.DataFrame:
    """Return the busiest entity of each type and ten minutes: ``template bucket entity n all``."""
    failures = counted.failures.select("bucket", "entity", "template", "n")
    all_failed = failures.group_by("bucket", "entity").agg(pl.col("n").sum())
    every = pl.concat(
        [
            failures.select("bucket", "entity", pl.col("template").cast(pl.Int64), pl.col("n").cast(pl.Int64)),
            *(
                frame_.select("bucket", "entity", pl.lit(kind, pl.Int64).alias("template"), pl.col("n").cast(pl.Int64))
                for frame_, kind in ((all_failed, ALL_FAILED), (counted.entities, ALL_LINES))
            ),
        ]
    )
    ranked = every.sort("template", "bucket", "n", "entity", descending=[False, False, True, False])
    return ranked.group_by("template", "bucket", maintain_order=True).agg(
        pl.col("entity").first(), pl.col("n").first(), all=pl.col("n").sum()
    )
