"""Slow, obvious twins of how rates are counted and what is expected of them."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import polars as pl


def cells(records: pl.DataFrame) -> dict[tuple[int, str, int, int], int]:
    """Return lines by (minute, service, template, gravity)."""
    found: Counter[tuple[int, str, int, int]] = Counter()
    for time, service, template, level, count in records.select(
        pl.col("time").to_physical(), "service", "template", "level", "count"
    ).iter_rows():
        gravity = 2 if level in ("ERROR", "CRITICAL") else int(level == "WARNING")
        found[time // 60_000_000, service, template, gravity] += count
    return dict(found)


def season(
    lines: dict[int, float], minutes: list[int], grain: str, kappa: float, kappa_week: float
) -> dict[int, float]:
    """Return the lines a minute by hour of the week, each drawn to the coarser mean as if it were so many minutes."""
    n_week, m_week = defaultdict(float), defaultdict(float)
    for minute in minutes:
        hour = (minute // 60 + 72) % 168
        n_week[hour] += lines.get(minute, 0.0)
        m_week[hour] += 1
    mean = sum(n_week.values()) / max(sum(m_week.values()), 1.0)
    rate = {}
    for hour in range(168):
        same = [h for h in range(168) if h % 24 == hour % 24]
        of_day = (sum(n_week[h] for h in same) + kappa * mean) / (sum(m_week[h] for h in same) + kappa)
        of_week = (n_week[hour] + kappa_week * of_day) / (m_week[hour] + kappa_week)
        rate[hour] = {"none": mean, "day": of_day, "week": of_week}[grain]
    return rate


def trailing(row: list[float], minutes: int, lag: int) -> list[float]:
    """Return the sum of `minutes` values up to `lag` ago."""
    return [float(np.sum(row[max(t + 1 - lag - minutes, 0) : max(t + 1 - lag, 0)])) for t in range(len(row))]
