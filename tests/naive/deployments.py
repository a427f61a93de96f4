"""What each deployment brought, found event by event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ERROR = 6  # code into LEVELS


def brought(events: Sequence[dict[str, Any]], marks: Sequence[tuple[int, int, int]], new: set[int]) -> list[Any]:
    """Return of each mark (service, since, until): {template: (lines, level, first, last)}, lines and errors by phase.

    An event has `time service template level session`.
    """
    ever = {
        row: min(e["time"] for e in events if e["template"] == row)
        for row in new
        if any(e["template"] == row for e in events)
    }
    claims: dict[int, list[tuple[bool, int, int]]] = {}
    kept: list[dict[int, tuple[int, int, int, int]]] = []
    rates = []
    for i, (service, since, until) in enumerate(marks):
        through = {
            e["session"] for e in events if e["service"] == service and since <= e["time"] < until and e["session"]
        }
        types: dict[int, tuple[int, int, int, int]] = {}
        for row, first_ever in ever.items():
            mine = [
                e
                for e in events
                if e["template"] == row and e["time"] >= since and (e["service"] == service or e["session"] in through)
            ]
            if mine and since <= first_ever < until:
                times = [e["time"] for e in mine]
                types[row] = (len(mine), max(e["level"] for e in mine), min(times), max(times))
                writer = min(mine, key=lambda e: (e["time"], e["line"]))["service"]
                claims.setdefault(row, []).append((writer == service, since, -i))
        kept.append(types)
        rates.append(
            [
                (len(part), sum(e["level"] >= ERROR for e in part))
                for low, high in ((since - (until - since), since), (since, until))
                for part in [[e for e in events if e["service"] == service and low <= e["time"] < high]]
            ]
        )
    winner = {row: -max(who)[2] for row, who in claims.items()}
    return [({row: said for row, said in types.items() if winner[row] == i}, rates[i]) for i, types in enumerate(kept)]
