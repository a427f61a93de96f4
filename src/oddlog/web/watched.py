"""What the page shows, as whoever runs it provides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from oddlog.feedback import Answer, Mark
from oddlog.store import Store


@dataclass(frozen=True)
class Who:
    """Who asks.

    Attributes
    ----------
    name : str
        What answers are signed with; empty where nobody has to say who they are.
    scopes : frozenset of str
        What they may do: "ingest", "read", "admin".
    tenant : str
        Whose logs they see.
    csrf : str
        What a form must bring to be taken for theirs; empty for programs, which bring their token each time.
    is_session : bool
        Whether they have logged in on the page, and can log out.

    """

    name: str = ""
    scopes: frozenset[str] = frozenset({"ingest", "read", "admin"})
    tenant: str = ""
    csrf: str = ""
    is_session: bool = False


@dataclass(frozen=True)
class Status:
    """How the service does.

    Attributes
    ----------
    alive : bool
        Whether lines are being judged.
    trouble : str
        What is wrong, in words; empty if nothing is.
    learning : str
        How far learning a first model is; empty once there is one.
    behind : int
        Lines that are durable and not judged yet.
    counts : mapping
        ``lines windows odd_windows odd_lines told windows_open spool_bytes`` since it was started.
    counted : mapping
        By reason how often something was cut, dropped, repaired or let go, with an example.
    letters : mapping
        How many letters to sinks are "waiting" and "dead".

    """

    alive: bool = True
    trouble: str = ""
    learning: str = ""
    behind: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    letters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownType:
    """A message type that the model has learned: `key` in hex, `lines` of it in training."""

    key: str
    text: str
    level: str
    lines: int


class Watched(Protocol):
    """One tenant's service."""

    name: str
    store: Store

    def now(self) -> datetime:
        """Return the time."""
        ...

    def status(self) -> Status:
        """Return how it does."""
        ...

    def model(self) -> Mapping[str, Any]:
        """Return what the model is and was learned from; nothing while there is none. See `service.watching`."""
        ...

    def types(self) -> Sequence[KnownType]:
        """Return the message types of the model."""
        ...

    def answers(self) -> Sequence[tuple[int, Answer, str]]:
        """Return all answers with their numbers and whether each "holds", is "over", "replaced" or "undone"."""
        ...

    def answer(self, id_: str, word: str, *, who: str, note: str = "", until: datetime | None = None) -> int:
        """Give an answer to an incident; return its number.

        Raises
        ------
        ConfigError
            If there is no such incident, or the answer makes no sense.

        """
        ...

    def undo(self, number: int, *, who: str) -> Answer:
        """Take back an answer.

        Raises
        ------
        ConfigError
            If there is none.

        """
        ...

    def marks(self) -> Sequence[tuple[int, Mark]]:
        """Return the deployments that were marked, with their numbers, the latest first."""
        ...

    def mark(self, mark: Mark) -> int:
        """Mark a deployment; return its number.

        Raises
        ------
        ConfigError
            If it is marked already.

        """
        ...
