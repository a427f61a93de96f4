"""Where labelled logs come from: so far the simulator, which writes them itself.

Nothing here is imported by a stage. A data set is a folder of raw logs with label files beside them, so that
what learns from it reads it exactly as it would read a stranger's logs.

- `simulate` writes the logs of a web shop with two incidents and many harmless look-alikes.
"""

from __future__ import annotations

from oddlog.datasets.simulator import Simulated, simulate

__all__ = ["Simulated", "simulate"]
