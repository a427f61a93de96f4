"""The first paper's setting: a million entries of a simulated data centre, learned from without labels.

    python benchmarks/first_paper.py --entries 1000000 --days 14 --seeds 5 [--first-seed 1] [--rivals 1] [--cases]

For each seed, once with the known kinds of incidents in training (unlabelled, as real logs hold them) and once with
none: `oddlog.fit` with defaults on train/ (the first 70 % of the time), `detect` on today/, judged by
`oddlog.evaluation`:

*per incident*  of the alerts (notices are told apart from them): a report is right for at most one labelled incident,
                with half of its time, and with half of its lines or by what it says
                (`oddlog.evaluation.incidents`); F1 of recall over labelled incidents and precision
                over reports, known and unknown kinds apart, every false report counted against each
*per line*      `--line-scores` against all lines of incidents, and against those that themselves show what is wrong

With `--rivals N` the comparison table of the first N seeds follows, see `first_paper_rivals.py`. `--cases` tells of
each incident that was missed, and of each false report. CPU-seconds are those of this process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import fmean, pstdev

import polars as pl

import first_paper_rivals
import oddlog
from oddlog.datasets import LabelledIncidents, read_labels, simulate_datacentre
from oddlog.evaluation import Judged, JudgedIncidents, judge_incidents, judge_lines, recall_by_kind
from oddlog.types import Incident

DAY = timedelta(days=1)
GROUPS = ("known", "unknown")


@dataclass(frozen=True)
class Run:
    """One seed, learned from one kind of training part."""

    seed: int
    training: str
    days: float
    incidents: JudgedIncidents
    lines: Judged
    direct: Judged
    by_kind: pl.DataFrame  # of lines
    fit_cpu_s: float
    detect_cpu_s: float


def run(folder: Path, seed: int, training: str, *, rivals: bool, cases: bool) -> Run:
    """Learn from `folder`/train, judge what is said of `folder`/today."""
    labels = read_labels(folder).of("today")
    began = time.process_time()
    model = oddlog.fit(folder / "train", seed=seed)
    fitted = time.process_time()
    lines_path = folder / "lines.parquet"
    found = model.detect(folder / "today", line_scores=lines_path)
    detected = time.process_time()
    lines = pl.read_parquet(lines_path)
    alerts = [one for one in found.incidents if one.urgency == "alert"]
    judged = judge_incidents(alerts, labels, folder)
    every = judge_incidents(found.incidents, labels, folder).figures()
    if found.start is None or found.end is None:
        raise SystemExit("These lines have no times.")
    print(f"seed {seed}, {training} in training: {found.says}, {len(alerts)} of them alerts", flush=True)
    print(f"  alerts and notices together: {every}", flush=True)
    if cases:
        tell_cases(judged, labels, lines, folder)
    if rivals:
        first_paper_rivals.compare(folder, model, lines, seed)
    return Run(
        seed,
        training,
        (found.end - found.start) / DAY,
        judged,
        judge_lines(lines, labels, folder),
        judge_lines(lines, labels, folder, direct=True),
        recall_by_kind(lines, labels, folder),
        fitted - began,
        detected - fitted,
    )


def tell_cases(judged: JudgedIncidents, labels: LabelledIncidents, lines: pl.DataFrame, folder: Path) -> None:
    """Say of each labelled incident what was seen of it, and of each false report what it said."""
    below = lines.with_columns(pl.col("source").str.strip_prefix(f"{folder}/"))
    mine = labels.lines.join(below.select("source", "line", "is_anomaly"), on=["source", "line"])
    odd = dict(mine.group_by("incident").agg(pl.col("is_anomaly").sum()).iter_rows())
    for row, of in zip(judged.labelled.to_dicts(), labels.incidents.to_dicts(), strict=True):
        rank = row["rank"]
        seen = f"{odd.get(row['id'], 0)} of {of['lines']} lines odd"
        what = "MISSED" if rank is None else f"rank {rank} by {row['how']}: {_told(judged.reported[rank - 1])}"
        who = f"{row['group']} {row['id']} ({_stretch(of['start'], of['end'])}, {', '.join(of['services'])})"
        print(f"  {who}: {seen}; {what}")
    for one in judged.false:
        print(f"  FALSE {_told(one)}")


def _told(one: Incident) -> str:
    reason = f"{one.reasons[0].kind}: {one.reasons[0].text}" if one.reasons else "no reason"
    when = "" if one.start is None or one.end is None else _stretch(one.start, one.end)
    return f"{when} {'/'.join(one.services[:3])} {one.n_windows} windows, severity {one.severity:.1f}, {reason}"


def _stretch(start: object, end: object) -> str:
    return f"{start:%d %H:%M}-{end:%d %H:%M}"


def mean(values: Sequence[float], digits: int = 3) -> str:
    """Return mean ± standard deviation over the seeds."""
    spread = f" ± {pstdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def print_head(*columns: str) -> None:
    """Print the head of a table."""
    print(f"\n| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))


def print_incidents(runs: Sequence[Run]) -> None:
    print_head(
        "incidents in training",
        "kinds",
        "seeds",
        "labelled",
        "found",
        "right reports",
        "false reports",
        "recall",
        "precision",
        "F1",
    )
    for training in dict.fromkeys(one.training for one in runs):
        of = [one for one in runs if one.training == training]
        for group in (*GROUPS, None):
            figures = [one.incidents.figures(group) for one in of]
            counts = [sum(getattr(f, name) for f in figures) for name in ("labelled", "found", "right", "false")]
            shares = [mean([getattr(f, name) for f in figures]) for name in ("recall", "precision", "f1")]
            print("| " + " | ".join(map(str, [training, group or "all", len(of), *counts, *shares])) + " |")


def print_reasons(runs: Sequence[Run]) -> None:
    print_head(
        "incidents in training",
        "found",
        "first reason as expected",
        "any reason as expected",
        "false reports a day",
        "of these longer than a day",
        "false reports by first reason",
    )
    for training in dict.fromkeys(one.training for one in runs):
        of = [one for one in runs if one.training == training]
        every = [one.incidents.figures() for one in of]
        n = sum(f.found for f in every)
        false = [one for each in of for one in each.incidents.false]
        long = sum(1 for one in false if one.start and one.end and one.end - one.start > DAY)
        kinds = Counter(one.reasons[0].kind if one.reasons else "none" for one in false)
        a_day = mean([len(one.incidents.false) / one.days for one in of], 1)
        first, any_ = (f"{k} ({k / max(n, 1):.0%})" for k in (sum(f.first for f in every), sum(f.any for f in every)))
        told = ", ".join(f"{kind} {k}" for kind, k in kinds.most_common())
        print(f"| {training} | {n} | {first} | {any_} | {a_day} | {long} | {told} |")


def print_kinds(runs: Sequence[Run]) -> None:
    """Print found incidents, and found lines, by kind."""
    print_head(
        "kind",
        "group",
        "incidents in training",
        "labelled",
        "found",
        "reports",
        "first reason as expected",
        "any",
        "labelled lines",
        "called odd",
        "direct lines",
        "called odd",
    )
    for training in dict.fromkeys(one.training for one in runs):
        of = [one for one in runs if one.training == training]
        incidents = pl.concat([one.incidents.by_kind() for one in of]).group_by("group", "kind").sum()
        lines = pl.concat([one.by_kind for one in of]).group_by("kind").sum().rename({"found": "odd"})
        for row in incidents.join(lines, on="kind", how="left").fill_null(0).sort("group", "kind").to_dicts():
            names = ("labelled", "found", "reports", "first", "any", "lines", "odd", "direct", "found_direct")
            counts = " | ".join(f"{row[name]:,}" for name in names)
            print(f"| `{row['kind']}` | {row['group']} | {training} | {counts} |")


def print_lines(runs: Sequence[Run]) -> None:
    print_head(
        "incidents in training",
        "against",
        "labelled lines",
        "called odd",
        "accuracy",
        "precision",
        "recall",
        "F1",
        "ROC AUC",
    )
    for training in dict.fromkeys(one.training for one in runs):
        of = [one for one in runs if one.training == training]
        for name, what in (("lines", "all lines of incidents"), ("direct", "lines that show it")):
            judged: list[Judged] = [getattr(one, name) for one in of]
            labelled, odd = (sum(j.found + getattr(j, rest) for j in judged) for rest in ("missed", "false_alarms"))
            shares = [
                mean([getattr(j, share) for j in judged])
                for share in ("accuracy", "precision", "found_share", "f1", "auc")
            ]
            print(f"| {training} | {what} | {labelled:,} | {odd:,} | {' | '.join(shares)} |")


def print_costs(runs: Sequence[Run]) -> None:
    print_head(
        "incidents in training",
        "seed",
        "fit CPU-s",
        "detect CPU-s",
    )
    for one in runs:
        print(f"| {one.training} | {one.seed} | {one.fit_cpu_s:.0f} | {one.detect_cpu_s:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=14)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1, help="0 was looked at while oddlog was made")
    parser.add_argument("--training", default="known,none")
    parser.add_argument("--rivals", type=int, default=0, metavar="N", help="compare on the first N seeds")
    parser.add_argument("--cases", action="store_true")
    asked = parser.parse_args()
    runs: list[Run] = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for training in asked.training.split(","):
            with tempfile.TemporaryDirectory() as root:
                # The folder has one name everywhere, so that what is printed does, too.
                folder = Path(root) / "dc"
                simulate_datacentre(
                    folder, entries=asked.entries, days=asked.days, seed=seed, incidents_in_training=training
                )
                rivals = training == "known" and seed < asked.first_seed + asked.rivals
                runs.append(run(folder, seed, training, rivals=rivals, cases=asked.cases))
    for table in (print_incidents, print_reasons, print_kinds, print_lines, print_costs):
        table(runs)


if __name__ == "__main__":
    main()
