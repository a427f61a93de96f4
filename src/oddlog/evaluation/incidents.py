"""Which of the reported incidents are right, and which of the labelled ones were found.

A reported incident is right for **at most one** labelled incident. At least half of its time must lie within the
labelled stretch ± 5 minutes, and

1. *by its lines*: at least half of the lines it shows are labelled with that incident (of two with half each, the
   one that began first); or else
2. *by what it says*: it names one of the incident's services or hosts among the first three of its own, or the
   incident's entity anywhere, and one of its reasons is about rates or numbers. Of several such incidents it is the
   one whose time is most like its own (the time they share, of that of both together).

Everything else that was reported is false. So an incident that spans days finds nothing, also where a line or two
it shows happen to be labelled; and one fault reported five times is found once, and counts as five right reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from oddlog.datasets import LabelledIncidents
from oddlog.types import Incident, LineRef

SLACK = timedelta(minutes=5)
SHARE = 0.5
LEADING = 3  # services and hosts of a report that count as named: those it ranks first
OF_RATES = frozenset({"rate", "silence", "ramp", "error_share", "concentration", "out_of_range", "drift"})
INSTANT = timedelta(minutes=1)  # what lasts no time at all is taken to last one minute


@dataclass(frozen=True)
class Figures:
    """How well one group of labelled incidents was found.

    Attributes
    ----------
    labelled, found : int
        Incidents of the group, and those that a report is right for.
    right, false : int
        Reports that are right for one of the group, and all that are right for none of any group.
    first, any : int
        Found incidents whose most pressing report gives an expected reason first, or at all.

    """

    labelled: int
    found: int
    right: int
    false: int
    first: int
    any: int

    @property
    def recall(self) -> float:
        """Share of the labelled incidents that were found; NaN if there are none."""
        return _share(self.found, self.labelled)

    @property
    def precision(self) -> float:
        """Share of the reports that are right, of those of this group and all false ones; NaN without any."""
        return _share(self.right, self.right + self.false)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing was found."""
        if not self.found:
            return 0.0 if self.labelled else float("nan")
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    @property
    def first_share(self) -> float:
        """Share of the found incidents whose most pressing report gives an expected reason first."""
        return _share(self.first, self.found)


@dataclass(frozen=True)
class JudgedIncidents:
    """Reported incidents against labelled ones.

    Attributes
    ----------
    reported : tuple of Incident
        In the order given, the most pressing first.
    right_for : tuple of str
        Id of the labelled incident that each report is right for, "" if none.
    labelled : frame
        ``id kind group reports rank how first any``, in the order of the labels: how many reports are right for the
        incident, the 1-based rank of the most pressing of them (null if none), whether that was matched by lines or
        reasons, and whether its first reason, or any, is of an expected kind.

    """

    reported: tuple[Incident, ...]
    right_for: tuple[str, ...]
    labelled: pl.DataFrame

    @property
    def false(self) -> tuple[Incident, ...]:
        """The reports that are right for nothing."""
        return tuple(one for one, of in zip(self.reported, self.right_for, strict=True) if not of)

    def figures(self, group: str | None = None) -> Figures:
        """Return the figures of one group of incidents, or of all; false reports count against every group."""
        rows = self.labelled if group is None else self.labelled.filter(pl.col("group") == group)
        return Figures(
            labelled=len(rows),
            found=int((rows["reports"] > 0).sum()),
            right=int(rows["reports"].sum()),
            false=len(self.false),
            first=int(rows["first"].sum()),
            any=int(rows["any"].sum()),
        )

    def by_kind(self) -> pl.DataFrame:
        """Return ``group kind labelled found reports first any``, in order of group and kind."""
        return (
            self.labelled.group_by("group", "kind")
            .agg(
                labelled=pl.len(),
                found=(pl.col("reports") > 0).sum(),
                reports=pl.col("reports").sum(),
                first=pl.col("first").sum(),
                any=pl.col("any").sum(),
            )
            .sort("group", "kind")
        )


def judge_incidents(
    reported: Sequence[Incident], labels: LabelledIncidents, folder: str | Path = ""
) -> JudgedIncidents:
    """Match what was reported, most pressing first, with what is labelled.

    Parameters
    ----------
    reported : sequence of Incident
        Of a `Detection`.
    labels : LabelledIncidents
        Of the same period: ``read_labels(folder).of("today")``.
    folder : path
        What the sources of the reported lines have before the labels' ``today/web.log``.

    """
    keys = labels.lines.select("source", "line", "incident").iter_rows()
    of_line = {(source, line): incident for source, line, incident in keys}
    rows = labels.incidents.sort("start", "id").to_dicts()
    matches = [_match(one, rows, of_line, str(folder).rstrip("/")) for one in reported]
    right_for = tuple(incident for incident, _ in matches)
    found = [_found(row, reported, matches) for row in labels.incidents.to_dicts()]
    schema = {
        "id": pl.String,
        "kind": pl.String,
        "group": pl.String,
        "reports": pl.Int64,
        "rank": pl.Int64,
        "how": pl.String,
        "first": pl.Boolean,
        "any": pl.Boolean,
    }
    return JudgedIncidents(tuple(reported), right_for, pl.DataFrame(found, schema=schema, orient="row"))


def _match(
    one: Incident, rows: Sequence[Mapping[str, Any]], of_line: Mapping[tuple[str, int], str], folder: str
) -> tuple[str, str]:
    """Return the id of the labelled incident that a report is right for, and how it was matched; "" if none."""
    hits = Counter(of_line.get((_below(ref, folder), ref.line), "") for ref in one.lines)
    for row in rows:
        if hits[row["id"]] and hits[row["id"]] >= SHARE * len(one.lines) and _share_within(one, row) >= SHARE:
            return row["id"], "lines"
    about = [row for row in rows if _is_about(one, row) and _share_within(one, row) >= SHARE]
    best = max(about, key=lambda row: _likeness(one, row), default=None)
    return ("", "") if best is None else (best["id"], "reasons")


def _below(ref: LineRef, folder: str) -> str:
    return ref.source.removeprefix(f"{folder}/") if folder else ref.source


def _share_within(one: Incident, row: Mapping[str, Any]) -> float:
    """Return the share of a report's time within a labelled stretch; what has no time lies within any."""
    if one.start is None or one.end is None:
        return 1.0
    end = max(one.end, one.start + INSTANT)
    within: timedelta = min(end, row["end"] + SLACK) - max(one.start, row["start"] - SLACK)
    return max(within / (end - one.start), 0.0)


def _likeness(one: Incident, row: Mapping[str, Any]) -> float:
    """Return the time that a report and a labelled stretch share, of that of both together."""
    if one.start is None or one.end is None:
        return 0.0
    shared: timedelta = min(one.end, row["end"]) - max(one.start, row["start"])
    both: timedelta = max(max(one.end, row["end"]) - min(one.start, row["start"]), INSTANT)
    return shared / both


def _is_about(one: Incident, row: Mapping[str, Any]) -> bool:
    timed = one.start is not None and one.end is not None
    return timed and _names(one, row) and any(reason.kind in OF_RATES for reason in one.reasons)


def _names(one: Incident, row: Mapping[str, Any]) -> bool:
    if set(one.services[:LEADING]) & set(row["services"] or ()) or set(one.hosts[:LEADING]) & set(row["hosts"] or ()):
        return True
    entity = row["entity"]
    return bool(entity) and (
        entity in one.services or entity in one.hosts or any(_says(reason.text, entity) for reason in one.reasons)
    )


def _says(text: str, entity: str) -> bool:
    """Return whether a word of `text` is the entity: 192.0.2.1 is not named by 192.0.2.10."""
    return entity in (word.strip(".,:;()“”") for word in text.split())


def _found(
    row: Mapping[str, Any], reported: Sequence[Incident], matches: Sequence[tuple[str, str]]
) -> tuple[str, str, str, int, int | None, str | None, bool, bool]:
    mine = [i for i, (incident, _) in enumerate(matches) if incident == row["id"]]
    head = (row["id"], row["kind"], row["group"], len(mine))
    if not mine:
        return (*head, None, None, False, False)
    expected = set(row["expected_reasons"] or ())
    kinds = [reason.kind for reason in reported[mine[0]].reasons]
    return (*head, mine[0] + 1, matches[mine[0]][1], bool(kinds) and kinds[0] in expected, bool(expected & {*kinds}))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
