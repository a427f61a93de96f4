"""The windows that are open: what each spans, what it holds, when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlog.types import CLOSED_BY, I64, Bool, Tally
from oddlog.windows.arrival import FOREVER, NEVER
from oddlog.windows.closed import ClosedWindows
from oddlog.windows.held import Grown, Held
from oddlog.windows.keys import Groups
from oddlog.windows.splits import Carried, Limits, breaks
from oddlog.windows.stored import digest, text_arrays, texts_of

OPEN, END, IDLE, AGE, SIZE, BOUNDS = range(6)  # `rest` and `headless` are what `Closing.settled` finds
FIELDS = ("first", "last", "count", "part", "bin", "touched", "told", "check", "head")


@dataclass(frozen=True)
class Rules:
    """When a window is over.

    `end_of` gives the last time that a numbered window takes, for windows by time; `full` is how a window
    that holds `limits.max_events` is closed.
    """

    limits: Limits
    end_templates: NDArray[Any]
    end_of: Callable[[I64], I64] | None
    full: int

    def closing(self, first: I64, last: I64, number: I64) -> tuple[I64, I64]:
        """Return the last time (us) at which an event still joins, and how the window is closed after it."""
        if self.end_of is not None:
            return self.end_of(number), np.full(len(first), BOUNDS)
        forever = np.full(len(first), FOREVER)
        idle = forever if self.limits.idle_us is None else last + self.limits.idle_us
        age = forever if self.limits.max_age_us is None else first + self.limits.max_age_us
        return np.minimum(idle, age), np.where(idle <= age, IDLE, AGE)


@dataclass(frozen=True)
class _Parts:
    """Stretches [p] of a group's events that stand in one window; a group's first may continue an open one."""

    group: I64
    start: I64
    stop: I64
    is_first: Bool
    is_last: Bool
    carried: Bool  # continues an open window, perhaps by no event at all
    part: I64
    first: I64
    last: I64
    count: I64


def _parts(begins: Bool, at: I64, offsets: I64, before: I64, carried: Carried) -> _Parts:
    """Cut the groups where a part `begins`; `before` [g] is the number of the part open or closed before."""
    heads = offsets[:-1]
    is_open = carried.count > 0
    start = np.sort(np.concatenate([np.flatnonzero(begins), heads[is_open]]))
    stop = np.append(start[1:], len(at))
    group = np.searchsorted(heads, start, side="right") - 1
    is_first = np.append(True, group[1:] != group[:-1])
    goes_on = is_first & is_open[group]
    row = np.arange(len(start))
    rank = row - np.maximum.accumulate(np.where(is_first, row, 0))
    return _Parts(
        group=group,
        start=start,
        stop=stop,
        is_first=is_first,
        is_last=np.append(is_first[1:], True),
        carried=goes_on,
        part=before[group] + rank + ~is_open[group],
        first=np.where(goes_on, carried.first[group], at[np.minimum(start, len(at) - 1)]),
        last=np.where(stop > start, at[stop - 1], carried.last[group]),
        count=stop - start + np.where(goes_on, carried.count[group], 0),
    )


class OpenWindows:
    """Open windows by base key, in slots of growing arrays."""

    def __init__(self, columns: dict[str, NDArray[Any]], rules: Rules, tally: Tally) -> None:
        self.rules, self.tally = rules, tally
        self.held = Held(columns)
        self.slot: dict[str, int] = {}
        self.remembered: dict[int, tuple[int, int, int]] = {}  # digest of a base -> parts, closed by, closing time
        self.tokens = 0  # events placed so far: the order in which windows were touched
        self.closed: list[ClosedWindows] = []
        self._base: list[str] = []
        self._values = {name: Grown(np.empty(0, np.int64)) for name in FIELDS}
        self._free: list[int] = []
        self._soonest = FOREVER  # no open window is over before

    def value(self, name: str) -> I64:
        """Return one of `FIELDS` by slot, a view."""
        return self._values[name].values

    def slots(self) -> I64:
        """Return the slots of all open windows."""
        return np.fromiter(self.slot.values(), np.int64, len(self.slot))

    def bases(self, slots: I64) -> list[str]:
        """Return the base keys of open windows."""
        return [self._base[i] for i in slots.tolist()]

    # -- events in -------------------------------------------------------------------------------------------

    def extend(
        self, groups: Groups, bases: list[str], events: dict[str, NDArray[Any]], at: I64, ready: I64, path: I64
    ) -> None:
        """Add events to their windows, and close those that break or are full.

        Parameters
        ----------
        groups, bases : Groups, list of str [g]
            The events by window key.
        events : dict of arrays [e, ...]
            The columns to hold.
        at, ready : I64 [e]
            Deciding time (us) and arrival of each event.
        path : I64
            The watermark after each arrival of the push.

        """
        order = groups.order
        at, ready = at[order], ready[order]
        ended = np.isin(events["template"][order], self.rules.end_templates)
        slot, carried, before, before_by = self._known(bases)
        begins = breaks(at, ended, groups.offsets, carried, self.rules.limits)
        parts = _parts(begins, at, groups.offsets, before, carried)

        closes, label = self.rules.closing(parts.first, parts.last, groups.bin[parts.group])
        # a flush takes events before their time: what breaks there is closed by the flush itself
        emitted = np.minimum(np.searchsorted(path, closes, side="right"), len(path) - 1)
        stops = (parts.stop > parts.start) & ended[parts.stop - 1]
        over = stops | (parts.count >= self.rules.limits.max_events)
        label = np.where(stops, END, np.where(over, self.rules.full, label))
        closes = np.where(over, parts.last, closes)
        emitted = np.where(over, ready[parts.stop - 1], emitted)
        self._count_surprises(parts, label, before_by)

        base = self.held.add(events, order)
        shut = ~parts.is_last | over
        head = np.full(len(shut), -1)
        head[parts.carried] = self.value("head")[slot[parts.group[parts.carried]]]
        own = (base + parts.start, base + parts.stop)
        self._note(
            shut,
            [bases[g] for g in parts.group[shut].tolist()],
            parts.part,
            groups.bin[parts.group],
            label,
            closes,
            emitted,
            head,
            own,
        )
        gone = parts.is_last & shut
        self._drop([bases[g] for g in parts.group[gone].tolist()], parts.part[gone], label[gone], closes[gone])

        stays = np.flatnonzero(parts.is_last & ~shut)
        group = parts.group[stays]
        at_slot = self._allot([bases[g] for g in group.tolist()], slot[group])
        last = parts.stop[stays] - 1
        run = self.held.add_runs(base + parts.start[stays], base + parts.stop[stays], head[stays])
        self._set(
            at_slot,
            first=parts.first[stays],
            last=parts.last[stays],
            count=parts.count[stays],
            part=parts.part[stays],
            bin=groups.bin[group],
            touched=self.tokens + order[last],
            check=closes[stays],
            head=run,
        )
        self.tokens += len(order)

    def _known(self, bases: list[str]) -> tuple[I64, Carried, I64, I64]:
        """Return per group: slot or -1, what is open, the parts so far, and how the last was closed or -1."""
        slot = np.array([self.slot.get(base, -1) for base in bases], np.int64)
        is_open = slot >= 0
        before, closed_by = np.zeros(len(slot), np.int64), np.full(len(slot), -1)
        first, last, count = (np.zeros(len(slot), np.int64) for _ in range(3))
        for name, values in (("first", first), ("last", last), ("count", count), ("part", before)):
            values[is_open] = self.value(name)[slot[is_open]]
        if self.remembered:
            for i in np.flatnonzero(~is_open).tolist():
                parts = self.remembered.pop(digest(bases[i]), None)
                if parts is not None:
                    before[i], closed_by[i] = parts[:2]
        return slot, Carried(first, last, count), before, closed_by

    def _allot(self, bases: list[str], slot: I64) -> I64:
        """Return a slot for each base key [x]: its own, or a free one where `slot` is -1."""
        slot = slot.copy()
        new = np.flatnonzero(slot < 0)
        missing = len(new) - len(self._free)
        if missing > 0:
            size = len(self._base)
            self._base.extend([""] * missing)
            for name, grown in self._values.items():
                grown.append(np.full(missing, FOREVER if name == "check" else 0))
            self._free.extend(range(size + missing - 1, size - 1, -1))
        for i in new.tolist():
            slot[i] = at = self._free.pop()
            self._base[at] = bases[i]
            self.slot[bases[i]] = at
        return slot

    def _set(self, slot: I64, **values: I64) -> None:
        for name, value in values.items():
            self.value(name)[slot] = value
        if len(slot):
            self._soonest = min(self._soonest, int(values["check"].min()))

    def _count_surprises(self, parts: _Parts, label: I64, before_by: I64) -> None:
        """Count windows that were cut by a limit, and sessions that went on after they were closed."""
        previous = np.append(-1, label[:-1])
        previous[parts.is_first] = before_by[parts.group[parts.is_first]]
        began = previous[~parts.carried]
        for code in (OPEN, END, IDLE, BOUNDS):
            reason = f"session went on after it was closed by {CLOSED_BY[code]}"
            self.tally.add(reason, int(np.count_nonzero(began == code)))
        for code, limit in ((AGE, "max_age_us"), (SIZE, "max_events")):
            self.tally.add(f"window cut at {limit}", int(np.count_nonzero(began == code)))

    # -- windows out -----------------------------------------------------------------------------------------

    def expire(self, path: I64, watermark: int) -> None:
        """Close the windows that are over at `watermark`, a value of `path`."""
        if self._soonest >= watermark:
            return
        check = self.value("check")
        slots = np.flatnonzero(check < watermark)
        closes, label = self.rules.closing(
            self.value("first")[slots], self.value("last")[slots], self.value("bin")[slots]
        )
        self.close(slots, label, closes, np.searchsorted(path, closes, side="right"))
        self._soonest = int(check.min()) if len(check) else FOREVER

    def resting(self, since: int) -> ClosedWindows | None:
        """Return the windows that stay open but have had no event since `since`; each pause is told once."""
        slots = self.slots()
        last, touched = self.value("last")[slots], self.value("touched")[slots] + 1
        slots = slots[(last < since) & (last > NEVER) & (self.value("told")[slots] != touched)]
        if not len(slots):
            return None
        self.value("told")[slots] = self.value("touched")[slots] + 1
        none = np.zeros(len(slots), np.int64)
        of, start, stop = self.held.runs_of(self.value("head")[slots])
        part, number, last = (self.value(name)[slots] for name in ("part", "bin", "last"))
        return ClosedWindows(self.bases(slots), part, number, none + OPEN, last, none, of=of, start=start, stop=stop)

    def close(self, slots: I64, label: I64, closes: I64, emitted: I64) -> None:
        """Close open windows [x]."""
        bases = self.bases(slots)
        part, number, head = (self.value(name)[slots] for name in ("part", "bin", "head"))
        nothing = np.zeros(len(slots), np.int64)
        self._note(np.ones(len(slots), np.bool_), bases, part, number, label, closes, emitted, head, (nothing, nothing))
        self._drop(bases, part, label, closes)

    def _note(
        self,
        shut: Bool,
        bases: list[str],
        part: I64,
        number: I64,
        label: I64,
        closes: I64,
        emitted: I64,
        head: I64,
        own: tuple[I64, I64],
    ) -> None:
        """Note the windows `shut` [p], whose events are the runs up to `head` and their `own`."""
        if not bases:
            return
        which, start, stop = self.held.runs_of(head[shut])
        self.held.live -= int((stop - start).sum())
        self.closed.append(
            ClosedWindows(
                bases,
                part[shut],
                number[shut],
                label[shut],
                closes[shut],
                emitted[shut],
                of=np.concatenate([which, np.arange(len(bases))]),
                start=np.concatenate([start, own[0][shut]]),
                stop=np.concatenate([stop, own[1][shut]]),
            )
        )

    def _drop(self, bases: list[str], part: I64, label: I64, closes: I64) -> None:
        """Free the slots of closed windows, where they had one, and remember their parts."""
        slots = [self.slot.pop(base, -1) for base in bases]
        freed = [slot for slot in slots if slot >= 0]
        self._free.extend(freed)
        self.value("check")[np.array(freed, np.int64)] = FOREVER
        keys = map(digest, bases)
        seen = zip(keys, zip(part.tolist(), label.tolist(), closes.tolist(), strict=True), strict=True)
        if self.rules.end_of is None and self.rules.full == SIZE:
            self.remembered.update(seen)
        else:  # nothing comes for a stretch whose bounds were reached
            self.remembered.update((key, values) for key, values in seen if values[1] != BOUNDS)

    def compact(self) -> None:
        """Give back the room of closed windows, once it is more than the open ones need."""
        if self.held.is_sparse():
            slots = self.slots()
            self.value("head")[slots] = self.held.compact(self.value("head")[slots])

    # -- state -----------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, the events of closed windows left out."""
        slots = self.slots()
        self.value("head")[slots] = self.held.compact(self.value("head")[slots])
        arrays = {f"open.{name}": self.value(name)[slots] for name in FIELDS if name != "head"}
        arrays |= text_arrays("open.base", self.bases(slots))
        seen = np.array(list(self.remembered.values()), np.int64).reshape(-1, 3)
        closed = {"closed.key": np.array(list(self.remembered), np.uint64), "closed.part": seen[:, 0].astype(np.uint32)}
        closed |= {"closed.by": seen[:, 1].astype(np.uint8), "closed.closes": seen[:, 2]}
        held = {f"held.{name}": self.held.gather(name, np.arange(self.held.size)) for name in self.held.names}
        return arrays | held | closed | {"tokens": np.array([self.tokens])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `arrays` of an equal set of windows returned; this one must be new."""
        columns = {name: arrays[f"held.{name}"] for name in self.held.names}
        self.held.add(columns, np.arange(len(columns["line"])))
        stop = np.cumsum(arrays["open.count"])
        head = self.held.add_runs(stop - arrays["open.count"], stop, np.full(len(stop), -1))
        slot = self._allot(texts_of("open.base", arrays), np.full(len(stop), -1))
        self._set(slot, head=head, **{name: arrays[f"open.{name}"] for name in FIELDS if name != "head"})
        seen = zip(*(arrays[f"closed.{name}"].tolist() for name in ("part", "by", "closes")), strict=True)
        self.remembered = dict(zip(arrays["closed.key"].tolist(), seen, strict=True))
        self.tokens = int(arrays["tokens"][0])
