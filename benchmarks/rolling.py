"""What a threshold that rolls says beside the learned one: where simulated sessions drift, and on real sets.

    python benchmarks/rolling.py made [--seeds 3] [--days 10]
    python benchmarks/rolling.py real [--sets hdfs,nova,bgl-half2] [--protocols "time:share=0.2 time:share=0.5"]

Each model is learned once and judges once, by the rolling threshold; what the learned one says is read off the same
scores. `made`: orders of a shop, learned from five usual days of 1,000; then ten days in which nothing changes, or how
often payments are tried again drifts, up or down, slowly or from one hour to the next, or some hours hold an incident.
One order in 200 is odd: it has no receipt, or was charged twice; of one in 200 more the payment was tried again four
times more (subtle: that is what drifts). `real`: cells of the bench; these sets were looked at before, so this is
development. BGL's lines have no times here: they are given some, 25 a minute, which is their mean.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

import oddlog
from oddlog.datasets import LogSet, find_set
from oddlog.datasets.folders import LOGS
from oddlog.evaluation.bench import catalogued, load_catalogue
from oddlog.evaluation.cells import Cell, learn
from oddlog.evaluation.judging import Judging
from oddlog.evaluation.protocols import split
from oddlog.evaluation.results import Store
from oddlog.evaluation.sharing import Shared
from oddlog.pipeline import detect

ORDERS_A_DAY = 1_000
LEARNED_DAYS = 5
START = np.datetime64("2026-03-02T00:00:00")
Retries = Callable[[float], float]  # day since what is judged began -> chance that a payment is tried again


@dataclass(frozen=True)
class Scene:
    """How often payments are tried again on each day, and between which hours most orders fail."""

    name: str
    retries: Retries
    incident: tuple[float, float] = (0.0, 0.0)
    odd: float = 1 / 200


def scenes(days: float) -> list[Scene]:
    usual = 0.15
    return [
        Scene("nothing changes", lambda _: usual),
        Scene("slowly up: .15 to .45", lambda day: usual + 0.3 * day / days),
        Scene("up in an hour: .15 to .35", lambda day: usual if day < 2 else 0.35),
        Scene("slowly down: .15 to .03", lambda day: usual - 0.12 * day / days),
        Scene("an incident of four hours", lambda _: usual, (3.0, 3.0 + 4 / 24)),
        Scene("an incident of two days", lambda _: usual, (3.0, 5.0)),
    ]


def orders(days: float, seed: int, scene: Scene) -> Iterator[tuple[float, str, str]]:
    """Yield time, line and what an order is (usual, odd, subtle or failed) of each line."""
    draw = np.random.default_rng(seed)
    for i in range(int(days * ORDERS_A_DAY)):
        at = i * 86_400.0 / ORDERS_A_DAY
        day, order = at / 86_400, f"ord-{seed}-{i:06d}"
        retries = int(draw.geometric(1 - scene.retries(day)) - 1)
        kind = str(draw.choice(["odd", "subtle", "usual"], p=[scene.odd, scene.odd, 1 - 2 * scene.odd]))
        retries += 4 if kind == "subtle" else 0
        if scene.incident[0] <= day < scene.incident[1] and draw.random() < 0.6:
            kind = "failed"
            retries += int(draw.integers(3, 7))
        for text in steps(order, retries, kind, draw):
            at += float(draw.uniform(0.1, 3.0))
            yield at, text, kind


def steps(order: str, retries: int, kind: str, draw: np.random.Generator) -> list[str]:
    n = int(draw.geometric(0.55))
    charged = [f"INFO pay: order {order} charged {draw.integers(5, 500)} EUR"] * (2 if kind == "odd" and n % 2 else 1)
    lost = kind == "odd" and not n % 2
    return [
        f"INFO web: order {order} received from 192.0.2.{draw.integers(1, 250)}",
        *[f"INFO stock: order {order} reserved item {draw.integers(1, 900)}" for _ in range(n)],
        *[f"WARN pay: order {order} payment tried again after {draw.integers(10, 99)} ms" for _ in range(retries)],
        *charged,
        f"INFO ship: order {order} handed to carrier {draw.integers(1, 5)}",
        *([] if lost else [f"INFO mail: order {order} receipt sent"]),
    ]


def write(path: Path, days: float, seed: int, scene: Scene, start: np.datetime64) -> dict[str, str]:
    """Write the lines in order of time; return what each order is."""
    lines = sorted(orders(days, seed, scene))
    times = [str(start + np.timedelta64(int(at * 1000), "ms")).replace("T", " ") for at, _, _ in lines]
    path.write_text("\n".join(f"{time} {text}" for time, (_, text, _) in zip(times, lines, strict=True)) + "\n")
    return {text.split("order ")[1].split()[0]: kind for _, text, kind in lines}


def made(seeds: int, days: float) -> None:
    print("| scene | seed | usual orders | odd by learned | by rolling | of the odd found: learned | rolling | "
          "of the subtle: learned | rolling | of the failed: learned | rolling | "
          "lowest, last, highest threshold (learned) |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            all_scenes = scenes(days)
            train, today = Path(folder, "train.log"), Path(folder, "today.log")
            write(train, LEARNED_DAYS, seed + 100, replace(all_scenes[0], odd=0.0), START)
            model = oddlog.fit(train, session=r"order (\S+)", rates=False, seed=seed)
            for scene in all_scenes:
                kinds = write(today, days, seed + 200, scene, START + np.timedelta64(LEARNED_DAYS, "D"))
                found = model.detect(today, threshold="rolling")
                print(_made_row(scene, seed, found.scores, kinds, model.views[0].threshold), flush=True)


def _made_row(scene: Scene, seed: int, scores: pl.DataFrame, kinds: dict[str, str], learned: float) -> str:
    kind = np.array([kinds.get(key.split("#")[0], "?") for key in scores["key"]])
    score = scores["score"].fill_nan(None).fill_null(-np.inf).to_numpy()
    odd = {"learned": score > learned, "rolling": scores["is_anomaly"].to_numpy()}
    usual = kind == "usual"
    cells = [scene.name, seed, f"{usual.sum():,}", *(f"{one[usual].sum():,}" for one in odd.values())]
    for what in ("odd", "subtle", "failed"):
        there = kind == what
        cells += [f"{one[there].mean():.3f}" if there.any() else "" for one in odd.values()]
    threshold = scores["threshold"]
    cells.append(f"{threshold.min():.2f}, {threshold[-1]:.2f}, {threshold.max():.2f} ({learned:.2f})")
    return "| " + " | ".join(map(str, cells)) + " |"


def real(sets: list[str], protocols: list[str], seeds: int, data: Path, detector: str) -> None:
    print("| set, protocol, seed | F1 learned | rolling | precision learned | rolling | recall learned | rolling | "
          "usual odd learned | rolling | lowest, last, highest threshold (learned) | sessions wait, h |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    store = Store(Path(tempfile.gettempdir(), "oddlog-rolling"))
    for name in sets:
        of = find_set(name, data, store.folder / "sets")
        if name.startswith("bgl"):
            of = with_times(of, store.folder / "sets" / f"{name}-timed")
        catalogue = load_catalogue(catalogued(of, store))
        for protocol in protocols:
            for seed in range(seeds):
                with Shared(of, catalogue, split(catalogue, protocol, seed)) as shared:
                    print(_real_row(Cell(name, protocol, detector, seed), shared), flush=True)


def _real_row(cell: Cell, shared: Shared) -> str:
    model = learn(cell, shared)
    judging = Judging(shared.catalogue, shared.test())
    detect(model, shared.root / "test", each=judging.add, threshold="rolling", keeping=shared.records)
    view = model.views[0]
    judged = judging.judged().filter((pl.col("view") == view.name) & (pl.col("label") >= 0))
    # A session of several windows is odd if one of them is.
    learned = (pl.col("score") > view.threshold).fill_null(value=False)
    cases = judged.group_by("case").agg(pl.col("label").max(), learned.any().alias("learned"), pl.col("odd").any())
    truth = cases["label"].to_numpy() == 1
    told = [_figures(truth, cases[name].to_numpy()) for name in ("learned", "odd")]
    cells = [f"{one[what]:.3f}" if what != "usual odd" else f"{one[what]:,.0f}" for what in told[0] for one in told]
    threshold = judged.sort("end")["threshold"]
    moved = f"{threshold.min():.2f}, {threshold[-1]:.2f}, {threshold.max():.2f} ({view.threshold:.2f})"
    waits = "" if view.cut.closing is None else f"{view.cut.closing.idle_us / 3.6e9:.1f}"
    return "| " + " | ".join([f"{cell.set}, {cell.protocol}, {cell.seed}", *cells, moved, waits]) + " |"


def _figures(truth: np.ndarray, odd: np.ndarray) -> dict[str, float]:
    hit, false, missed = (float(one.sum()) for one in (truth & odd, ~truth & odd, truth & ~odd))
    return {
        "F1": 2 * hit / max(2 * hit + false + missed, 1.0),
        "precision": hit / max(hit + false, 1.0),
        "recall": hit / max(hit + missed, 1.0),
        "usual odd": false,
    }


def with_times(of: LogSet, to: Path) -> LogSet:
    """Return the set with a time in each of its lines of JSON, 25 a minute."""
    if not (to / LOGS).is_dir():
        shutil.copytree(of.folder, to)
        for source in of.sources:
            lines = pl.Series((of.root / source).read_text().splitlines())
            at = pl.datetime_range(START, START + np.timedelta64(len(lines) * 2_400, "ms"), "2400ms", eager=True)
            time = at[: len(lines)].dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
            timed = '{"time":"' + time + '",' + lines.str.slice(1)
            (to / LOGS / source).write_text("\n".join(timed.to_list()) + "\n")
    return replace(of, folder=to)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["made", "real"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--sets", default="hdfs,nova,bgl-half2")
    parser.add_argument("--protocols", default="time:share=0.2 time:share=0.5")
    parser.add_argument("--detector", default="default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    if asked.what == "made":
        made(asked.seeds, asked.days)
    else:
        real(asked.sets.split(","), asked.protocols.split(), asked.seeds, asked.data, asked.detector)


if __name__ == "__main__":
    main()
