"""Tables of a finished bench, put into the pages that tell of it.

    python benchmarks/bench_tables.py bench [bench-deep …] --into docs/results-bench.md docs/results/second-paper.md

What stands in a page between ``<!-- bench: NAME -->`` and ``<!-- end -->`` is replaced by the table of that name; words
around it are for a person to check. Goals, what is left out, what beats deep models and what was learned from how much
are those of the first folder's `report.md`, so `oddlog bench report -o bench --also bench-deep --goals …` goes first.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from oddlog.evaluation.results import Store, last_of
from oddlog.evaluation.showing import FOUR
from oddlog.evaluation.tables import grouped
from oddlog.evaluation.versus import is_cheap, is_deep

Result = dict[str, Any]

RANDOM = ("landauer", "landauer:share=0.016", "ganfl", "contaminated")
BY_TIME = ("time-usual:share=0.2", "time-usual:share=0.5", "time:share=0.2", "time:share=0.5", "70-15-15")
SYSTEMS = tuple(f"leave-one-system-out:system={one}" for one in ("bgl", "shop", "trainticket"))
NOVA = (
    ("control F1", "control_f1", 3),
    ("control AUC", "control_roc_auc", 3),
    ("seen", "incidents_seen", 2),
    ("within 1 s", "incidents_within_1_s", 2),
    ("seconds, median", "time_to_detection_s", 1),
    ("odd per 1,000 usual lines", "usual_lines_odd_per_1000", 2),
    ("service first", "service_top_1", 2),
    ("service in 3", "service_top_3", 2),
)
TRAINTICKET = (
    ("seen", "incidents_seen", 2),
    ("within 10 s", "incidents_within_10_s", 2),
    ("seconds, median", "time_to_detection_s", 1),
    ("service first", "service_top_1", 2),
    ("in 3", "service_top_3", 2),
    ("host first", "host_top_1", 2),
    ("in 3", "host_top_3", 2),
)
LINES = (
    ("ROC AUC of lines", "line_roc_auc", 3),
    ("best F1 in hindsight", "pressing_oracle_f1", 3),
    ("F1 of lines", "line_f1", 3),
    ("odd per 1,000 usual lines", "false_lines_per_1000", 0),
)
SECOND_PAPER = (
    ("One-class SVM", "ocsvm"),
    ("LogCluster", "logcluster"),
    ("DeepLog", "deeplog:steps=300"),
    ("LogAnomaly", "loganomaly:steps=300"),
    ("LogBERT", "logbert:steps=300"),
    ("GANFL, local model", "ganfl:steps=300"),
    ("*the default, four*", FOUR),
    ("*`dae`*", "dae"),
    ("*`snn`*", "snn"),
    ("*`pca`*", "pca"),
)
DEEP = (
    ("HDFS, 5,582 random", "hdfs", "landauer"),
    ("HDFS, 3,345 random", "hdfs", "ganfl"),
    ("HDFS by time, 20 %", "hdfs", "time-usual:share=0.2"),
    ("HDFS by time, 50 %", "hdfs", "time-usual:share=0.5"),
    ("Nova by time", "nova", "time-usual"),
    ("BGL by time, 20 %", "bgl-half2", "time:share=0.2"),
    ("BGL by time, 50 %", "bgl-half2", "time:share=0.5"),
)
LABELLED = (
    ("HDFS by time, 20 %", "hdfs", "time:share=0.2"),
    ("HDFS, half at random", "hdfs", "random-labelled"),
    ("Nova by time", "nova", "time"),
    ("BGL by time, 20 %", "bgl-half2", "time:share=0.2"),
)
REPORTED = {
    "goals": "Goals",
    "left-out": "Left out",
    "versus": "Deep models, and what beats them",
    "learning": "hdfs, time-usual: F1 by what was learned from",
}


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as pages have it: without the zero before the point."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def named(detector: str) -> str:
    return "four" if detector == FOUR else f"`{detector}`"


def mean(of: Sequence[Result], figure: str) -> float:
    known = [value for one in of if (value := one["figures"].get(figure)) is not None]
    return fmean(known) if known else math.nan


def cell(of: Sequence[Result]) -> str:
    """Return F1, its interval over all seeds, how many these are, and the area."""
    if not of:
        return ""
    low = min(one["figures"]["f1_low"] for one in of)
    high = max(one["figures"]["f1_high"] for one in of)
    seeds = f", {len(of)} seeds" if len(of) > 1 else ""
    return f"{number(mean(of, 'f1'))} ({number(low)}–{number(high)}{seeds}), AUC {number(mean(of, 'roc_auc'))}"


def short(of: Sequence[Result]) -> str:
    """Return F1 and the area, and how many seeds there are if several."""
    seeds = f", {len(of)} seeds" if len(of) > 1 else ""
    return f"{number(mean(of, 'f1'))} ({number(mean(of, 'roc_auc'))}{seeds})" if of else "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)


class Tables:
    """Makes tables of results, what learned with `--recurring odd` left out."""

    def __init__(self, folders: Sequence[Path]) -> None:
        found = [one for one in last_of([Store(folder) for folder in folders]) if one["ok"]]
        self._ok = found
        self._all = [one for one in found if one["figures"].get("f1") is not None]
        self._of = [one for one in self._all if one["cell"]["recurring"] == "usual"]
        self._report = (folders[0] / "report.md").read_text(encoding="utf-8")

    def of(self, name: str, protocol: str) -> dict[str, list[Result]]:
        """Return the results of a set under a protocol by detector."""
        asked = [one for one in self._of if (one["cell"]["set"], one["cell"]["protocol"]) == (name, protocol)]
        return {detector: each for (detector,), each in grouped(asked, "detector").items()}

    def matrix(self, name: str, protocols: Sequence[str]) -> str:
        """Return a row for each detector, a column for each protocol, the best of the first one first."""
        of = {protocol: found for protocol in protocols if (found := self.of(name, protocol))}
        if not of:
            return "Not run."
        there = {detector: each[0] for found in reversed(of.values()) for detector, each in found.items()}

        def order(detector: str) -> tuple[float, ...]:
            f1 = (mean(found.get(detector, []), "f1") for found in of.values())
            return tuple(1.0 if math.isnan(one) else -one for one in f1)

        rows = [
            [
                f"{named(detector)}{' (labels)' if there[detector].get('learned_from_labels') else ''}",
                *(cell(found.get(detector, [])) for found in of.values()),
            ]
            for detector in sorted(there, key=lambda one: (*order(one), one))
        ]
        return table(["detector", *(f"`{protocol}`" for protocol in of)], rows)

    def figures(self, name: str, protocol: str, columns: Sequence[tuple[str, str, int]]) -> str:
        """Return a row for each detector, a column for each figure, the best F1 first."""
        of = self.of(name, protocol)
        order = sorted(of, key=lambda detector: (-mean(of[detector], "f1"), detector))
        rows = [[named(one), *(number(mean(of[one], figure), n) for _, figure, n in columns)] for one in order]
        return table(["detector", *(head for head, _, _ in columns)], rows) if rows else "Not run."

    def answers(self, name: str, protocols: Sequence[str]) -> str:
        """Return what answers were worth, of the first seed."""
        rows = []
        for protocol in protocols:
            for detector, each in self.of(name, protocol).items():
                given = next((one["answers"] for one in each if one["cell"]["seed"] == 0), None)
                if given and len(given) > 1 and detector in (FOUR, "ocsvm", "snn", "new-event", "dae"):
                    at = [number(given[min(n, len(given) - 1)]["f1"]) for n in (0, 5, 10, 50)]
                    rows.append([f"`{protocol}`", named(detector), *at, str(len(given) - 1)])
                    rows[-1].append(str(given[-1]["wrongly_muted"]))
        return table(["protocol", "detector", "F1 after 0", "5", "10", "50", "used", "wrongly muted"], rows)

    def recurring(self) -> str:
        """Return the default where anomalies are left in: what recurs taken as usual, and as odd."""
        rows = []
        for protocol in ("contaminated", "time:share=0.2", "time:share=0.5", "70-15-15"):
            asked = [
                one for one in self._all if one["cell"]["protocol"] == protocol and one["cell"]["detector"] == FOUR
            ]
            of = [one for one in asked if one["cell"]["set"] == "hdfs" and one["cell"]["seed"] == 0]
            ways = [[one for one in of if one["cell"]["recurring"] == way] for way in ("usual", "odd")]
            rows.append([f"`{protocol}`", *map(cell, ways)])
        return table(["protocol", "as usual, the default", "`--recurring odd`"], rows)

    def spent(self) -> str:
        """Return what the cells have cost, by set: each as if it had read the lines for itself."""
        cost = [(one["cell"]["set"], float(one["cost"]["cpu_s"])) for one in self._ok]
        rows = [
            [name, f"{len(some):,}", f"{sum(some):,.0f}", f"{sum(some) / 3600:.2f}"]
            for name in sorted({name for name, _ in cost})
            for some in [[s for of, s in cost if of == name]]
        ]
        every = sum(s for _, s in cost)
        rows.append(["**all**", f"{len(cost):,}", f"{every:,.0f}", f"**{every / 3600:.2f}**"])
        return table(["set", "cells", "CPU-seconds", "CPU-hours"], rows)

    def paper(self) -> str:
        """Return the rows of the second paper's table, ours under its protocol and by time."""
        rows = []
        for label, detector in SECOND_PAPER:
            cells = []
            for protocol in ("ganfl", "time-usual:share=0.2"):
                of = self.of("hdfs", protocol).get(detector, [])
                cells += [cell(of) or "not run", number(mean(of, "oracle_f1")) if of else ""]
            rows.append([label, "not verified", *cells])
        head = ["method", "the paper's table 2", "`ganfl`: F1, AUC", "best", "`time-usual:share=0.2`: F1, AUC", "best"]
        return table(head, rows)

    def deep(self) -> str:
        """Return the default, the best single one that counts, and each network; a column for each split."""
        of = [self.of(name, protocol) for _, name, protocol in DEEP]
        simple = [
            {
                name: each
                for name, each in found.items()
                if is_cheap(name) and name != FOUR and not each[0].get("learned_from_labels")
            }
            for found in of
        ]
        best = [max(found, key=lambda name: mean(found[name], "f1"), default="") for found in simple]
        rows = [["four", *(short(found.get(FOUR, [])) for found in of)]]
        singles = (f"{named(name)} {short(found[name])}" if name else "" for name, found in zip(best, of, strict=True))
        rows.append(["best single one that counts", *singles])
        names = dict.fromkeys(name for found in of for name in found if is_deep(name))
        each = {name: [found.get(name, []) for found in of] for name in names}
        for name in sorted(names, key=lambda one: max(mean(some, "f1") for some in each[one] if some), reverse=True):
            labels = any(one.get("learned_from_labels") for some in each[name] for one in some)
            label = f"{named(name.replace(':steps=300', ''))}{' (labels)' if labels else ''}"
            rows.append([label, *map(short, each[name])])
        return table(["F1 (ROC AUC)", *(head for head, _, _ in DEEP)], rows)

    def labelled(self) -> str:
        """Return whatever learned from labels; a column for each split."""
        of = [self.of(name, protocol) for _, name, protocol in LABELLED]
        names = {name for found in of for name, each in found.items() if each[0].get("learned_from_labels")}
        rows = [
            [named(name.replace(":steps=300", "")), *(short(found.get(name, [])) for found in of)] for name in names
        ]
        return table(["F1 (ROC AUC)", *(head for head, _, _ in LABELLED)], sorted(rows))

    def reported(self, title: str) -> str:
        """Return what stands under a title in the report, without the title."""
        found = re.search(rf"^## {re.escape(title)}\n\n(.*?)(?=^## |\Z)", self._report, re.DOTALL | re.MULTILINE)
        return found[1].strip().replace("novelty x level x words", "novelty × level × words") if found else "None."

    def every(self) -> dict[str, Callable[[], str]]:
        """Return all tables by name."""
        return {
            "hdfs-random": lambda: self.matrix("hdfs", RANDOM),
            "hdfs-time": lambda: self.matrix("hdfs", BY_TIME),
            "hdfs-answers": lambda: self.answers("hdfs", BY_TIME),
            "hdfs-recurring": self.recurring,
            "nova": lambda: self.matrix("nova", ("time-usual", "time")),
            "nova-incidents": lambda: self.figures("nova", "time-usual", NOVA),
            "bgl": lambda: self.matrix("bgl-half2", ("time:share=0.2", "time:share=0.5")),
            "bgl-lines": lambda: self.matrix("bgl-lines", ("given",)),
            "bgl-single-lines": lambda: self.figures("bgl-lines", "given", LINES),
            "spent": self.spent,
            "trainticket": lambda: self.matrix("trainticket", ("given",)),
            "trainticket-incidents": lambda: self.figures("trainticket", "given", TRAINTICKET),
            "systems": lambda: self.matrix("systems", SYSTEMS),
            "shop": lambda: self.matrix("shop", ("given",)),
            "datacentre": lambda: self.matrix("datacentre", ("given",)),
            "second-paper": self.paper,
            "deep": self.deep,
            "labelled": self.labelled,
            **{name: lambda title=title: self.reported(title) for name, title in REPORTED.items()},
        }


def put(page: Path, tables: dict[str, Callable[[], str]]) -> None:
    """Replace the tables of a page."""

    def replaced(found: re.Match[str]) -> str:
        return f"<!-- bench: {found[1]} -->\n\n{tables[found[1]]()}\n\n<!-- end -->"

    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<!-- bench: ([\w-]+) -->\n.*?<!-- end -->", replaced, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--into", nargs="+", type=Path, default=[])
    asked = parser.parse_args()
    tables = Tables(asked.folders).every()
    for page in asked.into:
        put(page, tables)
    if not asked.into:
        for name, made in tables.items():
            print(f"{name}\n\n{made()}\n")


if __name__ == "__main__":
    main()
