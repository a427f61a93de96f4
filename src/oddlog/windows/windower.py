"""Events in order of arrival to windows: sessions, or stretches of time or count."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.errors import ConfigError
from oddlog.types import EVENTS, I64, NO_TIME, State, Tally, Windows
from oddlog.windows import keys
from oddlog.windows.arrival import NEVER, Arrived, Clock, in_final_order
from oddlog.windows.closed import as_windows
from oddlog.windows.opened import BOUNDS, OPEN, SIZE, OpenWindows, Rules
from oddlog.windows.splits import Limits
from oddlog.windows.stored import digest, text_arrays, texts_of

LATE_EVENT = "late event, placed at the watermark"
_COLUMNS = [name for name in EVENTS if name != "session"]
_OVERLAP = 1_000  # windows one event may stand in; a smaller step is a mistake, and costs memory


class Windower:
    """Group events into windows; any batching of the same arrivals gives the same windows.

    Parameters
    ----------
    by : {"session", "time", "count"}
        What makes a window. ``session``: the ``session`` column, null = in no window. ``time`` and ``count``:
        stretches per ``session``, null = all in one group.
    size, step : int
        Length of a window and distance of their beginnings, in us or events; `step` 0 = `size`. Time windows
        are aligned to the epoch.
    idle_us : int, optional
        A session is over after so much silence in event time; None = never.
    max_age_us : int, optional
        A session spans at most so much; what follows is its next part.
    max_events : int
        A window holds at most so many; what follows is its next part.
    lateness_us : int
        How far behind the latest event the watermark runs: so long is waited for events out of order.
    end_templates : frozenset of int
        Rows of the templates that end a session.
    max_open : int
        Windows open at once. Beyond it the eighth that was silent longest is closed by ``size``. Twice as
        many keys are remembered, to number the parts of a session.
    max_held : int
        Events of open windows held at once; beyond it the windows silent longest are closed by ``size``.
    tally : Tally
        Counts what stands in no window, came late, was cut, or went on after it was closed.

    Notes
    -----
    The watermark after an event is the largest event time so far less `lateness_us`, or a larger one passed to
    `push`. An event that comes later than the watermark counts as happening *at* the watermark: it joins its
    session if that is open, and opens its next part if not. A time window whose end the watermark has reached
    takes no more: such events are counted and dropped. Windows come out in order of (the arrival that closed
    them, the time by which they were over, key).

    """

    def __init__(
        self,
        *,
        by: Literal["session", "time", "count"],
        size: int = 0,
        step: int = 0,
        idle_us: int | None = None,
        max_age_us: int | None = None,
        max_events: int = 100_000,
        lateness_us: int = 0,
        end_templates: frozenset[int] = frozenset(),
        max_open: int = 1_000_000,
        max_held: int = 16_000_000,
        tally: Tally,
    ) -> None:
        self._config: dict[str, Any] = {
            "by": by,
            "size": size,
            "step": step,
            "idle_us": idle_us,
            "max_age_us": max_age_us,
            "max_events": max_events,
            "lateness_us": lateness_us,
            "end_templates": sorted(end_templates),
            "max_open": max_open,
            "max_held": max_held,
        }
        _check(self._config)
        self.by, self.size, self.step = by, size, step or size
        self.max_open, self.max_held, self.tally = max_open, max_held, tally
        self._clock = Clock(lateness_us)
        self._rules = self._rules_of(idle_us, max_age_us, max_events, end_templates)
        self._counters: dict[str, int] = {}  # group -> events so far, for windows by count
        self._numbers: list[str] | None = None
        self._open: OpenWindows
        self._waiting: Arrived

    def _rules_of(
        self, idle_us: int | None, max_age_us: int | None, max_events: int, end_templates: frozenset[int]
    ) -> Rules:
        ends = np.array(sorted(end_templates), np.uint32)
        if self.by == "session":
            return Rules(Limits(idle_us, max_age_us, max_events), ends, None, SIZE)
        if self.by == "time":
            return Rules(Limits(None, None, max_events), ends[:0], lambda n: n * self.step + self.size - 1, SIZE)
        return Rules(Limits(None, None, self.size), ends[:0], None, BOUNDS)

    def push(self, events: pl.DataFrame, watermark_us: int | None = None) -> Windows:
        """Take events in order of arrival; return the windows that are now closed.

        Parameters
        ----------
        events : pl.DataFrame
            As `types.EVENTS`, with the ``n.*`` columns of the first push (absent ones are NaN).
        watermark_us : int, optional
            No event before this time is awaited any more; takes effect after `events`.

        """
        self._begin(events)
        time_us = events["time_us"].to_numpy()
        watermark = self._clock.watermark
        before, path = self._clock.advance(time_us, watermark_us)
        arrived = self._waiting_now().then(self._arrive(events, time_us, before))
        if self._clock.lateness_us:
            arrived, self._waiting = in_final_order(arrived, path)
        self._place(arrived, watermark, path)
        return self._emit()

    def flush(self) -> Windows:
        """Close and return everything, as nothing more will come for now.

        Sessions and part-filled windows are closed by ``open``: they may go on. Those whose silence the
        watermark has passed were closed by ``idle`` before.
        """
        if self._numbers is None:
            return Windows.empty()
        path = np.array([self._clock.watermark])
        self._place(self._waiting_now(), self._clock.watermark, path)
        slots = self._open.slots()
        none = np.zeros(len(slots), np.int64)
        self._open.close(slots, none + OPEN, self._open.value("last")[slots], none)
        return self._emit()

    def resting(self, pause_us: int) -> Windows:
        """Return the sessions that are silent for longer than `pause_us`, closed by ``open``; they stay open.

        Each pause of a session is told once: it comes again after a further event and a further pause.
        """
        if self._numbers is None or self.by != "session":
            return Windows.empty()
        found = self._open.resting(self._clock.watermark - pause_us)
        if found is None:
            return Windows.empty(len(self._numbers))
        return as_windows([found], self._open.held, None)

    @property
    def watermark_us(self) -> int:
        """No event before this time is awaited any more."""
        return self._clock.watermark

    @property
    def n_open(self) -> int:
        """How many windows are open."""
        return 0 if self._numbers is None else len(self._open.slot)

    @property
    def n_waiting(self) -> int:
        """How many events wait until their order is final."""
        return 0 if self._numbers is None else len(self._waiting)

    # -- state ----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return everything `from_state` needs to go on as if nothing had happened."""
        meta = {"config": self._config, "watermark": self._clock.watermark, "numbers": self._numbers}
        if self._numbers is None:
            return State(meta=meta)
        arrays = self._open.arrays()
        waiting = self._waiting
        arrays |= {f"waiting.{name}": column for name, column in waiting.columns.items()}
        arrays |= text_arrays("waiting.session", waiting.session.to_list()) | {"waiting.at": waiting.at}
        arrays |= text_arrays("counted.group", list(self._counters))
        arrays["counted.events"] = np.array(list(self._counters.values()), np.int64)
        return State(arrays, meta)

    @classmethod
    def from_state(cls, state: State, *, tally: Tally) -> Self:
        """Return a windower that goes on where `state` was taken; what it counts goes to `tally`."""
        config = dict(state.meta["config"])
        ends = frozenset(config.pop("end_templates"))
        self = cls(**config, end_templates=ends, tally=tally)
        self._clock.watermark = int(state.meta["watermark"])
        numbers, arrays = state.meta["numbers"], state.arrays
        if numbers is None:
            return self
        self._begin(pl.DataFrame(schema={**EVENTS, **dict.fromkeys(numbers, pl.Float32())}))
        self._open.restore(arrays)
        columns = {name: arrays[f"waiting.{name}"] for name in self._waiting.columns}
        session = pl.Series("session", texts_of("waiting.session", arrays), pl.String)
        at = arrays["waiting.at"]
        self._waiting = Arrived(session, at, np.zeros(len(at), np.int64), columns)
        events = arrays["counted.events"].tolist()
        self._counters = dict(zip(texts_of("counted.group", arrays), events, strict=True))
        return self

    # -- arrivals -------------------------------------------------------------------------------------------

    def _begin(self, events: pl.DataFrame) -> None:
        """Take the number columns of the first push as those of all."""
        if self._numbers is not None:
            return
        self._numbers = [name for name in events.columns if name.startswith("n.")]
        empty = self._arrays(events.clear())
        self._waiting = Arrived(pl.Series("session", [], pl.String), *(np.empty(0, np.int64),) * 2, empty)
        held = {name: column for name, column in empty.items() if name != "lowest"}
        self._open = OpenWindows(held, self._rules, self.tally)

    def _arrays(self, events: pl.DataFrame) -> dict[str, NDArray[Any]]:
        assert self._numbers is not None
        columns = {name: events[name].cast(EVENTS[name]).to_numpy() for name in _COLUMNS}
        numbers = np.full((len(events), len(self._numbers)), np.nan, np.float32)
        for i, name in enumerate(self._numbers):
            if name in events.columns:
                numbers[:, i] = events[name].cast(pl.Float32).to_numpy()  # null becomes NaN
        columns["numbers"] = numbers
        if self.by == "time":
            columns["lowest"] = np.empty(len(events), np.int64)
        return columns

    def _waiting_now(self) -> Arrived:
        """Take out the events that waited for their order to become final."""
        waiting, self._waiting = self._waiting, self._waiting.slice(0, 0)
        return Arrived(waiting.session, waiting.at, np.zeros(len(waiting), np.int64), waiting.columns)

    def _arrive(self, events: pl.DataFrame, time_us: I64, before: I64) -> Arrived:
        """Return the events that belong to a window, with the time that decides about it."""
        columns, session = self._arrays(events), events["session"]
        if self.by == "session":
            kept = session.is_not_null().to_numpy()
            self.tally.add("event without a session key", int((~kept).sum()))
        else:
            session = session.fill_null("")
            kept = np.ones(len(events), np.bool_)
        if self.by == "time":
            kept = self._in_time(columns, time_us, before)
        else:
            late = kept & (time_us < before) & (time_us != NO_TIME)
            self.tally.add(LATE_EVENT, int(late.sum()))
        arrived = Arrived(session, np.maximum(time_us, before), np.arange(len(events)), columns)
        return arrived if kept.all() else arrived.take(kept)

    def _in_time(self, columns: dict[str, NDArray[Any]], time_us: I64, before: I64) -> NDArray[np.bool_]:
        """Return which events a time window still takes, and set the first that does."""
        timed = time_us != NO_TIME
        self.tally.add("event without time, in no time window", int((~timed).sum()))
        known = np.where(timed, time_us, 0)
        first_of_all, _ = keys.bins_of_time(known, np.full(len(known), NEVER), self.size, self.step)
        first, last = keys.bins_of_time(known, before, self.size, self.step)
        self.tally.add("late event, its time window is closed", int((timed & (first > first_of_all)).sum()))
        columns["lowest"][:] = first
        return np.asarray(timed & (first <= last))

    # -- placing --------------------------------------------------------------------------------------------

    def _place(self, events: Arrived, watermark: int, path: I64) -> None:
        """Place events whose order is final, in pieces so large that no limit is reached inside one.

        `watermark` stood before the push, `path` after each of its arrivals.
        """
        events, bins = self._spread(events)
        start = 0
        while start < len(events):
            ready = int(events.ready[start])
            self._open.expire(path, int(path[ready - 1]) if ready else watermark)
            rest = events if start == 0 else events.slice(start, len(events))
            groups = keys.grouped(rest.session, None if bins is None else bins[start:])
            bases = self._bases(groups)
            take = self._room(bases, groups, len(rest))
            if take == 0:
                self._make_room(bases[0], ready)
                continue
            if take < len(rest):
                rest = rest.slice(0, take)
                groups = keys.grouped(rest.session, None if bins is None else bins[start : start + take])
                bases = bases[: len(groups.bin)]
            self._open.extend(groups, bases, rest.columns, rest.at, rest.ready, path)
            start += take
        self._open.expire(path, int(path[-1]))

    def _spread(self, events: Arrived) -> tuple[Arrived, I64 | None]:
        """Repeat each event for every window it stands in; return them with the windows' numbers."""
        if self.by == "session":
            return events, None
        if self.by == "time":
            first, last = events.columns["lowest"], events.columns["time_us"] // self.step
        else:
            events, number = self._numbered(events)
            first, last = keys.bins_of_count(number, self.size, self.step)
        often = last - first + 1
        if np.all(often == 1):
            return events, first
        row = np.repeat(np.arange(len(events)), often)
        rank = np.arange(len(row)) - np.repeat(np.cumsum(often) - often, often)
        return events.take(row), first[row] + rank

    def _numbered(self, events: Arrived) -> tuple[Arrived, I64]:
        """Give the events of each group their numbers from 0; refuse groups beyond `max_open`."""
        groups = keys.grouped(events.session)
        names = groups.session.to_list()
        new = [name for name in names if name not in self._counters]
        room = self.max_open - len(self._counters)
        self._counters.update(dict.fromkeys(new[:room], 0))
        lengths = np.diff(groups.offsets)
        first = np.array([self._counters.get(name, -1) for name in names], np.int64)
        counted = zip(names, (first + lengths).tolist(), strict=True)
        self._counters.update((name, n) for name, n in counted if name in self._counters)
        number = np.empty(len(events), np.int64)
        rank = np.arange(len(events)) - np.repeat(groups.offsets[:-1], lengths)
        number[groups.order] = np.where(np.repeat(first, lengths) < 0, -1, np.repeat(first, lengths) + rank)
        refused = number < 0
        self.tally.add("event of a group beyond max_open", int(refused.sum()))
        return (events.take(~refused), number[~refused]) if refused.any() else (events, number)

    def _bases(self, groups: keys.Groups) -> list[str]:
        if self.by == "session":
            return groups.session.to_list()
        if self.by == "count":
            return keys.count_keys(groups.session, groups.bin)
        whole = self.size % 1_000_000 == 0 and self.step % 1_000_000 == 0
        return keys.time_keys(groups.session, groups.bin * self.step, whole_seconds=whole)

    def _room(self, bases: list[str], groups: keys.Groups, n: int) -> int:
        """Return how many of the next `n` events can be placed before a limit could be reached."""
        take = max(0, min(n, self.max_held - self._open.held.live))
        slot, remembered = self._open.slot, self._open.remembered
        room = self.max_open - len(slot)
        room_known = 2 * self.max_open - len(slot) - len(remembered)
        if len(bases) > min(room, room_known):
            new = [i for i, base in enumerate(bases) if base not in slot]
            unknown = [i for i in new if digest(bases[i]) not in remembered]
            first = groups.order[groups.offsets[:-1]]
            for found, limit in ((new, room), (unknown, room_known)):
                if len(found) > limit:
                    take = min(take, int(first[found[limit]]))
        return take

    def _make_room(self, base: str, ready: int) -> None:
        """Close the windows silent longest, or forget closed keys, so that an event of `base` can be placed."""
        opened = self._open
        too_many = base not in opened.slot and len(opened.slot) >= self.max_open
        if opened.held.live < self.max_held and not too_many:
            self._forget()
            return
        slots = opened.slots()
        slots = slots[np.argsort(opened.value("touched")[slots])]
        if opened.held.live >= self.max_held:
            kept = opened.held.live - np.cumsum(opened.value("count")[slots])
            slots = slots[: int(np.argmax(kept <= self.max_held * 7 // 8)) + 1]
            self.tally.add("window closed early, max_held events are held", len(slots))
        else:
            slots = slots[: max(1, self.max_open // 8)]
            self.tally.add("window closed early, max_open are open", len(slots))
        none = np.zeros(len(slots), np.int64)
        opened.close(slots, none + SIZE, opened.value("last")[slots], none + ready)

    def _forget(self) -> None:
        """Forget the eighth of the closed keys that were over first."""
        remembered = self._open.remembered
        oldest = sorted(remembered, key=lambda key: (remembered[key][2], key))
        oldest = oldest[: max(1, len(oldest) // 8)]
        for key in oldest:
            del remembered[key]
        self.tally.add("closed key forgotten, its parts are numbered anew", len(oldest))

    def _emit(self) -> Windows:
        """Return the windows closed since the last call."""
        closed = self._open.closed
        if not closed:
            return Windows.empty(len(self._numbers or ()))
        bounds = (lambda n: (n * self.step, n * self.step + self.size)) if self.by == "time" else None
        windows = as_windows(closed, self._open.held, bounds)
        self._open.closed = []
        self._open.compact()
        return windows


def _check(config: dict[str, Any]) -> None:
    """Refuse options that make no sense together."""
    by, size, step = config["by"], config["size"], config["step"] or config["size"]
    if by not in {"session", "time", "count"}:
        raise ConfigError(f"Windows by {by!r} are not known.", "There are: session, time, count.")
    if by == "session" and (config["size"] or config["step"]):
        raise ConfigError("Sessions have no size or step.", "Use idle_us, max_age_us or max_events instead.")
    if by != "session" and size <= 0:
        raise ConfigError(f"Windows by {by} need a size above 0, got {size}.", "Try 60 s or 100 lines.")
    if by != "session" and not (0 < step <= size <= step * _OVERLAP):
        raise ConfigError(
            f"A step of {step} does not fit windows of {size}.",
            f"The step is at most the size, and at least a {_OVERLAP:,}th of it.",
        )
    if by == "count" and size > config["max_events"]:
        raise ConfigError(
            f"Windows of {size} events exceed max_events = {config['max_events']}.", "Lower one or raise the other."
        )
    for name in ("max_events", "max_open", "max_held"):
        if config[name] < 1:
            raise ConfigError(f"{name} must be at least 1, got {config[name]}.")
    for name in ("idle_us", "max_age_us", "lateness_us"):
        if config[name] is not None and config[name] < 0:
            raise ConfigError(f"{name} must not be negative, got {config[name]}.")
