"""One of five sites sends nonsense, on HDFS: how much ROC AUC the others lose, by rule.

    python benchmarks/federated_poison.py [--data ../shared/data] [--seeds 1] [--rounds 10] [--steps 100]

The last of five sites (dealt as in `federated.py --split kind`) answers each round with

*noise*   its update's length in random directions
*flip*    ten times the opposite of its update
*liar*    noise, and the best quality that can be claimed (in the paper's reading the divergence of 10 nats)

Sites train `spoken`; AUC is that of the common network on all other sessions, mean over the honest sites.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Message

from federated import Data, held_out, sites_of
from oddlog.federated.flower import FlowerLink, InProcessGrid, _packed, client_app, note_of
from oddlog.federated.local import Local
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.federated.wire import Note
from oddlog.types import Windows

RULES: dict[str, dict[str, Any]] = {
    "FedAvg": {"weigh": "data"},
    "paper": {"fidelity": "paper"},
    "corrected": {},
    "corrected, at most .3": {"most": 0.3},
    "median": {"rule": "median"},
    "trimmed": {"rule": "trimmed"},
}
ATTACKS = ("nobody", "noise", "flip", "liar")


def poisoned(attack: str, asked: Message, answer: Message) -> Message:
    """Return the answer that the last site sends."""
    if attack == "nobody" or asked.metadata.message_type != "train.learn":
        return answer
    note = note_of(answer)
    update, facts = note.arrays["update"], dict(note.facts)
    noise = np.random.default_rng(int(facts["round"])).normal(size=update.shape)
    noise = (noise * np.linalg.norm(update) / np.linalg.norm(noise)).astype(np.float32)
    if attack == "liar":
        facts |= {"utility": 1.0, "share": 1.0, "closeness": 1.0, "divergence": 10.0}
    answer.content = _packed(Note(facts, {"update": -10 * update if attack == "flip" else noise}), asked).content
    return answer


def run(data: Data, attack: str, rule: dict[str, Any], rounds: int, steps: int) -> tuple[float, float, str]:
    """Return the AUC of the honest sites, the most that the last one counted by, and why it was refused."""
    found: dict[str, float] = {}
    sites = {}
    for i, (local, windows) in enumerate(zip(sites_of(data, "spoken"), data.sites, strict=True)):

        def finish(local: Local, name: str = f"site{i}", windows: Windows = windows) -> None:
            found[name] = data.figures(local, local.vector, held_out(windows))[-1]

        sites[f"site{i}"] = Site(f"site{i}", lambda local=local: local, finish=finish)
    last = len(sites) - 1
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
        passing=lambda asked, answer: poisoned(attack, asked, answer) if asked.metadata.dst_node_id == last else answer,
    )
    plan = Plan(**{"rounds": rounds, "steps": steps, "tune_steps": 0, "norm": 1e9, **rule})
    history = Federation(FlowerLink(grid), plan).run()
    weight = max(one.counted.get(f"site{last}", 0.0) for one in history[1:-1])
    why = {reason for one in history for reason in one.refused}
    return float(np.mean([found[f"site{i}"] for i in range(last)])), weight, ", ".join(why)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    print("| rule | attack | AUC | most weight of the attacker | refused |\n|---|---|---|---|---|")
    every = [Data(asked.data, 5, "kind", seed) for seed in range(asked.seeds)]
    for name, rule in RULES.items():
        for attack in ATTACKS:
            rows = [run(data, attack, rule, asked.rounds, asked.steps) for data in every]
            auc, weight = (np.mean([row[i] for row in rows]) for i in (0, 1))
            print(f"| {name} | {attack} | {auc:.4f} | {weight:.2f} | {rows[0][2]} |", flush=True)


if __name__ == "__main__":
    main()
