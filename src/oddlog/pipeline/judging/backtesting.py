"""`backtest`: what would have fired on logs that are there already, by service and day, and at which budget.

It is `detect`, and then what live alerting does with the incidents: `live.budget` in order of their beginnings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from oddlog.errors import InputError
from oddlog.incidents import where
from oddlog.model import Model
from oddlog.pipeline.judging.detecting import detect
from oddlog.pipeline.judging.detection import Detection, Part
from oddlog.pipeline.judging.views import View
from oddlog.pipeline.live.budget import Budget
from oddlog.types import F64, Incident

BUDGETS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # a day, that are compared
NO_TIME = "(no time)"
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Fired:
    """An incident, and whether a budget would have told it."""

    incident: Incident
    told: bool

    @property
    def service(self) -> str:
        """The service it is counted for: the one with most of its lines; see `incidents.where` if there is none."""
        return next(iter(self.incident.services), where(self.incident))

    @property
    def day(self) -> str:
        """The day it began (UTC)."""
        return NO_TIME if self.incident.start is None else f"{self.incident.start:%Y-%m-%d}"


@dataclass(frozen=True)
class Held:
    """What a budget would have held.

    Attributes
    ----------
    per_day : float
        The budget.
    told, alerts : int
        Incidents told, and how many of them are alerts.
    held : int
        Incidents not told.
    least : float
        How pressing an incident had to be at the end; see `Budget.bar`.
    thresholds, odd : mapping
        By view: the threshold of windows that so many false alarms a day ask for, of this view alone, and how many
        windows were above it here.

    """

    per_day: float
    told: int
    alerts: int
    held: int
    least: float
    thresholds: dict[str, float]
    odd: dict[str, int]


@dataclass(frozen=True)
class Backtest:
    """What would have happened.

    Attributes
    ----------
    detection : Detection
        All that is odd, whatever the budget.
    fired : tuple of Fired
        The incidents in order of time, with what `budget` makes of them.
    budget : float
        Incidents a day that were asked for.
    days : float
        From the first to the last line.
    budgets : tuple of Held
        Several budgets beside each other, the one asked for among them.
    nouns : mapping
        By view, what its windows are.

    """

    detection: Detection
    fired: tuple[Fired, ...]
    budget: float
    days: float
    budgets: tuple[Held, ...]
    nouns: dict[str, str]

    def by_service_and_day(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return by service and day how many would have been told, and how many there were."""
        counts: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for one in self.fired:
            told, all_ = counts[one.service].get(one.day, (0, 0))
            counts[one.service][one.day] = (told + one.told, all_ + 1)
        busiest = sorted(counts, key=lambda name: (-sum(all_ for _, all_ in counts[name].values()), name))
        return {name: counts[name] for name in busiest}

    def json(self) -> dict[str, Any]:
        """Return it as the object that others build on, without the incidents."""
        services = self.by_service_and_day()
        return {
            "lines": self.detection.lines,
            "start": self.detection.start,
            "end": self.detection.end,
            "days": round(self.days, 3),
            "budget_per_day": self.budget,
            "told": sum(one.told for one in self.fired),
            "incidents": len(self.fired),
            "by_service_and_day": [
                {"service": name, "day": day, "told": told, "incidents": all_}
                for name, by_day in services.items()
                for day, (told, all_) in sorted(by_day.items())
            ],
            "budgets": [vars(one) for one in self.budgets],
        }


def backtest(
    model: Model,
    paths: str | Path | Sequence[str | Path],
    *,
    budget: float = 5.0,
    since: str | datetime = "",
    until: str | datetime = "",
    **options: Any,
) -> Backtest:
    """Return what would have fired on the logs at `paths`.

    Parameters
    ----------
    model, paths, since, until, **options
        As in `detect`.
    budget : float
        How many incidents a day somebody wants to be told.

    Raises
    ------
    UserError
        If an option makes no sense, nothing can be read, or no line lies between `since` and `until`.

    """
    scores: dict[str, list[F64]] = defaultdict(list)

    def note(part: Part) -> None:
        scores[part.view.name].append(part.verdict["score"].to_numpy())

    found = detect(model, paths, since=since, until=until, each=note, **options)
    if found.lines and found.start is None and (since or until):
        raise InputError(
            f"None of the {found.lines:,} lines lies between the times that were asked for.",
            "Leave --since and --until out, or see what times there are: oddlog inspect PATHS",
        )
    days = max((found.end - found.start).total_seconds() / SECONDS_A_DAY, 0.0) if found.end and found.start else 0.0
    budgets = sorted({*BUDGETS, budget})
    by_view = {name: np.concatenate(parts) for name, parts in scores.items()}
    return Backtest(
        found,
        tuple(fired(found.incidents, Budget(budget))),
        budget,
        days,
        tuple(_held(one, found.incidents, model.views, by_view, days) for one in budgets),
        {view.name: view.cut.noun for view in model.views},
    )


def fired(incidents: Sequence[Incident], budget: Budget) -> list[Fired]:
    """Return incidents in order of their beginnings, and whether `budget` would have told them."""
    earliest = datetime.min.replace(tzinfo=UTC)
    ordered = sorted(incidents, key=lambda one: (one.start or earliest, one.id))
    return [Fired(one, budget.lets(one.id, one.severity, _us(one.start))) for one in ordered]


def _held(
    per_day: float, incidents: Sequence[Incident], views: Sequence[View], scores: dict[str, F64], days: float
) -> Held:
    budget = Budget(per_day)
    told = [one.incident for one in fired(incidents, budget) if one.told]
    thresholds = {view.name: _threshold(view, per_day, len(scores.get(view.name, ())), days) for view in views}
    return Held(
        per_day,
        len(told),
        sum(one.urgency == "alert" for one in told),
        len(incidents) - len(told),
        budget.bar,
        thresholds,
        {name: int((scores[name] > threshold).sum()) for name, threshold in thresholds.items() if name in scores},
    )


def _threshold(view: View, per_day: float, n: int, days: float) -> float:
    """Return the threshold that usual windows exceed `per_day` times a day, where `n` of them come in `days`.

    Of less than a day as many as of a day, as in `fit`.
    """
    rate = per_day * max(days, 1.0) / max(n, 1)
    return view.calibrator.threshold(min(rate, 1.0))


def _us(time: datetime | None) -> int:
    return 0 if time is None else round(time.timestamp() * 1e6)


__all__ = ["Backtest", "Fired", "Held", "backtest"]
