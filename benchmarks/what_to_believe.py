"""What moves a figure without a better detector: each switched on and off, on HDFS and Nova.

    python benchmarks/what_to_believe.py ../shared/data [--parts split,open,duplicates,padding,labels,threshold]

split        random sessions against sessions that begin later, as many finished ones to learn from
open         sessions that the end of the log (or of what is learned from) cuts off: judged like others, or not at all
duplicates   each content once; what stands word for word in training; identical neighbouring lines dropped
padding      a model of transitions over ten events: shorter sessions not judged, padded with a key of their own, or
             with a begin and an end mark
labels       anomalies that labels have left out of training, left in, or 3 % mixed in; runs of Nova against usual ones
             or against faulty ones that held
threshold    set on what was learned from, or the best in hindsight

Every cell is one of `oddlog bench` (`evaluation.cells.run`), seed 0; F1 with its 95 % interval (sessions drawn anew).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.datasets import LogSet, find_set
from oddlog.evaluation import cells, metrics
from oddlog.evaluation.catalogue import Catalogue, catalogue, write_rows
from oddlog.evaluation.cells import Cell, Outcome, run
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.resampling import f1_interval
from oddlog.evaluation.scoring import Cases, against_control, cases_of
from oddlog.pipeline import detect
from oddlog.pipeline.judging import views
from oddlog.pipeline.learning import gathering

CHEAP = ("snn", "ocsvm", "count-neighbour")
FOUR = "snn+dae+ocsvm+new-event"
HISTORY = 10  # events that DeepLog and its kin read at once
FOLDER = Path("bench", "sets")


@cache
def the_set(name: str, data: Path) -> tuple[LogSet, Catalogue]:
    of = find_set(name, data, FOLDER)
    return of, catalogue(of)


def outcome(name: str, protocol: str, detector: str, data: Path) -> Outcome:
    of, listed = the_set(name, data)
    return run(Cell(name, protocol, detector), of, listed)


def cases(name: str, done: Outcome, data: Path) -> Cases:
    listed = the_set(name, data)[1]
    return cases_of(done.judged, listed.proportion if done.split.weigh else (0, 0), by_session=True)


def told(found: Cases) -> str:
    """Return F1 with its interval, and the area under the curve."""
    counts = metrics.counted(found.odd, found.label, found.weight)
    low, high = f1_interval(found.odd, found.label, found.weight, found.block)
    auc = metrics.roc_auc(found.score, found.label, found.weight)
    return f"{counts.f1:.3f} ({low:.3f}–{high:.3f}), AUC {auc:.4f}"


def table(title: str, head: list[str], rows: Iterator[list[str]]) -> None:
    print(f"\n## {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def of_split(data: Path) -> None:
    def rows() -> Iterator[list[str]]:
        for detector in (*CHEAP, FOUR):
            late = outcome("hdfs", "time-usual:share=0.2", detector, data)
            finished = late.model.training["views"]["sessions"]["windows"]
            share = finished / int((the_set("hdfs", data)[1].case_label == 0).sum())
            early = outcome("hdfs", f"random:share={share:.6f}", detector, data)
            found = [told(cases("hdfs", one, data)) for one in (early, late)]
            yield [f"`{detector}`", *found]

    head = ["detector", "as many usual sessions, at random", "those of the first 20 % of the time"]
    table("Split: the future is learned from, or it is not (HDFS)", head, rows())


@contextmanager
def open_ones_judged() -> Iterator[None]:
    """Take a session that was cut off for one that is over."""
    kept = views.PARTIAL
    views.PARTIAL = gathering.PARTIAL = ()
    try:
        yield
    finally:
        views.PARTIAL = gathering.PARTIAL = kept


def of_open(data: Path) -> None:
    def rows() -> Iterator[list[str]]:
        for share in (0.2, 0.5):
            for detector in (*CHEAP, FOUR):
                protocol = f"time-usual:share={share}"
                with open_ones_judged():
                    judged = told(cases("hdfs", outcome("hdfs", protocol, detector, data), data))
                known = told(cases("hdfs", outcome("hdfs", protocol, detector, data), data))
                yield [f"`{detector}`", f"{share:.0%}", judged, known]

    head = ["detector", "learned from", "what is cut off is judged as if it were over", "whether it is over is known"]
    table("Open sessions (HDFS by time)", head, rows())


def of_duplicates(data: Path) -> None:
    def rows() -> Iterator[list[str]]:
        of, listed = the_set("hdfs", data)
        for detector in CHEAP:
            done = outcome("hdfs", "landauer", detector, data)
            found = cases("hdfs", done, data)
            once = found.take(metrics.distinct(found.alike, found.label))
            with tempfile.TemporaryDirectory() as folder:
                written = write_rows(of, listed.sources, listed.lines, done.split.train, Path(folder, "train"))
                judging = Judging(listed, written)
                detect(done.model, Path(folder, "train"), each=judging.add)
            seen = np.isin(found.alike, judging.judged()["alike"].to_numpy())
            rest = found.take(np.flatnonzero(~seen))
            fit = cells.fit
            cells.fit = partial(fit, drop_duplicates=True)
            try:
                dropped = told(cases("hdfs", outcome("hdfs", "landauer", detector, data), data))
            finally:
                cells.fit = fit
            n = f"{seen.mean():.0%}, {int((found.label[seen] == 1).sum())} anomalous"
            yield [f"`{detector}`", told(found), told(once), n, told(rest), dropped]

    head = [
        "detector",
        "all",
        "each content once",
        "seen in training",
        "the others, unweighted",
        "repeated lines dropped",
    ]
    table("Duplicates (HDFS, landauer)", head, rows())


def transitions(sequences: list[np.ndarray], k: int) -> np.ndarray:
    """Return how often each type follows each [k, k], with one that stands for none."""
    count = np.zeros((k, k))
    for one in sequences:
        np.add.at(count, (one[:-1], one[1:]), 1)
    return count


def surprise(count: np.ndarray, one: np.ndarray) -> float:
    """Return the largest negative log-likelihood of a transition, 0 where there is none."""
    if len(one) < 2:
        return 0.0
    chance = (count[one[:-1], one[1:]] + 1e-3) / (count[one[:-1]].sum(1) + 1e-3 * len(count))
    return float(-np.log(chance.min()))


def of_padding(data: Path) -> None:
    """Print what padding does; a model of transitions stands in for DeepLog, which reads as many events at once."""
    done = outcome("hdfs", "landauer", "new-event", data)
    of, listed = the_set("hdfs", data)
    parts: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part, rows in (("train", done.split.train), ("test", done.split.test)):
            write_rows(of, listed.sources, listed.lines, rows, Path(folder, part))
            parts[part] = {}

            def keep(told, into=parts[part]) -> None:  # noqa: ANN001 - a Part
                windows = told.windows
                for i, key in enumerate(windows.key.to_list()):
                    into[key] = windows.template[windows.offsets[i] : windows.offsets[i + 1]].astype(np.int64)

            detect(done.model, Path(folder, part), each=keep)
    k = max(int(one.max()) for some in parts.values() for one in some.values()) + 1
    begin, end, pad = k, k + 1, k + 2

    def plain(one: np.ndarray) -> np.ndarray:
        return one if len(one) > HISTORY else one[:0]

    def padded(one: np.ndarray) -> np.ndarray:
        return np.append(one, np.full(max(HISTORY + 1 - len(one), 0), pad))

    def marked(one: np.ndarray) -> np.ndarray:
        return np.concatenate([[begin], one, [end]])

    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        f"sessions of at most {HISTORY} events are not judged": plain,
        "they are padded with a key of their own": padded,
        "begin and end are marked, nothing is padded": marked,
    }
    labels = dict(zip(listed.cases["key"].to_list(), listed.case_label.tolist(), strict=True))
    test = {key: one for key, one in parts["test"].items() if labels[key] >= 0}
    label = np.array([labels[key] for key in test], np.int8)
    weight = metrics.reweighted(label, *listed.proportion)

    def rows() -> Iterator[list[str]]:
        for name, way in ways.items():
            count = transitions([way(one) for one in parts["train"].values()], k + 3)
            usual = np.array([surprise(count, way(one)) for one in parts["train"].values()])
            score = np.array([surprise(count, way(one)) for one in test.values()])
            odd = score > np.quantile(usual, 0.999)
            low, high = f1_interval(odd, label, weight, np.arange(len(label)))
            f1 = metrics.counted(odd, label, weight).f1
            best = metrics.oracle(score, label, weight)[0]
            auc = metrics.roc_auc(score, label, weight)
            yield [name, f"{f1:.3f} ({low:.3f}–{high:.3f}), AUC {auc:.4f}", f"{best:.3f}"]

    short = np.array([len(one) <= HISTORY for one in test.values()])
    of_short = (
        f"{short[label == 1].mean():.0%} of the anomalous sessions and {short[label == 0].mean():.1%} of the usual"
    )
    head = [f"{of_short} are that short", "99.9 % of the training scores as threshold", "best in hindsight"]
    table("Padding (HDFS, landauer; transitions, largest surprise)", head, rows())


def of_labels(data: Path) -> None:
    def rows() -> Iterator[list[str]]:
        for detector in (*CHEAP, FOUR):
            found = [
                told(cases("hdfs", outcome("hdfs", protocol, detector, data), data))
                for protocol in ("random", "contaminated", "time-usual:share=0.2", "time:share=0.2")
            ]
            yield [f"`{detector}`", *found]

    head = ["detector", "a random half, labels left anomalies out", "3 % left in", "first 20 %, left out", "left in"]
    table("Labels: who cleans the training data (HDFS)", head, rows())

    def runs() -> Iterator[list[str]]:
        listed = the_set("nova", data)[1]
        for detector in ("snn", "error-count"):
            done = outcome("nova", "time-usual", detector, data)
            found = against_control(done.judged, listed)
            auc, low, high = (found[f"control_roc_auc{end}"] for end in ("", "_low", "_high"))
            control = f"{found['control_f1']:.3f}, AUC {auc:.4f} ({low:.4f}–{high:.4f})"
            yield [f"`{detector}`", told(cases("nova", done, data)), control]

    head = ["detector", "failed against usual second rounds", "failed against faulty first rounds that held"]
    table("Labels: what else they tell apart (Nova)", head, runs())
    found = cases("hdfs", outcome("hdfs", "landauer", "new-event", data), data)
    both = (
        pl.DataFrame({"alike": found.alike, "label": found.label})
        .group_by("alike")
        .agg(odd=(pl.col("label") == 1).sum(), usual=(pl.col("label") == 0).sum())
    )
    twins = both.filter((pl.col("odd") > 0) & (pl.col("usual") > 0))
    missed = twins.select(pl.min_horizontal("odd", "usual").sum()).item()
    print(f"\n{len(twins)} contents of the {len(found):,} judged sessions of HDFS carry both labels: {missed} wrong.")


def of_threshold(data: Path) -> None:
    def rows() -> Iterator[list[str]]:
        for protocol in ("landauer", "time-usual:share=0.2", "time-usual:share=0.5"):
            for detector in (*CHEAP, FOUR):
                found = cases("hdfs", outcome("hdfs", protocol, detector, data), data)
                best, _ = metrics.oracle(found.score, found.label, found.weight)
                yield [protocol, f"`{detector}`", told(found), f"{best:.3f}"]

    table("Threshold (HDFS)", ["protocol", "detector", "from what was learned", "best in hindsight"], rows())


PARTS: dict[str, Callable[[Path], None]] = {
    "split": of_split,
    "open": of_open,
    "duplicates": of_duplicates,
    "padding": of_padding,
    "labels": of_labels,
    "threshold": of_threshold,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    for part in arguments.parts.split(","):
        PARTS[part](arguments.data)


if __name__ == "__main__":
    main()
