"""Marks: when something was deployed. What is new after it is told as one incident (`pipeline.judging.deployments`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Self

import orjson

from oddlog.errors import ConfigError
from oddlog.feedback.given import Numbered
from oddlog.feedback.log import Record

WITHIN = timedelta(days=1)  # how long after a deployment what appears is put down to it
MOST_MARKS = 10_000


@dataclass(frozen=True)
class Mark:
    """A deployment.

    Attributes
    ----------
    service, version : str
        What was deployed.
    time : datetime
        When.
    within : timedelta
        What appears so long after it, but before the next deployment of the service, is put down to it.
    who : str
        Who marked it.

    """

    service: str
    version: str
    time: datetime
    within: timedelta = WITHIN
    who: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", self.time.astimezone(UTC))

    @property
    def end(self) -> datetime:
        """When what appears is no longer put down to it."""
        return self.time + self.within

    @property
    def says(self) -> str:
        """What was deployed, in words."""
        return f"deploy {self.service} {self.version}"

    @cached_property
    def name(self) -> str:
        """A hash of all it says."""
        content = orjson.dumps(self.record(), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def record(self) -> Record:
        """Return it as it is written."""
        return {
            "mark": "deploy",
            "service": self.service,
            "version": self.version,
            "time": self.time,
            "within_s": self.within.total_seconds(),
            "who": self.who,
        }

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Read it back.

        Raises
        ------
        ValueError
            If the record is no mark.

        """
        if record["mark"] != "deploy" or not record["service"]:
            raise ValueError(record)
        time = datetime.fromisoformat(str(record["time"]))
        within = timedelta(seconds=float(record["within_s"]))
        if time.tzinfo is None or within <= timedelta(0):
            raise ValueError(record)
        return cls(str(record["service"]), str(record["version"]), time.astimezone(UTC), within, str(record["who"]))


@dataclass
class Marks(Numbered[Mark]):
    """The marks beside a model."""

    kind = Mark
    noun = "mark"
    look = "oddlog mark list"

    def add(self, mark: Mark) -> int:
        """Set a mark; return its number.

        Raises
        ------
        ConfigError
            If it is there already, or there are too many.
        ModelError
            If it cannot be written.

        """

        def change() -> list[Record]:
            if any(_same(one, mark) for one in self.given if one.name not in self.undone):
                raise ConfigError(f"'{mark.says}' is marked at that time already.", "Look with: oddlog mark list")
            if len(self.given) >= MOST_MARKS:
                raise ConfigError(f"At most {MOST_MARKS:,} marks are kept.", "Remove the marks beside the model.")
            return [mark.record()]

        self._extend(change)
        return len(self.given)

    def export(self) -> list[Mark]:
        """Return the marks that were not undone, as they were set."""
        # One that was taken back and set again stands there twice.
        return list(dict.fromkeys(one for one in self.given if one.name not in self.undone))

    def take_in(self, marks: Iterable[Mark]) -> int:
        """Set marks that were set elsewhere, without those that are there; return how many were new."""
        new = [one for one in marks if not any(_same(one, there) for there in self.export())]
        for one in new:
            self.add(one)
        return len(new)

    def standing(self) -> tuple[Mark, ...]:
        """Return the marks that hold, the oldest first; each ends where the next of its service begins."""
        marks = sorted(self.export(), key=lambda one: one.time)
        ended = []
        for i, one in enumerate(marks):
            later = [other.time for other in marks[i + 1 :] if other.service == one.service and other.time > one.time]
            ended.append(replace(one, within=min([one.within, *(time - one.time for time in later)])))
        return tuple(ended)


def _same(one: Mark, other: Mark) -> bool:
    return (one.service, one.version, one.time) == (other.service, other.version, other.time)
