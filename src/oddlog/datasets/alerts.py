"""BGL and Thunderbird: supercomputers whose every line says in its first column whether it is an alert.

Oliner and Stearley, "What supercomputers say", DSN 2007 (doi 10.1109/DSN.2007.103). The column is the label, so it
is blanked (``-``, as usual lines have it) in the lines that are written: nothing that reads them can peep.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from oddlog.datasets.folders import LINE_LABELS, LOGS, About
from oddlog.datasets.raw import find, open_raw

BGL = About(
    development=True,
    name="bgl",
    title="BGL: 4.7 M lines of a BlueGene/L, labelled by line, windows of 100 lines",
    format="bgl",
    session="none",
    window="100",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Oliner and Stearley, DSN 2007",
)
THUNDERBIRD = About(
    name="thunderbird",
    title="Thunderbird: the first 10 M of 211 M lines, labelled by line, windows of 100 lines",
    format="thunderbird",
    session="none",
    window="100",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Oliner and Stearley, DSN 2007",
)
BGL_SAMPLES = About(
    development=True,
    name="bgl-lines",
    title="Raw BGL line by line: learn from the first 10,000, judge 20,000 shuffled ones, half of them alerts",
    format="bgl",
    session="none",
    window="1",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Oliner and Stearley, DSN 2007",
    whole_usual=4_399_503,
    whole_anomalous=348_460,
)
MOST_LINES = 10_000_000  # of Thunderbird; what the papers take


def write_bgl(raw: Path, to: Path) -> None:
    """Write the set from a folder with `BGL.log`."""
    _write({"bgl.log": find(raw, ("BGL.log", "BGL.log.gz"))}, to)


def write_thunderbird(raw: Path, to: Path) -> None:
    """Write the first lines from a folder with `Thunderbird.log`."""
    _write({"thunderbird.log": find(raw, ("Thunderbird.log", "Thunderbird.log.gz"))}, to, MOST_LINES)


def write_samples(raw: Path, to: Path) -> None:
    """Write two samples of raw lines, the first to learn from."""
    first, shuffled = (find(raw, (name,)) for name in ("bgl_raw_first_10k.log.gz", "bgl_raw_shuffled_20k.log.gz"))
    _write({"train/first.log": first, "test/shuffled.log": shuffled}, to)


def _write(files: dict[str, Path], to: Path, most: int | None = None) -> None:
    with (to / LINE_LABELS).open("w", encoding="utf-8") as labels:
        labels.write("source,line,label,kind\n")
        for source, path in files.items():
            (to / LOGS / source).parent.mkdir(parents=True, exist_ok=True)
            with open_raw(path) as lines, (to / LOGS / source).open("wb") as file:
                for number, line in enumerate(islice(lines, most), 1):
                    alert, _, rest = line.partition(b" ")
                    file.write(b"- " + rest)
                    if alert != b"-":
                        kind = alert.decode("ascii", "replace").replace('"', "'")
                        labels.write(f'{source},{number},1,"{kind}"\n')
