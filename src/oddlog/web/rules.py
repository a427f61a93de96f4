"""Rules out of forms, and the forms."""

from __future__ import annotations

from collections.abc import Mapping

from oddlog.errors import ConfigError

_NAME = ("name", "called", "out of memory", False)
_SERVICE = ("service", "of the service", "any", False)
_LEVEL = ("level", "as grave as", "ERROR", False)
_Field = tuple[str, str, str, bool]
"""Name, label, example, whether it must be there."""
FORMS: tuple[tuple[str, str, tuple[_Field, ...]], ...] = (
    (
        "never",
        "A line that must never come",
        (("match", "its message matches (regular expression)", "OutOfMemoryError", True), _SERVICE, _LEVEL, _NAME),
    ),
    (
        "always",
        "A line that must always come",
        (
            ("match", "its message matches", "backup finished", True),
            ("every", "at least every", "25h", True),
            _SERVICE,
            _LEVEL,
            ("name", "called", "nightly backup", False),
        ),
    ),
    (
        "limit",
        "A limit",
        (
            ("match", "the message matches", "timeout; any line if left empty", False),
            ("most", "at most so many lines", "100", False),
            ("least", "or at least", "", False),
            ("within", "within", "5min", True),
            _SERVICE,
            ("at_least", "of this level and above", "", False),
            _LEVEL,
            ("name", "called", "too many timeouts", False),
        ),
    ),
    (
        "maintenance",
        "Maintenance: kept and shown, not sent",
        (
            ("from", "from (UTC)", "22:00, or 2026-03-09T22:00Z; now if left empty", False),
            ("to", "to", "02:00", False),
            ("for", "or for", "2h", False),
            ("days", "on", "sat, sun; each day if left empty", False),
            ("service", "of the services", "any; or web, pay-*", False),
            ("host", "of the hosts", "any; or db-2", False),
            ("source", "of the sources", "any", False),
            ("match", "whose odd lines all match", "any; or connection refused", False),
            ("pattern", "of the pattern", "any", False),
            ("name", "called", "patch night", False),
        ),
    ),
)
_NUMBERS = ("most", "least")


def fields_of(kind: str, form: Mapping[str, str]) -> dict[str, str | int | float | list[str]]:
    """Return the fields of a rule as they would stand in a file; what was left empty is not there.

    >>> fields_of("limit", {"match": "timeout", "most": "100", "within": "5min", "csrf": "x"})
    {'match': 'timeout', 'most': 100, 'within': '5min'}
    >>> fields_of("maintenance", {"from": "22:00", "to": "02:00", "days": "sat, sun"})
    {'from': '22:00', 'to': '02:00', 'days': ['sat', 'sun']}

    Raises
    ------
    ConfigError
        If something is no number.

    """
    if kind == "budget":
        return {"per_day": _number("per_day", form.get("per_day", ""))}
    names = next((tuple(one[0] for one in fields) for name, _, fields in FORMS if name == kind), ())
    found: dict[str, str | int | float | list[str]] = {}
    for name in names:
        text = form.get(name, "").strip()
        if not text:
            continue
        if name == "days":
            found[name] = [day.strip() for day in text.split(",")]
        else:
            found[name] = _whole(name, text) if name in _NUMBERS else text
    return found


def _whole(name: str, text: str) -> int:
    number = _number(name, text)
    if not number.is_integer():  # nor are inf and nan
        raise ConfigError(f"'{text[:40]}' is no number of lines.", f"Give {name} as a whole one, such as 100.")
    return int(number)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"'{text[:40]}' is no number.", f"Give {name} as one, such as 5.") from None
