"""The ids of incidents while they happen: an incident keeps that of the first thing that told of it.

What tells of an incident goes by a name::

    w:KEY           a window                     its own: no two incidents share it
    e:NAME          an episode of odd counts     its own
    l:SOURCE:LINE   an odd line
    t:KEY           a type never seen before     several incidents have it, one after the other
    p:PATTERN       a pattern of types           several incidents have it, one after the other
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oddlog.incidents import pattern_of
from oddlog.pipeline.live.told import Told
from oddlog.types import Incident

MOST_NAMES = 20_000  # beyond it, and beyond twice what is held, names of nothing that is held or goes on are forgotten
WINDOW, EPISODE, LINE, TYPE, PATTERN = "w:", "e:", "l:", "t:", "p:"
_OWN, _SHARED = (WINDOW, EPISODE), (TYPE, PATTERN)
Spot = tuple[str, int]  # source, line


def of_line(spot: Spot) -> str:
    """Return the name of a line."""
    return f"{LINE}{spot[0]}:{spot[1]}"


def of_type(key: int) -> str:
    """Return the name of a message type."""
    return f"{TYPE}{key:016x}"


def of_pattern_of(key: int) -> str:
    """Return the name of the pattern that a message type alone is."""
    return f"{PATTERN}{pattern_of([key])}"


def bare(kind: str, names: Collection[str]) -> set[str]:
    """Return what the names of one kind are made of."""
    return {name.removeprefix(kind) for name in names if name.startswith(kind)}


class Naming:
    """Knows which names lead to which incident, and where each was seen first.

    Parameters
    ----------
    model_id : str
        Ids are made of it.

    """

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._rank: dict[str, tuple[int, int]] = {}  # name -> 0 for lines, 1 for windows; its turn
        self._first: dict[str, Spot] = {}  # name -> where it was seen first
        self._id: dict[str, str] = {}  # name -> the incident that it led to
        self._turn = 0
        self._most = MOST_NAMES

    def add_line(self, spot: Spot, key: int) -> None:
        """Note an odd line, and the key of its type."""
        self._turn += 1
        self._note((of_line(spot), of_type(key), of_pattern_of(key)), (0, self._turn), spot)

    def add_window(self, key: str, spots: Sequence[Spot]) -> None:
        """Note an odd window, and the lines in it."""
        # A window is told of by its first odd line, if it has one: by whichever of the two it is noticed first.
        known = [name for name in map(of_line, spots) if name in self._rank]
        first = min(known, key=self._rank.__getitem__, default=None)
        if first is None:
            self._turn += 1
            self._note((WINDOW + key,), (1, self._turn), spots[0])
        else:
            self._note((WINDOW + key,), self._rank[first], self._first[first])

    def _note(self, names: Sequence[str], rank: tuple[int, int], spot: Spot) -> None:
        for name in names:
            self._rank.setdefault(name, rank)
            self._first.setdefault(name, spot)

    # -- which incident is which -----------------------------------------------------------------------------

    def id_of(
        self, incident: Incident, names: Sequence[str], taken: Collection[str], told: Mapping[str, Told], quiet_us: int
    ) -> str:
        """Return the id that an incident was told by, or is to be told by.

        Parameters
        ----------
        incident : Incident
            As it was grouped.
        names : sequence of str
            What may have told of it.
        taken : collection of str
            Ids of other incidents that were grouped with it.
        told : mapping of str to Told
            What goes on, by id.
        quiet_us : int
            An incident that nothing was added to for longer is over.

        """

        def leads_here(name: str) -> bool:
            before = told.get(self._id.get(name, ""))
            # While much is caught up with at once, lines of a type are told before windows of hours ago are judged.
            return before is None or name.startswith(_OWN) or before.is_near(incident, quiet_us)

        names = [name for name in names if name in self._rank or name.startswith(EPISODE)]
        names = [name for name in names if self._id.get(name) not in taken and leads_here(name)]
        known = {self._id[name] for name in names if name in self._id}
        if known:  # by its own windows rather than by types, which others have too
            own = {self._id.get(name) for name in names if name.startswith(_OWN)}
            return min(known, key=lambda id_: (id_ not in own, id_ not in told, id_))
        # By what is its own: a type may have been seen first days ago, in an incident that is over.
        lines = [] if incident.n_windows else [of_line((one.source, one.line)) for one in incident.lines]
        ranked = [name for name in (*names, *lines) if name in self._rank]
        if not ranked:
            return incident.id
        first = min(ranked, key=lambda name: (name.startswith(_SHARED), self._rank[name], name))
        id_ = self._id_by(*self._first[first])
        return id_ if id_ not in taken else self._id_by(*self._first[first], first)

    def _id_by(self, *first: str | int) -> str:
        """Return an id made of the model and the first thing that told of an incident."""
        said = "\n".join(map(str, (self._model_id, *first)))
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def lead(self, names: Sequence[str], id_: str) -> None:
        """Have names lead to an incident from now on."""
        self._id.update(dict.fromkeys(names, id_))

    def led(self, name: str) -> str | None:
        """Return the incident that a name led to last."""
        return self._id.get(name)

    def leading(self, ids: Collection[str]) -> set[str]:
        """Return the names that led to these incidents."""
        return {name for name, id_ in self._id.items() if id_ in ids}

    # -- forgetting ------------------------------------------------------------------------------------------

    @property
    def are_many(self) -> bool:
        """Whether there are so many names that `keep` is due."""
        return len(self._rank) + len(self._id) > self._most

    def keep(self, held: Collection[str], going: Collection[str]) -> None:
        """Forget the names that are neither `held` nor lead to incidents that are `going` on."""
        others = (self._rank.keys() | self._id.keys()).difference(held)
        self.forget({name for name in others if self._id.get(name) not in going})
        self._most = max(2 * (len(self._rank) + len(self._id)), MOST_NAMES)

    def forget(self, names: Collection[str]) -> None:
        """Forget names."""
        for name in names:
            for known in (self._rank, self._first, self._id):
                known.pop(name, None)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {
            "names": [[name, *rank, *self._first[name]] for name, rank in self._rank.items()],
            "ids": self._id,
            "turn": self._turn,
            "most_names": self._most,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; there may be more in it."""
        self._rank = {name: (kind, turn) for name, kind, turn, _, _ in state["names"]}
        self._first = {name: (source, line) for name, _, _, source, line in state["names"]}
        self._id = dict(state["ids"])
        self._turn = state["turn"]
        self._most = state.get("most_names", MOST_NAMES)
