"""Numbers, times and severities as a person reads them; all times are UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from oddlog.incidents import severity_word
from oddlog.types import Incident, Templates

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEAST_P = 1e-15  # smaller ones say no more
VARIABLE, NUMBER = "<*>", "<#>"
_SLOT = re.compile(r"([0-9a-f]{16}):(\d+)")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def severity(incident: Incident) -> str:
    """Return the word for how pressing an incident is; `oddlog.incidents` has the formula behind the number.

    What was over in a moment presses nobody, however grave its words.
    """
    return severity_word(incident.severity, incident.urgency)


def listed(names: Sequence[str]) -> str:
    """Return names as a list in words.

    >>> listed(["sessions", "windows", "counts"]), listed(["lines"])
    ('sessions, windows and counts', 'lines')
    """
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def plural(n: int, noun: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "line"), plural(1200, "line"), plural(2, "entity", "entities")
    ('1 line', '1,200 lines', '2 entities')
    """
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"


def day(time: datetime) -> str:
    """Return a date: 3 Mar 2026."""
    return f"{time.day} {MONTHS[time.month - 1]} {time.year}"


def moment(time: datetime | None) -> str:
    """Return a time to the second.

    >>> moment(datetime(2026, 3, 3, 14, 0, 8, tzinfo=UTC)), moment(None)
    ('3 Mar 2026, 14:00:08', 'no time')
    """
    return "no time" if time is None else f"{day(time)}, {time:%H:%M:%S}"


def span(start: datetime | None, end: datetime | None) -> str:
    """Return a stretch of time.

    >>> span(datetime(2026, 3, 3, 14, 0, 8, tzinfo=UTC), datetime(2026, 3, 3, 14, 11, 23, tzinfo=UTC))
    '3 Mar 2026, 14:00:08 – 14:11:23'
    """
    if start is None or end is None:
        return moment(start or end)
    first, last = moment(start), moment(end)
    if first == last:
        return first
    return f"{first} – {f'{end:%H:%M:%S}' if start.date() == end.date() else last}"


def length(seconds: float) -> str:
    """Return how long something took, in at most two units.

    >>> length(0.4), length(75), length(86_400 * 3 + 3_600)
    ('0.4 s', '1 min 15 s', '3 d 1 h')
    """
    if seconds < 1:
        return f"{seconds:.1g} s" if seconds else "0 s"
    parts: list[tuple[int, str]] = []
    left = round(seconds)
    for size, unit in _UNITS:
        if left >= size or parts:
            parts.append((left // size, unit))
            left %= size
    return " ".join(f"{n:,} {unit}" for n, unit in parts[:2] if n)


def probability(p_value: float) -> str:
    """Return a p-value.

    >>> probability(0.00021), probability(0)
    ('p = 0.0002', 'p < 1e-15')
    """
    return f"p = {p_value:.1g}" if p_value >= LEAST_P else f"p < {LEAST_P:g}"


def number_name(name: str, templates: Templates) -> str:
    """Return what a number is called: a field's name, or the message type and the variable that holds it.

    A number out of a message is called ``<key of its type as 16 hex digits>:<variable, from 0>``.
    """
    found = _SLOT.fullmatch(name)
    row = int(templates.rows_of(np.array([int(found[1], 16)], np.uint64))[0]) if found else -1
    if found is None or row < 0:
        return name
    parts = templates.text[row].split(VARIABLE)
    slot = int(found[2])
    marked = VARIABLE.join(parts[: slot + 1]) + NUMBER + VARIABLE.join(parts[slot + 1 :])
    return f"“{marked}”" if slot + 1 < len(parts) else f"“{templates.text[row]}”"


def at_us(time_us: float) -> datetime:
    """Return microseconds since the epoch as a time."""
    return datetime.fromtimestamp(time_us / 1e6, UTC)
