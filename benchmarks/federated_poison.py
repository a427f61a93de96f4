"""One of five sites is against the others, on HDFS: how much ROC AUC the common network loses, by rule and mode.

    python benchmarks/federated_poison.py [--data ../shared/data] [--seeds 1] [--rounds 10] [--steps 100]

The last of five sites (dealt as in `federated.py --split kind`) in each round

*noise*    sends an update of its own length in a random direction
*flip*     sends ten times the opposite of its update
*labels*   learns from 350 anomalous sessions as if they were usual
*liar*     sends noise, and claims the best utility there is

In mode visible the server refuses what is four times as long as the median, and sees the rest; in mode secagg it sees
nothing. *secagg* cuts updates to a length of 100, that is, not at all; *secagg, 4* to 4 (what honest sites send is 1 to
4 long): a site's own program does, so that this holds against bad data, not against a bad program. AUC is that of the
common network on all other sessions, mean over the honest sites.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from federated import site
from federated_sites import Draw, Task, draw
from hdfs_members import roc_auc
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.types import F32

RULES: dict[str, dict[str, Any]] = {
    "FedAvg": {"weigh": "data"},
    "quality, corrected": {},
    "corrected, at most .3": {"most": 0.3},
    "median": {"rule": "median"},
    "secagg": {"mode": "secagg"},
    "secagg, 4": {"mode": "secagg", "norm": 4.0},
    "secagg, 4, alike": {"mode": "secagg", "norm": 4.0, "weigh": "equal"},
}
ATTACKS = ("nobody", "noise", "flip", "labels", "liar")


class Attacker(Local):
    """A site's windows and network in bad hands."""

    attack = "nobody"

    def trained(
        self, vector: F32, steps: int, seed: int, prox: float = 0.0, taken: tuple[int, int] | None = None
    ) -> F32:
        """Return what the attacker calls its weights [p]."""
        update = super().trained(vector, steps, seed, prox, taken) - vector
        if self.attack == "flip":
            return (vector - 10 * update).astype(np.float32)
        if self.attack in {"noise", "liar"}:
            noise = np.random.default_rng(seed).normal(size=update.shape)
            return (vector + noise * np.linalg.norm(update) / np.linalg.norm(noise)).astype(np.float32)
        return super().trained(vector, steps, seed, prox, taken)

    def utility(self, vector: F32, seed: int = 0) -> float:
        """Return what the attacker claims."""
        return 1.0 if self.attack == "liar" else super().utility(vector, seed)


def taken_over(attack: str, task: Task, seed: int) -> Local:
    """Return the last site."""
    made = site(task, seed)
    if attack == "labels":
        made.learned = task.test.take(np.flatnonzero(task.label == 1))  # types unseen by the site say nothing
    made.__class__ = Attacker
    made.attack = attack  # type: ignore[attr-defined]
    return made


def run(dealt: Draw, attack: str, rule: dict[str, Any], asked: argparse.Namespace) -> tuple[float, float, str]:
    """Return the AUC of the honest sites, the most that the last one counted by, and why it was refused."""
    found: dict[str, float] = {}
    sites = {}
    last = f"site{len(dealt.sites) - 1}"
    for i, task in enumerate(dealt.sites):
        name = f"site{i}"

        def finish(local: Local, name: str = name, task: Task = task) -> None:
            score = local.detector.with_texts(task.unseen).score(task.test).window  # type: ignore[attr-defined]
            found[name] = roc_auc(score, task.label, task.weight)

        make = partial(taken_over, attack) if name == last else site
        sites[name] = Site(name, partial(make, task, asked.seed), finish=finish)
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
    )
    plan = Plan(**{"rounds": asked.rounds, "steps": asked.steps, "seed": asked.seed, **rule})
    history = Federation(FlowerLink(grid), plan).run()
    weight = max(one.counted.get(last, 0.0) for one in history[1:-1])
    why = {f"{reason} ({sum(reason in one.refused for one in history)})" for one in history for reason in one.refused}
    return float(np.mean([auc for name, auc in found.items() if name != last])), weight, ", ".join(why)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    print("| rule | attack | AUC | lost | most weight of the attacker | refused (rounds) |\n|---|---|---|---|---|---|")
    every = [draw(asked.data, "hdfs", 5, "kind", seed) for seed in range(asked.seeds)]
    for name, rule in RULES.items():
        before = float("nan")
        for attack in ATTACKS:
            rows = []
            for asked.seed, dealt in enumerate(every):
                rows.append(run(dealt, attack, rule, asked))
            auc, weight = (float(np.mean([row[i] for row in rows])) for i in (0, 1))
            before = auc if attack == "nobody" else before
            print(f"| {name} | {attack} | {auc:.4f} | {before - auc:.4f} | {weight:.2f} | {rows[0][2]} |", flush=True)


if __name__ == "__main__":
    main()
