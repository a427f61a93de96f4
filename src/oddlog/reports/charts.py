"""Charts as inline SVG. Colours come from the page's style by class, so that they follow light and dark.

Every mark that stands for a number carries it as a `<title>`, which browsers show and screen readers say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from oddlog.reports.elements import Child, Markup, coordinates, element
from oddlog.reports.scales import Scale, nice_ticks, short, time_ticks
from oddlog.reports.wording import WEEKDAYS
from oddlog.types import F64, I64

WIDTH = 1040
LEFT, RIGHT = 56, 14
STRIP, BETWEEN, TOP = 76, 40, 34
AXIS = 26
WIDEST_BAND = 150


@dataclass(frozen=True)
class Bar:
    """One interval of a strip: from, to (microseconds), how high, what is said of it, and its class."""

    start: float
    end: float
    value: float
    title: str
    kind: str = ""
    base: float = 0.0


@dataclass(frozen=True)
class Strip:
    """One of several charts above each other that share their time axis.

    `limit` is a horizontal line (a threshold) with its label.
    """

    title: str
    note: Child
    bars: Sequence[Bar]
    limit: tuple[float, str] | None = None
    dots: bool = False


@dataclass(frozen=True)
class Flag:
    """A numbered mark above all strips: an incident, with a link to where it is told."""

    start: float
    end: float
    label: str
    title: str
    href: str
    kind: str


@dataclass
class _Figure:
    """The pieces of one SVG."""

    width: float
    height: float
    label: str
    parts: list[Markup] = field(default_factory=list)

    def add(self, name: str, *children: Child, **attributes: str | float | None) -> None:
        self.parts.append(element(name, *children, **attributes))

    def text(self, x: float, y: float, text: Child, kind: str, anchor: str = "start") -> None:
        self.add("text", text, x=x, y=y, class_=kind, text_anchor=anchor)

    def done(self, kind: str, role: str = "img") -> Markup:
        """Return the figure in a box that scrolls where it is wider than the screen."""
        svg = element(
            "svg",
            element("title", self.label),
            self.parts,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            width=self.width,
            height=self.height,
            role=role,
            aria_label=self.label,
            class_=kind,
        )
        return element("div", svg, class_="figure")


def strips(rows: Sequence[Strip], low_us: float, high_us: float, flags: Sequence[Flag], label: str) -> Markup:
    """Return charts above each other over one time axis."""
    height = TOP + len(rows) * (STRIP + BETWEEN) - 14 + AXIS
    figure = _Figure(WIDTH, height, label)
    x = Scale(low_us, high_us, LEFT, WIDTH - RIGHT)
    bottom = height - AXIS
    for at, text in time_ticks(low_us, high_us):
        figure.add("line", x1=x(at), x2=x(at), y1=TOP, y2=bottom, class_="grid")
        figure.text(x(at), bottom + 17, text, "tick", "middle")
    _flags(figure, flags, x, bottom)
    for i, strip in enumerate(rows):
        _strip(figure, strip, x, TOP + 22 + i * (STRIP + BETWEEN))
    return figure.done("strips", "group" if flags else "img")


def _flags(figure: _Figure, flags: Sequence[Flag], x: Scale, bottom: float) -> None:
    middles = [(x(flag.start) + x(flag.end)) / 2 for flag in flags]
    for flag, middle, at in zip(flags, middles, apart(middles, LEFT, WIDTH - RIGHT), strict=True):
        left, right = x(flag.start), x(flag.end)
        wide = max(right - left, 1.5)
        figure.add("rect", x=left, y=TOP - 3, width=wide, height=3, class_=f"flag {flag.kind}")
        if wide < WIDEST_BAND:  # what lasts for hours would only colour everything
            figure.add("rect", x=left, y=TOP, width=wide, height=bottom - TOP, class_=f"band {flag.kind}")
        figure.add("line", x1=at, y1=15, x2=middle, y2=TOP - 3, class_="leader")
        circle = element("circle", cx=at, cy=15, r=9, class_=f"flag {flag.kind}")
        label = element("text", flag.label, x=at, y=18.5, class_="flag-label", text_anchor="middle")
        figure.add("a", element("title", flag.title), circle, label, href=flag.href)


def apart(wanted: Sequence[float], low: float, high: float, gap: float = 21.0) -> list[float]:
    """Return places as near to those wanted as can be, `gap` apart, in the order given.

    Neighbours that would overlap stand around their common middle.

    >>> apart([100, 101, 300], 0, 1000)
    [90.0, 111.0, 300.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    runs: list[tuple[float, list[int]]] = []  # where the first one of a run stands, and who stands there
    for i in order:
        run = (wanted[i], [i])
        while runs and run[0] - (runs[-1][0] + gap * (len(runs[-1][1]) - 1)) < gap:
            members = runs.pop()[1] + run[1]
            middle = sum(wanted[j] for j in members) / len(members)
            run = (middle - gap * (len(members) - 1) / 2, members)
        runs.append(run)
    places = [0.0] * len(wanted)
    for first, members in runs:
        first = max(min(first, high - gap * len(members)), low + gap / 2)  # noqa: PLW2901 - kept inside
        for n, i in enumerate(members):
            places[i] = round(first + n * gap, 1)
    return places


def _strip(figure: _Figure, strip: Strip, x: Scale, top: float) -> None:
    bottom = top + STRIP - 8
    highest = max([bar.base + bar.value for bar in strip.bars], default=0.0)
    ticks = nice_ticks(max(highest, strip.limit[0] * 1.15 if strip.limit else 0.0), 3)
    y = Scale(0, ticks[-1], bottom, top)
    figure.text(LEFT, top - 8, strip.title, "strip-title")
    figure.text(WIDTH - RIGHT, top - 8, strip.note, "strip-note", "end")
    for tick in ticks:
        figure.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid" if tick else "base")
        figure.text(LEFT - 8, y(tick) + 3.5, short(tick), "tick", "end")
    for bar in strip.bars:
        title = element("title", bar.title)
        if strip.dots:
            at = (x(bar.start) + x(bar.end)) / 2
            stem = element("line", x1=at, x2=at, y1=bottom, y2=y(bar.value), class_=f"stem {bar.kind}")
            figure.add("g", title, stem, element("circle", cx=at, cy=y(bar.value), r=2.2, class_=f"dot {bar.kind}"))
        elif bar.value > 0:
            left, right = x(bar.start), x(bar.end)
            high, foot = y(bar.base + bar.value), y(bar.base)
            tall = max(foot - high, 1.0)
            wide = max(right - left - 0.8, 1.2)
            figure.add("rect", title, x=left, y=foot - tall, width=wide, height=tall, class_=f"bar {bar.kind}")
    if strip.limit is not None:
        at = y(strip.limit[0])
        figure.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="limit")
        figure.text(WIDTH - RIGHT, at - 4, strip.limit[1], "limit-label", "end")


def spark(starts: I64, span_us: tuple[float, float], own_us: tuple[float, float], label: str, kind: str) -> Markup:
    """Return a small time line of when something happened, in the time of the whole log."""
    width, height, columns = 300.0, 30.0, 100
    figure = _Figure(width, height, label)
    x = Scale(*span_us, 1, width - 1)
    figure.add("line", x1=0, x2=width, y1=height - 1, y2=height - 1, class_="base")
    counts = np.zeros(columns, np.int64)
    for start in starts.tolist():
        counts[min(int((x(start) - 1) / (width - 2) * columns), columns - 1)] += 1
    if not counts.any():
        left = x(own_us[0])
        figure.add("rect", x=left, y=6, width=max(x(own_us[1]) - left, 2), height=height - 7, class_=f"bar {kind}")
    for column in np.flatnonzero(counts).tolist():
        tall = 6 + (height - 9) * counts[column] / counts.max()
        at = 1 + column * (width - 2) / columns
        figure.add("rect", x=at, y=height - 1 - tall, width=2.4, height=tall, class_=f"bar {kind}")
    return figure.done("spark")


def trend(counts: I64, label: str) -> Markup:
    """Return a small time line of counts [x]."""
    width, height = 150.0, 22.0
    figure = _Figure(width, height, label)
    y = Scale(0, max(float(counts.max(initial=0)), 1.0), height, 1)
    each = width / max(len(counts), 1)
    for i in np.flatnonzero(counts).tolist():
        tall = max(height - y(float(counts[i])), 1.0)
        figure.add("rect", x=i * each, y=height - tall, width=max(each - 0.5, 0.8), height=tall, class_="bar")
    return figure.done("trend")


def heat_map(counts: I64, label: str, noun: str) -> Markup:
    """Return counts [7 weekdays, 24 hours] as a map: the darker, the more."""
    cell, gap, left, top = 19.0, 2.0, 38.0, 8.0
    figure = _Figure(left + 24 * (cell + gap) + 2, top + 7 * (cell + gap) + 22, label)
    most = max(int(counts.max()), 1)
    for i, name in enumerate(WEEKDAYS):
        figure.text(left - 8, top + i * (cell + gap) + 13.5, name, "tick", "end")
        for hour in range(24):
            n = int(counts[i, hour])
            shade = 0 if n == 0 else 1 + min(int(5 * np.log1p(n) / np.log1p(most)), 4)
            figure.add(
                "rect",
                element("title", f"{name} {hour:02d}:00 – {hour:02d}:59: {n:,} {noun}"),
                x=left + hour * (cell + gap),
                y=top + i * (cell + gap),
                width=cell,
                height=cell,
                rx=3,
                class_=f"heat h{shade}",
            )
    for hour in range(0, 24, 3):
        figure.text(left + hour * (cell + gap) + cell / 2, top + 7 * (cell + gap) + 13, f"{hour:02d}", "tick", "middle")
    return figure.done("map")


def histogram(edges: F64, counts: I64, threshold: float, label: str, noun: str) -> Markup:
    """Return counts [x] between edges [x + 1] on a logarithmic scale, with the threshold among them."""
    width, height, left, bottom = 500.0, 190.0, 46.0, 160.0
    figure = _Figure(width, height, label)
    x = Scale(float(edges[0]), float(edges[-1]), left, width - 10)
    decades = int(np.ceil(np.log10(max(int(counts.max(initial=1)), 1)) + 1e-9)) or 1
    y = Scale(0, decades + 0.3, bottom, 16)
    for decade in range(decades + 1):
        at = y(decade + 0.3)
        figure.add("line", x1=left, x2=width - 10, y1=at, y2=at, class_="grid")
        figure.text(left - 7, at + 3.5, short(10.0**decade), "tick", "end")
    figure.add("line", x1=left, x2=width - 10, y1=bottom, y2=bottom, class_="base")
    for low, high, n in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        if n:
            at = y(np.log10(n) + 0.3)  # one window must be seen, too: it stands 0.3 decades high
            figure.add(
                "rect",
                element("title", f"score {low:.2f} to {high:.2f}: {n:,} {noun}"),
                x=x(low),
                y=at,
                width=max(x(high) - x(low) - 1, 1),
                height=bottom - at,
                class_="bar odd" if low >= threshold else "bar",
            )
    at = x(threshold)
    figure.add("line", x1=at, x2=at, y1=8, y2=bottom, class_="limit")
    ends = at > width - 140
    figure.text(at + (-5 if ends else 5), 16, f"threshold {threshold:.2f}", "limit-label", "end" if ends else "start")
    for tick in nice_ticks(float(edges[-1]), 6):
        if tick <= edges[-1]:
            figure.text(x(tick), bottom + 16, short(tick), "tick", "middle")
    figure.text(width - 10, height - 2, "score", "tick", "end")
    return figure.done("histogram")


def roc_curve(false_alarms: F64, recall: F64, here: tuple[float, float], label: str) -> Markup:
    """Return the curve through rates [x], with the point of the threshold in use."""
    side, left, top = 250.0, 44.0, 12.0
    figure = _Figure(left + side + 14, top + side + 40, label)
    x, y = Scale(0, 1, left, left + side), Scale(0, 1, top + side, top)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        figure.add("line", x1=x(tick), x2=x(tick), y1=top, y2=top + side, class_="grid")
        figure.add("line", x1=left, x2=left + side, y1=y(tick), y2=y(tick), class_="grid")
        figure.text(x(tick), top + side + 15, f"{tick:g}", "tick", "middle")
        figure.text(left - 7, y(tick) + 3.5, f"{tick:g}", "tick", "end")
    figure.add("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="chance")
    kept = np.unique(np.linspace(0, len(recall) - 1, min(len(recall), 400)).round().astype(int))
    points = coordinates((x(false_alarms[i]), y(recall[i])) for i in kept.tolist())
    figure.add("polyline", points=points, class_="curve")
    figure.add("circle", element("title", "the threshold in use"), cx=x(here[0]), cy=y(here[1]), r=4.5, class_="here")
    figure.text(left + side / 2, top + side + 34, "usual windows called odd", "tick", "middle")
    figure.text(left + 8, top + 16, "anomalies found", "tick")
    return figure.done("roc")
