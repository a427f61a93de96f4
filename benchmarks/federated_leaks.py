"""What the network and the updates of a federation give away, on HDFS, five sites by kind.

    python benchmarks/federated_leaks.py [--data ../shared/data] [--seeds 1] [--rounds 10] [--steps 100]
                                         [--only "words;secagg"] [--cells FOLDER]

*membership*   Somebody has the final network and a session of the system: was it learned from? He says yes where the
               network restores it well. AUC over sessions learned from and usual ones that were not, of all sessions
               and of distinct sequences; and how many of those learned from he finds at 1 % false claims. .5 and 1 %
               are guessing.
*words*        Somebody sees what a site sends, and guesses message types: the 31 of HDFS and 359 of BGL. How well does
               he tell those that are in the site's logs from those that are not (AUC)? From the sums of round 0 (by
               non-negative least squares over the guessed directions), from one update (how much of a direction lies
               in what the first layer has learned), and from the second moments that come with it (how much of it lies
               where they are large). `summed` is what secure sums leave to see: that of all sites.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from federated import site
from federated_cells import found_or_made
from federated_sites import Draw, _read, draw
from hdfs_members import roc_auc
from oddlog.detectors.spoken import FEATURES, HASHED, _directions
from oddlog.features.text import WIDTH
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.local import Local
from oddlog.federated.server import Federation, Plan
from oddlog.federated.site import Site
from oddlog.pipeline.learning.distinct import counts_hash
from oddlog.types import F64

D = WIDTH + HASHED
WAYS: dict[str, dict[str, Any]] = {
    "secagg": {},
    "DP, epsilon 8": {"weigh": "data", "epsilon": 8.0},
    "DP, epsilon 1": {"weigh": "data", "epsilon": 1.0},
}


def final(dealt: Draw, asked: argparse.Namespace, way: dict[str, Any]) -> list[Local]:
    """Return the sites with the common network set."""
    kept: dict[str, Local] = {}
    sites = {}
    for i, task in enumerate(dealt.sites):
        name = f"site{i}"
        sites[name] = Site(
            name, partial(site, task, asked.seed), finish=lambda local, name=name: kept.__setitem__(name, local)
        )
    grid = InProcessGrid(
        client_app(lambda context: sites[str(context.node_config["site"])]),
        {i: {"site": name} for i, name in enumerate(sites)},
    )
    plan = Plan(**{"rounds": asked.rounds, "steps": asked.steps, "seed": asked.seed, "mode": "secagg", **way})
    Federation(FlowerLink(grid), plan).run()
    return [kept[name] for name in sorted(kept)]


def membership(dealt: Draw, locals_: list[Local]) -> dict[str, tuple[float, float]]:
    """Return AUC and the share found at 1 % false claims, of all sessions and of distinct ones."""
    inside, outside, hashes = [], [], ([], [])
    number: dict[str, int] = {}  # one for each text, at all sites the same
    for local, task in zip(locals_, dealt.sites, strict=True):
        others = task.test.take(np.flatnonzero(task.label == 0)[:: len(locals_)])
        knowing = local.detector.with_texts(task.unseen)  # type: ignore[attr-defined]
        inside.append(knowing.score(local.learned).window)
        outside.append(knowing.score(others).window)
        alike = np.array(
            [number.setdefault(text, len(number)) for text in (*task.context.templates.text, *task.unseen)]
        )
        for found, windows in zip(hashes, (local.learned, others), strict=True):
            renamed = replace(windows, template=alike[windows.template].astype(np.uint32))
            found.append(counts_hash(renamed, len(number)))
    found = {}
    codes = [np.concatenate(part) for part in hashes]
    for name in ("all", "distinct"):
        score, member = np.concatenate([*inside, *outside]), np.repeat([1, 0], [len(c) for c in codes])
        if name == "distinct":  # a sequence that is both in and out tells nothing: left out
            code = np.concatenate(codes)
            both = np.intersect1d(codes[0], codes[1])
            _, first = np.unique(code, return_index=True)
            first = first[~np.isin(code[first], both)]
            score, member = score[first], member[first]
        limit = np.quantile(score[member == 0], 0.01)
        auc = roc_auc(-score, member.astype(np.int8), np.ones(len(score)))
        found[name] = (auc, float((score[member == 1] < limit).mean()))
    return found


def guessed(sums: F64, candidates: F64) -> F64:
    """Return how much of each candidate direction [x, 96] the sums of round 0 hold."""
    total = sums[-2 * FEATURES :][:FEATURES][D : 2 * D]  # sum of directions over windows and types
    return np.asarray(nnls(candidates.T, total)[0])


def learned(update: F64, candidates: F64, rank: int = 12) -> F64:
    """Return the share of each candidate direction that lies in what the first layer [203, 64] has moved along."""
    base = np.linalg.svd(update.reshape(FEATURES, -1), full_matrices=False)[0][D : 2 * D, :rank]
    along = np.linalg.qr(base)[0]
    return np.asarray(((candidates @ along) ** 2).sum(1) / (candidates**2).sum(1))


def spanned(moments: F64, middle: F64, spread: F64, candidates: F64, rank: int = 20) -> F64:
    """Return the share of each candidate direction that lies where second moments [204, 204] are large."""
    back = np.column_stack([np.diag(spread), middle])  # from standardised features to features
    raw = (back @ moments @ back.T)[D : 2 * D, D : 2 * D]
    along = np.linalg.eigh(raw)[1][:, -rank:]
    return np.asarray(((candidates @ along) ** 2).sum(1) / (candidates**2).sum(1))


def words(dealt: Draw, asked: argparse.Namespace) -> dict[str, float]:
    """Return the AUC of each way to guess message types."""
    texts = [*_read(asked.data, "hdfs", "kind").texts, *_read(asked.data, "bgl", "time").texts]
    candidates, weight = _directions(texts), np.ones(len(texts))
    found: dict[str, list[float]] = {}
    sums, updates, union = [], [], set()
    for task in dealt.sites:
        local = site(task, asked.seed)
        there = set(task.context.templates.text)
        union |= there
        begun = local.detector.get_weights()["w0"].astype(np.float64)
        sums.append(local.sums())
        local.trained(local.vector, asked.steps, asked.seed)
        updates.append(local.detector.get_weights()["w0"] - begun)
        label = np.array([text in there for text in texts], np.int8)
        found.setdefault("sums of a site", []).append(roc_auc(guessed(sums[-1], candidates), label, weight))
        found.setdefault("update of a site", []).append(roc_auc(learned(updates[-1], candidates), label, weight))
        moments, knowing = local.detector.get_inputs(local.learned, asked.seed)[0], local.detector
        inside = spanned(moments, knowing._mean, knowing._std, candidates)  # noqa: SLF001 - known to all sites
        found.setdefault("second moments of a site", []).append(roc_auc(inside, label, weight))
    label = np.array([text in union for text in texts], np.int8)
    found["sums, summed"] = [roc_auc(guessed(sum(sums), candidates), label, weight)]
    found["update, summed"] = [roc_auc(learned(sum(updates), candidates), label, weight)]
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--only", default=";".join(["words", *WAYS]))
    parser.add_argument("--cells", type=Path)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        asked.seed = seed
        dealt = cache(partial(draw, asked.data, "hdfs", 5, "kind", asked.seed))
        for name in (one.strip() for one in asked.only.split(";")):
            facts = {"kind": "leaks", "way": name, "seed": seed}
            found = found_or_made(asked.cells, facts, partial(_made, dealt, name, asked))
            shown = {key: np.round(value, 4).tolist() for key, value in found.items() if key not in facts}
            print(f"seed {seed}, {name}:", shown)


def _made(dealt: Callable[[], Draw], name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Return how well words, or members of what was learned from, are told."""
    if name == "words":
        return words(dealt(), asked)
    return {of: list(found) for of, found in membership(dealt(), final(dealt(), asked, WAYS[name])).items()}


if __name__ == "__main__":
    main()
