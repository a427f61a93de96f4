"""One of five sites is against the others, on HDFS: how much ROC AUC the common network loses, by rule and mode.

    python benchmarks/federated_poison.py [--data ../shared/data] [--seeds 5] [--rounds 10] [--steps 100]
                                          [--only "visible;secagg"] [--cells FOLDER]

The last of five sites (dealt as in `federated.py --split kind`) in each round

*noise*    sends an update of its own length in a random direction
*flip*     sends ten times the opposite of its update
*labels*   learns from 350 anomalous sessions as if they were usual
*liar*     sends noise, and claims the best utility there is
*gone*     is not there at all: what is lost so is what it alone had to teach

In mode visible the server refuses what is four times as long as the median, and sees the rest; in mode secagg it sees
nothing, and a site's own program cuts its update to what is allowed (twice what the last round's were), so that this
holds against bad data, not against a bad program; *secagg, not cut* shows what that is worth. AUC is that of the common
network on all other sessions, mean over the honest sites; F1 by the thresholds that each of them goes by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from federated import Figures, figures, site
from federated_cells import found_or_made
from federated_sites import Draw, Task, draw
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.types import F32

RULES: dict[str, dict[str, Any]] = {
    "visible": {},
    "secagg": {"mode": "secagg"},
    "visible, mean": {"rule": "mean"},
    "visible, median": {"rule": "median"},
    "secagg, mean": {"mode": "secagg", "rule": "mean"},
    "secagg, not cut": {"mode": "secagg", "norm": 100.0, "decay": 0},
}
ATTACKS = ("nobody", "gone", "noise", "flip", "labels", "liar")


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


def run(dealt: Draw, attack: str, rule: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """Return AUC and F1 of the honest sites, the most that the last one counted by, and why it was refused."""
    found: dict[str, Figures] = {}
    sites = {}
    last = f"site{len(dealt.sites) - 1}"
    for i, task in enumerate(dealt.sites[:-1] if attack == "gone" else dealt.sites):
        name = f"site{i}"

        def finish(local: Local, name: str = name, task: Task = task) -> None:
            if name != last:
                found[name] = figures(local, task)

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
    f1, _, auc = np.mean(list(found.values()), axis=0).tolist()
    weight = weight if weight == weight else None  # noqa: PLR0124 - NaN: nobody but the site knows
    return {"auc": auc, "f1": f1, "weight": weight, "refused": ", ".join(sorted(why))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--only", default=";".join(RULES))
    parser.add_argument("--cells", type=Path)
    asked = parser.parse_args()
    print("| rule | attack | AUC | lost | F1 | refused (rounds, first draw) |\n|---|---|---|---|---|---|")
    dealt = cache(lambda seed: draw(asked.data, "hdfs", 5, "kind", seed))
    for name in (one.strip() for one in asked.only.split(";")):
        before = float("nan")
        for attack in ATTACKS:
            rows = []
            for seed in range(asked.seeds):
                asked.seed = seed
                facts = {"kind": "poison", "rule": name, "attack": attack, "seed": seed}
                make = partial(_made, dealt, seed, attack, RULES[name], asked)
                rows.append(found_or_made(asked.cells, facts, make))
            auc, f1 = (float(np.mean([row[figure] for row in rows])) for figure in ("auc", "f1"))
            before = auc if attack == "nobody" else before
            shown = f"{auc:.4f} | {before - auc:.4f} | {f1:.3f}"
            print(f"| {name} | {attack} | {shown} | {rows[0]['refused']} |", flush=True)


def _made(dealt: Callable[[int], Draw], seed: int, *rest: Any) -> dict[str, Any]:
    return run(dealt(seed), *rest)


if __name__ == "__main__":
    main()
