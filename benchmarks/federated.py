"""Sites that learn together on HDFS: local, central, FedAvg, by quality as in the paper and as corrected, and so on.

    python benchmarks/federated.py [--data ../shared/data] [--sites 5] [--split kind,time] [--detector spoken]
                                   [--rounds 10] [--steps 100] [--seeds 5] [--only "local;central;fedavg"]

5,583 random usual sessions are dealt to the sites: `kind` by a Dirichlet draw of .1 over groups of sessions with the
same set of message types (some sites hardly see some kinds), `time` one stretch of the time after the other. Each site
learns from 70 % of its sessions, keeps 15 % to judge updates by and 15 % for its threshold (1 in 1,000 by the fitted
tail; *pooled*: by those of all sites, which no site has, to show what local thresholds cost). Tested on all other
sessions, re-weighted to 2.93 % of anomalies. No label is seen before the test.

*local*     each site alone, rounds x steps
*central*   all sessions in one place, sites x rounds x steps; thresholds on each site's own 15 %
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import hdfs_members
from hdfs_members import f1, reweighted, roc_auc
from oddlog.calibration import Calibrator
from oddlog.features.text import embed
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.pipeline.learning.members import HELD_OUT, shares
from oddlog.templates import with_embedding
from oddlog.types import F32, Context, Windows

RATE = 0.001
WAYS: dict[str, dict[str, Any]] = {
    "fedavg": {"weigh": "data"},
    "fedprox": {"weigh": "data", "prox": 0.1},
    "paper": {"fidelity": "paper"},
    "corrected": {},
    "corrected T=.3": {"temperature": 0.3},
    "median": {"rule": "median"},
    "trimmed": {"rule": "trimmed"},
    "8 bits": {"bits": 8},
    "4 bits": {"bits": 4},
    "secagg": {"mode": "secagg"},
    "+ fine-tuning": {"tune_steps": 100},
    "+ fine-tuning, local": {"tune_steps": 100, "local_steps": -1},
}
FIGURES = ("F1", "F1 worst", "F1 pooled", "pooled worst", "AUC", "AUC worst", "up KB", "seconds")


class Data:
    """One draw: the sites' sessions, and what to test on."""

    def __init__(self, folder: Path, n: int, split: str, seed: int) -> None:
        data = hdfs_members.read(folder / "hdfs")
        self.context = Context(with_embedding(data.context.templates, embed))
        draw = np.random.default_rng(seed)
        usual = draw.permutation(np.flatnonzero(data.label == 0))[: hdfs_members.USUAL]
        usual = usual[np.lexsort((data.windows.end[usual], data.windows.start[usual]))]
        test = np.setdiff1d(np.arange(len(data.label)), usual)
        self.test, self.label = data.windows.take(test), data.label[test]
        self.weight = reweighted(self.label)
        learned = data.windows.take(usual)
        of = _by_kind(learned, n, draw) if split == "kind" else np.arange(len(usual)) * n // len(usual)
        self.sites = [learned.take(of == i) for i in range(n)]

    def figures(self, local: Local, vector: F32, own: Windows) -> tuple[float, float, float]:
        """Return F1 at the threshold of the site's own held-out sessions, at that of all sites', and ROC AUC."""
        local.set_vector(vector)
        scores, found = local.detector.score(self.test).window, []
        for windows in (own, Windows.concat([held_out(one) for one in self.sites])):
            calibrator = Calibrator().fit(local.detector.score(windows).window[None], windows.weight)
            found.append(f1(calibrator.combined(scores[None]), calibrator.threshold(RATE), self.label, self.weight))
        return found[0], found[1], roc_auc(scores, self.label, self.weight)


def _by_kind(windows: Windows, n: int, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return the site of each session: of each kind, shares drawn from a Dirichlet distribution of .1."""
    kinds = [
        frozenset(np.unique(windows.template[a:b]).tolist())
        for a, b in zip(windows.offsets[:-1], windows.offsets[1:], strict=True)
    ]
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    kind = np.array([number[one] for one in kinds])
    site = np.empty(len(kinds), np.int64)
    while True:
        for one in range(len(number)):
            site[kind == one] = draw.choice(n, (kind == one).sum(), p=draw.dirichlet(np.full(n, 0.1)))
        if np.bincount(site, minlength=n).min() >= 100:  # fewer are no site, see `FEWEST_FOR_CANDIDATES`
            return site


def held_out(windows: Windows) -> Windows:
    return windows.take(shares(windows.weight) == HELD_OUT)


def sites_of(data: Data, detector: str) -> list[Local]:
    return [Local.of_windows(windows, data.context, detector, seed=0) for windows in data.sites]


def alone(data: Data, asked: argparse.Namespace) -> list[tuple[float, float, float]]:
    """Each site by itself."""
    found = []
    for local, windows in zip(sites_of(data, asked.detector), data.sites, strict=True):
        vector = local.trained(local.vector, asked.rounds * asked.steps, 1)
        found.append(data.figures(local, vector, held_out(windows)))
    return found


def together(data: Data, asked: argparse.Namespace) -> list[tuple[float, float, float]]:
    """All sessions in one place; learned from are the sites' own 70 %."""
    parts = [windows.take(shares(windows.weight) == 0) for windows in data.sites]
    every = Windows.concat(parts)
    every = every.take(np.lexsort((every.end, every.start)))
    local = Local.of_windows(every, data.context, asked.detector, seed=0)
    local.learned = every
    local.detector.prepare(every, data.context)  # type: ignore[attr-defined]
    vector = local.trained(local.vector, len(data.sites) * asked.rounds * asked.steps, 1)
    return [data.figures(local, vector, held_out(windows)) for windows in data.sites]


def federated(
    data: Data, asked: argparse.Namespace, way: dict[str, Any]
) -> tuple[list[tuple[float, float, float]], float]:
    """Return the figures of each site, and bytes up by site and round."""
    way = dict(way)
    if way.get("local_steps"):
        way["local_steps"] = asked.rounds * asked.steps
    plan = Plan(**{"rounds": asked.rounds, "steps": asked.steps, "tune_steps": 0, **way})
    found: dict[str, tuple[float, float, float]] = {}
    sites = {}
    for i, (local, windows) in enumerate(zip(sites_of(data, asked.detector), data.sites, strict=True)):
        name = f"site{i}"

        def finish(local: Local, name: str = name, windows: Windows = windows) -> None:
            found[name] = data.figures(local, local.vector, held_out(windows))

        sites[name] = Site(name, lambda local=local: local, finish=finish)
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
    )
    history = Federation(FlowerLink(grid), plan).run()
    rounds = [one for one in history[1:] if not one.kept]
    return list(found.values()), sum(one.up for one in rounds) / len(rounds) / len(sites) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--split", default="kind,time")
    parser.add_argument("--detector", default="spoken")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default=";".join(["local", "central", *WAYS]))
    asked = parser.parse_args()
    print(" ".join(sys.argv[1:]))
    only = [one.strip() for one in asked.only.split(";")]
    for split in asked.split.split(","):
        rows: dict[str, list[list[float]]] = {}
        for seed in range(asked.seeds):
            data = Data(asked.data, asked.sites, split, seed)
            for name in only:
                began, kilobytes = time.process_time(), 0.0
                if name == "local":
                    found = alone(data, asked)
                elif name == "central":
                    found = together(data, asked)
                else:
                    found, kilobytes = federated(data, asked, WAYS[name])
                row = [figure for of in np.array(found).T for figure in (of.mean(), of.min())]
                row += [kilobytes, time.process_time() - began]
                rows.setdefault(name, []).append(row)
                print(split, seed, name, [round(float(x), 4) for x in row], flush=True)
        print(
            f"\nHDFS, {asked.sites} sites by {split}, {asked.detector}, {asked.rounds} rounds of {asked.steps} steps\n"
        )
        print(f"| | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
        for name, found_of in rows.items():
            mean, std = np.mean(found_of, axis=0), np.std(found_of, axis=0)
            cells = [f"{mean[i]:.3f} ± {std[i]:.3f}" for i in range(4)] + [f"{mean[i]:.4f}" for i in (4, 5)]
            print(f"| {name} | {' | '.join(cells)} | {mean[6]:,.0f} | {mean[7]:.0f} |")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


if __name__ == "__main__":
    main()
