"""Answers: what a person says of an incident holds for its pattern, at once and for ever after, until it is undone.

=============  =======================================================================================
answer         means
=============  =======================================================================================
`usual`        this is how the system is: neither shown nor counted as odd any more
`mute`         do not show it, until a time or for good; it stays odd
`anomalous`    confirmed: it stays, more pressing, even where it recurs
=============  =======================================================================================

The last answer to a pattern is the one that holds; a mute that has run out is as if it had never been given.
`usual` and `mute` also hold for the types never seen in training that the incident leads with: a window that is odd
for nothing but such types is covered too (`pipeline.judging.answering`), a session only if its other types have stood
beside them before (`pipeline.judging.company`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, Self, get_args

import orjson

from oddlog.errors import ConfigError, did_you_mean
from oddlog.feedback.given import Given
from oddlog.feedback.log import Record
from oddlog.types import Incident

Word = Literal["usual", "anomalous", "mute"]
WORDS: tuple[str, ...] = get_args(Word)
QUIET = ("usual", "mute")
MOST_ANSWERS = 100_000  # 30 MB of text: somebody who gives more is a program that has gone wrong
CONFIRMED_FACTOR = 2.0  # how much more pressing a confirmed incident is: as much as a word of the list
_PATTERN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Answer:
    """What somebody said of a pattern.

    Attributes
    ----------
    answer : str
        "usual", "anomalous" or "mute".
    pattern : str
        See `incidents.pattern_of`.
    time : datetime
        When it was given.
    id : str
        The incident it was given to; empty if only the pattern was named.
    patterns : tuple of str
        All patterns of that incident: the answer holds for each.
    new_types : tuple of str
        Keys (hex) of the types never seen in training that the incident leads with.
    until : datetime or None
        End of a mute; None if it has none.
    note, who : str
        Why, and who said so.
    says : str
        The incident's first reason, so that a list of answers can be read.
    company : tuple of str
        Keys (hex) of the known types beside the new ones, where the incident is of sessions: new types are excused in
        sessions of such types only (`pipeline.judging.company`). Nothing: wherever they are.

    """

    answer: str
    pattern: str
    time: datetime
    id: str = ""
    patterns: tuple[str, ...] = ()
    new_types: tuple[str, ...] = ()
    until: datetime | None = None
    note: str = ""
    who: str = ""
    says: str = ""
    company: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", self.time.astimezone(UTC))
        object.__setattr__(self, "until", self.until and self.until.astimezone(UTC))

    @property
    def covers(self) -> tuple[str, ...]:
        """All patterns it holds for."""
        return self.patterns or (self.pattern,)

    @cached_property
    def name(self) -> str:
        """A hash of all it says: by it an answer is undone, and found again in another log."""
        content = orjson.dumps(self.record(), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def holds(self, now: datetime) -> bool:
        """Return whether it has not run out."""
        return self.answer != "mute" or self.until is None or now < self.until

    def record(self) -> Record:
        """Return it as it is written."""
        # An answer of before there was company keeps its name.
        return {
            "time": self.time,
            "id": self.id,
            "pattern": self.pattern,
            "answer": self.answer,
            "until": self.until,
            "note": self.note,
            "who": self.who,
            "says": self.says,
            "patterns": list(self.patterns),
            "new_types": list(self.new_types),
            **({"company": list(self.company)} if self.company else {}),
        }

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Read it back.

        Raises
        ------
        ValueError
            If the record is no answer.

        """
        answer, pattern = str(record["answer"]), str(record["pattern"])
        lists = (tuple(map(str, record.get(name) or ())) for name in ("patterns", "new_types", "company"))
        patterns, types, company = lists
        if answer not in WORDS or not all(_PATTERN.fullmatch(one) for one in (pattern, *patterns, *types, *company)):
            raise ValueError(record)
        id_, note, who, says = (str(record.get(name) or "") for name in ("id", "note", "who", "says"))
        until = None if record.get("until") is None else _time(record["until"])
        return cls(answer, pattern, _time(record["time"]), id_, patterns, types, until, note, who, says, company)


@dataclass(frozen=True)
class Standing:
    """Which answers hold, for looking up: the last one of each pattern and type.

    Attributes
    ----------
    of_pattern : dict
        Answers that hold for each pattern, the oldest first.
    of_type : dict
        Answers that hold for each type (key) never seen in training, the oldest first.
    only_later : bool
        Whether an answer holds only for what ended after it was given: what a person who gave it at that time
        would have seen. For measuring; otherwise an answer holds for all that `detect` reads.

    """

    of_pattern: dict[str, list[Answer]]
    of_type: dict[int, list[Answer]]
    only_later: bool = False

    def __bool__(self) -> bool:
        return bool(self.of_pattern)

    def pattern(self, pattern: str, end: datetime | None = None) -> Answer | None:
        """Return the answer that holds for a pattern; `end` is that of what shows it."""
        given = self.of_pattern.get(pattern, [])
        if self.only_later:
            given = [one for one in given if end is not None and one.time < end]
        return given[-1] if given else None

    def last(self, pattern: str) -> Answer | None:
        """Return the last answer to a pattern, whenever it was given."""
        given = self.of_pattern.get(pattern)
        return given[-1] if given else None

    def type(self, key: int) -> Answer | None:
        """Return the quiet answer to a type never seen in training, whenever it was given."""
        given = self.of_type.get(key)
        return given[-1] if given and given[-1].answer in QUIET else None

    def incident(self, incident: Incident) -> Answer | None:
        """Return the answer that holds for an incident."""
        found = self.pattern(incident.pattern, incident.end)
        others = (self.pattern(one, incident.end) for one in incident.patterns if found is None)
        return found or next((one for one in others if one is not None and one.answer == "anomalous"), None)


@dataclass
class Answers(Given[Answer]):
    """The answers beside a model.

    Attributes
    ----------
    only_later : bool
        See `Standing`.

    """

    kind = Answer
    only_later: bool = False

    def add(self, answer: Answer) -> int:
        """Give an answer; return its number.

        Raises
        ------
        ConfigError
            If there is no such answer, it makes no sense, or there are too many.
        ModelError
            If it cannot be written.

        """
        _require_sense(answer)
        self._change(lambda: [answer.record()])
        return len(self.given)

    def undo(self, which: str, *, who: str = "") -> Answer:
        """Take back an answer: by its number, or the last one to an incident or a pattern (or the beginning of its id).

        Raises
        ------
        ConfigError
            If there is no such answer.

        """
        found: list[Answer] = []

        def change() -> list[Record]:
            found.append(self._find(which))
            return [{"time": self.clock(), "undo": found[0].name, "who": who}]

        self._change(change)
        return found[0]

    def export(self) -> list[Record]:
        """Return the answers that were not undone."""
        return [one.record() for one in self.given if one.name not in self.undone]

    def take_in(self, records: Iterable[Record]) -> int:
        """Add answers that were exported elsewhere, without those that are there; return how many were new.

        Raises
        ------
        ConfigError
            If one of them is no answer: then none is taken in.

        """
        offered = list(map(_offered, records))

        def change() -> list[Record]:
            there = {one.name for one in self.given} - self.undone
            return [one.record() for one in dict.fromkeys(offered) if one.name not in there]

        return self._change(change)

    def standing(self, now: datetime | None = None) -> Standing:
        """Return which answers hold at `now`."""
        now = now or self.clock()
        of_pattern: dict[str, list[Answer]] = {}
        of_type: dict[int, list[Answer]] = {}
        for one in self.given:
            if one.name in self.undone or not one.holds(now):
                continue
            for pattern in one.covers:
                of_pattern.setdefault(pattern, []).append(one)
            for key in one.new_types:
                of_type.setdefault(int(key, 16), []).append(one)
        return Standing(of_pattern, of_type, self.only_later)

    def apply(
        self, incidents: Iterable[Incident], now: datetime | None = None
    ) -> tuple[list[Incident], list[Incident]]:
        """Return the incidents to show, the most pressing first, and those that are usual or muted."""
        return apply(self.standing(now), incidents)

    def _change(self, change: Callable[[], list[Record]]) -> int:
        """Append to the log what `change` makes of what is there now, if there is room; return how many records."""

        def bounded() -> list[Record]:
            new = change()
            if len(self.given) + len(new) > MOST_ANSWERS:
                raise ConfigError(
                    f"There are {len(self.given):,} answers, and at most {MOST_ANSWERS:,} are kept.",
                    "Learn their lesson into a new model: oddlog update",
                )
            return new

        return self._extend(bounded)

    def _find(self, which: str) -> Answer:
        if which.isdecimal() and len(which) < len("12345678"):
            number = int(which)
            if not 1 <= number <= len(self.given):
                raise ConfigError(f"There is no answer {number}: there are {len(self.given)}.", _LOOK)
            one = self.given[number - 1]
            if one.name in self.undone:
                raise ConfigError(f"Answer {number} was undone before.", _LOOK)
            return one
        known = [one for one in self.given if one.name not in self.undone]
        found = [one for one in known if which and (one.id.startswith(which) or one.pattern.startswith(which))]
        if not found:
            raise ConfigError(f"There is no answer to '{which}' that could be undone.", _LOOK)
        if len({one.pattern for one in found}) > 1:
            raise ConfigError(
                f"'{which}' is the beginning of several ids.", "Write more of it, or a number of the list."
            )
        return found[-1]


_LOOK = "Look with: oddlog feedback list"


def apply(standing: Standing, incidents: Iterable[Incident]) -> tuple[list[Incident], list[Incident]]:
    """Return the incidents to show, the most pressing first, and those that are usual or muted."""
    shown: list[Incident] = []
    hidden: list[Incident] = []
    for incident in incidents:
        answer = standing.incident(incident)
        if answer is None:
            shown.append(incident)
        elif answer.answer in QUIET:
            hidden.append(answered(incident, answer))
        else:
            shown.append(answered(incident, answer))
    return sorted(shown, key=lambda incident: incident.order), hidden


def answered(incident: Incident, answer: Answer) -> Incident:
    """Return the incident with what was said of its pattern; a confirmed one is more pressing."""
    factor = CONFIRMED_FACTOR if answer.answer == "anomalous" else 1.0
    word = {"anomalous": "confirmed", "mute": "muted"}.get(answer.answer, "called usual")
    until = f" until {answer.until:%Y-%m-%d %H:%M}" if answer.until else ""
    by = f" by {answer.who}" if answer.who else ""
    note = f": {answer.note}" if answer.note else ""
    said = f"{word}{until}{by} on {answer.time:%Y-%m-%d %H:%M}{note}"
    return replace(
        incident,
        severity=incident.severity * factor,
        urgency="alert" if answer.answer == "anomalous" else incident.urgency,
        answer=answer.answer,
        notes=(*incident.notes, said),
    )


def _require_sense(answer: Answer) -> None:
    if answer.answer not in WORDS:
        raise ConfigError(f"'{answer.answer}' is no answer.", did_you_mean(answer.answer, WORDS))
    if not _PATTERN.fullmatch(answer.pattern):
        raise ConfigError(
            f"'{answer.pattern}' is no pattern: these are 16 hexadecimal digits.", "See: oddlog detect --json"
        )
    if answer.until is not None and answer.answer != "mute":
        raise ConfigError(f"--until goes with mute, not with {answer.answer}.", "Leave it out, or mute the pattern.")
    if answer.until is not None and answer.until <= answer.time:
        raise ConfigError(f"{answer.until:%Y-%m-%dT%H:%MZ} has passed: nothing would be muted.", "Give a later time.")


def _offered(record: Any) -> Answer:
    try:
        return Answer.from_record(record)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"This is no answer: {orjson.dumps(record, default=str).decode()[:120]}.",
            "Import what oddlog feedback export wrote.",
        ) from error


def _time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    time = datetime.fromisoformat(str(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
