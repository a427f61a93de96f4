"""Learning in two steps against learning at once, on HDFS by time.

    python benchmarks/update.py ../shared/data/hdfs

The first 20 % of the lines are learned with `fit` (those of usual sessions), those up to 50 % are added with `update`;
`fit` learns all of them at once; `first` has only the first ones. All three judge the sessions that begin in the second
half.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import oddlog
from hdfs_whole_way import TRUE_SHARE, read, split
from oddlog.model import Model


def judged(model: Model, path: Path, anomalous: dict[str, bool]) -> str:
    """Return F1, precision and recall of a model."""
    windows = model.detect(path).scores.with_columns(block=pl.col("key").str.replace(r"#\d+$", ""))
    blocks = windows.group_by("block").agg(pl.col("is_anomaly").any())
    truth = np.array([anomalous[block] for block in blocks["block"]])
    odd = blocks["is_anomaly"].to_numpy()
    weight = np.where(truth, 1.0, truth.sum() * (1 - TRUE_SHARE) / TRUE_SHARE / max((~truth).sum(), 1))
    hit, false, missed = (weight[mask].sum() for mask in (truth & odd, ~truth & odd, truth & ~odd))
    return (
        f"F1 {2 * hit / (2 * hit + false + missed):.4f} · precision {hit / max(hit + false, 1e-9):.4f} · "
        f"recall {hit / (hit + missed):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--first", type=int, default=20, help="share of the lines that is learned first, in percent")
    parser.add_argument("--detectors", default="snn,dae,ocsvm,new-event")
    arguments = parser.parse_args()
    lines, block, anomalous = read(arguments.data)
    both, test = split("time50", 0, lines, block, anomalous)
    n = len(lines) * arguments.first // 100
    usual = [not anomalous[name] for name in block]
    parts = {
        "first": [x for x, is_usual in zip(lines[:n], usual[:n], strict=True) if is_usual],
        "more": [
            x for x, is_usual in zip(lines[n : len(lines) // 2], usual[n : len(lines) // 2], strict=True) if is_usual
        ],
        "both": both,
        "test": test,
    }
    options = {"detectors": arguments.detectors.split(","), "rates": False}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{name}.log") for name in parts}
        for name, part in parts.items():
            paths[name].write_text("\n".join(part) + "\n")
        models = {}
        for name, learn in (
            ("first", lambda: oddlog.fit(paths["first"], **options)),
            ("update", lambda: oddlog.update(models["first"], paths["more"])),
            ("fit", lambda: oddlog.fit(paths["both"], **options)),
        ):
            began = time.process_time()
            models[name] = learn()
            cost = time.process_time() - began
            models[name].save(Path(folder, f"{name}.model"))
            files = list(Path(folder, f"{name}.model").iterdir())
            kept = sum(file.stat().st_size for file in files if file.name.startswith("memory"))
            size = sum(file.stat().st_size for file in files)
            print(
                f"{name:>6}: {judged(models[name], paths['test'], anomalous)} · {cost:.1f} CPU-s · "
                f"model {size / 1e6:.2f} MB, of which memory {kept / 1e6:.2f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
