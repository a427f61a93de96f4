"""Where labelled logs come from: the simulator, public records, a folder of one's own.

Nothing here is imported by a stage. A data set is a folder of raw logs with label files beside them, so that
what learns from it reads it exactly as it would read a stranger's logs.

- `simulate` writes the logs of a web shop with two incidents and many harmless look-alikes.
- `simulate_datacentre` writes those of a data centre with many incidents, of known and unknown kinds.
- `read_labels` reads back what is odd in either, line by line and incident by incident.
- `find_set` returns a set by name or folder, as raw lines with labels beside them; `prepare` makes it from raw files.
"""

from __future__ import annotations

from oddlog.datasets.folders import About, LogSet, read_set
from oddlog.datasets.labels import LabelledIncidents, read_incidents, read_labels
from oddlog.datasets.registry import KNOWN, Known, find_set, prepare
from oddlog.datasets.simulator import DataCentre, Simulated, simulate, simulate_datacentre

__all__ = [
    "KNOWN",
    "About",
    "DataCentre",
    "Known",
    "LabelledIncidents",
    "LogSet",
    "Simulated",
    "find_set",
    "prepare",
    "read_incidents",
    "read_labels",
    "read_set",
    "simulate",
    "simulate_datacentre",
]
