"""The last incidents that were shown, so that an answer can be given to an id."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from oddlog.errors import ConfigError
from oddlog.feedback.log import Log, Record
from oddlog.types import Incident

MOST_REMEMBERED = 10_000  # 5 to 30 MB
MOST_SAID = 200


@dataclass(frozen=True)
class Remembered:
    """What an answer needs to know of an incident; see `types.Incident`."""

    id: str
    pattern: str
    patterns: tuple[str, ...] = ()
    new_types: tuple[str, ...] = ()
    says: str = ""
    company: tuple[str, ...] = ()

    @classmethod
    def of(cls, incident: Incident) -> Self:
        """Return what is remembered of an incident."""
        says = incident.reasons[0].text[:MOST_SAID] if incident.reasons else incident.key
        return cls(incident.id, incident.pattern, incident.patterns, incident.new_types, says, incident.company)


def remember(path: Path, incidents: Iterable[Incident]) -> None:
    """Keep the incidents at `path`, the most pressing of them as the last ones, and forget the oldest ones.

    Raises
    ------
    ModelError
        If they cannot be written.

    """
    new = [_record(incident) for incident in list(incidents)[:MOST_REMEMBERED][::-1]]
    ids = {record["id"] for record in new}

    def change(records: list[Record]) -> list[Record]:
        return [*(old for old in records if old.get("id") not in ids), *new][-MOST_REMEMBERED:]

    if new:
        Log(path).replace(change)


def recall(path: Path, id_: str) -> Remembered:
    """Return the incident whose id begins with `id_`.

    Raises
    ------
    ConfigError
        If there is none, or more than one.

    """
    known = {one.id: one for one in map(_remembered, Log(path).read()) if one is not None}
    found = [one for name, one in known.items() if id_ and name.startswith(id_)]
    if len(found) == 1:
        return found[0]
    if found:
        few = ", ".join(one.id for one in found[:3])
        raise ConfigError(f"'{id_}' is the beginning of {len(found)} ids: {few}.", "Write more of it.")
    if not known:
        raise ConfigError(
            f"No incident '{id_}' is remembered: {path.name} holds none.",
            "Run oddlog detect first, or name its --pattern.",
        )
    near = difflib.get_close_matches(id_, [*known, *(name[: len(id_)] for name in known)], n=1)
    guess = f"Did you mean {near[0]}?" if near else f"The last ones are {', '.join(list(known)[-3:][::-1])}."
    raise ConfigError(
        f"No incident '{id_}' is among the {len(known):,} remembered ones.", f"{guess} Or name its --pattern."
    )


def by_pattern(path: Path, pattern: str) -> Remembered:
    """Return what is remembered of a pattern: the last incident that was called by it, if there is one."""
    known = [one for one in map(_remembered, Log(path).read()) if one is not None]
    called = next((one for one in reversed(known) if one.pattern == pattern), None)
    if called is None:
        return Remembered("", pattern)
    return replace(called, patterns=())  # only this pattern was named: the incident's others may be something else


def _record(incident: Incident) -> Record:
    one = Remembered.of(incident)
    return {
        "id": one.id,
        "pattern": one.pattern,
        "patterns": list(one.patterns),
        "new_types": list(one.new_types),
        "company": list(one.company),
        "says": one.says,
        "key": incident.key,
        "start": incident.start,
        "n_windows": incident.n_windows,
        "severity": incident.severity,
    }


def _remembered(record: Record) -> Remembered | None:
    try:
        lists = {name: tuple(map(str, record[name])) for name in ("patterns", "new_types")}
        lists["company"] = tuple(map(str, record.get("company", ())))  # older records have none
        return Remembered(str(record["id"]), str(record["pattern"]), says=str(record["says"]), **lists)
    except (KeyError, TypeError):
        return None
