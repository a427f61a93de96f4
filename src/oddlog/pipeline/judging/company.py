"""In whose company a type that was called usual is excused.

A session is one course of action: that a new line is usual where a block is copied does not say that it is where a
block is deleted. So of sessions an answer remembers which known types stood beside the new one, and later sessions
are excused as far as their types are among these::

    answered     A B C X            usual
    later        A B X              excused: A and B are among A B C
                 A B C D X          stays, although A B C D is usual: nobody has said that X is usual beside D
    answered     A B C D X          usual: from here on A B C D are

A stretch of time holds whatever happens in it; there, and in answers that know of no company, new types are excused
wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from oddlog.feedback.answers import QUIET, Standing
from oddlog.pipeline.judging.views import View
from oddlog.templates import Matcher
from oddlog.types import I64, Bool, Windows

MOST_COMPANY = 300  # types, 5 kB of an incident; sessions of more are taken as stretches: whatever happens is in them


def company_of(view: View, matcher: Matcher, windows: Windows) -> tuple[str, ...]:
    """Return the keys (hex) of the known types of those windows that hold a type never seen in training.

    Nothing where windows are no sessions, where no such type is, or where there are too many.
    """
    if view.cut.by != "session":
        return ()
    k = len(matcher.templates)
    with_new = np.zeros(len(windows), np.bool_)
    with_new[windows.window_of_event[windows.template >= k]] = True
    beside = windows.template[with_new[windows.window_of_event]]
    known = np.unique(beside[beside < k]).tolist()
    return tuple(sorted(f"{matcher.key_of(row):016x}" for row in known)) if len(known) <= MOST_COMPANY else ()


def in_company(standing: Standing, matcher: Matcher, windows: Windows, rows: Iterable[int]) -> Bool:
    """Return of which windows [w] all known types have stood beside each type of `rows` that they hold.

    Parameters
    ----------
    standing : Standing
        The answers that hold.
    matcher : Matcher
        Of this run.
    windows : Windows
        Sessions, with the types that are to be excused in them.
    rows : iterable of int
        Types never seen in training that an answer has called usual or muted.

    """
    k = len(matcher.templates)
    known = windows.template < k
    there = np.unique(windows.template[known])
    key = np.array([matcher.key_of(row) for row in there.tolist()], np.uint64)
    place = np.searchsorted(there, windows.template).clip(max=max(len(there) - 1, 0))
    window = windows.window_of_event
    fits = np.ones(len(windows), np.bool_)
    for row in rows:
        held = np.zeros(len(windows), np.bool_)
        held[window[windows.template == row]] = True
        strange = known & held[window]
        for one in standing.of_type.get(matcher.key_of(row), []):
            if one.answer not in QUIET:
                continue
            late = _after(windows.end, one.time.timestamp()) if standing.only_later else np.ones(len(windows), np.bool_)
            said = np.array([int(name, 16) for name in one.company], np.uint64)
            named = np.isin(key, said) if one.company else np.ones(len(key), np.bool_)
            if len(named):
                strange &= ~(late[window] & named[place])
        fits[window[strange]] = False
    return fits


def _after(end_us: I64, seconds: float) -> Bool:
    later: Bool = end_us > round(seconds * 1e6)
    return later
