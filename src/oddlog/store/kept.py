"""The store: all its parts, and what is written in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from oddlog.store.challenged import Beside, Challenged
from oddlog.store.incidents import Incidents
from oddlog.store.letters import Letters
from oddlog.store.passed import Passing
from oddlog.store.tables import challenged as _challenged
from oddlog.store.tables import checkpoint as _checkpoint
from oddlog.store.tokens import Tokens
from oddlog.types import LiveIncident, Passed


class Store(Incidents, Letters, Passing, Tokens, Challenged):
    """Keeps incidents, letters, what went by, and checkpoints; see `engine.Database` for its parameters."""

    _alone: frozenset[str] = frozenset()  # ids of the models whose checkpoints are the only ones there

    def save(
        self,
        model: str,
        told: Iterable[LiveIncident],
        checkpoint: tuple[int, bytes] | None = None,
        sinks: Sequence[str] = (),
        *,
        near: Mapping[str, Any] | None = None,
        passed: Passed | None = None,
        beside: Beside | None = None,
    ) -> None:
        """Store what happened to incidents, letters to sinks, and a checkpoint (position, state), in one transaction.

        With a checkpoint those of other models go: what they were behind of was judged since. So does what they found
        beside another.

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
        beside : Beside, optional
            What a model found that judges beside it, with its state if there is a checkpoint.

        Raises
        ------
        StoreUnavailableError
            If it cannot be stored; nothing of it is.

        """
        told, now = list(told), self._clock()
        if beside is not None and beside.model == model:
            beside = None  # it was promoted just now
        judging = frozenset({model} if beside is None else {model, beside.model})
        with self.writing() as connection:
            self.write_letters(connection, told, sinks, now.timestamp())
            self.write_incidents(connection, model, told, near or {}, now.isoformat())
            if passed is not None:
                self.write_passed(connection, passed, now.timestamp())
            if beside is not None:
                self.write_challenged(connection, beside)
            if checkpoint is not None:
                self._write_checkpoint(connection, model, *checkpoint, now.isoformat())
                if beside is not None and beside.state is not None:
                    self._write_checkpoint(connection, beside.model, checkpoint[0], beside.state, now.isoformat())
                if judging != self._alone:
                    self._forget_others(connection, judging)
        if checkpoint is not None:
            self._alone = judging

    def _forget_others(self, connection: sa.Connection, judging: frozenset[str]) -> None:
        connection.execute(sa.delete(_checkpoint).where(_checkpoint.c.model.not_in(judging)))
        connection.execute(sa.delete(_challenged).where(_challenged.c.model.not_in(judging)))

    def _write_checkpoint(self, connection: sa.Connection, model: str, position: int, state: bytes, now: str) -> None:
        values = {"model": model, "position": position, "stored": now, "state": state}
        put = self.insert(_checkpoint).values(values)
        connection.execute(put.on_conflict_do_update(index_elements=["model"], set_=values))

    def forget_model(self, model: str, *, checkpoint: bool = True) -> None:
        """Forget what a model found beside another, and its `checkpoint`: it is to begin anew."""
        with self.writing() as connection:
            if checkpoint:
                connection.execute(sa.delete(_checkpoint).where(_checkpoint.c.model == model))
            self.forget_challenged(connection, model)

    def checkpoint(self, model: str) -> tuple[int, bytes] | None:
        """Return the last checkpoint (position, state) of a model."""
        with self.reading() as connection:
            row = connection.execute(sa.select(_checkpoint).where(_checkpoint.c.model == model)).one_or_none()
        return None if row is None else (row.position, row.state)

    def last_checkpoints(self) -> dict[str, bytes]:
        """Return the states that lie at `last_position`, by model: of the one that judged, and of a challenger."""
        last = sa.select(sa.func.max(_checkpoint.c.position)).scalar_subquery()
        with self.reading() as connection:
            rows = connection.execute(sa.select(_checkpoint).where(_checkpoint.c.position == last))
            return {row.model: row.state for row in rows}

    def last_position(self) -> int:
        """Return how far any model has come; 0 if none has."""
        with self.reading() as connection:
            return int(connection.execute(sa.select(sa.func.max(_checkpoint.c.position))).scalar() or 0)
