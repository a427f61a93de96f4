"""What further rare windows are worth where a few are labelled: none, SMOTE, noise, WGAN-GP.

    python benchmarks/wgan_ablation.py [--data ../shared/data] [--set hdfs|nova] [--rare 5,10,50] [--seeds 5] [--choose]
                                       [--cells FOLDER]

A site has up to 2,000 usual sessions (half of Nova's usual runs) and 5, 10 or 50 labelled anomalous ones, as vectors of
`spoken`. Extremely randomised trees learn to tell the two apart, with 200 more rare vectors from each way; the test is
all other sessions, those of HDFS re-weighted to 2.93 % of anomalies. *F1* at a probability of .5, *AUC* of the ranking.
``--choose`` also asks the ablation, which sees nothing of the test, what it would take, and adds *paper*: what a
generator of usual sessions draws is called anomalous (six times the time; it wants eight labelled ones).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from federated_cells import Cell, found_or_made
from federated_sites import Task, Told, _read
from hdfs_members import f1, reweighted, roc_auc
from oddlog.detectors.spoken import SpokenAutoencoder
from oddlog.federated.wgan import WAYS, ablation, more, trees

MADE = 200
USUAL = 2_000
HALF = 0.5


def made(told: Callable[[], Told], name: str, n: int, seed: int, *, choose: bool) -> dict[str, Any]:
    """Return F1, AUC and CPU-seconds of each way, and what the ablation chose."""
    data, draw = told(), np.random.default_rng(seed)
    usual, rare = (draw.permutation(np.flatnonzero(data.label == one)) for one in (0, 1))
    usual, rare = usual[: min(USUAL, len(usual) // 2)], rare[:n]
    test = np.setdiff1d(np.flatnonzero(data.label >= 0), np.concatenate([usual, rare]))
    task = Task.of(data, usual, np.concatenate([rare, test]), np.ones(n + len(test)))
    spoken = SpokenAutoencoder()
    spoken.prepare(task.learned, task.context)
    knowing = spoken.with_texts(task.unseen)
    x, both = knowing.vectors(task.learned), knowing.vectors(task.test)
    y, z, label = both[:n], both[n:], data.label[test]
    weight = reweighted(label) if name == "hdfs" else np.ones(len(label))
    found: dict[str, Any] = {}
    for way in (*WAYS, *(["paper"] if choose else [])):
        began = time.process_time()
        how, fidelity = ("wgan", "paper") if way == "paper" else (way, "corrected")
        drawn = more(how, y, np.zeros(n, np.int64), x, MADE, seed, fidelity)  # type: ignore[arg-type]
        score = trees(x, np.concatenate([y, drawn]), seed)(z)
        found[way] = [f1(score, HALF, label, weight), roc_auc(score, label, weight), time.process_time() - began]
    if choose:
        found["chosen"] = ablation(x, y, np.zeros(n, np.int64), MADE, seed=seed).chosen
    return found


def row(cells: list[Cell]) -> list[str]:
    """Return F1 and AUC of each way as a page has them, mean and deviation over draws."""
    f1s, aucs = (np.array([[cell[way][i] for way in WAYS] for cell in cells]) for i in (0, 1))
    figures = zip(f1s.mean(0), f1s.std(0), aucs.mean(0), strict=True)
    return [f"{mean:.3f} ± {std:.3f}, {auc:.4f}" for mean, std, auc in figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="hdfs")
    parser.add_argument("--rare", default="5,10,50")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--cells", type=Path)
    asked = parser.parse_args()
    told = partial(_read, asked.data, asked.set, "time")
    print(f"| {asked.set}, labelled | draws | {' | '.join(WAYS)} | chosen |\n|---|---|{'---|' * (len(WAYS) + 1)}")
    for n in map(int, asked.rare.split(",")):
        cells = []
        for seed in range(asked.seeds):
            facts = {"kind": "wgan", "set": asked.set, "rare": n, "seed": seed}
            make = partial(made, told, asked.set, n, seed, choose=asked.choose)
            cells.append(found_or_made(asked.cells, facts, make))
        chosen = ", ".join(str(cell.get("chosen", "not asked")) for cell in cells)
        print(f"| {n} | {len(cells)} | {' | '.join(row(cells))} | {chosen} |", flush=True)


if __name__ == "__main__":
    main()
