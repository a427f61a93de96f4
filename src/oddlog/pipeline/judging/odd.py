"""Odd windows, and what makes them odd."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl

from oddlog.explain import Oddity, leading, shorten
from oddlog.incidents import pattern_of
from oddlog.pipeline.judging.telling import Remark, reason_of, remarks_of
from oddlog.pipeline.judging.views import View
from oddlog.templates import Matcher
from oddlog.types import F64, I64, Bool, Context, Reason, Windows

MOST_ODD = 20_000  # windows of a view that are explained and merged, the oddest


@dataclass(frozen=True)
class OddWindows:
    """The odd windows of a view with what makes them odd.

    `remarks` are on windows that no type makes odd by being there; others are asked about if they are told. `threshold`
    [w] is what judged them.
    """

    view: View
    windows: Windows
    score: F64
    p_value: F64
    oddities: list[list[Oddity]]
    remarks: list[list[Remark]]
    threshold: F64
    n_dropped: int = 0

    @classmethod
    def of(cls, view: View, windows: Windows, verdict: pl.DataFrame) -> OddWindows:
        """Return the odd ones among `windows` [w], given their verdicts."""
        index = odd_index(verdict)
        score, p_value, threshold = (verdict[name].to_numpy()[index] for name in ("score", "p_value", "threshold"))
        odd = windows.take(index)
        if not len(index):
            return cls(view, odd, score, p_value, [], [], threshold)
        found = view.oddities(odd)
        remarks: list[list[Remark]] = [[] for _ in found]
        silent = np.array([i for i, one in enumerate(found) if not any(o.seen for o in leading(one))], np.int64)
        for i, said in zip(silent.tolist(), told_of(view, odd.take(silent))[1], strict=True):
            remarks[i] = said
        dropped = int(verdict["is_anomaly"].sum()) - len(index)
        return cls(view, odd, score, p_value, found, remarks, threshold, dropped)

    @classmethod
    def concat(cls, parts: Sequence[OddWindows]) -> OddWindows:
        """Return the windows of all parts of one view."""
        return cls(
            parts[0].view,
            Windows.concat([part.windows for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.p_value for part in parts]),
            [one for part in parts for one in part.oddities],
            [one for part in parts for one in part.remarks],
            np.concatenate([part.threshold for part in parts]),
        )

    def take(self, index: I64) -> OddWindows:
        """Return the windows at `index` [x]."""
        return OddWindows(
            self.view,
            self.windows.take(index),
            self.score[index],
            self.p_value[index],
            [self.oddities[i] for i in index],
            [self.remarks[i] for i in index],
            self.threshold[index],
        )

    @cached_property
    def lead(self) -> list[list[Oddity]]:
        """What carries each window's oddness."""
        return [leading(found) for found in self.oddities]

    @cached_property
    def guilty(self) -> Bool:
        """Which events [e] make their windows odd: those of types that should not be there, or not so often.

        In a window without any, the events that a member remarks on.
        """
        window = self.windows.window_of_event
        leading_types = [w << 32 | o.template for w, lead in enumerate(self.lead) for o in lead if o.seen]
        guilty = np.isin(window << 32 | self.windows.template.astype(np.int64), np.array(leading_types, np.int64))
        others = np.flatnonzero(np.bincount(window, guilty, minlength=len(self.windows)) == 0).tolist()
        remarked = [self.windows.offsets[w] + r.event for w in others for r in self.remarks[w] if r.event >= 0]
        guilty[np.array(remarked, np.int64)] = True
        return guilty

    @property
    def signs(self) -> list[list[tuple[str, int]]]:
        """What each window is odd by, as kinds and rows: types that are there, else missing ones, else remarks.

        That many windows lack the same type ties them together only if that is all there is to them.
        """
        return [
            [(o.kind, o.template) for o in lead if o.seen]
            or [(o.kind, o.template) for o in lead]
            or [(said.kind, said.template) for said in remarks if said.event >= 0]
            for lead, remarks in zip(self.lead, self.remarks, strict=True)
        ]

    def lines(self) -> pl.DataFrame:
        """Return ``source line window_p window_reason`` of the events that make a window odd."""
        at = np.flatnonzero(self.guilty)
        window = self.windows.window_of_event[at]
        kinds = [(w, o.template, o.kind) for w, lead in enumerate(self.lead) for o in lead if o.seen]
        remarks = [
            (int(self.windows.offsets[w]) + r.event, r.kind) for w, said in enumerate(self.remarks) for r in said
        ]
        by_type = pl.DataFrame(
            kinds, schema={"window": pl.Int64, "template": pl.UInt32, "kind": pl.String}, orient="row"
        ).unique(["window", "template"], keep="last", maintain_order=True)
        by_event = pl.DataFrame(remarks, schema={"event": pl.Int64, "remark": pl.String}, orient="row").unique(
            "event", keep="first", maintain_order=True
        )
        frame = pl.DataFrame(
            {
                "window": window,
                "event": at,
                "template": self.windows.template[at],
                "source": self.windows.source[at],
                "line": self.windows.line[at],
                "window_p": self.p_value[window],
                "key": self.windows.key.gather(window),
            }
        )
        return (
            frame.join(by_type, on=["window", "template"], how="left", maintain_order="left")
            .join(by_event, on="event", how="left", maintain_order="left")
            .with_columns(window_reason=pl.coalesce("kind", "remark") + " in " + pl.col("key"))
            .select("source", "line", "window_p", "window_reason")
            .sort("window_p", maintain_order=True)
            .unique(["source", "line"], keep="first", maintain_order=True)
        )


def odd_index(verdict: pl.DataFrame) -> I64:
    """Return where the odd windows stand among the verdicts [x], in that order: the oddest, if there are too many."""
    index = np.flatnonzero(verdict["is_anomaly"].to_numpy())
    if len(index) <= MOST_ODD:
        return index
    score = verdict["score"].to_numpy()
    return np.sort(index[np.argsort(-score[index], kind="stable")[:MOST_ODD]])


def told_of(view: View, windows: Windows) -> tuple[dict[str, F64], list[list[Remark]]]:
    """Return the p-value [w] of each member of `view` by name, and what they remark on in each window [w]."""
    p_value = view.member_p(windows)
    return p_value, remarks_of(view.members, p_value, view.rate, windows)


def combination(
    view: View,
    window: Windows,
    context: Context,
    text_of: Callable[[int], str],
    own: Callable[[list[Remark]], list[Remark]] = list,
) -> list[Reason]:
    """Return why the one `window` is odd of which neither a type nor a remark stands out.

    The members are asked what they remark on, the most surprised first, though none of them would call it odd alone.
    If none has a word for it that is its `own` to say, it is said who is surprised.
    """
    p_value = {name: float(p[0]) for name, p in view.member_p(window).items() if not np.isnan(p[0])}
    ranked = sorted((one for one in view.members if one.name in p_value), key=lambda one: p_value[one.name])
    for member in ranked:
        ((*every,),) = remarks_of([member], {member.name: np.zeros(1)}, 0.0, window)
        if said := own(every):
            return [reason_of(one, context, text_of) for one in said]
    types, n = np.unique(window.template), len(window.template)
    by = f"{ranked[0].name} has seldom seen the like (p {p_value[ranked[0].name]:.1g})" if ranked else ""
    if len(types) == 1 and by:
        lines = "its one line is" if n == 1 else f"its {n:,} lines are all"
        return [Reason("combination", f"{lines} {shorten(text_of(int(types[0])))}: {by}", {"types": 1})]
    text = "no single type stands out: their combination does" + (f"; {by}" if by else "")
    return [Reason("combination", text, {"types": len(types)})]


def patterns_of(matcher: Matcher, odd: OddWindows) -> list[str]:
    """Return each window's pattern [w]: all types of a session, the types that make another window odd.

    A window that is odd by none of its types has the pattern of what members remark on, kind by kind: its types are
    those of any usual window, and an answer to them would hold for all of these.
    """
    windows = odd.windows
    key = {row: matcher.key_of(row) for row in np.unique(windows.template).tolist()}
    session = odd.view.cut.by == "session"
    patterns = []
    for lead, remarks, (start, end) in zip(odd.lead, odd.remarks, pairwise(windows.offsets.tolist()), strict=True):
        if not lead and remarks:
            said = sorted({f"{one.kind}:{key.get(one.template, 0):016x}" for one in remarks})
            patterns.append(hashlib.blake2b("\n".join(said).encode(), digest_size=8).hexdigest())
        elif session:
            patterns.append(pattern_of(key[row] for row in np.unique(windows.template[start:end]).tolist()))
        else:
            patterns.append(pattern_of(matcher.key_of(o.template) for o in lead))
    return patterns
