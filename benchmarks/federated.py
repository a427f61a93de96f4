"""Sites that learn together: local, central, FedAvg, by quality as in the paper and as corrected, and so on.

    python benchmarks/federated.py [--data ../shared/data] [--set hdfs|nova|bgl|three] [--sites 5] [--split kind]
                                   [--rounds 10] [--steps 100] [--seeds 5] [--only "local;central;FedAvg"]

What the sites have is told in `federated_sites.py`. Each learns from 70 % of its windows by time; what is odd is 1 in
1,000 by the fitted tail of windows that nobody has learned from:

*F1*         as the sites' models are: by their own last 30 % or by those of all sites, as rule 1 says (`pooling`)
*own tail*   F1 by the site's own last 30 %, whatever the rule says
*gain*       of the site that gains least: F1 less that of the same site alone (*local*); below 0 it has lost

*local*      each site alone, rounds x steps
*central*    all windows in one place, sites x rounds x steps; calibrated on its last 30 %
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from federated_sites import Draw, Task, draw
from hdfs_members import f1, roc_auc
from oddlog.calibration import Tail
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.pooling import RATE
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.types import Windows

PLAIN: dict[str, Any] = {"extrapolate": False, "decay": 0}
"""Neither lengthened means nor a learning rate that falls from round to round: as these ways were published."""
WAYS: dict[str, dict[str, Any]] = {
    "FedAvg": {"weigh": "data", **PLAIN},
    "FedProx": {"weigh": "data", "prox": 0.1, **PLAIN},
    "FedAvg, lengthened": {"weigh": "data"},
    "quality, paper": {"fidelity": "paper", **PLAIN},
    "quality, corrected": {},
    "corrected, plain": PLAIN,
    "corrected, only decay": {"extrapolate": False},
    "corrected, only lengthened": {"decay": 0},
    "median": {"rule": "median"},
    "8 bits": {"bits": 8},
    "4 bits": {"bits": 4},
    "secagg": {"mode": "secagg"},
    "DP, epsilon 8": {"weigh": "data", "mode": "secagg", "epsilon": 8.0},
    "DP, epsilon 1": {"weigh": "data", "mode": "secagg", "epsilon": 1.0},
    "as DP, no noise": {"weigh": "data", "mode": "secagg", "epsilon": 1e6},
    "fine-tuning": {"tune_steps": 100},
    "fine-tuning or local": {"tune_steps": 100, "local_steps": -1},
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


def federated(dealt: Draw, asked: argparse.Namespace, way: dict[str, Any]) -> tuple[list[Figures], float]:
    """Return the figures of each site, and KB up by site and round."""
    way = dict(way)
    if way.get("local_steps"):
        way["local_steps"] = asked.rounds * asked.steps
    plan = Plan(**{"rounds": asked.rounds, "steps": asked.steps, "tune_steps": 0, "seed": asked.seed, **way})
    found: dict[str, Figures] = {}
    sites = {}
    for i, task in enumerate(dealt.sites):
        name = f"site{i:02d}"

        def finish(local: Local, name: str = name, task: Task = task) -> None:
            found[name] = figures(local, task)

        sites[name] = Site(name, partial(site, task, asked.seed), finish=finish)
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
    )
    history = Federation(FlowerLink(grid), plan).run()
    rounds = [one for one in history[1:] if not one.kept]
    if plan.tune_steps:
        print("   kept:", sorted(history[-1].kept.values()))
    return [found[name] for name in sorted(found)], sum(one.up for one in rounds) / len(rounds) / len(sites) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default="hdfs")
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--split", default="kind")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default=";".join(["local", "central", *WAYS]))
    asked = parser.parse_args()
    print("python benchmarks/federated.py", " ".join(sys.argv[1:]))
    rows: dict[str, list[list[float]]] = {}
    n = 0
    for seed in range(asked.seeds):
        asked.seed = seed
        dealt = draw(asked.data, asked.set, asked.sites, asked.split, seed)
        n, by_itself = len(dealt.sites), np.full(len(dealt.sites), np.nan)
        print(f"seed {seed}: windows learned from at the sites", [len(one.learned) for one in dealt.sites])
        for name in (one.strip() for one in asked.only.split(";")):
            began, kilobytes = time.process_time(), 0.0
            if name in {"local", "central"}:
                found = (alone if name == "local" else together)(dealt, asked)
            else:
                found, kilobytes = federated(dealt, asked, WAYS[name])
            by_rule, own, auc = np.array(found).T
            by_itself = by_rule if name == "local" else by_itself
            row = [by_rule.mean(), by_rule.min(), (by_rule - by_itself).min(), own.mean(), auc.mean(), auc.min()]
            row += [kilobytes, time.process_time() - began]
            rows.setdefault(name, []).append(row)
            print(f"  {name:22s}", [round(float(x), 4) for x in row], by_rule.round(3).tolist(), flush=True)
    print(f"\n{asked.set}, {n} sites by {asked.split}, {asked.rounds} rounds of {asked.steps} steps\n")
    print(f"| | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    for name, found_of in rows.items():
        mean, std = np.mean(found_of, axis=0), np.std(found_of, axis=0)
        cells = [f"{mean[0]:.3f} ± {std[0]:.3f}", f"{mean[1]:.3f}", f"{mean[2]:+.3f}", f"{mean[3]:.3f}"]
        cells += [f"{mean[i]:.4f}" for i in (4, 5)]
        print(f"| {name} | {' | '.join(cells)} | {mean[6]:,.0f} | {mean[7]:.0f} |")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


if __name__ == "__main__":
    main()
