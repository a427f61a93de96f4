"""Reasons: why a window is odd, in words and numbers that can be recomputed from the raw lines.

===================  ====================================================================================
kind                 says
===================  ====================================================================================
`unseen_template`    a message type that was never seen in training
`missing_event`      a type that most usual windows hold is not there
`unexpected_event`   a known type that the nearest usual window does not hold
`count_off`          a type stands there more or less often than in the nearest usual window
`unexpected_event`   also: another event was expected at that place
`out_of_range`       a number is far from what it usually is in lines of that type
`drift`              the numbers of a window are, together, far from usual
`concentration`      one entity causes far more of a type's lines than any entity usually does
===================  ====================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from oddlog.types import F64, I64, Number, Reason, State, Windows

MOST_REASONS = 6
SHORT_TEXT = 110
ENOUGH_LINES = 10  # of a type in a stretch of time before "94 % of them come from one entity" says anything
CONCENTRATED = 0.5  # least share of a type's lines that is worth calling a concentration
WORTH_A_WORD = 0.1  # chance from which on a second event that might have come is told
VARIABLE = "<*>"
SLOT = re.compile(r"[0-9a-f]{16}:(\d+)")  # the name of a number that is a template's parameter
EXPECTED_SHARE = 0.5  # share of usual windows from which on a type counts as expected


@dataclass(frozen=True)
class Usual:
    """How often each type stands in usual windows.

    Attributes
    ----------
    windows : float
        Usual windows learned from.
    share : F64 [k]
        Of usual windows, those that hold the type.
    median, p99 : F64 [k]
        Of its count, among the windows that hold it.
    concentration : F64 [k]
        Largest share of a type's lines that one entity caused in a stretch of time (99 % quantile over the
        stretches with enough lines); NaN where there were none.

    """

    windows: float
    share: F64
    median: F64
    p99: F64
    concentration: F64

    @classmethod
    def learn(cls, windows: Windows, k: int, concentration: F64 | None = None) -> Self:
        """Learn from usual `windows` [w] of a model with `k` templates."""
        held = type_counts(windows).filter(pl.col("template") < k)
        held = held.with_columns(weight=pl.Series(windows.weight[held["window"].to_numpy()]))
        total = float(windows.weight.sum())
        by_type = (
            held.sort("template", "n", "window")
            .with_columns(at=pl.col("weight").cum_sum().over("template") / pl.col("weight").sum().over("template"))
            .group_by("template", maintain_order=True)
            .agg(
                share=pl.col("weight").sum() / max(total, 1e-12),
                median=pl.col("n").filter(pl.col("at") >= 0.5 - 1e-12).first(),
                p99=pl.col("n").filter(pl.col("at") >= 0.99 - 1e-12).first(),
            )
        )
        arrays = {name: np.zeros(k) for name in ("share", "median", "p99")}
        for name, array in arrays.items():
            array[by_type["template"].to_numpy()] = by_type[name].to_numpy()
        unknown = np.full(k, np.nan)
        return cls(total, **arrays, concentration=unknown if concentration is None else concentration)

    def state(self) -> State:
        """Return what `from_state` needs."""
        names = ("share", "median", "p99", "concentration")
        return State({name: getattr(self, name) for name in names}, {"windows": self.windows})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        return cls(state.meta["windows"], **state.arrays)


@dataclass(frozen=True)
class Oddity:
    """One type that makes a window odd; `template` is a row, >= k if the model has never seen it."""

    template: int
    kind: str
    seen: float
    expected: float
    weight: float


def type_counts(windows: Windows) -> pl.DataFrame:
    """Return how often each type stands in each window: ``window template n``, in that order."""
    frame = pl.DataFrame({"window": windows.window_of_event, "template": windows.template})
    return frame.group_by("window", "template").agg(n=pl.len()).sort("window", "template")


def oddities(windows: Windows, contributions: Mapping[str, Any] | None, usual: Usual) -> list[list[Oddity]]:
    """Return what makes each window odd, the weightiest first [w].

    Parameters
    ----------
    windows : Windows
        Odd windows.
    contributions : mapping of arrays or None
        ``window template expected seen weight`` of each difference to the nearest usual window; without them
        the comparison is with the usual shares alone.
    usual : Usual
        Of the same view.

    """
    k = len(usual.share)
    found: list[list[Oddity]] = [[] for _ in range(len(windows))]
    if not len(windows):
        return found
    counted = type_counts(windows)
    unseen = counted.filter(pl.col("template") >= k)
    for window, template, n in unseen.sort("window", "n", "template", descending=[False, True, False]).iter_rows():
        found[window].append(Oddity(template, "unseen_template", n, 0, np.inf))
    known = _differences(counted, usual, len(windows)) if contributions is None else pl.DataFrame(contributions)
    known = known.filter((pl.col("template") < k) & (pl.col("weight") > 0))
    order = ["window", "weight", "template"]
    columns = ("window", "template", "expected", "seen", "weight")
    for window, template, expected, seen, weight in (
        known.select(columns).sort(order, descending=[False, True, False]).iter_rows()
    ):
        found[window].append(Oddity(template, _kind(seen, expected), seen, expected, weight))
    return found


def _kind(seen: float, expected: float) -> str:
    if seen == 0:
        return "missing_event"
    return "unexpected_event" if expected == 0 else "count_off"


def _differences(counted: pl.DataFrame, usual: Usual, n_windows: int) -> pl.DataFrame:
    """Return differences to the usual shares: expected types that are missing, and rare ones that are there."""
    k = len(usual.share)
    types = pl.DataFrame({"template": np.arange(k, dtype=np.uint32), "share": usual.share, "p99": usual.p99})
    everywhere = types.filter(pl.col("share") >= EXPECTED_SHARE).join(
        pl.DataFrame({"window": np.arange(n_windows)}), how="cross"
    )
    missing = everywhere.join(counted, on=["window", "template"], how="anti").select(
        "window", "template", expected=pl.lit(1.0), seen=pl.lit(0.0), weight=-(1.001 - pl.col("share")).log10()
    )
    there = counted.join(types, on="template").select(
        "window",
        "template",
        expected=pl.when(pl.col("share") >= EXPECTED_SHARE).then(pl.col("p99")).otherwise(0.0),
        seen=pl.col("n").cast(pl.Float64),
        weight=-(pl.col("share") + 1 / (2 * max(usual.windows, 1.0))).log10()
        + (pl.col("n") / pl.col("p99").clip(1)).log().clip(0),
    )
    return pl.concat([missing, there.filter(pl.col("weight") > 1)])


def shorten(text: str, length: int = SHORT_TEXT) -> str:
    """Return `text` in quotation marks, cut in the middle if it is too long."""
    if len(text) > length:
        half = (length - 3) // 2
        text = f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
    return f"“{text}”"


def plain(value: float) -> str:
    """Return a number as a person writes it.

    >>> plain(1234.5), plain(12.34), plain(0.4567), plain(0.0)
    ('1,234', '12', '0.46', '0')
    """
    if value >= 10:  # noqa: PLR2004 - two digits are enough
        return f"{value:,.0f}"
    return f"{value:.2g}"


def percent(share: float) -> str:
    """Return a share as a person writes it, never rounded to none or all.

    >>> percent(0.98), percent(0.99999), percent(0.00002), percent(1)
    ('98 %', '99.99 %', '0.01 %', '100 %')
    """
    value = 100 * share
    if share in (0.0, 1.0):
        return f"{value:.0f} %"
    for digits in (0, 1, 2):
        rounded = f"{value:.{digits}f}"
        if 0 < float(rounded) < 100:  # noqa: PLR2004 - percent
            return f"{rounded} %"
    return "99.99 %" if share > EXPECTED_SHARE else "0.01 %"


def times(n: float) -> str:
    """Return a count in words.

    >>> times(1), times(3), times(1234)
    ('once', '3 times', '1,234 times')
    """
    return "once" if n == 1 else f"{n:,.0f} times"


def reason(oddity: Oddity, usual: Usual, text: str, what: str, in_all: tuple[int, int] | None = None) -> Reason:
    """Return the reason for one oddity; `what` is the plural of the view's windows ("sessions").

    `in_all` is how many lines of a type never seen before the whole incident has, and in how many of its windows.
    """
    quoted = shorten(text)
    seen = int(oddity.seen)
    if oddity.kind == "unseen_template":
        seen, windows = in_all or (seen, 1)
        lines = "1 line" if seen == 1 else f"{seen:,} lines"
        lines += f" in {windows:,} {what}" if windows > 1 else ""
        return Reason("unseen_template", f"never seen before: {quoted} ({lines})", {"seen": seen})
    share, median, p99 = (float(getattr(usual, name)[oddity.template]) for name in ("share", "median", "p99"))
    numbers = {"seen": seen, "usual": int(oddity.expected), "usual_share": share, "usual_p99": int(p99)}
    if oddity.kind == "missing_event":
        have = f"{percent(share)} of usual {what} have it"
        if share < EXPECTED_SHARE:
            have = "the most similar usual one has it"
        return Reason("missing_event", f"{quoted} is missing; {have}", numbers)
    have = "no usual one has it" if share == 0 else f"{percent(share)} of usual {what} have it"
    if oddity.kind == "unexpected_event" and seen <= p99:
        often = "" if seen == 1 else f" {times(seen)}"
        return Reason("unexpected_event", f"{quoted} is here{often}; {have}", numbers)
    if share == 0:
        return Reason(oddity.kind, f"{quoted} {times(seen)}; {have}", numbers)
    most = f", at most {times(p99)} in 99 % of those that have it" if p99 != median else ""
    if share < EXPECTED_SHARE:
        most += f" ({have})"
    return Reason(oddity.kind, f"{quoted} {times(seen)}; usually {times(median)}{most}", numbers)


def unexpected(expected: Sequence[tuple[str, float]], seen: str, p_seen: float, line: int) -> Reason:
    """Return that another event was expected: names and probabilities, the likeliest first; `line` 0 if it is the end.

    Of the expected ones the second is told if its chance is worth a word.
    """
    told = [one for i, one in enumerate(expected[:2]) if i == 0 or one[1] >= WORTH_A_WORD]
    names = " or ".join(f"{name} ({percent(p)})" for name, p in told)
    numbers: dict[str, float | int | str] = {"seen_p": p_seen, "line": line}
    numbers |= {f"expected_{i}_p": p for i, (_, p) in enumerate(told, 1)}
    return Reason("unexpected_event", f"expected {names}, saw {seen} ({percent(p_seen)})", numbers)


def out_of_range(number: Number, text: str, value: float, low: float, high: float, line: int) -> Reason:
    """Return that a number in a line of the type `text` is out of its usual range (1 % to 99 % of usual values)."""
    usually = f"always {figure(low)}" if low == high else f"usually {figure(low)}–{figure(high)}"
    unit = f" {number.unit}" if number.unit else ""
    return Reason(
        "out_of_range",
        f"{number_name(number, text)}: {figure(value)}{unit} ({usually}{unit})",
        {"value": value, "low": low, "high": high, "line": line, "number": number.name},
    )


def drifted(number: Number, text: str, n: int, median: float, usual: float) -> Reason:
    """Return that `n` numbers in lines of the type `text` are, together, far from usual."""
    unit = f" {number.unit}" if number.unit else ""
    return Reason(
        "drift",
        f"{number_name(number, text)}: {figure(median)}{unit} in the middle of {n:,} values "
        f"(usually {figure(usual)}{unit})",
        {"n": n, "median": median, "usual": usual, "number": number.name},
    )


def number_name(number: Number, text: str) -> str:
    """Return what a person calls a number in lines of the type `text`: a field's name, or a marked variable.

    >>> number_name(Number("duration_ms"), "query <*> done")
    'duration_ms of “query <*> done”'
    >>> number_name(Number("00c0ffee00c0ffee:1"), "served <*> in <*> ms")
    '“served <*> in [<*>] ms”'
    """
    slot = SLOT.fullmatch(number.name)
    return f"{number.name} of {shorten(text)}" if slot is None else shorten(marked(text, int(slot[1])))


def marked(text: str, slot: int) -> str:
    """Return a template with one of its variables marked.

    >>> marked("served <*> in <*> ms", 1)
    'served <*> in [<*>] ms'
    """
    parts = text.split(VARIABLE)
    if slot + 1 >= len(parts):
        return text  # several message types were merged into one that shows fewer variables
    return VARIABLE.join(parts[: slot + 1]) + f"[{VARIABLE}]" + VARIABLE.join(parts[slot + 1 :])


def figure(value: float) -> str:
    """Return a number as a person writes it.

    >>> figure(4200.0), figure(0.0312), figure(17.25), figure(200.0), figure(1.5e12)
    ('4,200', '0.0312', '17.2', '200', '1,500,000,000,000')
    """
    if value == int(value) or abs(value) >= 1000:  # noqa: PLR2004 - from here on what is behind the point says nothing
        return f"{value:,.0f}"
    return f"{value:.3g}"


def concentration(name: str, text: str, lines: int, total: int, usual_share: float) -> Reason | None:
    """Return that one entity causes most of a type's lines, None if that is not worth saying."""
    share = lines / max(total, 1)
    if total < ENOUGH_LINES or share < CONCENTRATED or share <= usual_share:
        return None
    usually = "" if np.isnan(usual_share) else f"; usually at most {percent(usual_share)} from one"
    numbers: dict[str, float | int | str] = {"lines": lines, "total": total, "share": share, "entity": name}
    if not np.isnan(usual_share):
        numbers["usual_share"] = usual_share
    return Reason(
        "concentration",
        f"{name}: {percent(share)} of {total:,} × {shorten(text)} at that time ({lines:,} lines){usually}",
        numbers,
    )


def leading(found: list[Oddity], most: int = MOST_REASONS) -> list[Oddity]:
    """Return the oddities that carry a window: all unseen types, then those with most of the weight."""
    unseen = [o for o in found if o.kind == "unseen_template"]
    known = [o for o in found if o.kind != "unseen_template"]
    total = sum(o.weight for o in known)
    carried, kept = 0.0, []
    for oddity in known:
        if carried >= 0.8 * total:
            break
        carried += oddity.weight
        kept.append(oddity)
    return (unseen + kept)[:most]


def totals_by_stretch(windows: Windows, k: int) -> pl.DataFrame:
    """Return lines of each known type by stretch of time: ``start template total most`` (most = by one entity)."""
    counted = type_counts(windows).filter(pl.col("template") < k)
    start: I64 = windows.start[counted["window"].to_numpy()]
    return stretch_sums(counted.with_columns(start=pl.Series(start), total=pl.col("n"), most=pl.col("n")))


def stretch_sums(frame: pl.DataFrame) -> pl.DataFrame:
    """Return totals and maxima of parts of the same stretches put together."""
    return (
        frame.group_by("start", "template")
        .agg(total=pl.col("total").sum(), most=pl.col("most").max())
        .sort("start", "template")
    )


def usual_concentration(stretches: pl.DataFrame, k: int) -> F64:
    """Return the 99 % quantile of one entity's largest share of each type's lines [k]; NaN where too few lines."""
    result = np.full(k, np.nan)
    enough = stretches.filter(pl.col("total") >= ENOUGH_LINES)
    shares = enough.group_by("template").agg(
        (pl.col("most") / pl.col("total")).quantile(0.99, interpolation="higher").alias("share")
    )
    result[shares["template"].to_numpy()] = shares["share"].to_numpy()
    return result
