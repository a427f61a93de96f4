"""See what becomes of messages: the masked text, its key, the template, and the values that were taken out.

Run it with: python examples/look_inside_templates.py
"""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.templates import Matcher, mask, mine
from oddlog.types import LEVELS

YESTERDAY = pl.Series(
    [
        "order 48213 created for cart c-77120: 149.90 EUR",
        "order 48214 created for cart c-77121: 18.00 EUR",
        "connection to 192.0.2.17:5432 was reset by peer",
        "order 48215 created for cart c-77125: 67.35 EUR",
    ]
)
TODAY = pl.Series(
    [
        "connection to 192.0.2.18:5432 was reset by peer",
        "order 48301 rolled back: payment failed",
    ]
)


def main() -> None:
    """Mask and mine what there is, then match what comes later."""
    masked = mask(YESTERDAY)
    times_seen = np.bincount(masked.inverse)  # lines per distinct masked text
    level = np.full(len(masked.distinct_key), LEVELS.index("INFO"), np.uint8)
    templates = mine(masked.distinct_key, masked.distinct_text, times_seen, level)
    for row, text in enumerate(templates.text):
        print(f"template {row}: {templates.count[row]} lines  {text}")

    print("\nvalues of the first message:", masked.variables()[0].to_list())

    later = mask(TODAY)
    rows = Matcher(templates).rows(later.distinct_key, later.distinct_text)
    print()
    for row, key, text in zip(rows.tolist(), later.distinct_key.tolist(), later.distinct_text, strict=True):
        known = f"template {row}" if row < len(templates) else "unseen until now"
        print(f"{key:016x}  {known}: {text}")


if __name__ == "__main__":
    main()
