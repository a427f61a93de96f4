"""Letters to sinks: written with the incident, sent in order, kept until they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from oddlog.store.engine import Database
from oddlog.store.tables import letters as _letters
from oddlog.types import LiveIncident

FARTHEST_S = 3_600.0  # nothing is put off for longer
KEPT_S = 30 * 86_400.0  # letters that were sent, so that none is sent twice


@dataclass(frozen=True)
class Letter:
    """What a sink is to be told: `told` has ``incident``, ``change`` and ``provisional``."""

    number: int
    sink: str
    state: str
    tries: int
    written: float
    said: str
    told: Mapping[str, Any]


class Letters(Database):
    """The part of a store that sinks are served from."""

    def due(self, sinks: Sequence[str], now: float, limit: int = 50) -> list[Letter]:
        """Return letters to send now, in order; of one incident to one sink the first that waits."""
        waits = (_letters.c.state == "waiting") & _letters.c.sink.in_(sinks)
        firsts = sa.select(sa.func.min(_letters.c.number)).where(waits).group_by(_letters.c.sink, _letters.c.incident)
        # Nothing is ever put off for so long: the clock was set back.
        is_due = (_letters.c.due <= now) | (_letters.c.due > now + FARTHEST_S)
        asked = sa.select(_letters).where(_letters.c.number.in_(firsts), is_due)
        return self._read_letters(asked.order_by(_letters.c.number).limit(limit))

    def letters(self, state: str, limit: int = 100) -> list[Letter]:
        """Return the last letters in a state: "waiting", "sent" or "dead"."""
        asked = sa.select(_letters).where(_letters.c.state == state).order_by(_letters.c.number.desc()).limit(limit)
        return self._read_letters(asked)

    def count_letters(self, state: str) -> int:
        """Return how many letters are in a state."""
        asked = sa.select(sa.func.count()).select_from(_letters).where(_letters.c.state == state)
        with self.reading() as connection:
            return int(connection.execute(asked).scalar() or 0)

    def sent(self, number: int, now: float) -> None:
        """Note that a letter was sent; those sent long ago are forgotten."""
        old = (_letters.c.state == "sent") & (_letters.c.written < now - KEPT_S)
        with self.writing() as connection:
            connection.execute(sa.delete(_letters).where(old))
        self._change_letter(number, state="sent", said="")

    def put_off(self, number: int, due: float, said: str) -> None:
        """Note that a letter could not be sent, and when to try again."""
        self._change_letter(number, due=due, said=said, tries=_letters.c.tries + 1)

    def bury(self, number: int, said: str) -> None:
        """Put a letter to the dead ones: it is not tried again."""
        self._change_letter(number, state="dead", said=said)

    def write_letters(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write letters, none twice, in the transaction of `connection`."""
        for row in rows:
            connection.execute(self.insert(_letters).values(row).on_conflict_do_nothing())

    def _change_letter(self, number: int, **values: Any) -> None:
        with self.writing() as connection:
            connection.execute(sa.update(_letters).where(_letters.c.number == number).values(values))

    def _read_letters(self, asked: sa.Select[Any]) -> list[Letter]:
        fields = ("number", "sink", "state", "tries", "written", "said")
        with self.reading() as connection:
            return [
                Letter(**{name: getattr(row, name) for name in fields}, told=orjson.loads(row.told))
                for row in connection.execute(asked)
            ]


def letter(told: LiveIncident, sink: str, now: float) -> dict[str, Any]:
    """Return the row of a letter."""
    incident = told.incident
    size = "" if told.change == "new" else f" {incident.n_windows} {told.provisional} {incident.answer}"
    content = {"incident": asdict(incident), "change": told.change, "provisional": told.provisional}
    return {
        "sink": sink,
        "incident": incident.id,
        "what": f"{told.change}{size}",
        "state": "waiting",
        "tries": 0,
        "written": now,
        "due": now,
        "said": "",
        "told": orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z),
    }
