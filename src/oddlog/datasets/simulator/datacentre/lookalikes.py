"""What only looks odd: deployments, announced maintenance, rare lines, bursts, and what happens every day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oddlog.datasets.simulator.datacentre.effects import (
    MINUTE_US,
    START_US,
    Effect,
    Extra,
    Period,
    Raised,
    Silent,
    Span,
    Told,
)
from oddlog.datasets.simulator.datacentre.estate import HOSTS, services_on
from oddlog.datasets.simulator.datacentre.messages import LIFECYCLE, MESSAGES, ODDMENTS
from oddlog.datasets.simulator.datacentre.requests import FAILURES, fail, served_by
from oddlog.datasets.simulator.datacentre.rhythm import BURST_MINUTES, DAY_MINUTES, Rhythm
from oddlog.datasets.simulator.draws import Draws
from oddlog.datasets.simulator.messages import Message

_SECOND_US = 1_000_000
_SATURDAY, _SUNDAY = 5, 6
_BURSTS = (31, 77)
"""Percent of a period after which three times as many people come for a while."""


@dataclass(frozen=True)
class Harmless:
    """Something that looks odd and is not."""

    kind: str
    period: str
    what: str
    span: Span
    effects: tuple[Effect, ...] = ()


_EVERYWHERE = (
    ("single-failure", "Now and then one request fails, in any service."),
    ("lone-slow-request", "Now and then one request takes many times as long."),
    ("mistyped-password", "Users mistype their password once to three times."),
    ("unreadable-barcode", "Scanners write ERROR for barcodes that cannot be read; couriers type them in."),
    ("refused-connection", "The firewall turns away strangers all day long; some try the bastion."),
    ("nightly-jobs", "Log rotation, backups, invoice runs and scrubs, each at its hour."),
)
_DEPLOYED = (
    "portal",
    "identity",
    "booking",
    "pricing",
    "tracking",
    "search",
    "billing",
    "documents",
    "scans",
    "notify",
)
_MAINTAINED = ("db-03", "stor-03", "app-08", "mq-02")


def look_alikes(period: Period, rhythm: Rhythm, draws: Draws) -> list[Harmless]:
    """Return what must not be reported in a period, in the order of time."""
    found = [
        Harmless(kind, period.name, what, period.span, _single(period) if kind == "single-failure" else ())
        for kind, what in _EVERYWHERE
    ]
    found += _deployments(period, draws)
    found.append(_maintenance(period, draws))
    found += _rare(period, rhythm, draws)
    found += _backups(period)
    found += _resets(period, rhythm, draws)
    for minute in bursts(period):
        what = "Three times as many people as usual."
        found.append(Harmless("burst", period.name, what, Span.minutes(START_US, minute, minute + BURST_MINUTES)))
    return sorted(found, key=lambda one: one.span.start_us)


def _single(period: Period) -> tuple[Extra, ...]:
    """Return failures of each service: what happens now and then happens a few times however short the period."""
    n = 3 if period.name == "train" else 1
    span = Span(period.span.start_us, period.span.end_us - 60 * MINUTE_US)
    return tuple(Extra(span, served_by(service)[0], n, how=fail(service)) for service in FAILURES)


def bursts(period: Period) -> tuple[int, ...]:
    """Return the minutes at which bursts begin."""
    return tuple(period.first + (period.last - period.first) * share // 100 for share in _BURSTS)


def _one(draws: Draws, bound: int) -> int:
    return int(draws.below(bound, 1)[0])


def _deployments(period: Period, draws: Draws) -> Iterator[Harmless]:
    """Yield one or two on each working day, between nine and five."""
    for day in range(period.first // DAY_MINUTES, -(-period.last // DAY_MINUTES)):
        if day % 7 >= _SATURDAY:
            continue
        for _ in range(1 + _one(draws, 2)):
            minute = day * DAY_MINUTES + 9 * 60 + _one(draws, 8 * 60)
            service = _DEPLOYED[_one(draws, len(_DEPLOYED))]
            version = f"{5 + day % 3}.{day}.{_one(draws, 9)}"
            if period.first <= minute < period.last - 10:
                yield _deployment(period, service, version, START_US + minute * MINUTE_US, draws)


def _deployment(period: Period, service: str, version: str, at: int, draws: Draws) -> Harmless:
    told: list[Told] = []
    begin, office = at, HOSTS["operations"][0]
    for host in HOSTS[service]:
        given = {"service": service, "version": version, "host_name": host}
        told.append(Told(MESSAGES["operations.deploy"], (at,), office, given, odd=False))
        for level, text, wait in LIFECYCLE:
            at += int(draws.latency(wait * 1000, 1)[0])
            told.append(Told(Message(service, level, text), (at,), host, {"version": version}, odd=False))
        at += 2 * _SECOND_US
        told.append(Told(MESSAGES["operations.deployed"], (at,), office, given, odd=False))
        at += 15 * _SECOND_US
    return Harmless("deployment", period.name, f"{service} {version} was deployed.", Span(begin, at), tuple(told))


def _maintenance(period: Period, draws: Draws) -> Harmless:
    """Return the announced maintenance of a machine: on a Sunday night, else on the first night there is."""
    nights = [day * DAY_MINUTES + 125 for day in range(period.last // DAY_MINUTES + 1)]
    nights = [night for night in nights if period.first + 10 <= night < period.last - 100] or [period.first + 30]
    sundays = [night for night in nights if night // DAY_MINUTES % 7 == _SUNDAY]
    begin, minutes = (sundays or nights)[0], 40 + _one(draws, 40)
    host, office = _MAINTAINED[_one(draws, len(_MAINTAINED))], HOSTS["operations"][0]
    span = Span.minutes(START_US, begin, begin + minutes)
    first, *_ = services_on(host)
    before, after = span.start_us - 5 * _SECOND_US, span.end_us + _SECOND_US
    planned = {"host_name": host, "minutes": str(minutes)}
    told = (
        Told(MESSAGES["operations.planned"], (before,), office, planned, odd=False),
        Told(MESSAGES["system.stopped"], (before + 2 * _SECOND_US,), host, {"service": first}, odd=False),
        Told(MESSAGES["system.booted"], (after,), host, odd=False),
        Told(MESSAGES["system.restarted"], (after + 2 * _SECOND_US,), host, {"service": first}, odd=False),
        Told(MESSAGES["operations.ended"], (after + 9 * _SECOND_US,), office, {"host_name": host}, odd=False),
    )
    silent = Silent(span, (*services_on(host), "agent", "system"), host)
    what = f"{host} is silent while it is maintained, as operations says before."
    return Harmless("maintenance", period.name, what, span, (*told, silent))


def _rare(period: Period, rhythm: Rhythm, draws: Draws) -> Iterator[Harmless]:
    """Yield rare lines: every fourth one is never seen before today."""
    for position, message in enumerate(ODDMENTS):
        fresh = position % 4 == 0
        if fresh and period.name == "train":
            continue
        for _ in range(1 + _one(draws, 3)):
            minute = rhythm.at(_one(draws, 1_000), period.first, period.last - 5)
            at = START_US + minute * MINUTE_US + _one(draws, MINUTE_US)
            host = HOSTS[message.service][_one(draws, len(HOSTS[message.service]))]
            kind = "first-seen-today" if fresh else "rare-message"
            told = Told(message, (at,), host, odd=False)
            yield Harmless(kind, period.name, f"{message.service} says something rare.", Span(at, at + 1), (told,))


def _resets(period: Period, rhythm: Rhythm, draws: Draws) -> Iterator[Harmless]:
    """Yield moments in which a mobile network loses many visitors at once; two or three a day, in busy hours."""
    n = max((period.last - period.first) * 5 // (2 * DAY_MINUTES), 1)
    for position in range(n):
        minute = rhythm.at((position * 1_000 + _one(draws, 1_000)) // n, period.first, period.last - 10)
        span = Span.minutes(START_US, minute, minute + 2 + _one(draws, 5))
        times = span.start_us + draws.below(span.end_us - span.start_us, 8 + _one(draws, 18))
        told = tuple(
            Told(MESSAGES["proxy.reset"], (at,), HOSTS["proxy"][at % len(HOSTS["proxy"])], odd=False)
            for at in sorted(times.tolist())
        )
        yield Harmless("lost-connections", period.name, "A mobile network loses many visitors at once.", span, told)


def _backups(period: Period) -> Iterator[Harmless]:
    """Yield the nightly backups, which keep a replica busy."""
    for day in range(period.first // DAY_MINUTES, -(-period.last // DAY_MINUTES)):
        span = Span.minutes(START_US, day * DAY_MINUTES + 90, day * DAY_MINUTES + 130)
        host = HOSTS["postgres"][1]
        busy = Raised(span, "agent.usage", host, "cpu", 700)
        if period.first <= day * DAY_MINUTES + 90 < period.last:
            yield Harmless("backup", period.name, f"{host} is busy with its backup.", span, (busy,))
