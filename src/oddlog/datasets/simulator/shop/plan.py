"""When what happens: two periods, their rhythm, the deployments and jobs, and the two incidents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from oddlog.datasets.simulator.shop.scenarios import SCENARIOS
from oddlog.types import I64

START_US = 1_772_431_200_000_000
"""Monday, 2 March 2026, 06:00 UTC."""
MINUTE_US = 60_000_000
TRAIN_SHARE = 0.75

_BY_HOUR = (18, 12, 9, 8, 8, 11, 22, 40, 62, 78, 86, 92, 96, 90, 88, 90, 94, 98, 104, 110, 100, 78, 52, 30)
"""Requests per hour of the day, relative: few at night, most in the evening."""
_BURST = 3
BURST_MINUTES = 12

BACKGROUND_SHARE = 0.10
N_ATTACK = 420
N_STORM = 19
"""Users who meet the storm, at least; each tries up to five times."""
STORM_MINUTES = 15
ATTACK_MINUTES = 10


@dataclass(frozen=True)
class Deployment:
    """A version of a service that comes up on its hosts, one after the other."""

    service: str
    version: str
    at_us: int
    harmless: bool = True


@dataclass(frozen=True)
class Period:
    """One of the two folders of logs.

    Attributes
    ----------
    name : str
        ``train`` or ``today``.
    start_us, minutes : int
        When it begins and how long it lasts.
    lines : int
        Lines to aim at.
    bursts, jobs : tuple of int
        Starts of bursts of usual traffic and of the rare batch job, in minutes.
    deployments : tuple of Deployment
        In the order of time.

    """

    name: str
    start_us: int
    minutes: int
    lines: int
    bursts: tuple[int, ...]
    jobs: tuple[int, ...]
    deployments: tuple[Deployment, ...]

    @property
    def end_us(self) -> int:
        """The microsecond after the last one in which something starts."""
        return self.start_us + self.minutes * MINUTE_US

    @cached_property
    def rhythm(self) -> I64:
        """Requests in each minute [minutes], relative."""
        minute = self.start_us // MINUTE_US + np.arange(self.minutes)
        hour, past = minute // 60 % 24, minute % 60
        by_hour = np.array(_BY_HOUR)
        weight = by_hour[hour] * (60 - past) + by_hour[(hour + 1) % 24] * past
        for burst in self.bursts:
            weight[burst : burst + BURST_MINUTES] *= _BURST
        return weight.astype(np.int64)

    def starts(self, lines: int, at_least: int) -> dict[str, int]:
        """Return how often each scenario is drawn so that all together write `lines` lines."""
        per_unit = sum(s.weight * s.mean_lines for s in SCENARIOS)
        return {s.name: max(at_least, round(s.weight * lines / per_unit)) for s in SCENARIOS}


@dataclass(frozen=True)
class Plan:
    """The whole simulation.

    Attributes
    ----------
    train, today : Period
        What to learn from, and what to look at.
    storm, attack : tuple of int
        Start and end in microseconds.

    """

    train: Period
    today: Period
    storm: tuple[int, int]
    attack: tuple[int, int]

    @classmethod
    def of(cls, lines: int, days: float) -> Plan:
        """Lay out `days` days with about `lines` lines in all."""
        minutes = round(days * 24 * 60)
        learn = round(minutes * TRAIN_SHARE)
        rest = minutes - learn
        change = START_US + learn * MINUTE_US
        deployed = change + round(rest * 0.55) * MINUTE_US
        storm = (deployed + 90_000_000, deployed + 90_000_000 + STORM_MINUTES * MINUTE_US)
        attacked = change + round(rest * 0.30) * MINUTE_US
        train = _period("train", START_US, learn, round(lines * TRAIN_SHARE), _HARMLESS_TRAIN)
        today = _period("today", change, rest, lines - train.lines, _HARMLESS_TODAY)
        odd = (
            Deployment("payments", "3.8.0", deployed, harmless=False),
            Deployment("payments", "3.7.2", storm[1] - 20_000_000, harmless=False),
        )
        deployments = sorted((*today.deployments, *odd), key=lambda d: d.at_us)
        today = replace(today, deployments=tuple(deployments))
        return cls(train, today, storm, (attacked, attacked + ATTACK_MINUTES * MINUTE_US))


_HARMLESS_TRAIN = (
    (0.12, "catalog", "5.12.1"),
    (0.33, "orders", "2.9.4"),
    (0.52, "payments", "3.7.2"),
    (0.71, "gateway", "8.0.5"),
    (0.74, "gateway", "8.0.4"),  # taken back, as happens
    (0.93, "inventory", "4.1.7"),
)
_HARMLESS_TODAY = ((0.14, "cart", "4.4.1"), (0.82, "mailer", "1.6.3"))


def _period(name: str, start_us: int, minutes: int, lines: int, harmless: tuple[tuple[float, str, str], ...]) -> Period:
    deployments = tuple(
        Deployment(service, version, start_us + round(minutes * share) * MINUTE_US)
        for share, service, version in harmless
    )
    jobs = tuple(round(minutes * share) for share in ((0.38, 0.86) if name == "train" else (0.70,)))
    return Period(name, start_us, minutes, lines, (round(minutes * 0.42),), jobs, deployments)
