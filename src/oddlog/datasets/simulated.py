"""The simulator's logs as sets: what is usual to learn from, a later time with incidents to judge."""

from __future__ import annotations

from pathlib import Path

from oddlog.datasets.folders import About
from oddlog.datasets.simulator import simulate, simulate_datacentre

SHOP = About(
    development=True,
    name="shop",
    title="A simulated web shop: 60,000 lines with two incidents, labelled by line",
    terms="Apache-2.0, our own",
)
DATACENTRE = About(
    development=True,
    name="datacentre",
    title="A simulated data centre: a million lines of 14 days with many incidents, labelled by line",
    terms="Apache-2.0, our own",
)


def write_shop(_raw: Path, to: Path) -> None:
    """Simulate the shop; nothing is read."""
    simulate(to)


def write_datacentre(_raw: Path, to: Path) -> None:
    """Simulate the data centre; nothing is read."""
    simulate_datacentre(to)
