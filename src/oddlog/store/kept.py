"""The store: all its parts, and what is written in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from oddlog.store.incidents import Incidents
from oddlog.store.letters import Letters
from oddlog.store.passed import Passing
from oddlog.store.tables import checkpoint as _checkpoint
from oddlog.store.tokens import Tokens
from oddlog.types import LiveIncident, Passed


class Store(Incidents, Letters, Passing, Tokens):
    """Keeps incidents, letters, what went by, and checkpoints; see `engine.Database` for its parameters."""

    def save(
        self,
        model: str,
        told: Iterable[LiveIncident],
        checkpoint: tuple[int, bytes] | None = None,
        sinks: Sequence[str] = (),
        *,
        near: Mapping[str, Any] | None = None,
        passed: Passed | None = None,
    ) -> None:
        """Store what happened to incidents, letters to sinks, and a checkpoint (position, state), in one transaction.

        Parameters
        ----------
        model : str
            The id of the model that judged.
        told : iterable of LiveIncident
            What happened to incidents, in order.
        checkpoint : tuple, optional
            Position and state to go on from.
        sinks : sequence of str
            Names of those that are to be told.
        near : mapping, optional
            By id what is known of an incident from near: JSON values.
        passed : Passed, optional
            What went by since the last checkpoint.

        Raises
        ------
        StoreUnavailableError
            If it cannot be stored; nothing of it is.

        """
        told, now = list(told), self._clock()
        with self.writing() as connection:
            self.write_letters(connection, told, sinks, now.timestamp())
            self.write_incidents(connection, model, told, near or {}, now.isoformat())
            if passed is not None:
                self.write_passed(connection, passed, now.timestamp())
            if checkpoint is not None:
                position, state = checkpoint
                values = {"model": model, "position": position, "stored": now.isoformat(), "state": state}
                put = self.insert(_checkpoint).values(values)
                connection.execute(put.on_conflict_do_update(index_elements=["model"], set_=values))

    def checkpoint(self, model: str) -> tuple[int, bytes] | None:
        """Return the last checkpoint (position, state) of a model."""
        with self.reading() as connection:
            row = connection.execute(sa.select(_checkpoint).where(_checkpoint.c.model == model)).one_or_none()
        return None if row is None else (row.position, row.state)

    def last_position(self) -> int:
        """Return how far any model has come; 0 if none has."""
        with self.reading() as connection:
            return int(connection.execute(sa.select(sa.func.max(_checkpoint.c.position))).scalar() or 0)
