"""Where a session breaks into parts: silence, an end, too old, too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.types import I64, Bool


@dataclass(frozen=True)
class Limits:
    """What a window may span: silence, age (us) and events; None = any."""

    idle_us: int | None
    max_age_us: int | None
    max_events: int


@dataclass(frozen=True)
class Carried:
    """What each group [g] has open already: first and last time (us) and events, 0 for nothing."""

    first: I64
    last: I64
    count: I64


def breaks(at: I64, ended: Bool, offsets: I64, carried: Carried, limits: Limits) -> Bool:
    """Return where a new part begins [e].

    Parameters
    ----------
    at : I64 [e] us
        Times, ascending within each group.
    ended : Bool [e]
        Events that end their part.
    offsets : I64 [g + 1]
        Where each group begins; no group is empty.
    carried : Carried
        What each group has open already; a group that has nothing open begins a part.
    limits : Limits
        Silence beyond `idle_us` breaks, so does an event later than `max_age_us` after its part's first, so
        does the one after `max_events`.

    """
    heads = offsets[:-1]
    begins = np.zeros(len(at), np.bool_)
    begins[1:] = ended[:-1]
    if limits.idle_us is not None:
        begins[1:] |= np.diff(at) > limits.idle_us
    begins[heads] = carried.count == 0
    if limits.idle_us is not None:
        begins[heads] |= at[heads] - carried.last > limits.idle_us

    bounds = begins.copy()
    bounds[heads] = True
    start = np.flatnonzero(bounds)
    stop = np.append(start[1:], len(at))
    first, count = at[start], np.zeros(len(start), np.int64)
    goes_on = np.flatnonzero(~begins[start])
    group = np.searchsorted(heads, start[goes_on])
    first[goes_on], count[goes_on] = carried.first[group], carried.count[group]
    begins[_cuts(at, start, stop, first, count, limits)] = True
    return begins


def _cuts(at: I64, start: I64, stop: I64, first: I64, count: I64, limits: Limits) -> I64:
    """Return where unbroken stretches [s] must be cut for size or age.

    Each round cuts every stretch once, so the rounds are as many as the parts of the longest stretch.
    """
    if limits.max_age_us is None and np.all(count + stop - start <= limits.max_events):
        return np.empty(0, np.int64)
    found = []
    while len(start):
        cut = np.minimum(start + limits.max_events - count, stop)
        if limits.max_age_us is not None:
            cut = _first_beyond(at, start, cut, first + limits.max_age_us)
        more = cut < stop
        start, stop = cut[more], stop[more]
        first, count = at[start], np.zeros(len(start), np.int64)
        found.append(start)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _first_beyond(at: I64, low: I64, high: I64, bound: I64) -> I64:
    """Return the first position in ``low:high`` [s] whose time is beyond `bound`, else `high`."""
    low, high = low.copy(), high.copy()
    while np.any(low < high):
        middle = (low + high) // 2
        open_ = low < high
        beyond = at[np.minimum(middle, len(at) - 1)] > bound
        high = np.where(open_ & beyond, middle, high)
        low = np.where(open_ & ~beyond, middle + 1, low)
    return low
