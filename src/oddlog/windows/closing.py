"""When is a session over? Learned from how long sessions are silent after an event before they go on.

A session that the end of the log cut off looks as if events were missing. Whether it is over depends on its last
event: after "deleted" little more comes, after "stored" nothing may come for hours and then the rest. So for each
kind of last event we estimate how likely a session that has been silent for so long goes on at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from oddlog.types import CLOSED_BY, F64, I64, NO_TIME, U8, U32, Bool, State, Windows

OPEN, IDLE, REST, HEADLESS = (CLOSED_BY.index(name) for name in ("open", "idle", "rest", "headless"))
NEVER_OVER = 1 << 62
SHORTEST_US = 1_000_000
LONGEST_US = 7 * 86_400_000_000
_QUANTILES = (0.99, 0.999)  # of the gaps inside sessions: the shortest silence that can mean an end, and a long one
_PAUSE_US = 60_000_000  # but so much is always enough to start looking
_RANKS = 8  # a session's third "deleted" tells more than its first; later ones are counted alike
_AT_RISK = 30  # sessions that must have been seen to stay silent before anything is said
_MARGIN = 2  # silences are learned from one stretch of time and used in another
_WIDE_MARGIN = 10  # waits grow with load: deletions of HDFS that took 69 s at most took 481 s on the next day
_RESTING = 0.01  # share of sessions that stay silent for ever, below which nobody rests there
_GOING_ON = 100  # sessions seen to go on, before the longest silence among them means something
_BEGINS = 0.005  # share of sessions that must begin with an event for it to be a beginning
_ALWAYS = 0.999  # an event that ends so many of the sessions it stands in ends sessions


@dataclass(frozen=True)
class Closing:
    """What is known of the end of sessions.

    Attributes
    ----------
    idle_us : int
        Silence (us) after which the windower may close any session.
    end_templates : frozenset of int
        Templates that practically always end the session they stand in; mostly none.
    state : I64 [x]
        Kinds of last event, ascending: template row x 8 + how often the session held it before, at most 7.
    silence_us : I64 [x]
        Silence beyond which a session with that last event is over; `NEVER_OVER` where it may always go on.
    other_us : int
        The same for kinds of event that were too rare to tell.
    pause_us : int
        Silence (us) beyond which a session is not in the midst of something.
    start_templates : frozenset of int
        Templates that sessions begin with.

    """

    idle_us: int
    end_templates: frozenset[int]
    state: I64
    silence_us: I64
    other_us: int
    pause_us: int = _PAUSE_US
    start_templates: frozenset[int] = frozenset()

    def settled(self, windows: Windows, log_start_us: int, log_end_us: int) -> U8:
        """Return how each window [w] was closed, now that both ends of the log are known.

        An unfinished session may be over all the same (``idle``), or at ``rest``. One that begins with what
        sessions do not begin with, and so early that it may have begun before the log, is ``headless``.
        """
        code = windows.closed_by.copy()
        if len(windows) == 0:
            return code
        first, last = windows.time_us[windows.offsets[:-1]], windows.time_us[windows.offsets[1:] - 1]
        code[(code == OPEN) & self.is_closed(windows, log_end_us)] = IDLE
        code[(code == OPEN) & (last != NO_TIME) & (log_end_us - last > self.pause_us)] = REST
        if self.start_templates:
            begins = np.isin(windows.template[windows.offsets[:-1]], list(self.start_templates))
            code[~begins & (first != NO_TIME) & (first <= log_start_us + self.idle_us)] = HEADLESS
        return code

    def is_closed(self, windows: Windows, log_end_us: int) -> Bool:
        """Return which sessions [w] are over, given that the log ends at `log_end_us`.

        Whatever was closed by anything but the end of the input is over.
        """
        closed = windows.closed_by != OPEN
        if len(windows) == 0:
            return np.asarray(closed)
        last = windows.offsets[1:] - 1
        allowed = self._allowed(_states(windows)[last])
        silent = log_end_us - windows.time_us[last]
        return np.asarray(closed | ((windows.time_us[last] != NO_TIME) & (silent > allowed)))

    def _allowed(self, state: I64) -> I64:
        """Return the silence (us) after each kind of event [w]; one not seen is like the rank before it."""
        at = np.searchsorted(self.state, state, side="right") - 1
        if len(self.state) == 0:
            return np.full(len(state), self.other_us)
        alike = (at >= 0) & (self.state[at] // _RANKS == state // _RANKS)
        return np.where(alike, self.silence_us[at], self.other_us)

    def to_state(self) -> State:
        """Return everything `from_state` needs."""
        meta = {
            "idle_us": self.idle_us,
            "other_us": self.other_us,
            "pause_us": self.pause_us,
            "end_templates": sorted(self.end_templates),
            "start_templates": sorted(self.start_templates),
        }
        return State({"state": self.state, "silence_us": self.silence_us}, meta)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild what `to_state` gave."""
        meta, arrays = state.meta, state.arrays
        return cls(
            idle_us=meta["idle_us"],
            end_templates=frozenset(meta["end_templates"]),
            state=arrays["state"],
            silence_us=arrays["silence_us"],
            other_us=meta["other_us"],
            pause_us=meta["pause_us"],
            start_templates=frozenset(meta["start_templates"]),
        )


def learn_closing(windows: Windows, log_end_us: int | None = None, *, goes_on: float = 0.01) -> Closing:
    """Learn from sessions when one is over.

    Parameters
    ----------
    windows : Windows
        Sessions, those that the end of the log cut off among them.
    log_end_us : int, optional
        Where the log ends (us); the last event if not given.
    goes_on : float
        A session is over once so few (share) of those silent for as long still went on.

    Notes
    -----
    The time until a session's next event is censored at the end of the log for its last event; the share that
    goes on later is read off the product-limit estimate (Kaplan and Meier, 1958, eq. 2b) per kind of event.

    """
    timed = np.flatnonzero(windows.time_us != NO_TIME)
    if len(timed) == 0:
        none = np.empty(0, np.int64)
        return Closing(LONGEST_US, frozenset(), none, none, NEVER_OVER)
    end = int(windows.time_us.max()) if log_end_us is None else log_end_us
    window, time = windows.window_of_event[timed], windows.time_us[timed]
    followed = np.append(window[1:] == window[:-1], False)
    gap = np.where(followed, np.append(time[1:], 0) - time, end - time)
    kind = _states(windows)[timed]
    usual, long = np.quantile(gap[followed], _QUANTILES) if followed.any() else (0.0, float(LONGEST_US))
    least = int(min(usual, _PAUSE_US))
    state, silence = _silences(kind, gap, followed, goes_on, least)
    _, other = _silences(np.zeros_like(kind), gap, followed, goes_on, least)
    return Closing(
        idle_us=int(np.clip(_MARGIN * long, SHORTEST_US, LONGEST_US)),
        end_templates=_ends(windows.template[timed], window, followed),
        state=state,
        silence_us=np.maximum(silence, least),
        other_us=max(int(other[0]), least) if len(other) else NEVER_OVER,
        pause_us=least,
        start_templates=_starts(windows),
    )


def _states(windows: Windows) -> I64:
    """Return the kind of each event [e]: its template, and how often its session held that before."""
    window = windows.window_of_event
    order = np.lexsort((np.arange(len(window)), windows.template, window))
    same = np.zeros(len(window), np.bool_)
    same[1:] = (np.diff(window[order]) == 0) & (np.diff(windows.template[order].astype(np.int64)) == 0)
    place = np.arange(len(window))
    rank = np.empty(len(window), np.int64)
    rank[order] = place - np.maximum.accumulate(np.where(same, 0, place))
    return windows.template.astype(np.int64) * _RANKS + np.minimum(rank, _RANKS - 1)


def _silences(state: I64, gap: I64, followed: Bool, goes_on: float, least: int) -> tuple[I64, I64]:
    """Return the states [x] often enough seen, and the silence beyond which a session in it is over."""
    # ends of silence that are no ends of the log come first at equal length, as the estimate wants
    order = np.lexsort((~followed, gap, state))
    state, gap, followed = state[order], gap[order], followed[order]
    heads = np.flatnonzero(np.append(True, state[1:] != state[:-1]))
    lengths = np.diff(np.append(heads, len(state)))
    at_risk = np.repeat(heads + lengths, lengths) - np.arange(len(state))
    with np.errstate(divide="ignore"):
        step = np.where(followed, np.log1p(-1.0 / at_risk), 0.0)
    survive = np.exp(_cumulated(step, heads, lengths))
    last = survive[heads + lengths - 1]
    later = 1 - np.repeat(last, lengths) / np.maximum(survive, 1e-300)  # of those silent beyond gap, go on
    place = np.where(later <= goes_on, np.arange(len(state)), len(state) - 1)
    quiet = gap[np.minimum.reduceat(place, heads)]
    # it must have been seen that they stay silent, not only that the log ended soon after
    followed_up = np.repeat(_WIDE_MARGIN * np.maximum(quiet, least), lengths)
    rest = np.add.reduceat((gap >= followed_up).astype(np.int64), heads) >= _AT_RISK
    silence = np.where(rest, _MARGIN * quiet, NEVER_OVER)
    enough = lengths >= _AT_RISK
    # where practically all go on, one that is silent longer than any was is stuck
    longest = np.maximum.reduceat(np.where(followed, gap, 0), heads)
    stuck = (last <= _RESTING) & (np.add.reduceat(followed.astype(np.int64), heads) >= _GOING_ON)
    silence = np.where(stuck, np.minimum(silence, _WIDE_MARGIN * longest), silence)
    return state[heads][enough], silence[enough]


def _cumulated(step: F64, heads: I64, lengths: I64) -> F64:
    """Return the running sum within each group; a sum of minus infinity stays in its group."""
    finite = np.where(np.isfinite(step), step, -700.0)  # e^-700 is 0 for our purposes
    total: F64 = np.cumsum(finite)
    before: F64 = np.where(heads > 0, total[heads - 1], 0.0)
    return np.subtract(total, np.repeat(before, lengths))


def _starts(windows: Windows) -> frozenset[int]:
    """Return the templates that begin at least `_BEGINS` of the sessions of the log's later half.

    In the earlier half there may be sessions that began before the log did.
    """
    filled = np.flatnonzero(windows.lengths)
    first = windows.offsets[:-1][filled]
    time, template = windows.time_us[first], windows.template[first]
    late = template[time >= np.median(time)] if len(time) else template
    rows, n = np.unique(late, return_counts=True)
    return frozenset(rows[n >= _BEGINS * len(late)].tolist())


def _ends(template: U32, window: I64, followed: Bool) -> frozenset[int]:
    """Return the templates that end practically all sessions they stand in, with nothing after them."""
    rows, of = np.unique(template, return_inverse=True)
    ends = np.bincount(of, weights=~followed)
    pairs = np.unique(np.stack([of, window]), axis=1)[0]
    sessions = np.bincount(pairs, minlength=len(rows))
    events = np.bincount(of)
    always = (ends >= _ALWAYS * events) & (sessions >= 1 / (1 - _ALWAYS))
    return frozenset(rows[always].tolist())
