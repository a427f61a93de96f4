"""The log of a small shop: lines of our own that several rooms learn from."""

from __future__ import annotations

import numpy as np


def shop_lines(n_orders: int, seed: int, *, start: int = 0, broken: int = 0) -> list[str]:
    """Return the log of a small shop: `n_orders` orders of five or six lines, then `broken` ones without a receipt."""
    draw = np.random.default_rng(seed)
    lines: list[tuple[float, str]] = []
    for i in range(n_orders + broken):
        order, at = f"ord-{seed}{i:05d}", start + 20.0 * i
        retry = draw.random() < 0.2
        steps = [
            ("INFO", "web", f"Order {order} received from 192.0.2.{draw.integers(1, 250)}"),
            ("INFO", "stock", f"Order {order} reserved {draw.integers(1, 9)} items"),
            *([("WARN", "pay", f"Order {order} payment retried after {draw.integers(10, 99)} ms")] if retry else []),
            ("INFO", "pay", f"Order {order} charged {draw.integers(5, 500)}.{draw.integers(10, 99)} EUR"),
            ("INFO", "ship", f"Order {order} handed to carrier {draw.integers(1, 5)}"),
            ("INFO", "mail", f"Order {order} receipt sent"),
        ]
        if i >= n_orders:
            steps = [*steps[:-2], ("ERROR", "ship", f"Order {order} lost: carrier refused parcel {draw.integers(1e6)}")]
        for level, service, message in steps:
            at += float(draw.uniform(0.1, 2.0))
            lines.append((at, f"{level} shop.{service}: {message}"))
    base = np.datetime64("2026-03-02T08:00:00")
    return [
        f"{str(base + np.timedelta64(int(at * 1000), 'ms')).replace('T', ' ').replace('.', ',')} {text}"
        for at, text in sorted(lines)
    ]
