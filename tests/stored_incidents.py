"""Incidents by number, and a clock that stands until it is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oddlog.types import Incident, LineRef, LiveIncident, Reason

AT = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **much: float) -> None:
        self.now += timedelta(**much)


def incident(n: int, **fields: object) -> Incident:
    """The incident of a number: one minute later than the one before it."""
    start = AT + timedelta(minutes=n)
    told = {
        "id": f"{n:016x}", "key": f"k{n}", "keys": (f"k{n}",), "n_windows": 1, "start": start,
        "end": start + timedelta(seconds=30), "severity": 10.0, "score": 5.0, "p_value": 1e-4, "pattern": f"{n:016x}",
        "services": ("pay",), "hosts": ("h1",), "reasons": (Reason("unseen_template", "never seen before: “x”"),),
        "lines": (LineRef("http/pay", n, "x", 5.0, "x"),), "patterns": (f"{n:016x}",),
    }  # fmt: skip
    return Incident(**(told | fields))


def live(n: int, change: str = "new", **fields: object) -> LiveIncident:
    return LiveIncident(incident(n, **fields), change, provisional=False)
