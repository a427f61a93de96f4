"""What a second model finds that judges beside the one that judges: told to nobody, kept to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from oddlog.store.engine import Database
from oddlog.store.tables import challenged
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

    def challenged(self, model: str) -> list[Mapping[str, Any]]:
        """Return the incidents that a model has found beside another, what began last first."""
        asked = sa.select(challenged).where(challenged.c.model == model, challenged.c.change != "withdrawn")
        with self.reading() as connection:
            rows = connection.execute(asked.order_by(challenged.c.started.desc(), challenged.c.id))
            return [orjson.loads(row.body) for row in rows]

    def forget_challenged(self, connection: sa.Connection, model: str) -> None:
        """Forget what a model has found beside another, in the transaction of `connection`."""
        connection.execute(sa.delete(challenged).where(challenged.c.model == model))
