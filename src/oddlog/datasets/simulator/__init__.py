"""Writes labelled logs: a small web shop to try things out on, and a data centre to measure with.

::

    shop/         one and a half days, two incidents
    datacentre/   two weeks, 16 kinds of incidents, a million entries

Both draw from one stream of integers (`draws`) and hand their lines to `writing`, a stretch of minutes at a
time, so that memory does not grow with the number of lines.
"""

from __future__ import annotations

from oddlog.datasets.simulator.datacentre import DataCentre, simulate_datacentre
from oddlog.datasets.simulator.shop import Simulated, simulate

__all__ = ["DataCentre", "Simulated", "simulate", "simulate_datacentre"]
