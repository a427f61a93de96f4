"""Letters to sinks: written with the incident, sent in order, kept until they are there.

What a sink is told of an incident follows from what it was told last, whatever a service that was killed finds anew::

    nothing, or that it ended ──new──► goes on ──over, withdrawn──► ended        as often as it goes on again
                                       goes on ──grown──► goes on                only if it is more than it was

So nothing is told as over that was never told as new, and nothing twice. What the sink has *taken* of it decides once
more when a letter is to be sent (`Letter.change`): where the beginning became a dead letter, what has grown is sent as
new, and that it is over is not sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from oddlog.store.engine import Database
from oddlog.store.incidents import GOING
from oddlog.store.tables import incidents as _incidents
from oddlog.store.tables import letters as _letters
from oddlog.types import LiveIncident

Change = Literal["new", "grown", "over", "withdrawn"]
ENDED = ("over", "withdrawn")
FARTHEST_S = 3_600.0  # nothing is put off for longer
KEPT_S = 30 * 86_400.0  # letters that were sent, so that none is sent twice
_AT_ONCE = 500  # incidents, of a statement


@dataclass(frozen=True)
class Letter:
    """What a sink is to be told: `told` has ``incident``, ``change`` and ``provisional``.

    `taken` is the last change of the incident that the sink took before, empty if none.
    """

    number: int
    sink: str
    state: str
    tries: int
    written: float
    said: str
    told: Mapping[str, Any]
    taken: str = ""

    @property
    def change(self) -> Change | None:
        """What the sink is told by it, None if it is not to be sent: see `types.Sink`."""
        change: Change = self.told["change"]
        if self.taken in GOING or change == "new":
            return change
        return None if change in ENDED else "new"


class Letters(Database):
    """The part of a store that sinks are served from."""

    def due(self, sinks: Sequence[str], now: float, limit: int = 50) -> list[Letter]:
        """Return letters to send now, in order; of one incident to one sink the first that waits."""
        waits = (_letters.c.state == "waiting") & _letters.c.sink.in_(sinks)
        firsts = sa.select(sa.func.min(_letters.c.number)).where(waits).group_by(_letters.c.sink, _letters.c.incident)
        # Nothing is ever put off for so long: the clock was set back.
        is_due = (_letters.c.due <= now) | (_letters.c.due > now + FARTHEST_S)
        asked = sa.select(_letters).where(_letters.c.number.in_(firsts), is_due)
        found = self._read_letters(asked.order_by(_letters.c.number).limit(limit))
        taken = self._taken([one.number for one in found if one.told["change"] != "new"])
        return [replace(one, taken=taken.get(one.number, "")) for one in found]

    def _taken(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return, for letters by their numbers, the last change that their sink took of their incident before."""
        if not numbers:
            return {}
        own, before = _letters.alias(), _letters.alias()
        same = (before.c.sink == own.c.sink) & (before.c.incident == own.c.incident) & (before.c.number < own.c.number)
        lasts = sa.select(own.c.number.label("own"), sa.func.max(before.c.number).label("last")).where(
            own.c.number.in_(numbers), same, before.c.state == "sent"
        )
        last = lasts.group_by(own.c.number).subquery()
        asked = sa.select(last.c.own, _letters.c.what).join(_letters, _letters.c.number == last.c.last)
        with self.reading() as connection:
            return {row.own: row.what.partition(" ")[0] for row in connection.execute(asked)}

    def letters(self, state: str, limit: int = 100) -> list[Letter]:
        """Return the last letters in a state: "waiting", "sent", "dead" or "needless"."""
        asked = sa.select(_letters).where(_letters.c.state == state).order_by(_letters.c.number.desc()).limit(limit)
        return self._read_letters(asked)

    def count_letters(self, state: str) -> int:
        """Return how many letters are in a state."""
        asked = sa.select(sa.func.count()).select_from(_letters).where(_letters.c.state == state)
        with self.reading() as connection:
            return int(connection.execute(asked).scalar() or 0)

    def sent(self, number: int, now: float) -> None:
        """Note that a letter was sent; those sent long ago are forgotten, but for incidents that go on or wait."""
        going = sa.select(_incidents.c.id).where(_incidents.c.change.in_(GOING))
        waiting = sa.select(_letters.c.incident).where(_letters.c.state == "waiting")
        old = _letters.c.state.in_(("sent", "needless")) & (_letters.c.written < now - KEPT_S)
        old &= _letters.c.incident.not_in(going) & _letters.c.incident.not_in(waiting)
        with self.writing() as connection:
            connection.execute(sa.delete(_letters).where(old))
        self._change_letter(number, state="sent", said="")

    def put_off(self, number: int, due: float, said: str) -> None:
        """Note that a letter could not be sent, and when to try again."""
        self._change_letter(number, due=due, said=said, tries=_letters.c.tries + 1)

    def bury(self, number: int, said: str) -> None:
        """Put a letter to the dead ones: it is not tried again."""
        self._change_letter(number, state="dead", said=said)

    def spare(self, number: int) -> None:
        """Note that a letter is not to be sent: it says that something is over that the sink never took as new."""
        self._change_letter(number, state="needless", said="what it ends was never taken")

    def write_letters(
        self, connection: sa.Connection, told: Sequence[LiveIncident], sinks: Sequence[str], now: float
    ) -> None:
        """Write what sinks are to be told of what happened to incidents, in the transaction of `connection`."""
        if not told or not sinks:
            return
        last = self._last_letters(connection, sinks, sorted({one.incident.id for one in told}))
        rows = []
        for one in told:
            for sink in sinks:
                before = last.get((sink, one.incident.id))
                change = _owed(before, one)
                if change:
                    row = _row(one, change, sink, 1 if before is None else before.nth + 1, now)
                    rows.append(row)
                    last[sink, one.incident.id] = _Last.of(row["what"], row["told"])
        if rows:
            connection.execute(self.insert(_letters).on_conflict_do_nothing(), rows)

    def _last_letters(
        self, connection: sa.Connection, sinks: Sequence[str], ids: Sequence[str]
    ) -> dict[tuple[str, str], _Last]:
        """Return what each sink was told last of each incident."""
        found: dict[tuple[str, str], _Last] = {}
        for i in range(0, len(ids), _AT_ONCE):
            about = _letters.c.sink.in_(sinks) & _letters.c.incident.in_(ids[i : i + _AT_ONCE])
            lasts = sa.select(sa.func.max(_letters.c.number)).where(about)
            lasts = lasts.group_by(_letters.c.sink, _letters.c.incident)
            for row in connection.execute(sa.select(_letters).where(_letters.c.number.in_(lasts))):
                found[row.sink, row.incident] = _Last.of(row.what, row.told)
        return found

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


@dataclass(frozen=True)
class _Last:
    """What a sink was told last of an incident: the `nth` letter about it."""

    change: str
    nth: int
    told: Mapping[str, Any]

    @classmethod
    def of(cls, what: str, told: bytes) -> _Last:
        """Read it; letters of an older oddlog have the incident's size where the number is."""
        change, _, rest = what.partition(" ")
        number = rest.partition(" ")[0]
        return cls(change, int(number) if number.isdecimal() else 1, orjson.loads(told))

    @property
    def weight(self) -> tuple[float, ...]:
        """What an incident has to have more of to be told again."""
        return _weight(self.told["incident"])


def _owed(last: _Last | None, told: LiveIncident) -> str:
    """Return which change a sink is to be told, nothing if none."""
    goes_on = last is not None and last.change in GOING
    if told.change in ENDED:
        return told.change if goes_on else ""
    if last is None or not goes_on:
        return "new" if told.notable else ""
    return "grown" if told.notable and _is_more(told, last) else ""


def _is_more(told: LiveIncident, last: _Last) -> bool:
    """Return whether an incident is more than it was told last: what is found anew after a crash may be less."""
    settled = last.told["provisional"] and not told.provisional
    answered = told.incident.answer != last.told["incident"]["answer"]
    more = any(now > before for now, before in zip(_weight(told.incident.fields()), last.weight, strict=True))
    return bool(settled or answered or more)


def _weight(incident: Mapping[str, Any]) -> tuple[float, ...]:
    first = incident["reasons"][0]["numbers"] if incident["reasons"] else {}
    seen = first.get("seen", 0)
    return incident["n_windows"], round(incident["severity"], 6), seen if isinstance(seen, int | float) else 0


def _row(told: LiveIncident, change: str, sink: str, nth: int, now: float) -> dict[str, Any]:
    content = {"incident": told.incident.fields(), "change": change, "provisional": told.provisional}
    return {
        "sink": sink,
        "incident": told.incident.id,
        "what": f"{change} {nth}",
        "state": "waiting",
        "tries": 0,
        "written": now,
        "due": now,
        "said": "",
        "told": orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z),
    }
