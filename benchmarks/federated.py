"""Sites that learn together: local, central, FedAvg, by quality as in the paper and as corrected, and so on.

    python benchmarks/federated.py [--data ../shared/data] [--set hdfs|nova|bgl|three] [--sites 5] [--split kind]
                                   [--rounds 10] [--steps 100] [--seeds 5] [--first 0] [--only "local;central;FedAvg"]
                                   [--cells FOLDER]

What the sites have is told in `federated_sites.py`. Each learns from 70 % of its windows by time; what is odd is 1 in
1,000 by the fitted tail of windows that nobody has learned from:

*F1*         as the sites' models are: by their own last 30 % or by those of all sites, as rule 1 says (`pooling`)
*own tail*   F1 by the site's own last 30 %, whatever the rule says
*gain*       of the site that gains least: F1 less that of the same site alone (*local*); below 0 it has lost

*local*      each site alone, rounds x steps
*central*    all windows in one place, sites x rounds x steps; calibrated on its last 30 %

With ``--cells`` what each draw came to is kept there and not run again; `federated_tables.py` makes tables of it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from federated_cells import Cell, found_or_made
from federated_sites import Draw, Task, draw
from hdfs_members import f1, roc_auc
from oddlog.calibration import Tail
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.pooling import RATE
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.types import Windows

PLAIN: dict[str, Any] = {"rule": "mean", "extrapolate": False, "decay": 0, "norm": 100.0}
"""A mean of updates as they are, without a learning rate that falls from round to round: as published."""
WAYS: dict[str, dict[str, Any]] = {
    "FedAvg": {"weigh": "data", **PLAIN},
    "FedProx": {"weigh": "data", "prox": 0.1, **PLAIN},
    "quality, paper": {"fidelity": "paper", **PLAIN},
    "quality, corrected, plain": PLAIN,
    "quality, corrected": {},
    "corrected, mean": {"rule": "mean"},
    "FedAvg's weights, layers": {"weigh": "data"},
    "told alike": {"alike": "yes"},
    "median": {"rule": "median"},
    "8 bits": {"bits": 8},
    "4 bits": {"bits": 4},
    "secagg": {"mode": "secagg"},
    "DP, epsilon 8": {"weigh": "data", "mode": "secagg", "epsilon": 8.0},
    "DP, epsilon 1": {"weigh": "data", "mode": "secagg", "epsilon": 1.0},
    "as DP, no noise": {"weigh": "data", "mode": "secagg", "epsilon": 1e6},
    "fine-tuning": {"tune_steps": 100},
    "fine-tuning or local": {"tune_steps": 100, "local_steps": -1},
    "fine-tuning, always kept": {"always": 100},
}
FIGURES = ("F1", "worst site", "gain", "own tail", "AUC", "AUC worst", "up KB", "CPU-s")
Figures = tuple[float, float, float]


def figures(local: Local, task: Task) -> Figures:
    """Return F1 by the tail that rule 1 says, by the site's own, and ROC AUC, of the network that is set."""
    own = Windows.concat([local.judged, local.held])
    tail = Tail.fit(local.detector.score(own).window, own.weight)
    score = local.detector.with_texts(task.unseen).score(task.test).window  # type: ignore[attr-defined]
    ruled = local.pool.tail if local.pool is not None and local.pool.decides() else tail
    by_rule, by_own = (f1(score, one.quantile(RATE), task.label, task.weight) for one in (ruled, tail))
    return by_rule, by_own, roc_auc(score, task.label, task.weight)


def site(task: Task, seed: int) -> Local:
    return Local.of_windows(task.learned, replace(task.context, seed=seed), "spoken", seed=seed)


def alone(dealt: Draw, asked: argparse.Namespace) -> list[Figures]:
    """Each site by itself."""
    found = []
    for task in dealt.sites:
        local = site(task, asked.seed)
        local.set_vector(local.trained(local.vector, asked.rounds * asked.steps, asked.seed))
        found.append(figures(local, task))
    return found


def together(dealt: Draw, asked: argparse.Namespace) -> list[Figures]:
    """All windows in one place: one network, asked for what each site is tested on."""
    found: list[Figures] = []
    for i in range(len(dealt.sites)):
        if i and dealt.one_test:
            found.append(found[0])
            continue
        task = dealt.central(i)
        local = site(task, asked.seed)
        local.set_vector(local.trained(local.vector, len(dealt.sites) * asked.rounds * asked.steps, 1 + asked.seed))
        found.append(figures(local, task))
    return found


def federated(dealt: Draw, asked: argparse.Namespace, way: dict[str, Any]) -> tuple[list[Figures], dict[str, Any]]:
    """Return the figures of each site, and what else is told: KB up by site and round, which networks were kept."""
    way = dict(way)
    always = way.pop("always", 0)
    if way.get("local_steps"):
        way["local_steps"] = asked.rounds * asked.steps
    plan = Plan(**{"rounds": asked.rounds, "steps": asked.steps, "tune_steps": 0, "seed": asked.seed, **way})
    found: dict[str, Figures] = {}
    sites = {}
    for i, task in enumerate(dealt.sites):
        name = f"site{i:02d}"

        def finish(local: Local, name: str = name, task: Task = task) -> None:
            if always:
                local.set_vector(local.fine_tuned(local.vector, always, asked.seed))
                local.pool = None
            found[name] = figures(local, task)

        sites[name] = Site(name, partial(site, task, asked.seed), finish=finish)
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
    )
    history = Federation(FlowerLink(grid), plan).run()
    rounds = [one for one in history[1:] if not one.kept]
    told = {
        "up_kb": sum(one.up for one in rounds) / len(rounds) / len(sites) / 1e3,
        "kept": [history[-1].kept[name] for name in sorted(found)],
        "lengths": [one.length for one in rounds],
    }
    return [found[name] for name in sorted(found)], told


def run(dealt: Draw, name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Return what a way makes of a draw: figures of each site, KB up by site and round, seconds, memory."""
    began, at = time.process_time(), time.monotonic()
    told: dict[str, Any] = {"up_kb": 0.0}
    if name in {"local", "central"}:
        found = (alone if name == "local" else together)(dealt, asked)
    else:
        found, told = federated(dealt, asked, WAYS[name])
    by_rule, own, auc = np.array(found).T.tolist()
    return {
        "windows": [len(one.learned) for one in dealt.sites],
        "f1": by_rule,
        "own": own,
        "auc": auc,
        **told,
        "cpu_s": time.process_time() - began,
        "wall_s": time.monotonic() - at,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def row_of(cell: Cell, by_itself: Sequence[float]) -> list[float]:
    """Return the row of a draw, by the figures that the same sites have alone."""
    f1 = np.array(cell["f1"])
    gain = float((f1 - np.array(by_itself)).min()) if len(by_itself) == len(f1) else float("nan")
    auc = np.array(cell["auc"])
    own = float(np.mean(cell["own"]))
    return [f1.mean(), f1.min(), gain, own, auc.mean(), auc.min(), cell["up_kb"], cell["cpu_s"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="hdfs")
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--split", default="kind")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default=";".join(["local", "central", *WAYS]))
    parser.add_argument("--cells", type=Path)
    asked = parser.parse_args()
    print("python benchmarks/federated.py", " ".join(sys.argv[1:]))
    names = [one.strip() for one in asked.only.split(";")]
    rows: dict[str, list[list[float]]] = {}
    for seed in range(asked.first, asked.first + asked.seeds):
        asked.seed = seed
        dealt = cache(partial(draw, asked.data, asked.set, asked.sites, asked.split, seed))
        by_itself: list[float] = []
        for name in names:
            facts = {"kind": "way", "set": asked.set, "sites": asked.sites, "split": asked.split}
            facts |= {"rounds": asked.rounds, "steps": asked.steps, "way": name, "seed": seed}
            cell = found_or_made(asked.cells, facts, lambda name=name, dealt=dealt: run(dealt(), name, asked))
            by_itself = cell["f1"] if name == "local" else by_itself
            row = row_of(cell, by_itself)
            rows.setdefault(name, []).append(row)
            print(
                f"  {seed} {name:22s}", [round(float(x), 4) for x in row], np.round(cell["f1"], 3).tolist(), flush=True
            )
    print(f"\n{asked.set}, {asked.sites} sites by {asked.split}, {asked.rounds} rounds of {asked.steps} steps\n")
    print(f"| | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    for name, found_of in rows.items():
        mean, std = np.mean(found_of, axis=0), np.std(found_of, axis=0)
        cells = [f"{mean[0]:.3f} ± {std[0]:.3f}", f"{mean[1]:.3f}", f"{mean[2]:+.3f}", f"{mean[3]:.3f}"]
        cells += [f"{mean[i]:.4f}" for i in (4, 5)]
        print(f"| {name} | {' | '.join(cells)} | {mean[6]:,.0f} | {mean[7]:.0f} |")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


if __name__ == "__main__":
    main()
