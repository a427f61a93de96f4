"""What further rare windows are worth on HDFS: none, SMOTE, noise, WGAN-GP; what the ablation chooses, and the test.

    python benchmarks/wgan_ablation.py [--data ../shared/data] [--rare 10,50] [--seeds 3]

A site has 2,000 usual sessions and 10 or 50 labelled anomalous ones, as vectors of `spoken`. The ablation sees nothing
else; the test is all other sessions, re-weighted to 2.93 % of anomalies. Extremely randomised trees tell the two apart.
*paper*: what a generator of usual sessions draws is called anomalous.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import hdfs_members
from hdfs_members import reweighted, roc_auc
from oddlog.detectors.spoken import SpokenAutoencoder
from oddlog.features.text import embed
from oddlog.federated.wgan import WAYS, ablation, more, trees
from oddlog.templates import with_embedding
from oddlog.types import Context

MADE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rare", default="10,50")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    data = hdfs_members.read(asked.data / "hdfs")
    context = Context(with_embedding(data.context.templates, embed))
    print("| rare | seed | what | ablation AUC | test AUC | CPU-s |\n|---|---|---|---|---|---|")
    for n in map(int, asked.rare.split(",")):
        for seed in range(asked.seeds):
            draw = np.random.default_rng(seed)
            usual = draw.permutation(np.flatnonzero(data.label == 0))[:2_000]
            rare = draw.permutation(np.flatnonzero(data.label == 1))[:n]
            test = np.setdiff1d(np.arange(len(data.label)), np.concatenate([usual, rare]))
            spoken = SpokenAutoencoder()
            spoken.prepare(data.windows.take(usual), context)
            x, y, z = (spoken.vectors(data.windows.take(index)) for index in (usual, rare, test))
            label = data.label[test]
            kind = np.zeros(n, np.int64)
            found = ablation(x, y, kind, MADE, seed=seed)
            for way in (*WAYS, "paper"):
                began = time.process_time()
                how, fidelity = ("wgan", "paper") if way == "paper" else (way, "corrected")
                made = more(how, y, kind, x, MADE, seed, fidelity)
                score = trees(x, np.concatenate([y, made]), seed)(z)
                auc = roc_auc(score, label, reweighted(label))
                gain = "{:.4f} ± {:.4f}".format(*found.gains[way]) if way in found.gains else ""
                chosen = " (chosen)" if way == found.chosen else ""
                print(
                    f"| {n} | {seed} | {way}{chosen} | {gain} | {auc:.4f} | {time.process_time() - began:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
