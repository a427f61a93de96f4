"""What was missed and what was falsely told, in words: by what such windows hold and lack.

A pattern (a set of message types) is described once, against the windows that were learned from::

    new: <a type that was never seen>; rare (1 in 800 usual windows): <...>; 12 times (usual at most 3): <...>;
    lacks (in 98 % of the usual windows): <...>

Texts are those of templates, whose variables are gone: no line is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oddlog.pipeline.judging.detection import Part
from oddlog.types import I64, U64, Bool

if TYPE_CHECKING:  # it is made of what this describes
    from oddlog.evaluation.scoring import Cases

MOST_PATTERNS = 5_000  # that are described
MOST_TYPES = 2  # of each kind in a description
MOST_TOLD = 8  # descriptions of misses, and of false alarms
LONGEST = 90  # characters of a template
RARE = 0.01  # share of usual windows below which a type is worth telling
EXPECTED = 0.9  # … and from which on its absence is
NOTHING = "nothing new, rare, too often or missing: order, or counts in between"


class Wording:
    """Takes windows as they are judged, and keeps a description of each pattern that is odd or labelled anomalous."""

    def __init__(self) -> None:
        self.said: dict[int, str] = {}

    def add(self, part: Part, pattern: U64, wanted: Bool) -> None:
        """Describe the patterns [w] of the windows that are wanted, unless they are known."""
        _, first = np.unique(pattern[wanted], return_index=True)
        for i in np.flatnonzero(wanted)[first].tolist():
            key = int(pattern[i])
            if key not in self.said and len(self.said) < MOST_PATTERNS:
                self.said[key] = described(part, i)

    def told(self, cases: Cases) -> dict[str, list[dict[str, Any]]]:
        """Return the descriptions of misses and of false alarms, the most frequent first."""
        missed = ~cases.odd & (cases.label == 1)
        false = cases.odd & (cases.label == 0)
        return {"missed": self._counted(cases, missed), "false": self._counted(cases, false)}

    def _counted(self, cases: Cases, some: Bool) -> list[dict[str, Any]]:
        said = [self.said.get(key, "not described") for key in cases.pattern[some].tolist()]
        unheard = np.isnan(cases.score[some]).tolist()
        said = [f"not over when the log ended; {text}" if no else text for text, no in zip(said, unheard, strict=True)]
        patterns: dict[str, set[int]] = {}
        for text, key in zip(said, cases.pattern[some].tolist(), strict=True):
            patterns.setdefault(text, set()).add(key)
        most = Counter(said).most_common()
        most.sort(key=lambda one: (-one[1], one[0]))
        told = [{"says": text, "cases": n, "patterns": len(patterns[text])} for text, n in most[:MOST_TOLD]]
        rest = most[MOST_TOLD:]
        if rest:
            n = sum(one for _, one in rest)
            told.append({"says": f"{len(rest):,} other kinds", "cases": n, "patterns": len(rest)})
        return told


def described(part: Part, i: int) -> str:
    """Return what tells the window `i` of a part from those that were learned from."""
    windows, usual = part.windows, part.view.usual
    held = windows.template[windows.offsets[i] : windows.offsets[i + 1]].astype(np.int64)
    types, n = np.unique(held, return_counts=True)
    k = len(usual.share)
    seen = types[types < k]
    share = usual.share[seen]
    often = n[types < k]
    lacks = np.flatnonzero(usual.share >= EXPECTED)
    lacks = lacks[~np.isin(lacks, seen)]
    parts = [_part(part, "new", types[types >= k], {})]
    rare = np.flatnonzero(share < RARE)
    rare = rare[np.argsort(share[rare], kind="stable")]
    parts.append(_part(part, "rare", seen[rare], {int(row): _one_in(float(usual.share[row])) for row in seen[rare]}))
    many = np.flatnonzero((often > usual.p99[seen]) & (share >= RARE))
    many = many[np.argsort(-often[many], kind="stable")]
    counts = {int(seen[at]): f"usual at most {usual.p99[seen[at]]:.0f}" for at in many}
    parts.append(_part(part, "too often", seen[many], counts))
    parts.append(_part(part, "lacks", lacks[np.argsort(-usual.share[lacks], kind="stable")], {}))
    return "; ".join(filter(None, parts)) or NOTHING


def _part(part: Part, what: str, rows: I64, notes: Mapping[int, str]) -> str:
    if not len(rows):
        return ""
    texts = []
    for row in rows[:MOST_TYPES].tolist():
        text = " ".join(part.matcher.text_of(int(row)).split())
        text = text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
        texts.append(f"“{text}”" + (f" ({notes[row]})" if row in notes else ""))
    more = f" and {len(rows) - MOST_TYPES:,} more types" if len(rows) > MOST_TYPES else ""
    return f"{what}: {', '.join(texts)}{more}"


def _one_in(share: float) -> str:
    return f"1 in {1 / share:,.0f} usual" if share else "in no usual one"
