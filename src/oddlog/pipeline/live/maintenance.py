"""Maintenance that is announced: nothing of it is told that begins in it and does not outlast it.

::

    [[maintenance]]                     [[maintenance]]
    service = "billing, gateway-*"      host = "db-2"
    days = ["sat"]                      from = 2026-03-09T22:00:00Z
    from = "22:00"                      for = "2h"
    to = "02:00"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from oddlog.config import parse_duration
from oddlog.errors import ConfigError
from oddlog.types import Incident

NAMES = {"name", "service", "host", "source", "match", "pattern", "from", "to", "for", "days"}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LASTING = ("source_silent", "source_late", "rule")  # reasons for what goes on although nothing more of it comes
_TIMES = 'Write from = 2026-03-09T22:00:00Z and to (or for = "2h"), or days = ["sat"], from = "22:00", to = "02:00".'


@dataclass(frozen=True)
class Maintenance:
    """A time in which nothing is told of what it names (of everything, if it names nothing).

    Attributes
    ----------
    name : str
        What it is called.
    service, host, source : str
        Names divided by commas, ``*`` for any letters. Incidents of one of them are meant, of all if it is empty.
    match : str
        Regular expression on messages: incidents all of whose odd lines match are meant.
    pattern : str
        Incidents of this pattern are meant.
    start, end : datetime or None
        When, for once.
    days, from_minute, to_minute
        When, again and again: weekdays, and minutes of the day in UTC; it may pass midnight.

    """

    name: str
    service: str = ""
    start: datetime | None = None
    end: datetime | None = None
    days: tuple[str, ...] = ()
    from_minute: int = 0
    to_minute: int = 0
    host: str = ""
    source: str = ""
    match: str = ""
    pattern: str = ""

    @property
    def says(self) -> str:
        """When nothing of what is told, in words.

        >>> Maintenance("m", "web", days=("sat",), from_minute=60, to_minute=120, match="refused").says
        'nothing of web that says “refused” is told sat from 01:00 to 02:00 UTC'
        """
        named = " on ".join(one for one in (self.service, self.host) if one)
        of = " of " + named if named else ""
        of += f" from {self.source}" if self.source else ""
        of += f" that says “{self.match}”" if self.match else ""
        of += f" of the pattern {self.pattern}" if self.pattern else ""
        if self.start is not None and self.end is not None:
            return f"nothing{of} is told from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"
        clock = [f"{one // 60:02d}:{one % 60:02d}" for one in (self.from_minute, self.to_minute)]
        days = "each day" if set(self.days) == set(DAYS) else ", ".join(self.days)
        return f"nothing{of} is told {days} from {clock[0]} to {clock[1]} UTC"

    def until(self, at: datetime) -> datetime | None:
        """Return when the time ends that `at` lies in; None if it lies in none.

        >>> night = Maintenance("m", days=("sat",), from_minute=22 * 60, to_minute=120)
        >>> night.until(datetime(2026, 3, 8, 1, tzinfo=UTC))
        datetime.datetime(2026, 3, 8, 2, 0, tzinfo=datetime.timezone.utc)
        """
        if self.start is not None and self.end is not None:
            return self.end if self.start <= at < self.end else None
        length = timedelta(minutes=(self.to_minute - self.from_minute) % 1440)
        midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for day in (midnight, midnight - timedelta(days=1)):
            begins = day + timedelta(minutes=self.from_minute)
            if DAYS[day.weekday()] in self.days and begins <= at < begins + length:
                return begins + length
        return None

    def covers(self, incident: Incident) -> bool:
        """Return whether an incident is one of those that are meant."""
        messages = [one.message or one.text for one in incident.lines]
        return (
            _is_one(self.service, incident.services)
            and _is_one(self.host, incident.hosts)
            and _is_one(self.source, _sources(incident))
            and (not self.match or bool(messages and pl.Series(messages).str.contains(self.match).all()))
            and (not self.pattern or self.pattern in (incident.pattern, *incident.patterns))
        )

    def holds_back(self, incident: Incident, now: datetime) -> datetime | None:
        """Return until when an incident is not to be told, None if it is; `now` is the time of one that has none."""
        start = incident.start or now
        until = self.until(start) if self.covers(incident) else None
        return until if until is not None and (incident.end or start) <= until else None


def _is_one(wanted: str, names: Iterable[str]) -> bool:
    """Return whether one of the names is wanted.

    >>> _is_one("db-*, cache", ["db-2"]), _is_one("db-*", ["web"]), _is_one("", [])
    (True, False, True)
    """
    parts = [part.strip() for part in wanted.split(",")]
    return not wanted or any(fnmatchcase(name, part) for name in names for part in parts)


def _sources(incident: Incident) -> set[str]:
    """Return where the lines of an incident are from, or the source that is silent."""
    silent = {incident.key.partition(": ")[2] for one in incident.reasons if one.kind in LASTING[:2]}
    return {one.source for one in incident.lines} | silent


def is_lasting(incident: Incident) -> bool:
    """Return whether an incident goes on by itself, and nothing tells so."""
    return any(one.kind in LASTING for one in incident.reasons)


def settled(fields: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return fields with the times of one that begins now, if they do not say when, and lasts for a time.

    >>> settled({"host": "db-2", "for": "2h"}, datetime(2026, 3, 9, 22, tzinfo=UTC))
    {'host': 'db-2', 'from': '2026-03-09T22:00:00+00:00', 'to': '2026-03-10T00:00:00+00:00'}
    """
    found = dict(fields)
    if "for" not in found:
        return found
    start = as_time(found.get("from") or now.isoformat())
    if not isinstance(start, datetime) or "to" in found or "days" in found:
        raise ConfigError("'for' is how long it lasts from a day and time on.", _TIMES)
    start = start.replace(tzinfo=start.tzinfo or UTC)
    end = start + timedelta(seconds=parse_duration(str(found.pop("for"))))
    return found | {"from": start.isoformat(), "to": end.isoformat()}


def as_time(text: Any) -> Any:
    """Return a date and time out of JSON as TOML gives it; other text as it is."""
    try:
        return datetime.fromisoformat(text) if len(text) > len("22:00") else text
    except (TypeError, ValueError):
        return text


def maintenance_of(where: str, entry: Mapping[str, Any], name: str) -> Maintenance:
    """Return the maintenance window that fields say; `where` they stand is told if they make no sense.

    Raises
    ------
    ConfigError
        If they make none.

    """
    if "for" in entry and "from" in entry:
        entry = settled(entry, datetime.now(UTC))
    start, end = as_time(entry.get("from")), as_time(entry.get("to"))
    words: dict[str, Any] = {
        word: _words(entry.get(word, "")) for word in ("service", "host", "source", "match", "pattern")
    }
    try:
        pl.Series([""]).str.contains(words["match"])
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: '{words['match']}' is no regular expression.", "Mend it.") from error
    found = Maintenance(str(entry.get("name", name)), **words)
    if isinstance(start, datetime) and isinstance(end, datetime):
        start, end = (one.replace(tzinfo=one.tzinfo or UTC) for one in (start, end))
        found = replace(found, start=start, end=end)
        if end <= start:
            raise ConfigError(f"{where} ends before it begins.", _TIMES)
        return found
    days = tuple(str(day).lower()[:3] for day in entry.get("days", DAYS))
    try:
        minutes = [int(str(one)[:2]) * 60 + int(str(one)[3:5]) for one in (start, end)]
    except ValueError:
        minutes = [-1]
    if any(not 0 <= one <= 1440 for one in minutes) or not set(days) <= set(DAYS):  # noqa: PLR2004 - minutes of a day
        raise ConfigError(f"{where} names no time.", _TIMES)
    return replace(found, days=days, from_minute=minutes[0], to_minute=minutes[1])


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
