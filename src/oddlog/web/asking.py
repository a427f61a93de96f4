"""From what an address says to what is looked for. Whatever makes no sense is refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, cast
from urllib.parse import urlencode

from oddlog.errors import ConfigError
from oddlog.store import Asked

PAGE = 50
RANGES = {"1h": 60, "6h": 360, "24h": 1_440, "7d": 10_080, "30d": 43_200}  # minutes
POINTS = 360  # of a chart
STATES = ("", "going", "over", "withdrawn")
ANSWERS = ("open", "", "usual", "mute", "anomalous")
ORDERS = ("latest", "pressing")
_FIELDS = ("state", "answer", "order", "since", "until", "service", "host", "pattern", "urgency")


@dataclass(frozen=True)
class Filter:
    """What a form or an address asks for, as it was written."""

    state: str = ""
    answer: str = "open"
    order: str = "latest"
    since: str = ""
    until: str = ""
    service: str = ""
    host: str = ""
    pattern: str = ""
    urgency: str = ""
    after: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """Read it from an address."""
        given = {name: query[name].strip() for name in (*_FIELDS, "after") if name in query}
        return cls(**given)

    def asked(self, limit: int = PAGE) -> Asked:
        """Return what the store is asked.

        Raises
        ------
        ConfigError
            If there is no such thing to ask for.

        """
        for name, known in (("state", STATES), ("answer", ANSWERS), ("order", ORDERS)):
            if getattr(self, name) not in known:
                there = ", ".join(one for one in known if one)
                raise ConfigError(f"'{getattr(self, name)[:40]}' is no {name}.", f"There are: {there}.")
        if self.urgency not in ("", "alert", "notice"):
            raise ConfigError(f"'{self.urgency[:40]}' is no urgency.", "There are: alert, notice.")
        return Asked(
            state=self.state,
            since=moment_of(self.since),
            until=moment_of(self.until),
            service=self.service,
            host=self.host,
            pattern=self.pattern,
            urgency=self.urgency,
            answer=self.answer,
            order=cast("Literal['latest', 'pressing']", self.order),
            limit=limit,
            after=self.after,
        )

    @property
    def is_plain(self) -> bool:
        """Whether nothing was narrowed down."""
        return self == Filter()

    def address(self, **changed: str) -> str:
        """Return the query of an address that asks for the same, but for what is changed."""
        said = {name: getattr(self, name) for name in _FIELDS} | changed
        usual = Filter()
        return urlencode({name: value for name, value in said.items() if value != getattr(usual, name, "")})


def moment_of(text: str) -> datetime | None:
    """Return a time in UTC, None for nothing.

    >>> moment_of("2026-03-03T14:00").isoformat()
    '2026-03-03T14:00:00+00:00'
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"'{text[:40]}' is no time.", "Write 2026-03-01T12:30, in UTC.") from error


def mute_until(text: str, now: datetime) -> datetime | None:
    """Return when a mute ends: in so many hours, or None for good.

    >>> mute_until("8", datetime(2026, 3, 3, 14, tzinfo=UTC)).hour
    22
    """
    if not text:
        return None
    if text.isdecimal() and 0 < int(text[:6]) <= 24 * 366:
        return now + timedelta(hours=int(text[:6]))
    raise ConfigError(f"'{text[:40]}' is no number of hours.", "Choose one, or none for good.")


@dataclass(frozen=True)
class Stretch:
    """A stretch of time that is drawn: minutes since the epoch, `step` of them in one point."""

    name: str
    since: int
    until: int
    step: int

    @classmethod
    def of(cls, name: str, last: int | None, now: datetime) -> Stretch:
        """Return the stretch of that name that ends with the last minute of which there is anything.

        Logs that are replayed are not of today: their time counts, not that of the clock on the wall.
        """
        if name not in RANGES:
            raise ConfigError(f"'{name[:40]}' is no stretch of time.", f"There are: {', '.join(RANGES)}.")
        wide = RANGES[name]
        end = (round(now.timestamp() // 60) if last is None else last) + 1
        step = max(1, -(-wide // POINTS))
        return cls(name, end - wide, end, step)
