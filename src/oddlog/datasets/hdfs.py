"""HDFS_v1: blocks of a Hadoop file system, labelled by hand (Xu et al., SOSP 2009, doi 10.1145/1629575.1629587)."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from oddlog.datasets.folders import LABELS, LOGS, About
from oddlog.datasets.raw import find, open_raw

ABOUT = About(
    development=True,
    name="hdfs",
    title="HDFS_v1: 11 M lines of 575,061 blocks, labelled by block",
    format="hdfs",
    session=r"(blk_-?\d+)",
    terms="loghub: research use, cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Xu et al., SOSP 2009",
    whole_usual=558_223,
    whole_anomalous=16_838,
)
LINES = ("HDFS.log", "HDFS_2percent.log.gz")
BLOCKS = ("anomaly_label.csv", "preprocessed/anomaly_label.csv")


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder with the lines and `anomaly_label.csv`."""
    (to / LOGS).mkdir(parents=True, exist_ok=True)
    with open_raw(find(raw, LINES)) as lines, (to / LOGS / "hdfs.log").open("wb") as file:
        shutil.copyfileobj(lines, file)
    blocks = pl.read_csv(find(raw, BLOCKS), infer_schema=False)
    blocks.select(key="BlockId", label=(pl.col("Label") == "Anomaly").cast(pl.Int8)).write_csv(to / LABELS)
