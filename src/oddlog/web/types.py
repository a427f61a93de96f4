"""Message types as the page tells them: never seen in training, rare there, or more or fewer than there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oddlog.service.watching import KnownType

Kind = Literal["new", "rare", "changed", "all"]
KINDS: tuple[Kind, ...] = ("new", "rare", "changed", "all")
RARE = 3  # lines in training
FACTOR = 3.0  # so many times as often, or as seldom, is a change …
SIGMAS = 6.0  # … if counts as small as these leave no doubt
MOST = 500


@dataclass(frozen=True)
class Type:
    """A message type, here and in training."""

    key: str
    text: str
    level: str
    service: str
    lines: int  # here
    trained: int
    factor: float  # its share here, by that in training; 0 without either
    is_changed: bool
    first: float | None
    last: float | None

    @property
    def is_new(self) -> bool:
        """Whether the model has never seen it."""
        return self.trained == 0


def types(known: Sequence[KnownType], seen: Sequence[Mapping[str, Any]]) -> list[Type]:
    """Return all types that were learned or seen, those with most lines first."""
    here = {row["key"]: row for row in seen}
    n_here = sum(int(row["lines"]) for row in seen)
    n_trained = sum(one.lines for one in known)
    found = [_type(one, here.pop(one.key, None), n_here, n_trained) for one in known]
    found += [_unseen(row) for row in here.values()]
    return sorted(found, key=lambda one: (-one.lines, one.text))


def chosen(every: Sequence[Type], kind: Kind, words: str = "") -> list[Type]:
    """Return the types of one kind whose text holds all words, the most telling first."""
    wanted = words.lower().split()
    some = [one for one in every if all(word in one.text.lower() for word in wanted)]
    if kind == "new":
        return sorted((one for one in some if one.is_new), key=lambda one: -(one.first or 0.0))
    if kind == "rare":
        return [one for one in some if 0 < one.trained <= RARE and one.lines]
    if kind == "changed":
        return sorted((one for one in some if one.is_changed), key=lambda one: -abs(_log(one.factor)))
    return some


def _type(one: KnownType, row: Mapping[str, Any] | None, n_here: int, n_trained: int) -> Type:
    lines = int(row["lines"]) if row else 0
    expected = n_here * one.lines / n_trained if n_trained else 0.0
    factor = lines / expected if expected else 0.0
    # Counts differ by chance: of lines here about √expected, of those in training as much by their own number.
    spread = math.sqrt(expected + expected**2 / one.lines + 1.0) if one.lines else 1.0
    clear = abs(lines - expected) > SIGMAS * spread
    changed = clear and (factor >= FACTOR or factor <= 1 / FACTOR)
    first, last = (float(row["first"]), float(row["last"])) if row else (None, None)
    return Type(one.key, one.text, one.level, "", lines, one.lines, factor, changed, first, last)


def _unseen(row: Mapping[str, Any]) -> Type:
    text, level = row["text"] or "(its text is no longer kept)", row["level"] or ""
    return Type(
        key=row["key"],
        text=text,
        level=level,
        service=row["service"] or "",
        lines=int(row["lines"]),
        trained=0,
        factor=0.0,
        is_changed=False,
        first=float(row["first"]),
        last=float(row["last"]),
    )


def _log(factor: float) -> float:
    return math.log(factor) if factor > 0 else -math.inf
