"""What people give and take back, in the order they did, kept in a log: answers and marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar, cast

from oddlog.errors import ConfigError
from oddlog.feedback.log import Log, Record


class Kept(Protocol):
    """One thing that is given."""

    @property
    def name(self) -> str:
        """A hash of all it says."""
        ...

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Read it back; raises if the record is no such thing."""
        ...


T = TypeVar("T", bound=Kept)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Given(Generic[T]):
    """What lies beside a model.

    Attributes
    ----------
    given : list
        All that was ever given, the oldest first; its number is its place here, from 1 on.
    undone : set of str
        Names of what was taken back.
    log : Log or None
        Where it is kept; None keeps it in memory.
    clock : callable
        Returns the time.
    broken : int
        Records that make no sense, and were passed over.

    """

    kind: ClassVar[type[Kept]]

    given: list[T] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)
    log: Log | None = None
    clock: Callable[[], datetime] = _now
    broken: int = 0

    @classmethod
    def load(cls, path: str | Path, *, clock: Callable[[], datetime] = _now) -> Self:
        """Read what was given at `path` (`log.beside`); no file, nothing.

        Raises
        ------
        ModelError
            If there is a file that cannot be read.

        """
        found = cls(log=Log(Path(path)), clock=clock)
        found.read()
        return found

    def read(self) -> None:
        """Take in what others have given meanwhile."""
        if self.log is not None:
            records = self.log.read()
            self._replay(records)
            self.broken += self.log.broken

    def _extend(self, change: Callable[[], list[Record]]) -> int:
        """Append what `change` returns when all that is in the log has been taken in; return how many records."""

        def write(records: list[Record]) -> list[Record]:
            if self.log is not None:
                self._replay(records)
            return change()

        new = write([]) if self.log is None else self.log.append(write)
        self._take(new)
        return len(new)

    def _replay(self, records: Iterable[Record]) -> None:
        self.given, self.undone, self.broken = [], set(), 0
        self._take(records)

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record.get("undo"), str):
                self.undone.add(record["undo"])
                continue
            try:
                one = cast("T", self.kind.from_record(record))
            except (KeyError, TypeError, ValueError, OverflowError):
                self.broken += 1
                continue
            self.undone.discard(one.name)  # taken back, and taken in again
            self.given.append(one)


@dataclass
class Numbered(Given[T]):
    """What is taken back by its number."""

    noun: ClassVar[str]
    look: ClassVar[str]  # how to see them

    def undo(self, number: int, *, who: str = "") -> T:
        """Take back the one with that number.

        Raises
        ------
        ConfigError
            If there is none.
        ModelError
            If it cannot be written.

        """

        def change() -> list[Record]:
            if not 1 <= number <= len(self.given) or self.given[number - 1].name in self.undone:
                raise ConfigError(f"There is no {self.noun} {number}.", f"Look with: {self.look}")
            return [{"time": self.clock(), "undo": self.given[number - 1].name, "who": who}]

        self._extend(change)
        return self.given[number - 1]
