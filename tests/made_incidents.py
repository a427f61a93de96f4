"""Incidents made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from oddlog.types import Incident

AN_INCIDENT = Incident(
    id="a",
    key="ord-1",
    keys=("ord-1",),
    n_windows=1,
    start=datetime(2026, 3, 2, 8, tzinfo=UTC),
    end=datetime(2026, 3, 2, 8, 1, tzinfo=UTC),
    severity=9.0,
    score=3.0,
    p_value=1e-3,
    pattern="p",
    services=("shop.pay",),
    hosts=(),
    reasons=(),
    lines=(),
)


def incident(id_: str, **changed: Any) -> Incident:
    """Return an incident with that id."""
    return replace(AN_INCIDENT, id=id_, **changed)
