"""Drift of what comes from what was learned: the model's `usual` blocks, fed with counts and with scores of windows.

`detect` feeds it the counts of the whole log at once, live work those of each minute that is over; see `oddlog.drift`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from oddlog.drift import Drifted, Figures, Following
from oddlog.drift.telling import Told, proposal
from oddlog.drift.usual import HOUR
from oddlog.model import Model
from oddlog.pipeline.rolling import Rolled
from oddlog.rates import Before, Counting
from oddlog.templates import Matcher
from oddlog.types import NO_TIME, State

US_PER_MINUTE = 60_000_000
MOST_LAG = 1_440  # minutes that scores of sessions are waited for; what ends later is left out


@dataclass(frozen=True)
class Drift:
    """How far what came last is from training.

    Attributes
    ----------
    drifted : tuple of Drifted
        What has drifted, what lasts longest first.
    figures : tuple of Figures
        All services together, then each that is followed by itself.
    watched : int
        Figures that are followed.
    evidence : float
        Of the one that is nearest to having drifted, 0 to 1.
    rolling : tuple of Rolled
        Of each view, what the learned threshold says, and one that rolls, and which of them judges.
    judged, least : int
        Blocks of time that were judged, and how many of them it takes before anything can have drifted.
    minutes : int
        Of a block.

    """

    drifted: tuple[Drifted, ...] = ()
    figures: tuple[Figures, ...] = ()
    watched: int = 0
    evidence: float = 0.0
    rolling: tuple[Rolled, ...] = ()
    judged: int = 0
    least: int = 1
    minutes: int = 60

    @property
    def says(self) -> str:
        """That nothing has drifted, or that it is too early to tell, in words; empty if something has drifted."""
        if self.drifted:
            return ""
        if self.judged < self.least:
            blocks = "hours" if self.minutes == HOUR else f"blocks of {self.minutes} minutes"
            return f"Too early to tell what has drifted: {self.judged:,} of {self.least:,} {blocks} have come."
        share = f"{self.evidence:.0%}".replace("%", " %")
        followed = f"{self.watched:,} figure{'' if self.watched == 1 else 's'}"
        return f"Nothing has drifted: {followed} followed, the nearest has {share} of the evidence it takes."

    @property
    def proposal(self) -> str:
        """Why it should be learned on, in words; empty if there is no need."""
        return proposal(self.drifted)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "says": self.says,
            "proposal": self.proposal,
            "drifted": [asdict(one) | {"since": one.since.isoformat(), "lasts": one.lasts} for one in self.drifted],
            "watched": self.watched,
            "evidence": round(self.evidence, 3),
            "judged": self.judged,
            "least": self.least,
            "minutes": self.minutes,
            "rolling": [asdict(one) | {"says": one.says} for one in self.rolling],
            "services": [asdict(one) for one in self.figures],
        }


def drift_notes(drift: Drift | None) -> list[str]:
    """Return in a sentence what has drifted, if anything has."""
    if drift is None or not drift.drifted:
        return []
    first, n = drift.drifted[0], len(drift.drifted) - 1
    more = f", and {n} figure{'' if n == 1 else 's'} more" if n else ""
    of = f" of {first.service}" if first.service else ""
    return [f"Since training the logs have drifted: {first.of}{of}: {first.says}{more}. See: oddlog drift"]


class Drifting:
    """Follows a stream, or a log, by what a model knows of usual blocks."""

    def __init__(self, model: Model, usual: Any) -> None:
        idle_us = [view.cut.closing.idle_us for view in model.views if view.cut.closing is not None]
        lag = min(max(idle_us, default=0) // US_PER_MINUTE + 1, MOST_LAG)
        self._ranks = {view.name: view.calibrator.rank for view in model.views}
        self._following = Following(usual, tuple(self._ranks), lag)
        self._told: tuple[tuple[int, tuple[Rolled, ...]], Drift] | None = None

    @classmethod
    def of(cls, model: Model) -> Self | None:
        """Return one; None for a model that knows nothing of usual blocks."""
        usual = None if model.rates is None else model.rates.drift
        return None if usual is None else cls(model, usual)

    def add_verdicts(self, view: str, verdicts: pl.DataFrame) -> None:
        """Take in verdicts of windows: `types.SCORES`."""
        # What ends with a block is of it.
        end_us = verdicts["end"].dt.epoch("us").fill_null(NO_TIME + 1).to_numpy() - 1
        self._following.add_scores(view, end_us.astype(np.int64), self._ranks[view](verdicts["score"].to_numpy()))

    def advance(self, counting: Counting | Before, minute: int) -> bool:
        """Judge the blocks that end before a minute; return whether there were any."""
        return self._following.advance(counting, minute)

    def settle(self, minute: int) -> None:
        """Judge the scores of blocks, as all windows that were over before a minute have been judged."""
        self._following.settle(minute)

    def told(
        self,
        services: Sequence[str],
        matcher: Matcher,
        rolling: tuple[Rolled, ...] = (),
        without: frozenset[str] = frozenset(),
    ) -> Drift:
        """Return what is known now, with what thresholds say; the same object until more is.

        Nothing is told of services `without` some of their sources, nor of all services together if there are such.
        """
        known = (self._following.judged, rolling)
        if self._told is not None and self._told[0] == known:
            return self._told[1]
        told, now = Told(self._following, services, matcher.text_of, without), self._following.now
        evidence = np.concatenate([now.bets.evidence[told.heard], now.of_scores.evidence])
        drift = Drift(
            tuple(told.drifted()),
            tuple(told.figures()),
            len(evidence),
            float(evidence.max(initial=0.0)),
            rolling,
            self._following.blocks,
            self._following.least,
            self._following.usual.plan.minutes,
        )
        self._told = (known, drift)
        return drift

    def state(self) -> State:
        """Return everything `restore` needs."""
        return self._following.state()

    def restore(self, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._following.restore(State(arrays, meta))
