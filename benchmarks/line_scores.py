"""How the scores of lines rank, by what is made of the window that a line makes odd.

    python benchmarks/line_scores.py bgl-lines given --data ../shared/data

The default's model is learned once, its windows judged once; then the score of a line is the larger of its own and of

    score     the window's score, the mean of its members' -log10 p: it has no bound and asks for no level
    nothing   nothing: the window says that it is odd, and no more
    pressing  -log10 of the window's p-value (12 at most) x level x words of the line: what `--line-scores` writes
    share     the same, times the share of the window's distance to a usual one that the line's type has

The last columns are PR AUC, the share of right ones among the first 100 and 1,000 lines, and that of incidents whose
service has the highest score. See docs/decisions/line-scores.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.datasets import find_set
from oddlog.evaluation import metrics
from oddlog.evaluation.catalogue import catalogue
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.evaluation.localising import incident_figures, line_table
from oddlog.incidents import alarming, pressing
from oddlog.pipeline.judging.odd import OddWindows
from oddlog.types import F64

DEFAULT = "snn+dae+ocsvm+new-event"
RULES = ("score", "nothing", "pressing", "share")


def shares(odd: OddWindows) -> F64:
    """Return which part of its window's distance the type of each guilty event [x] has; a type never seen all of it."""
    of: dict[tuple[int, int], float] = {}
    for w, (found, lead) in enumerate(zip(odd.oddities, odd.lead, strict=True)):
        total = sum(one.weight for one in found if one.kind != "unseen_template")
        of |= {(w, o.template): 1.0 if o.kind == "unseen_template" else o.weight / total for o in lead if o.seen}
    at = np.flatnonzero(odd.guilty)
    pairs = zip(odd.windows.window_of_event[at].tolist(), odd.windows.template[at].tolist(), strict=True)
    return np.array([of.get(pair, 1.0) for pair in pairs])


def lines_of(done: Outcome) -> Iterator[pl.DataFrame]:
    """Yield ``source line is_anomaly`` and a score by each rule, of the lines of each part that was judged."""
    for part in done.parts:
        odd = OddWindows.of(part.view, part.windows, part.verdict)
        windows, at, where = part.windows, np.flatnonzero(odd.guilty), np.flatnonzero(part.verdict["is_anomaly"])
        event = np.concatenate([np.arange(*windows.offsets[w : w + 2]) for w in where] or [np.empty(0, np.int64)])[at]
        of = odd.windows.window_of_event[at]
        grave = alarming([part.matcher.text_of(row) for row in np.arange(windows.template.max(initial=0) + 1)])
        own = done.model.events.score(windows.template, windows.level, grave[windows.template])
        is_odd = done.model.events.is_anomaly(windows.template, done.model.events.p_value(own))
        is_odd[event] = True
        weight = pressing(np.ones(len(own)), windows.level, grave[windows.template])[event]
        novelty = -np.log10(np.maximum(odd.p_value[of], 1e-12))
        said = (odd.score[of], np.zeros(len(at)), novelty * weight, novelty * weight * shares(odd))
        scores = {}
        for rule, value in zip(RULES, said, strict=True):
            scores[rule] = own.astype(np.float64)
            scores[rule][event] = np.maximum(own[event], value)
        names = pl.Series(part.sources).gather(windows.source)
        yield pl.DataFrame({"source": names, "line": windows.line, "is_anomaly": is_odd, **scores})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("protocol")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of = find_set(arguments.set, arguments.data, folder)
        listed = catalogue(of)
        done = run(Cell(arguments.set, arguments.protocol, DEFAULT, answers=1), of, listed)
        every = pl.concat(lines_of(done)).unique(["source", "line"], keep="first", maintain_order=True)
        written = Path(folder, "lines.parquet")
        for rule in RULES:
            every.select("source", "line", "is_anomaly", score=rule).write_parquet(written)
            lines = line_table(written, done.rows, listed)
            some = lines.filter(pl.col("label") >= 0).sort("score", descending=True)
            score, label = some["score"].to_numpy(), some["label"].to_numpy()
            figures = f"AUC {metrics.roc_auc(score, label):.4f}  PR {metrics.pr_auc(score, label):.4f}"
            first = "  ".join(f"first {n:,} {(label[:n] == 1).mean():.3f}" for n in (100, 1000))
            named = incident_figures(lines, of.incidents, listed).get("service_top_1") if of.incidents else None
            print(f"{rule:9} {figures}  {first}" + ("" if named is None else f"  service {named:.3f}"), flush=True)


if __name__ == "__main__":
    main()
