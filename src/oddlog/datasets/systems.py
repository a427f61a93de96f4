"""Three systems side by side, labelled by line: to learn from two what errors look like, and judge the third.

BGL's raw samples, TrainTicket and the simulated shop; of each at most 30,000 lines, every so many-th, so that none
outweighs the others.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl

from oddlog.datasets import alerts, simulated, trainticket
from oddlog.datasets.folders import LINE_LABELS, LOGS, About, LogSet, write_lines
from oddlog.datasets.raw import open_raw

ABOUT = About(
    development=True,
    name="systems",
    title="BGL, TrainTicket and a simulated shop, 30,000 lines of each at most, labelled by line",
    session="none",
    window="1",
    terms="CC BY 4.0 (loghub), MIT (Nezha), Apache-2.0 (ours); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Yu et al., FSE 2023 (Nezha)",
)
MOST_LINES = 30_000
PARTS = {
    "bgl": (alerts.write_samples, "bgl"),
    "trainticket": (trainticket.write, "trainticket"),
    "shop": (simulated.write_shop, ""),
}


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder that holds the raw files of BGL and TrainTicket in folders of their own."""
    labels = []
    for system, (write_part, folder) in PARTS.items():
        with tempfile.TemporaryDirectory(dir=to.parent) as temporary:
            aside = Path(temporary)
            write_part(raw / folder, aside)
            labels.append(_thinned(aside, system, to))
    pl.concat(labels).write_csv(to / LINE_LABELS)


def _thinned(of: Path, system: str, to: Path) -> pl.DataFrame:
    """Write every so many-th line of a set below `system`; return the labels of the lines that are left."""
    one = LogSet(of, ABOUT)
    lines = []
    for source, path in zip(one.sources, one.paths, strict=True):
        with open_raw(path) as file:
            text = file.read().decode("utf-8", "replace").removesuffix("\n").split("\n")
        lines.append(pl.DataFrame({"source": source, "text": text}).with_row_index("line", 1))
    every = pl.concat(lines)
    kept = every.gather_every(-(-len(every) // MOST_LINES))
    numbers = pl.int_range(1, pl.len() + 1).over("source").alias("number")
    kept = kept.with_columns(numbers, pl.col("line").cast(pl.String))
    for (source,), some in kept.partition_by("source", as_dict=True, maintain_order=True).items():
        write_lines(to / LOGS / system / source, some["text"])
    labels = _labels(of / LINE_LABELS)
    met = kept.join(labels, on=["source", "line"], how="inner", maintain_order="left")
    below = pl.concat_str(pl.lit(f"{system}/"), "source").alias("source")
    return met.select(below, line="number", label="label", kind="kind")


def _labels(path: Path) -> pl.DataFrame:
    """Return ``source line label kind`` of the labelled lines, each once; all text."""
    known = pl.read_csv(path, infer_schema=False)
    more = {"label": "1", "kind": ""}
    known = known.with_columns(pl.lit(text).alias(name) for name, text in more.items() if name not in known.columns)
    return known.select("source", "line", "label", "kind").unique(["source", "line"], keep="first", maintain_order=True)
