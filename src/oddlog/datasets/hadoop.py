"""Hadoop: jobs on five machines, some with a machine down, the network cut or a disk full (Lin et al., ICSE 2016)."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from oddlog.datasets.folders import LABELS, LOGS, About
from oddlog.datasets.raw import find
from oddlog.errors import InputError

ABOUT = About(
    name="hadoop",
    title="Hadoop: 181,000 lines of 55 jobs, labelled by job",
    session="column_1",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Lin et al., ICSE 2016 (doi 10.1145/2889160.2889232)",
)
JOB = re.compile(r"application_\d+_\d+")
USUAL = "normal"


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder with a folder of logs for each job, and `abnormal_label.txt`.

    Each line is led by its job and its container, as columns: what a collector would add.
    """
    kinds = kinds_of(find(raw, ("abnormal_label.txt",)).read_text(encoding="utf-8"))
    (to / LOGS).mkdir(parents=True, exist_ok=True)
    with (to / LOGS / "hadoop.tsv").open("w", encoding="utf-8") as file:
        for path in sorted(raw.rglob("*.log"), key=str):
            job = JOB.search(str(path.relative_to(raw)))
            if job is not None:
                text = path.read_text(encoding="utf-8", errors="replace")
                file.writelines(f"{job[0]}\t{path.stem}\t{line}\n" for line in text.splitlines() if line.strip())
    frame = pl.DataFrame({"key": list(kinds), "kind": list(kinds.values())})
    label = (pl.col("kind") != USUAL).cast(pl.Int8).alias("label")
    frame.select("key", label, "kind").write_csv(to / LABELS)


def kinds_of(text: str) -> dict[str, str]:
    r"""Return what happened to each job: a line that ends in a colon names the kind of the jobs below it.

    >>> kinds_of("### WordCount\nNormal:\n+ application_1_0001\nDisk full:\n+ application_1_0002")
    {'application_1_0001': 'normal', 'application_1_0002': 'disk full'}
    """
    kinds: dict[str, str] = {}
    kind = ""
    for line in text.splitlines():
        jobs = JOB.findall(line)
        if not jobs and line.strip().endswith(":"):
            kind = line.strip(" :#*").lower()
        kinds |= dict.fromkeys(jobs, kind)
    if not kinds or USUAL not in kinds.values():
        raise InputError("abnormal_label.txt names no usual job.", "Is it the file of the public record?")
    return kinds
