"""Sites that show each other their usual windows, sealed from the server (`--patterns`): what that is worth at each.

    python benchmarks/federated_windows.py [--data ../shared/data] [--set hdfs] [--split kind|time] [--seeds 2]

`snn`, `dae`, `ocsvm` and `new-event` of each site, fitted to its own first 70 % of windows (*own*), to these and what
the other sites show of theirs (*shared*), or to all windows in one place (*central*); the mean of their -log10 p, each
calibrated on the site's own last 30 %, is the verdict, and what 1 of these windows in 1,000 exceeds by the fitted tail
is odd. What the sites have and are tested on is told in `federated_sites.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from federated_sites import Task, draw
from hdfs_members import f1, roc_auc
from oddlog import detectors
from oddlog.calibration import Tail
from oddlog.federated.patterns import DETECTORS, Patterns, fitted_together
from oddlog.federated.pooling import RATE
from oddlog.pipeline.learning.members import LEARNED_FROM, shares
from oddlog.types import Detector, Windows

SECRET, FEDERATION = b"b" * 32, "bench"


def cut(task: Task) -> tuple[Windows, Windows]:
    """Return what a site learns from, and what it is calibrated on."""
    share = shares(task.learned.weight)
    return task.learned.take(share == LEARNED_FROM), task.learned.take(share != LEARNED_FROM)


def alone(task: Task, seed: int) -> dict[str, Detector]:
    return {name: detectors.create(name, seed).fit(cut(task)[0], task.context) for name in DETECTORS}


def figures(members: dict[str, Detector], task: Task) -> tuple[float, float]:
    """Return F1 and ROC AUC of the joint verdict."""
    held, own, test = cut(task)[1], [], []
    for one in members.values():
        tail = Tail.fit(one.score(held).window, held.weight)
        own.append(-np.log10(tail.p_value(one.score(held).window)))
        test.append(-np.log10(tail.p_value(one.score(task.test).window)))
    joint, score = np.mean(own, axis=0), np.mean(test, axis=0)
    threshold = Tail.fit(joint, held.weight).quantile(RATE)
    return f1(score, threshold, task.label, task.weight), roc_auc(score, task.label, task.weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="hdfs")
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--split", default="kind")
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    print("python benchmarks/federated_windows.py", " ".join(sys.argv[1:]))
    print("| seed | windows learned from | own F1 | shared F1 | own AUC | shared AUC | central F1, AUC | KB | CPU-s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seed in range(asked.seeds):
        began = time.process_time()
        dealt = draw(asked.data, asked.set, asked.sites, asked.split, seed)
        names = [f"site{i}" for i in range(len(dealt.sites))]
        learned = [cut(task)[0] for task in dealt.sites]
        boxes = {
            name: Patterns.of_windows(of_it, task.context, SECRET)
            for name, of_it, task in zip(names, learned, dealt.sites, strict=True)
        }
        sealed = [len(one.sealed(SECRET, FEDERATION, name)) for name, one in boxes.items()]
        own = np.array([figures(alone(task, seed), task) for task in dealt.sites])
        shared = []
        for name, of_it, task in zip(names, learned, dealt.sites, strict=True):
            others = {other: box for other, box in boxes.items() if other != name}
            shared.append(figures(fitted_together(of_it, task.context, others, SECRET, seed), task))
        task = dealt.central(0)
        central = figures(alone(task, seed), task)
        both = np.array(shared)
        cells = [str([len(one) for one in learned])[1:-1]]
        cells += [" ".join(f"{x:.3f}" for x in column) for column in (own[:, 0], both[:, 0])]
        cells += [" ".join(f"{x:.4f}" for x in column) for column in (own[:, 1], both[:, 1])]
        cells += [f"{central[0]:.3f}, {central[1]:.4f}", f"{np.mean(sealed) / 1e3:.0f}"]
        print(f"| {seed} | {' | '.join(cells)} | {time.process_time() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
