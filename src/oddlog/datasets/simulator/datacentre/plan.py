"""When what happens: two periods, and the incidents in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, START_US, Incident, Period
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.kinds import KNOWN, ramp
from oddlog.datasets.simulator.datacentre.lookalikes import Harmless, bursts, look_alikes
from oddlog.datasets.simulator.datacentre.rhythm import DAY_MINUTES, Rhythm
from oddlog.datasets.simulator.datacentre.scene import Kind, Scene
from oddlog.datasets.simulator.datacentre.unknown import LONG, UNKNOWN
from oddlog.datasets.simulator.draws import Draws

TRAIN_SHARE = 0.7
BACKGROUND_SHARE = 0.14
USAGE_SHARE = 0.11
"""At most this share of the entries are utilisation; the interval is the shortest that keeps to it."""
_INTERVALS = (60, 120, 300, 600, 900, 1_800, 3_600)

_REQUESTS = {"train": (20, 40), "today": (25, 80)}
"""How many requests an incident meets, from and to."""
_EVERY = {"known in train": (80, 240_000), "known": (32, 60_000), "unknown": (48, 90_000)}
"""Each kind comes once in so many hours and entries, one to three times a period."""
_MARGIN = 40
"""Minutes at the begin and at the end of a period in which nothing goes wrong."""
_RAMP_MINUTES = 6 * 60
_MORNING = 7 * 60
_TRIES = 12

Group = Literal["known", "unknown"]


@dataclass(frozen=True)
class Planned:
    """An incident with its place; `number` counts from 1."""

    number: int
    period: str
    group: Group
    incident: Incident

    @property
    def id(self) -> str:
        """Kind and number."""
        return f"{self.incident.kind}-{self.number}"


@dataclass(frozen=True)
class Plan:
    """The whole simulation.

    Attributes
    ----------
    train, today : Period
        What to learn from, and what to look at.
    rhythm : Rhythm
        How many requests come when.
    incidents : tuple of Planned
        Those of training first, each period in the order of time.
    harmless : tuple of Harmless
        What must not be reported.
    background_lines, usage_s : int
        Lines that belong to no request (utilisation apart); seconds between two lines of utilisation of a host.

    """

    train: Period
    today: Period
    rhythm: Rhythm
    incidents: tuple[Planned, ...]
    harmless: tuple[Harmless, ...]
    background_lines: int
    usage_s: int

    @classmethod
    def of(cls, entries: int, days: float, draws: Draws, *, known_in_training: bool) -> Plan:
        """Lay out `days` days with about `entries` entries in all."""
        minutes = round(days * DAY_MINUTES)
        train = Period("train", 0, round(minutes * TRAIN_SHARE))
        today = Period("today", train.last, minutes)
        usage_s = _usage_interval(entries, minutes)
        usage = len(HOSTS["agent"]) * minutes * 60 // usage_s
        background = round(entries * BACKGROUND_SHARE)
        rhythm = Rhythm(minutes, entries - usage - background, (*bursts(train), *bursts(today)))
        density = entries / minutes
        laying = _Laying(rhythm, draws)
        learned = KNOWN * _repeats(train, density, "known in train") if known_in_training else ()
        found = KNOWN * _repeats(today, density, "known") + UNKNOWN * _repeats(today, density, "unknown")
        laid = (*laying.incidents(train, learned), *laying.incidents(today, found))
        planned = tuple(Planned(number, *one) for number, one in enumerate(laid, start=1))
        harmless = tuple(one for period in (train, today) for one in look_alikes(period, rhythm, draws))
        return cls(train, today, rhythm, planned, harmless, background, usage_s)


def _usage_interval(entries: int, minutes: int) -> int:
    hosts = len(HOSTS["agent"])
    fitting = (s for s in _INTERVALS if hosts * minutes * 60 // s <= entries * USAGE_SHARE)
    return next(fitting, _INTERVALS[-1])


def _repeats(period: Period, density: float, what: str) -> int:
    hours, entries = _EVERY[what]
    minutes = period.last - period.first
    return max(1, min(3, minutes // 60 // hours, round(minutes * density) // entries))


class _Laying:
    """Lays out incidents; each time a kind comes, another of its variants has its turn.

    Parameters
    ----------
    rhythm : Rhythm
        How many requests come when.
    draws : Draws
        The only source of chance.

    """

    def __init__(self, rhythm: Rhythm, draws: Draws) -> None:
        self._rhythm, self._draws = rhythm, draws
        self._turn: Counter[Kind] = Counter({kind: int(draws.below(1_000, 1)[0]) for kind in KNOWN + UNKNOWN})

    def incidents(self, period: Period, kinds: tuple[Kind, ...]) -> Iterator[tuple[str, Group, Incident]]:
        """Yield the incidents of a period in the order of time.

        Six-hour ramps have a day each; what lasts hours, and what lasts minutes, stand each in a row, evenly in
        *requests* (so most fall into busy hours). What overlaps is in different services.
        """
        rows = (
            list(zip(self._days(period, sum(kind is ramp for kind in kinds)), [ramp] * len(kinds), strict=False)),
            self._evenly(period, [kind for kind in kinds if kind in LONG and kind is not ramp], 200),
            self._evenly(period, [kind for kind in kinds if kind not in LONG], 20),
        )
        laid: list[tuple[Group, Incident]] = []
        for row in rows:
            for minute, kind in row:
                incident = self._free(kind, period, minute, [one for _, one in laid])
                laid.append(("known" if kind in KNOWN else "unknown", incident))
        for group, incident in sorted(laid, key=lambda one: one[1].span.start_us):
            yield period.name, group, incident

    def _days(self, period: Period, n: int) -> list[int]:
        """Return the minutes at which `n` ramps begin: in the morning, each on another day if there are enough."""
        begins = []
        for day in range(period.first // DAY_MINUTES, -(-period.last // DAY_MINUTES)):
            low = max(day * DAY_MINUTES + _MORNING, period.first + _MARGIN)
            high = min((day + 1) * DAY_MINUTES, period.last) - _RAMP_MINUTES - _MARGIN
            if low < high:
                begins.append(low + int(self._draws.below(min(high - low, _RAMP_MINUTES), 1)[0]))
        return [begins[i * len(begins) // n] for i in range(n)]

    def _evenly(self, period: Period, kinds: list[Kind], room: int) -> list[tuple[int, Kind]]:
        """Return when each of `kinds` begins, in an order that is drawn; the last has `room` minutes."""
        order = sorted(range(len(kinds)), key=self._draws.raw(len(kinds)).tolist().__getitem__)
        jitter = self._draws.below(300, len(kinds)).tolist()
        first, last = period.first + _MARGIN, period.last - _MARGIN - room
        shares = [(at * 1_000 + 100 + late) // len(kinds) for at, late in enumerate(jitter)]
        return [(self._rhythm.at(share, first, last), kinds[i]) for share, i in zip(shares, order, strict=True)]

    def _free(self, kind: Kind, period: Period, minute: int, laid: list[Incident]) -> Incident:
        """Return an incident in other services than those it overlaps with, if a few tries find one."""
        everywhere = {"portal", "web", "agent"}  # part of nearly everything
        for _ in range(_TRIES):
            turn, self._turn[kind] = self._turn[kind], self._turn[kind] + 1
            until_us = period.span.end_us - 10 * MINUTE_US
            start_us = START_US + minute * MINUTE_US
            found = kind(Scene(self._draws, self._rhythm, start_us, until_us, _REQUESTS[period.name], turn))
            beside = [one for one in laid if one.span.touches(found.span.start_us, found.span.end_us)]
            if not {s for one in beside for s in one.services} - everywhere & set(found.services):
                break
        return found
