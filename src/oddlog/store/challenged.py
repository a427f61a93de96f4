"""What a second model finds that judges beside the one that judges: told to nobody, kept to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from oddlog.store.engine import Database
from oddlog.store.tables import challenged, incidents
from oddlog.types import LiveIncident

MOST = 10_000  # incidents of a model that are kept; what begins first goes first


@dataclass(frozen=True)
class Beside:
    """What a second model has found since it was asked last.

    Attributes
    ----------
    model : str
        Its id.
    told : sequence of LiveIncident
        What happened to its incidents.
    state : bytes or None
        To go on from.

    """

    model: str
    told: Sequence[LiveIncident]
    state: bytes | None = None


@dataclass(frozen=True)
class Both:
    """What two models have found that began in the same time.

    Attributes
    ----------
    current, challenger : sequence of mapping
        Incidents of the model that judges, and of the one beside it; what began last first.
    since : datetime
        They began at that time or later, after it if `is_cut`.
    is_cut : bool
        Whether there are more of before.

    """

    current: Sequence[Mapping[str, Any]]
    challenger: Sequence[Mapping[str, Any]]
    since: datetime
    is_cut: bool = False


class Challenged(Database):
    """The part of a store that models are compared by."""

    def write_challenged(self, connection: sa.Connection, beside: Beside) -> None:
        """Write what a second model found, in the transaction of `connection`."""
        for one in beside.told:
            incident = one.incident
            row = {
                "model": beside.model,
                "id": incident.id,
                "change": one.change,
                "started": "" if incident.start is None else incident.start.isoformat(),
                "ended": "" if incident.end is None else incident.end.isoformat(),
                "body": orjson.dumps(asdict(incident), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z),
            }
            put = self.insert(challenged).values(row)
            connection.execute(put.on_conflict_do_update(index_elements=["model", "id"], set_=row))
        if beside.told:
            mine = challenged.c.model == beside.model
            latest = sa.select(challenged.c.id).where(mine).order_by(challenged.c.started.desc()).limit(MOST)
            connection.execute(sa.delete(challenged).where(mine, challenged.c.id.not_in(latest)))

    def both(self, model: str, since: datetime, most: int = MOST) -> Both:
        """Return what the model that judges has found since a time, and what another one has beside it.

        Where one of them has found more than `most`, both are cut where the last `most` of that one begin, so that what
        one has found in a stretch of time is never held against what the other had no room for. What has no time goes
        by when it was told, and only where nothing is cut.
        """
        time = since.isoformat()
        ours = [incidents.c.change != "withdrawn", _began(incidents, time, incidents.c.stored >= time)]
        theirs = [challenged.c.model == model, challenged.c.change != "withdrawn", _began(challenged, time, sa.true())]
        with self.reading() as connection:
            found = (
                connection.execute(
                    sa.select(table.c.started).where(*those).order_by(table.c.started.desc()).offset(most).limit(1)
                ).scalar()
                for table, those in ((incidents, ours), (challenged, theirs))
            )
            cut = max((one for one in found if one is not None), default=None)
            bodies: list[list[Mapping[str, Any]]] = []
            for table, those in ((incidents, ours), (challenged, theirs)):
                asked = sa.select(table.c.body).where(*those).order_by(table.c.started.desc(), table.c.id)
                asked = asked if cut is None else asked.where(table.c.started > cut)
                bodies.append([orjson.loads(body) for body in connection.execute(asked).scalars()])
        current, challenger = bodies
        return Both(current, challenger, datetime.fromisoformat(cut) if cut else since, is_cut=cut is not None)

    def forget_challenged(self, connection: sa.Connection, model: str) -> None:
        """Forget what a model has found beside another, in the transaction of `connection`."""
        connection.execute(sa.delete(challenged).where(challenged.c.model == model))


def _began(table: sa.Table, time: str, told: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return the condition of what began at a time or later; `told` is that of what has no time."""
    return sa.or_(table.c.started >= time, sa.and_(table.c.started == "", told))
