"""The networks as members, one by one, on HDFS and OpenStack-Nova: validation first, then the test.

    python benchmarks/deep_members.py [--data ../shared/data] [--only hdfs,nova] [--members lstm,next-event,cnn,vae]
                                      [--seeds 3] [--blind] [KEY=VALUE ...]

HDFS: learn from 5,583 random usual sessions, test on all others re-weighted to 2.93 % of anomalies. Nova: learn from
the first half of the usual runs by time, test on the later usual ones and all failed ones. What is learned from is
split by time: 70 % to train, 15 % to stop early, 15 % to calibrate. Who learns from labels is also given so many random
anomalies of the test that they are 2.93 % of what is learned from (HDFS: 169), and not tested on them.

*corrupted*  ROC AUC of the last 15 %, usual, against twins of theirs with one thing wrong
             (`pipeline.learning.corrupting`), mean over what is wrong: what sizes and rates are chosen by. `--blind`
             prints nothing else, so that no choice can lean on the test.
*test*       ROC AUC on the labels
*F1*         at the threshold of 1 false alarm in 1,000 by the tail fitted to the last 15 %; *oracle* is the best
             threshold on the test itself, never a headline

KEY=VALUE are options of the detectors: width=48 rate=0.003.
"""

from __future__ import annotations

import argparse
import ast
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import hdfs_members
import nova_whole_way
from hdfs_members import f1, reweighted, roc_auc
from oddlog.calibration import Calibrator
from oddlog.detectors import create
from oddlog.features.text import embed
from oddlog.formats import by_name, parse_lines
from oddlog.pipeline.learning.corrupting import corrupted
from oddlog.templates import Matcher, mask, mine, with_embedding
from oddlog.thresholds import best_f1
from oddlog.types import F64, I8, I64, Context, Windows

RATE = 0.001


@dataclass(frozen=True)
class Task:
    """What to learn from, and what to test on."""

    context: Context
    train: Windows
    stop: Windows
    calibrate: Windows
    test: Windows
    label: I8
    weight: F64
    labelled: I64
    """Anomalies of the test that who learns from labels is given, and not tested on."""


def task(context: Context, usual: Windows, test: Windows, label: I8, weight: F64, seed: int = 0) -> Task:
    order = np.lexsort((usual.end, usual.start))
    a, b = (round(len(order) * share) for share in (0.7, 0.85))
    parts = (usual.take(order[:a]), usual.take(order[a:b]), usual.take(order[b:]))
    odd = np.random.default_rng(seed).permutation(np.flatnonzero(label == 1))
    n = round(len(usual) * hdfs_members.SHARE / (1 - hdfs_members.SHARE))
    return Task(context, *parts, test, label, weight, odd[:n])


def with_labels(given: Task) -> tuple[Task, Windows, I8]:
    """Return the task without the anomalies that are learned from, and what is learned from with its labels."""
    odd, rest = given.test.take(given.labelled), np.setdiff1d(np.arange(len(given.test)), given.labelled)
    left = replace(given, test=given.test.take(rest), label=given.label[rest], weight=reweighted(given.label[rest]))
    label = np.repeat(np.array([0, 1], np.int8), [len(given.train), len(odd)])
    return left, Windows.concat([given.train, odd]), label


def hdfs(folder: Path, seed: int) -> Task:
    data = hdfs_members.read(folder / "hdfs")
    context = Context(with_embedding(data.context.templates, embed))
    usual = np.random.default_rng(seed).permutation(np.flatnonzero(data.label == 0))[: hdfs_members.USUAL]
    test = np.setdiff1d(np.arange(len(data.label)), usual)
    label = data.label[test]
    return task(context, data.windows.take(usual), data.windows.take(test), label, reweighted(label), seed)


def nova(folder: Path, _seed: int) -> Task:
    lines, runs = nova_whole_way.read(folder / "openstack_nova")
    n = len(lines)
    numbered = pl.DataFrame(
        {
            "source": lines["run"],
            "position": pl.Series(np.arange(n), dtype=pl.UInt64),
            "line": pl.Series(np.arange(n), dtype=pl.UInt64),
            "text": lines["text"].str.splitn("\t", 3).struct.unnest()["field_2"],
            "count": pl.Series(np.ones(n), dtype=pl.UInt32),
        }
    )
    records = parse_lines(numbered, by_name("openstack"), year=2019)
    usual = runs.filter(pl.col("kind") == "usual")["run"]
    learned = usual[: len(usual) // 2]
    masked = mask(records["message"])
    is_learned = records["source"].is_in(learned.implode()).to_numpy()
    count = np.bincount(masked.inverse[is_learned], minlength=len(masked.distinct_key))
    held = np.flatnonzero(count)
    text = masked.distinct_text[held]
    templates = mine(masked.distinct_key[held], text, count[held], np.zeros(len(held), np.uint8))
    templates = with_embedding(templates, embed)
    rows = Matcher(templates).rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
    service = records["service"].fill_null("")
    names = service.unique().sort()
    codes = pl.DataFrame({"service": names}).with_row_index("code")
    events = records.select("source", "time", "line", "level", "service", template=pl.Series(rows))
    events = events.with_columns(pl.col("service").fill_null("")).join(codes, on="service", how="left")
    events = events.sort("source", "time", "line")
    found = events.group_by("source", maintain_order=True).agg(
        n=pl.len(), start=pl.col("time").min(), end=pl.col("time").max()
    )
    windows = Windows(
        key=found["source"],
        start=found["start"].to_physical().to_numpy(),
        end=found["end"].to_physical().to_numpy(),
        closed_by=np.ones(len(found), np.uint8),
        weight=np.ones(len(found)),
        offsets=np.concatenate([[0], np.cumsum(found["n"].to_numpy())]).astype(np.int64),
        template=events["template"].to_numpy().astype(np.uint32),
        time_us=events["time"].to_physical().fill_null(strategy="forward").to_numpy(),
        level=events["level"].to_physical().to_numpy().astype(np.uint8),
        service=events["code"].to_numpy().astype(np.uint16),
        source=np.zeros(n, np.uint16),
        line=events["line"].to_numpy(),
        numbers=np.empty((n, 0), np.float32),
    )
    kind = found.join(runs, left_on="source", right_on="run", how="left", maintain_order="left")["kind"].to_numpy()
    is_learned = found["source"].is_in(learned.implode()).to_numpy()
    tested = np.flatnonzero(((kind == "usual") & ~is_learned) | (kind == "failed"))
    label = (kind[tested] == "failed").astype(np.int8)
    context = Context(templates, services=tuple(names))
    return task(context, windows.take(is_learned), windows.take(tested), label, np.ones(len(tested)))


def judge(name: str, seed: int, given: Task, options: dict[str, Any], *, blind: bool) -> dict[str, float]:
    """Learn, score and print one line."""
    member, train, labels = create(name, seed, **options), given.train, None
    if member.needs == "labels":
        given, train, labels = with_labels(given)
    began = time.process_time()
    member.fit(train, given.context, labels, validation=given.stop)
    fitted = time.process_time()
    usual = member.score(given.calibrate).window
    twins = corrupted(given.calibrate, given.train, seed, len(given.context.templates))
    apart = {kind: _auc(usual, member.score(made).window) for kind, (made, _) in twins.items() if len(made)}
    figures = {"corrupted": float(np.mean(list(apart.values()))), "fit": fitted - began}
    kinds = " ".join(f"{kind} {auc:.3f}" for kind, auc in apart.items())
    told = f"[{kinds}] fit {figures['fit']:.1f} CPU-s, {member.training['steps']} steps"
    if blind:
        print(f"{name:<11}{seed} corrupted {figures['corrupted']:.4f} {told}", flush=True)
        return figures
    began = time.process_time()
    scores = member.score(given.test).window
    seconds = time.process_time() - began
    calibrator = Calibrator().fit(usual[None], given.calibrate.weight)
    combined = calibrator.combined(scores[None])
    figures |= {
        "test": roc_auc(scores, given.label, given.weight),
        "F1": f1(combined, calibrator.threshold(RATE), given.label, given.weight),
        "oracle": f1(scores, best_f1(scores, given.label, given.weight).value, given.label, given.weight),
        "windows/s": len(scores) / seconds,
        "events/s": len(given.test.template) / seconds,
    }
    if getattr(member, "paper", False):
        figures["paper"] = f1(scores, 1.0, given.label, given.weight)
    shown = " ".join(
        f"{key} {value:.4f}" for key, value in figures.items() if not key.startswith(("fit", "wind", "ev"))
    )
    rates = f"{figures['windows/s']:,.0f} windows, {figures['events/s']:,.0f} events per CPU-s"
    print(f"{name:<11}{seed} {shown} {told}, {rates}", flush=True)
    return figures


def _auc(usual: F64, off: F64) -> float:
    label = np.concatenate([np.zeros(len(usual), np.int8), np.ones(len(off), np.int8)])
    return roc_auc(np.concatenate([usual, off]), label, np.ones(len(label)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="hdfs,nova")
    parser.add_argument("--members", default="lstm,next-event,cnn,vae")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE")
    asked = parser.parse_args()
    options = {key: ast.literal_eval(value) for key, value in (pair.split("=") for pair in asked.options)}
    print(" ".join(sys.argv[1:]))
    for data in asked.only.split(","):
        of_seed = [{"hdfs": hdfs, "nova": nova}[data](asked.data, seed) for seed in range(asked.seeds)]
        print(f"{data}: learn from {len(of_seed[0].train):,} windows, test on {len(of_seed[0].test):,}")
        for name in asked.members.split(","):
            rows = [judge(name, seed, of_seed[seed], options, blind=asked.blind) for seed in range(asked.seeds)]
            for key in rows[0]:
                values = np.array([row[key] for row in rows])
                print(f"  {data} {name} {key}: mean {values.mean():,.4f} std {values.std():,.4f}")


if __name__ == "__main__":
    main()
