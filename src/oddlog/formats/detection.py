"""Which format a source is in, found from its first lines, with a confidence that is shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from oddlog.errors import FormatError, did_you_mean
from oddlog.formats.registry import Bindable, all_formats
from oddlog.types import Format

SAMPLE_LINES = 1_000
# A format further up the list wins against a more general one that reads somewhat more of the lines.
NEARLY = 0.8
# Below this share a format is not believed, and the lines are plain text.
ENOUGH = 0.4
LOWEST_CONFIDENCE = 0.1
PLAUSIBLE = (datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Detected:
    """The format of a source.

    Attributes
    ----------
    format : Format
        Ready to read every block of the source.
    confidence : float
        0 to 1: share of the sample's lines that it reads with a plausible time; 0.1 for plain text, which
        reads anything.
    share_ok : float
        Share of the sample's lines that it reads.
    alternatives : tuple of (str, float)
        Other formats that would read some of the lines, with their confidence, best first.

    """

    format: Format
    confidence: float
    share_ok: float
    alternatives: tuple[tuple[str, float], ...] = ()


def by_name(name: str) -> Format:
    """Return the format called `name`.

    Raises
    ------
    FormatError
        If there is none.

    """
    known = {f.name: f for f in reversed(all_formats())}
    if name not in known:
        raise FormatError(f"There is no format called '{name}'.", did_you_mean(name, known))
    return known[name]


def telling_lines(lines: pl.Series) -> pl.Series:
    """Return the lines that can tell a format: not blank, not the continuation of another."""
    text = lines.cast(pl.String).fill_null("").head(SAMPLE_LINES).alias("text")
    telling = ~text.str.contains(r"^\s*$") & ~text.str.contains(r"^(?:[ \t]|at |Caused by: |\.\.\. \d+ more|[})\]])")
    # pieces of lines that a container's runtime cut are neither lines of the container nor of the runtime
    piece = text.str.contains(r"^\S+ std(?:out|err) P ")
    rest = piece.shift(1, fill_value=False) & text.str.contains(r"^\S+ std(?:out|err) F ")
    kept = text.filter(telling & ~(piece | rest))
    return kept if len(kept) else text


def _judge(found: Format, sample: pl.Series, year: int) -> tuple[float, float]:
    """Return confidence and share of the lines read, those left out that begin as a comment or a header does."""
    records = found.parse(sample, year=year)
    counted = ~sample.str.starts_with("#")
    if counted.any() and not counted.all():
        records = records.filter(counted)
    ok = records["ok"].fill_null(value=False)
    time = pl.col("time")
    plausible = records.select((time.is_null() | time.is_between(*PLAUSIBLE)).alias("p")).to_series() & ok
    share_ok = float(ok.mean() or 0.0)  # type: ignore[arg-type]
    return (LOWEST_CONFIDENCE if found.name == "plain" else float(plausible.mean() or 0.0)), share_ok  # type: ignore[arg-type]


def detect_format(
    sample: pl.Series, *, year: int, names: Sequence[str] | None = None, alternatives: bool = True
) -> Detected:
    """Return the most specific format that reads nearly as many of the lines as any does.

    Parameters
    ----------
    sample : pl.Series of str [lines]
        The first lines of a source; at most 1,000 are looked at, blank ones and those that look like the
        continuation of another line are not. The header of a CSV file must be among them.
    year : int
        Year of the first line, for formats that do not write one.
    names : sequence of str, optional
        Only these formats are considered; a single one is taken however badly it fits.
    alternatives : bool
        Also say which other formats would read some of the lines. Without them the search ends at the first one
        that no other can outdo, the same as is found with them.

    Raises
    ------
    FormatError
        If a name is unknown, or the only one named cannot be read from these lines at all.

    """
    candidates = [by_name(name) for name in names] if names else list(all_formats())
    lines = telling_lines(sample)
    judged: list[tuple[Format, float, float]] = []
    for candidate in sorted(candidates, key=_specificity):
        bound = candidate.bind(lines, year=year) if isinstance(candidate, Bindable) else candidate
        if bound is not None:
            judged.append((bound, *_judge(bound, lines, year)))
            if not alternatives and judged[-1][1] >= max(NEARLY, ENOUGH):
                break  # a confidence is 1 at most
    return _choose(judged, candidates)


def judged_as(found: Format, lines: pl.Series, *, year: int) -> Detected:
    """Return how well a format reads the `telling_lines` of a source, without a look at any other."""
    confidence, share_ok = _judge(found, lines, year)
    return Detected(found, round(confidence, 4), round(share_ok, 4))


def _specificity(candidate: Format) -> int:
    return [f.name for f in all_formats()].index(candidate.name)


def _choose(judged: list[tuple[Format, float, float]], candidates: Sequence[Format]) -> Detected:
    if not judged:
        name = candidates[0].name
        raise FormatError(f"These lines cannot be read as '{name}'.", "Leave --format out to have the format found.")
    best = max(confidence for found, confidence, _ in judged)
    believed = [row for row in judged if row[1] >= NEARLY * best and row[1] >= ENOUGH]
    if not believed:
        last_resort = judged[-1] if judged[-1][0].name == "plain" else max(judged, key=lambda row: row[1])
        believed = [last_resort]
    winner = believed[0]
    others = sorted(((f.name, c) for f, c, _ in judged if f is not winner[0] and c > 0), key=lambda o: -o[1])
    return Detected(winner[0], round(winner[1], 4), round(winner[2], 4), tuple((n, round(c, 4)) for n, c in others))
