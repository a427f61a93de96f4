"""HDFS by the whole way: raw lines in, `oddlog.fit` and `detect` as a user calls them, verdicts out.

    python benchmarks/hdfs_whole_way.py ../shared/data/hdfs

Protocols: `random` (5,583 usual sessions to learn from, the rest tested, usual ones re-weighted so that 2.93 % are
anomalous), `contaminated` (half of all sessions, anomalies left in), `time20` and `time50` (learn from the usual
sessions in the first share of the lines, as far as they have come; detect in the sessions that begin later), `raw20`
and `raw50` (learn from all of the first lines, anomalies among them, detect in all later lines, as a user would:
sessions without their beginning among them).
Thresholds come from training alone. Prints one line a run and the mean with its spread.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

import oddlog
from oddlog.datasets import hdfs
from oddlog.datasets.raw import find, open_raw

TRUE_SHARE = hdfs.ABOUT.whole_anomalous / (hdfs.ABOUT.whole_usual + hdfs.ABOUT.whole_anomalous)  # 2.93 % of the blocks
USUAL_TO_LEARN_FROM = 5_583
BLOCK = re.compile(r"blk_-?\d+")


def read(folder: Path) -> tuple[list[str], list[str], dict[str, bool]]:
    """Return the lines, each line's block, and which blocks are anomalous."""
    with open_raw(find(folder, hdfs.LINES)) as file:
        lines = file.read().decode().splitlines()
    labels = pl.read_csv(find(folder, hdfs.BLOCKS))
    return lines, [BLOCK.search(line)[0] for line in lines], {b: word == "Anomaly" for b, word in labels.iter_rows()}


def judge(train: list[str], test: list[str], anomalous: dict[str, bool], options: dict) -> dict[str, float]:
    """Learn from `train`, detect in `test`; return F1 (held-out threshold), ROC AUC and what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("train.log", train), ("test.log", test)):
            Path(folder, name).write_text("\n".join(lines) + "\n")
        start = time.process_time()
        model = oddlog.fit(Path(folder, "train.log"), **options)
        fitted = time.process_time()
        found = model.detect(Path(folder, "test.log"))
        detected = time.process_time()
    sessions = found.scores.filter(pl.col("key").str.starts_with("blk_"))  # the rates of ten minutes are no block
    windows = sessions.with_columns(block=pl.col("key").str.replace(r"#\d+$", ""))
    # A block of several windows is odd if one of them is.
    blocks = windows.group_by("block").agg(pl.col("is_anomaly").any(), pl.col("score").max()).sort("block")
    truth = np.array([anomalous[block] for block in blocks["block"]])
    odd, score = blocks["is_anomaly"].to_numpy(), np.nan_to_num(blocks["score"].to_numpy(), nan=0.0)
    weight = np.where(truth, 1.0, truth.sum() * (1 - TRUE_SHARE) / TRUE_SHARE / max((~truth).sum(), 1))
    hit, false, missed = (weight[mask].sum() for mask in (truth & odd, ~truth & odd, truth & ~odd))
    facts = model.training["views"]["sessions"]
    return {
        "F1": 2 * hit / max(2 * hit + false + missed, 1e-9),
        "precision": hit / max(hit + false, 1e-9),
        "recall": hit / max(hit + missed, 1e-9),
        "AUC": roc_auc_score(truth, score),
        "incidents": len(found.incidents),
        "trimmed": facts["trimmed"],
        "fit_cpu_s": fitted - start,
        "detect_klines_per_cpu_s": len(test) / 1e3 / (detected - fitted),
    }


def split(protocol: str, seed: int, lines: list[str], block: list[str], anomalous: dict[str, bool]) -> tuple:
    """Return the lines to learn from and those to detect in."""
    if not protocol.isalpha():
        cut = len(lines) * int(protocol[-2:]) // 100
        if protocol.startswith("time"):
            begun = set(block[:cut])
            usual = [x for x, b in zip(lines[:cut], block[:cut], strict=True) if not anomalous[b]]
            return usual, [x for x, b in zip(lines[cut:], block[cut:], strict=True) if b not in begun]
        return lines[:cut], lines[cut:]
    draw = np.random.default_rng(seed)
    names = np.array(sorted(anomalous))
    usual = np.array([name for name in names if not anomalous[name]])
    if protocol == "random":
        chosen = set(draw.choice(usual, USUAL_TO_LEARN_FROM, replace=False).tolist())
    else:
        chosen = set(draw.choice(names, len(names) // 2, replace=False).tolist())
    return [x for x, b in zip(lines, block, strict=True) if b in chosen], [
        x for x, b in zip(lines, block, strict=True) if b not in chosen
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--protocols", default="random,contaminated,time20,time50,raw20,raw50")
    parser.add_argument("--detectors", default="")
    parser.add_argument("--recurring", default="usual", help="see oddlog fit")
    arguments = parser.parse_args()
    lines, block, anomalous = read(arguments.data)
    options = {"recurring": arguments.recurring}
    if arguments.detectors:
        options["detectors"] = arguments.detectors.split(",")
    for protocol in arguments.protocols.split(","):
        rows = []
        for seed in range(arguments.seeds if protocol.isalpha() else 1):
            train, test = split(protocol, seed, lines, block, anomalous)
            rows.append(judge(train, test, anomalous, {**options, "seed": seed}))
            print(protocol, seed, {name: round(float(value), 4) for name, value in rows[-1].items()}, flush=True)
        spread = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        print(
            f"{protocol:>12}: "
            + " · ".join(f"{name} {v.mean():.4f} ± {v.std():.4f} (lowest {v.min():.4f})" for name, v in spread.items())
        )


if __name__ == "__main__":
    main()
