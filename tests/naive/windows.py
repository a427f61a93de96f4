"""Slow, obvious twin of `oddlog.windows.Windower`: one event at a time, plain dictionaries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

NO_TIME = -(2**63)
NEVER = -(2**62)
OPEN, END, IDLE, AGE, SIZE, BOUNDS = range(6)


@dataclass
class Event:
    session: str | None
    template: int
    time: int
    source: int
    line: int
    number: float | None = None


@dataclass
class Open:
    base: str
    part: int
    number: int
    events: list[Event] = field(default_factory=list)
    first: int = 0
    last: int = 0
    touched: int = 0


@dataclass
class Config:
    by: str
    size: int = 0
    step: int = 0
    idle_us: int | None = None
    max_age_us: int | None = None
    max_events: int = 100_000
    lateness_us: int = 0
    end_templates: frozenset[int] = frozenset()
    max_open: int = 1_000_000
    max_held: int = 16_000_000


class NaiveWindower:
    def __init__(self, config: Config) -> None:
        self.c = config
        self.step = config.step or config.size
        self.watermark = NEVER
        self.waiting: list[tuple[int, int, Event]] = []
        self.arrivals = self.placed = 0
        self.open: dict[str, Open] = {}
        self.seen: dict[str, tuple[int, int, int]] = {}  # base -> parts, closing time, how closed
        self.bins: dict[int, list[int]] = {}  # arrival -> the time windows that took it
        self.counters: dict[str, int] = {}
        self.out: list[tuple] = []
        self.closing: list[tuple] = []
        self.counted: dict[str, int] = {}

    def count(self, reason: str, n: int = 1) -> None:
        self.counted[reason] = self.counted.get(reason, 0) + n

    def arrive(self, event: Event) -> None:
        before = self.watermark
        if event.time != NO_TIME:
            self.watermark = max(self.watermark, event.time - self.c.lateness_us)
        if self.is_taken(event, before):
            self.waiting.append((max(event.time, before), self.arrivals, event))
        self.arrivals += 1
        self.settle()

    def move(self, watermark: int) -> None:
        self.watermark = max(self.watermark, watermark)
        self.settle()

    def flush(self) -> None:
        before, self.watermark = self.watermark, 2**62
        self.settle(final=before)
        for window in list(self.open.values()):
            self.close(window, OPEN, window.last)
        self.emit()
        self.watermark = before

    def is_taken(self, event: Event, before: int) -> bool:
        if self.c.by == "session" and event.session is None:
            self.count("no key")
            return False
        if self.c.by == "time":
            if event.time == NO_TIME:
                self.count("no time")
                return False
            every = self.time_bins(event.time)
            self.bins[self.arrivals] = [i for i in every if i * self.step + self.c.size > before]
            if len(self.bins[self.arrivals]) < len(every):
                self.count("late, dropped")
            return bool(self.bins[self.arrivals])
        if event.time != NO_TIME and event.time < before:
            self.count("late, placed")
        return True

    def time_bins(self, time: int) -> list[int]:
        last = time // self.step
        return sorted(
            i
            for i in range(last - self.c.size // self.step - 2, last + 1)
            if i * self.step <= time < i * self.step + self.c.size
        )

    def settle(self, final: int | None = None) -> None:
        """Place what is final at the watermark, then close what is over."""
        self.waiting.sort(key=lambda w: w[:2])
        while self.waiting and self.waiting[0][0] <= self.watermark:
            at, arrival, event = self.waiting.pop(0)
            for base, number in self.windows_of(event, arrival):
                self.place(event, at, base, number)
        watermark = self.watermark if final is None else final
        for window in list(self.open.values()):
            closes, label = self.over(window)
            if closes < watermark:
                self.close(window, label, closes)
        if final is None:
            self.emit()

    def windows_of(self, event: Event, arrival: int) -> list[tuple[str, int]]:
        group = event.session or ""
        if self.c.by == "session":
            return [(event.session, 0)]
        if self.c.by == "time":
            whole = self.c.size % 1_000_000 == 0 and self.step % 1_000_000 == 0
            names = {i: iso(i * self.step, "seconds" if whole else "microseconds") for i in self.bins[arrival]}
            return [(f"{group}@{name}" if group else name, i) for i, name in names.items()]
        if group not in self.counters and len(self.counters) >= self.c.max_open:
            self.count("group refused")
            return []
        n = self.counters.get(group, 0)
        self.counters[group] = n + 1
        return [(f"{group}#{i}", i) for i in range(n + 1) if i * self.step <= n < i * self.step + self.c.size]

    def held(self) -> int:
        return sum(len(w.events) for w in self.open.values())

    def place(self, event: Event, at: int, base: str, number: int) -> None:
        self.make_room(base)
        window = self.open.get(base)
        if window is not None:
            closes, label = self.over(window)
            if at > closes:
                self.close(window, label, closes)
                window = None
        if window is None:
            part, _, label = self.seen.pop(base, (0, 0, None))
            if part:
                self.count(f"again after {label}")
            window = self.open[base] = Open(base, part + 1, number, first=at)
        window.events.append(event)
        window.last, window.touched = at, self.placed
        self.placed += 1
        if self.c.by == "session" and event.template in self.c.end_templates:
            self.close(window, END, at)
        elif self.c.by == "count" and len(window.events) == self.c.size:
            self.close(window, BOUNDS, at)
        elif len(window.events) == self.c.max_events:
            self.close(window, SIZE, at)

    def make_room(self, base: str) -> None:
        if self.held() >= self.c.max_held:
            oldest = sorted(self.open.values(), key=lambda w: w.touched)
            while self.held() > self.c.max_held * 7 // 8:
                self.count("early, held")
                self.close(oldest[0], SIZE, oldest.pop(0).last)
        if base not in self.open and len(self.open) >= self.c.max_open:
            oldest = sorted(self.open.values(), key=lambda w: w.touched)
            for window in oldest[: max(1, self.c.max_open // 8)]:
                self.count("early, open")
                self.close(window, SIZE, window.last)
        known = len(self.open) + len(self.seen)
        if base not in self.open and base not in self.seen and known >= 2 * self.c.max_open:
            for _ in range(max(1, len(self.seen) // 8)):
                self.count("forgotten")
                # of those over at once the one with the least digest, which is all that is kept of a key
                del self.seen[min(self.seen, key=lambda b: (self.seen[b][1], _digest(b)))]

    def over(self, window: Open) -> tuple[int, int]:
        if self.c.by == "time":
            return window.number * self.step + self.c.size - 1, BOUNDS
        idle = age = 2**62
        if self.c.by == "session":
            if self.c.idle_us is not None:
                idle = window.last + self.c.idle_us
            if self.c.max_age_us is not None:
                age = window.first + self.c.max_age_us
        return (idle, IDLE) if idle <= age else (age, AGE)

    def close(self, window: Open, label: int, closes: int) -> None:
        del self.open[window.base]
        if self.c.by == "session" or label != BOUNDS:
            self.seen[window.base] = (window.part, closes, label)
        events = sorted(window.events, key=lambda e: (e.time, e.source, e.line))
        times = [e.time for e in events if e.time != NO_TIME] or [NO_TIME]
        start, end = times[0], times[-1]
        if self.c.by == "time":
            start, end = window.number * self.step, window.number * self.step + self.c.size
        key = window.base if window.part == 1 else f"{window.base}#{window.part}"
        lines = [(e.time, e.source, e.line, e.template, e.number) for e in events]
        self.closing.append(((closes, window.base, window.part), (key, start, end, label, lines)))

    def emit(self) -> None:
        self.out += [window for _, window in sorted(self.closing, key=lambda c: c[0])]
        self.closing = []


def iso(us: int, precision: str) -> str:
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat(timespec=precision)
    return text.replace("+00:00", "Z")


def _digest(base: str) -> int:
    return int.from_bytes(hashlib.blake2b(base.encode(), digest_size=8).digest(), "little")
