"""Orders of a shop that are longer or shorter, as is drawn: lines of our own whose sessions score in many ways."""

from __future__ import annotations

import numpy as np

BASE = np.datetime64("2026-03-02T08:00:00")


def orders(n: int, seed: int, at: float, ending: float, lost: int = 0) -> list[str]:
    """Return lines of `n` orders, one every ten seconds, each of so many items, and tries to pay, as are drawn.

    After each one it is the last with a chance of `ending`; every so many-th order is lost.
    """
    draw, lines = np.random.default_rng(seed), []
    for i in range(n):
        items, scans, tries = (int(draw.geometric(ending)) for _ in range(3))
        steps = ["received", *["reserved"] * items, *["scanned"] * scans, *["tried to pay"] * tries, "sent"]
        steps = [*steps[:-1], "lost: carrier refused it"] if lost and i % lost == lost - 1 else steps
        for k, step in enumerate(steps):
            when = at + 10.0 * i + k * float(draw.uniform(0.1, 0.5))
            time = str(BASE + np.timedelta64(int(when * 1000), "ms"))
            lines.append(f"{time.replace('T', ' ').replace('.', ',')} INFO shop: order ord-{seed}{i:05d} {step}")
    return sorted(lines)
