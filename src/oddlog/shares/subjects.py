"""What is counted, as numbers: a step, the gaps of a service, a number of a service on one of its hosts or on all.

A *subject* is what carries the mark, its *whole* what it is a share of::

    step      before and after                     whole: before        rows of templates, `UNSEEN`, `BEGIN`, `END`
    detour    after, where it came by a rare step   whole: the same
    surge     after                                whole: the same, as often as what came before lets expect
    mix       service and type                     whole: the service
    gap       service                              whole: the same
    number    ((service, host, number), side)      whole: without the side, 0 below and 1 above
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oddlog.types import CLOSED_BY, I64, Windows

Kind = Literal["step", "detour", "surge", "mix", "gap", "number"]
_BITS = 31
UNSEEN, BEGIN, END = ((1 << _BITS) - 1 - i for i in range(3))
"""Beyond all rows: a type that the model has not seen, the begin and the end of a window."""
_HOSTS, _NUMBERS = 1 << 17, 64
_ENDED = tuple(i for i, name in enumerate(CLOSED_BY) if name not in ("open", "headless", "size"))


@dataclass(frozen=True)
class Subject:
    """A subject, taken apart; -1 where it has no such part.

    Attributes
    ----------
    before, after : int
        Rows of templates of a step, or `UNSEEN`, `BEGIN`, `END`.
    service, host, number : int
        Codes of where, and which number; host -1: on all.
    above : bool
        Whether the numbers are too large, not too small.

    """

    before: int = -1
    after: int = -1
    service: int = -1
    host: int = -1
    number: int = -1
    above: bool = True


def subject_of(kind: Kind, subject: int) -> Subject:
    """Return the parts of a subject.

    >>> subject_of("step", (2 << 31) + 12)
    Subject(before=2, after=12, service=-1, host=-1, number=-1, above=True)
    """
    if kind == "step":
        return Subject(before=subject >> _BITS, after=subject & UNSEEN)
    if kind == "mix":
        return Subject(service=subject >> _BITS, after=subject & UNSEEN)
    if kind in ("detour", "surge"):
        return Subject(after=subject)
    if kind == "gap":
        return Subject(service=subject)
    place, above = divmod(subject, 2)
    where, number = divmod(place, _NUMBERS)
    service, host = divmod(where, _HOSTS)
    return Subject(service=service, host=host - 1, number=number, above=bool(above))


def wholes_of(kind: Kind, subject: I64) -> I64:
    """Return what each subject [x] is a share of."""
    if kind in ("step", "mix"):
        return np.asarray(subject >> _BITS, np.int64)
    return np.asarray(subject // 2, np.int64) if kind == "number" else subject


def after_of(pair: I64) -> I64:
    """Return what comes after in each step [x]."""
    return np.asarray(pair & UNSEEN, np.int64)


def mix_of(service: I64, row: I64) -> I64:
    """Return the subject [x] of the share that types have in the lines of services."""
    return np.asarray((service << _BITS) + row, np.int64)


def place_of(service: I64, host: I64, number: int) -> I64:
    """Return the whole [x] of a number of services on hosts; host -1 stands for all."""
    return np.asarray((service * _HOSTS + host + 1) * _NUMBERS + number, np.int64)


@dataclass(frozen=True)
class Steps:
    """The steps of windows.

    Attributes
    ----------
    pair : I64 [x]
        The subjects.
    event : I64 [x]
        The event that came after; of an end the last one.
    gap_us : I64 [x]
        Time since the event before; -1 of a begin and of an end.

    """

    pair: I64
    event: I64
    gap_us: I64


def steps(windows: Windows, k: int) -> Steps:
    """Return what follows what in `windows`, their begins and, where they truly ended, their ends.

    A model has `k` types; all that it has not seen count as one.
    """
    held = np.flatnonzero(windows.lengths > 0)
    first, last = windows.offsets[held], windows.offsets[held + 1] - 1
    row = windows.template.astype(np.int64)
    row[row >= k] = UNSEEN
    before = np.concatenate([[0], row[:-1]])[: len(row)]
    before[first] = BEGIN
    gap = np.diff(windows.time_us, prepend=windows.time_us[:1])
    gap[first] = -1
    ended = last[np.isin(windows.closed_by[held], _ENDED)]
    pair = np.concatenate([(before << _BITS) + row, (row[ended] << _BITS) + END])
    event = np.concatenate([np.arange(len(row)), ended])
    return Steps(pair, event, np.concatenate([gap, np.full(len(ended), -1)]))
