"""Deep detectors beside simple ones, from finished cells of benches: who beats whom, as Markdown.

    python benchmarks/deep_cells.py FOLDER [FOLDER ...] > benchmarks/results/deep_cells.md

A folder is one that `oddlog bench run -o FOLDER` wrote. Of cells with several seeds the mean is shown. A simple
detector *beats* a deep one where its interval of F1 (95 %, of all seeds the lowest bound) lies above that of the deep
one, in the same set under the same protocol.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from oddlog import plugins
from oddlog.evaluation.cells import DEFAULT, members, needs_labels
from oddlog.evaluation.results import Store

FIGURES = ("f1", "oracle_f1", "roc_auc", "distinct_roc_auc")


def is_deep(detector: str) -> bool:
    """Return whether one of the members is a network that PyTorch trains on sequences."""
    kinds = ("holdout", "crossed")
    return detector != DEFAULT and any(
        getattr(plugins.load("oddlog.detectors", name), "calibrates", "folds") in kinds for name in members(detector)
    )


def main() -> None:
    folders = [Path(one) for one in sys.argv[1:]]
    cells: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for one in Store(folder).results():
            if one["ok"] and one["figures"].get("f1") is not None:
                cell = one["cell"]
                cells[cell["set"], cell["protocol"]][cell["detector"]].append(one)
    print(
        f"# Deep detectors beside simple ones\n\nPrinted by `python benchmarks/deep_cells.py {' '.join(sys.argv[1:])}`."
    )
    for (set_, protocol), of in sorted(cells.items()):
        if any(map(is_deep, of)):
            print(f"\n## {set_}, {protocol}\n\n{next(iter(of.values()))[0]['split']['says']}.\n")
            print("\n".join(table(of)))


def table(of: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the rows, the best F1 first; behind each deep detector who beats it."""
    f1 = {name: np.array([one["figures"]["f1"] for one in each]) for name, each in of.items()}
    rows = [
        "| detector | seeds | F1 | oracle F1 (hindsight) | ROC AUC | distinct AUC | CPU-s | beaten by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(of, key=lambda name: -f1[name].mean()):
        told = [_mean(of[name], figure) for figure in FIGURES]
        cost = np.mean([one["cost"]["cpu_s"] for one in of[name]])
        better = []
        if is_deep(name):
            highest = _bound(of[name], "f1_high", max)
            better = [f"`{o}`" for o in of if not is_deep(o) and _bound(of[o], "f1_low", min) > highest]
            better.sort(key=lambda other: -f1[other.strip("`")].mean())
        labels = " (labels)" if needs_labels(name) else ""
        kind = "**" if is_deep(name) else ""
        beaten = ", ".join(better[:6]) + (f" and {len(better) - 6} more" if len(better) > 6 else "")
        rows.append(f"| {kind}`{name}`{kind}{labels} | {len(of[name])} | {' | '.join(told)} | {cost:.0f} | {beaten} |")
    return rows


def _bound(each: list[dict[str, Any]], figure: str, choose: Callable[[list[float]], float]) -> float:
    return choose([float(one["figures"].get(figure) or 0.0) for one in each])


def _mean(each: list[dict[str, Any]], figure: str) -> str:
    found = [one["figures"].get(figure) for one in each]
    return (
        "–" if any(one is None for one in found) else f"{np.mean([float(one) for one in found if one is not None]):.3f}"
    )


if __name__ == "__main__":
    main()
