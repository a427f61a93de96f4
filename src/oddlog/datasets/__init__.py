"""Where labelled logs come from: so far the simulator, which writes them itself.

Nothing here is imported by a stage. A data set is a folder of raw logs with label files beside them, so that
what learns from it reads it exactly as it would read a stranger's logs.

- `simulate` writes the logs of a web shop with two incidents and many harmless look-alikes.
- `simulate_datacentre` writes those of a data centre with many incidents, of known and unknown kinds.
- `read_labels` reads back what is odd in either, line by line and incident by incident.
"""

from __future__ import annotations

from oddlog.datasets.labels import LabelledIncidents, read_labels
from oddlog.datasets.simulator import DataCentre, Simulated, simulate, simulate_datacentre

__all__ = ["DataCentre", "LabelledIncidents", "Simulated", "read_labels", "simulate", "simulate_datacentre"]
