"""Figures of a bench: legible in print, and for the colour-blind.

Colours are those of Okabe and Ito, "Color universal design" (2008), without the yellow, which white paper swallows;
each goes with a dash and a mark of its own, so that no figure needs its colours. At most seven curves a figure.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from oddlog.errors import MissingExtraError
from oddlog.evaluation import metrics
from oddlog.evaluation.scoring import Cases
from oddlog.types import F64

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKS = "osD^vP*"
MOST = len(COLOURS)
COLOUR_USUAL, COLOUR_ODD = "#56B4E9", "#D55E00"
BINS = 40
MOST_PATTERNS = 200
MOST_A_DAY = 50
SIZE = (6.4, 5.0)  # inches


@dataclass(frozen=True)
class Curve:
    """What is drawn of a detector: its cases and the threshold of its verdicts."""

    name: str
    cases: Cases
    threshold: float


def can_draw() -> bool:
    """Return whether figures can be drawn here."""
    return find_spec("matplotlib") is not None


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = SIZE) -> bytes:
    """Return a figure with one pair of axes as SVG, the same bytes for the same figure.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    """

    def drawn(figure: Figure) -> None:
        draw(figure.add_subplot())

    return _svg(drawn, size)


def _svg(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    if not can_draw():
        raise MissingExtraError("Drawing figures", "bench")
    import matplotlib as mpl  # noqa: PLC0415 - of an extra; without it the tables are still written
    from matplotlib.figure import Figure  # noqa: PLC0415

    style = {"svg.hashsalt": "oddlog", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _line(axes: Axes, i: int, x: F64, y: F64, name: str, **options: Any) -> None:
    every = max(len(x) // 6, 1)
    axes.plot(
        x,
        y,
        color=COLOURS[i % MOST],
        linestyle=DASHES[i % MOST],
        marker=MARKS[i % MOST],
        markevery=(i * every // MOST, every),
        markersize=5,
        linewidth=1.8,
        label=name,
        **options,
    )


def _finish(axes: Axes, x: str, y: str, *, legend: bool = True) -> None:
    """Name the axes; the legend stands below them, where it hides no curve."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    handles, names = axes.get_legend_handles_labels()
    if legend and handles:
        axes.figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9, frameon=False)


def roc(curves: Sequence[Curve]) -> bytes:
    """Return recall against the rate of false alarms, which is drawn as a logarithm: what counts is on the left."""

    def draw(axes: Axes) -> None:
        least = min((1 / max(float((one.cases.label == 0).sum()), 1.0) for one in curves), default=1e-3)
        for i, one in enumerate(curves[:MOST]):
            false, recall = metrics.roc(one.cases.score, one.cases.label, one.cases.weight)
            if len(recall):
                area = metrics.roc_auc(one.cases.score, one.cases.label, one.cases.weight)
                name = f"{one.name} ({area:.4f})"
                _line(axes, i, np.maximum(false, least / 2), recall, name, drawstyle="steps-post")
        axes.set_xscale("log")
        axes.set_xlim(least / 2, 1)
        axes.set_ylim(0, 1.02)
        _finish(axes, "rate of false alarms (logarithm)", "recall")

    return svg(draw)


def precision_recall(curves: Sequence[Curve]) -> bytes:
    """Return precision against recall; a ring is what the verdict says."""

    def draw(axes: Axes) -> None:
        for i, one in enumerate(curves[:MOST]):
            cases = one.cases
            precision, recall, _ = metrics.precision_recall(cases.score, cases.label, cases.weight)
            if len(recall):
                area = metrics.pr_auc(cases.score, cases.label, cases.weight)
                # Steps: between two points precision is that of the next one (Davis and Goadrich, ICML 2006).
                x, y = np.append(0.0, recall), np.append(precision[:1], precision)
                _line(axes, i, x, y, f"{one.name} ({area:.3f})", drawstyle="steps-pre")
                told = metrics.counted(cases.odd, cases.label, cases.weight)
                ring: dict[str, Any] = {
                    "facecolors": "none",
                    "edgecolors": COLOURS[i % MOST],
                    "linewidths": 2,
                    "s": 140,
                    "zorder": 5,
                }
                axes.scatter([told.recall], [told.precision], **ring)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        _finish(axes, "recall", "precision (ring: the verdict)")

    return svg(draw)


def patterns(curves: Sequence[Curve]) -> bytes:
    """Return recall against the number of patterns shown, the most pressing first."""

    def draw(axes: Axes) -> None:
        most = 1
        for i, one in enumerate(curves[:MOST]):
            cases = one.cases
            shown, recall = metrics.by_pattern(cases.score, cases.odd, cases.label, cases.pattern)
            shown, recall = shown[: MOST_PATTERNS + 1], recall[: MOST_PATTERNS + 1]
            most = max(most, int(shown[-1]))
            _line(axes, i, shown.astype(np.float64), recall, one.name, drawstyle="steps-post")
        axes.set_xlim(0, most * 1.02)
        axes.set_ylim(0, 1.02)
        _finish(axes, "patterns shown, most pressing first", "recall")

    return svg(draw)


def patterns_a_day(curves: Sequence[Curve]) -> bytes:
    """Return recall against the number of patterns of each day that somebody looks at, the most pressing first."""

    def draw(axes: Axes) -> None:
        most = 1
        for i, one in enumerate(curves[:MOST]):
            cases = one.cases
            if not len(cases):
                continue
            day = (cases.start - cases.start.min()) // metrics.US_PER_DAY
            rank, brings = metrics.by_day(cases.score, cases.odd, cases.label, cases.pattern, day)
            held = np.bincount(rank, brings)[:MOST_A_DAY] if len(rank) else np.zeros(0)
            recall = np.append(0.0, np.cumsum(held)) / max(float((cases.label == 1).sum()), 1.0)
            most = max(most, len(held))
            _line(axes, i, np.arange(len(recall), dtype=np.float64), recall, one.name, drawstyle="steps-post")
        axes.set_xlim(0, most * 1.02)
        axes.set_ylim(0, 1.02)
        _finish(axes, "patterns looked at a day, most pressing first", "recall")

    return svg(draw)


def distributions(curves: Sequence[Curve]) -> bytes:
    """Return for each detector how scores of usual and of anomalous cases lie, with the threshold between them."""
    shown = [one for one in curves[:MOST] if np.isfinite(one.cases.score).any()]

    def draw(figure: Figure) -> None:
        for i, one in enumerate(shown):
            axes = figure.add_subplot(len(shown), 1, i + 1)
            _distribution(axes, one, last=i == len(shown) - 1)
        if shown:
            handles, names = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=9)

    return _svg(draw, (SIZE[0], 1.7 * max(len(shown), 1) + 0.6))


def _distribution(axes: Axes, one: Curve, *, last: bool) -> None:
    score = one.cases.score
    finite = score[np.isfinite(score)]
    top = max(float(np.quantile(finite, 0.999)), one.threshold if np.isfinite(one.threshold) else -np.inf)
    low = float(finite.min())
    edges = np.linspace(low, top if top > low else low + 1, BINS + 1)
    for label, colour, name, hatch in ((0, COLOUR_USUAL, "usual", ""), (1, COLOUR_ODD, "anomalous", "////")):
        some = np.clip(score[(one.cases.label == label) & np.isfinite(score)], edges[0], edges[-1])
        if len(some):
            weights = np.full(len(some), 1 / len(some))
            drawn: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.55, "edgecolor": "black", "linewidth": 0.8}
            axes.hist(some, bins=edges.tolist(), weights=weights, color=colour, hatch=hatch, label=name, **drawn)
    if np.isfinite(one.threshold):
        axes.axvline(one.threshold, color="black", linestyle="--", linewidth=1.6, label="threshold")
    axes.set_yscale("log")
    axes.set_title(one.name, loc="left", fontsize=10, fontweight="bold")
    _finish(axes, "score (mean −log10 p)" if last else "", "share", legend=False)


def learning(shares: Sequence[float], by_name: dict[str, list[float]], figure: str = "F1") -> bytes:
    """Return a figure against the share of the time that was learned from."""

    def draw(axes: Axes) -> None:
        for i, (name, values) in enumerate(list(by_name.items())[:MOST]):
            _line(axes, i, np.array(shares) * 100, np.array(values), name)
        axes.set_ylim(0, 1.02)
        _finish(axes, "learned from the first % of the lines", figure)

    return svg(draw)
