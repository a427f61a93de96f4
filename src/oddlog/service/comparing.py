"""Two models on the same lines: what both call odd, what only one of them does, and what answers say of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

SLACK = timedelta(minutes=15)  # between two incidents that still may be one
NOT_JUDGED = frozenset({"rule", "new_service", "source_silent", "source_late"})
"""Kinds of reasons that no model gives: these incidents say nothing of it."""
SILENCED = ("usual", "mute")
MOST_SHOWN = 50
Told = Mapping[str, Any]


@dataclass
class Day:
    """How many incidents began on a day: in both models' words, or in one's only."""

    both: int = 0
    only_current: int = 0
    only_challenger: int = 0


@dataclass(frozen=True)
class Rejudged:
    """An answered pattern that came again, or not."""

    pattern: str
    answer: str
    says: str
    current: int
    challenger: int


@dataclass
class Compared:
    """What two models said.

    Attributes
    ----------
    days : dict
        By day, of when incidents began.
    only_current, only_challenger : list of mapping
        What only one of them has found, the most pressing first.
    rejudged : list of Rejudged
        How often patterns that were answered came in the time, in the words of both.

    """

    days: dict[str, Day] = field(default_factory=dict)
    only_current: list[Told] = field(default_factory=list)
    only_challenger: list[Told] = field(default_factory=list)
    rejudged: list[Rejudged] = field(default_factory=list)

    @property
    def totals(self) -> Day:
        """The sum of all days."""
        days = self.days.values()
        return Day(
            sum(one.both for one in days),
            sum(one.only_current for one in days),
            sum(one.only_challenger for one in days),
        )


@dataclass(frozen=True)
class _One:
    """An incident, as it is compared."""

    told: Told
    span: tuple[datetime, datetime] | None
    patterns: frozenset[str]
    lines: frozenset[tuple[str, int]]
    services: frozenset[str]

    @classmethod
    def of(cls, told: Told) -> _One:
        start, end = told["start"], told["end"]
        span = (datetime.fromisoformat(start), datetime.fromisoformat(end)) if start and end else None
        patterns = frozenset({told["pattern"], *told.get("patterns", ())} - {""})
        lines = frozenset((line["source"], line["line"]) for line in told["lines"])
        return cls(told, span, patterns, lines, frozenset(told["services"]))

    def is_same(self, other: _One) -> bool:
        """Return whether both are of the same thing."""
        if self.span is not None and other.span is not None:
            if self.span[0] > other.span[1] + SLACK or other.span[0] > self.span[1] + SLACK:
                return False
        elif self.span is not other.span:
            return False
        shared = self.patterns & other.patterns or self.lines & other.lines
        return bool(shared) or (bool(self.services) and self.services == other.services)


def compare(
    current: Sequence[Told],
    challenger: Sequence[Told],
    answer_of: Callable[[str], tuple[str, str]] = lambda _: ("", ""),
) -> Compared:
    """Compare incidents, as the store has them, of the same time.

    Two are the same if they lie within 15 minutes of each other and share a pattern, or a line, or name the same
    services. `answer_of` returns the answer that holds for a pattern, and what it was given to. The current model does
    not tell what is answered, so what only the challenger finds of that is in no day.
    """
    ours, theirs = ([_One.of(one) for one in some if _is_judged(one)] for some in (current, challenger))
    found = Compared()
    matched: set[int] = set()
    for one in ours:
        same = [i for i, other in enumerate(theirs) if one.is_same(other)]
        matched.update(same)
        day = found.days.setdefault(_day(one), Day())
        day.both += bool(same)
        day.only_current += not same
        found.only_current += [] if same else [one.told]
    for i, other in enumerate(theirs):
        if i not in matched and answer_of(other.told["pattern"])[0] not in SILENCED:
            found.days.setdefault(_day(other), Day()).only_challenger += 1
            found.only_challenger.append(other.told)
    found.days = dict(sorted(found.days.items(), reverse=True))
    for some in (found.only_current, found.only_challenger):
        some.sort(key=lambda told: -float(told["severity"]))
        del some[MOST_SHOWN:]
    found.rejudged = _rejudged(ours, theirs, answer_of)
    return found


def _rejudged(
    ours: Sequence[_One], theirs: Sequence[_One], answer_of: Callable[[str], tuple[str, str]]
) -> list[Rejudged]:
    counts = [Counter(one.told["pattern"] for one in some) for some in (ours, theirs)]
    found = []
    for pattern in counts[0] | counts[1]:
        answer, says = answer_of(pattern)
        if answer:
            found.append(Rejudged(pattern, answer, says, counts[0][pattern], counts[1][pattern]))
    return sorted(found, key=lambda one: (one.answer, -one.current - one.challenger, one.pattern))[:MOST_SHOWN]


def _is_judged(told: Told) -> bool:
    kinds = {reason["kind"] for reason in told["reasons"]}
    return not kinds or not kinds <= NOT_JUDGED


def _day(one: _One) -> str:
    return str(one.told["start"] or "")[:10]
