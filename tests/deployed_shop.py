"""A day of the small shop on which something is deployed at noon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from small_shop import shop_lines

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHOLE = (
    ("INFO", "web", "received from 192.0.2.7"),
    ("INFO", "stock", "reserved 3 items"),
    ("INFO", "pay", "charged 12.50 EUR"),
    ("INFO", "ship", "handed to carrier 4"),
    ("INFO", "mail", "receipt sent"),
)
TAXED = ("INFO", "pay", "taxed by rule 7")  # new since the deployment, as is what follows
WRAPPED = ("INFO", "gift", "wrapped in paper")
FAILED = ("ERROR", "pay", "could not be taxed: no rule")
ORDERS = {  # minutes after noon, steps
    "plain": (-60, WHOLE),
    "taxed": (10, (*WHOLE[:3], TAXED, *WHOLE[3:])),
    "wrapped": (50, (*WHOLE[:3], TAXED, *WHOLE[3:], WRAPPED)),
    "failed": (120, (*WHOLE[:2], FAILED)),
    "lost": (180, (*WHOLE[:2], TAXED)),
}


def deployed_lines() -> list[str]:
    """Return a log in which payments are taxed from noon on."""
    lines = shop_lines(30, 5, start=80_000)
    for i, (minute, steps) in enumerate(ORDERS.values()):
        for j, (level, service, text) in enumerate(steps):
            time = NOON + timedelta(minutes=minute, seconds=j)
            lines.append(f"{time:%Y-%m-%d %H:%M:%S},000 {level} shop.{service}: Order ord-777000{i} {text}")
    lines.append("2026-03-03 12:01:00,000 INFO shop.pay: tax rules loaded")
    return [*lines, *shop_lines(60, 6, start=120_000)]
