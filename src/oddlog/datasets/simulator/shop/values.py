"""The values inside the lines: who, what, how many.

Some belong to a trace (the order's number is the same in every line of its request), the others to one line.
Addresses are those set aside for documentation (RFC 5737), names end in ``example`` (RFC 2606).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oddlog.datasets.simulator.draws import Draws
from oddlog.types import I64, U64

N_USERS = 4_000
ATTACKER = "198.51.100.7"
OFFICE = "203.0.113.10"
"""One address behind which many people sit: usual, and yet the busiest of all."""

CLIENTS: tuple[str, ...] = (
    OFFICE,
    ATTACKER,
    *(
        address
        for net in ("192.0.2", "198.51.100", "203.0.113")
        for address in (f"{net}.{i}" for i in range(1, 255))
        if address not in {OFFICE, ATTACKER}
    ),
)
_OFFICE_PERCENT = 5


@dataclass(frozen=True)
class Value:
    """A number from `low` to `high` put into `pattern`, or one of `words`."""

    pattern: str = "%s"
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()
    of_trace: bool = False
    cents: bool = False  # written with two decimals

    def draw(self, draws: Draws, n: int) -> Sequence[int | str]:
        """Return what goes into the pattern [n]."""
        if self.words:
            return [self.words[i] for i in draws.below(len(self.words), n).tolist()]
        number = draws.below(self.high - self.low + 1, n) + self.low
        if self.cents:
            return [f"{cents // 100}.{cents % 100:02d}" for cents in number.tolist()]
        drawn: list[int] = number.tolist()
        return drawn


def _of_trace(pattern: str, low: int, high: int) -> Value:
    return Value(pattern, low, high, of_trace=True)


def _word(words: str) -> Value:
    return Value(words=tuple(words.split(", ")), of_trace=True)


VALUES: dict[str, Value] = {
    "order": _of_trace("%s", 400_000, 999_999),
    "cart": _of_trace("c-%s", 10_000, 99_999),
    "product": _of_trace("sku-%s", 10_000, 14_999),
    "items": _of_trace("%s", 1, 9),
    "amount": Value(low=490, high=48_900, of_trace=True, cents=True),
    "card": _of_trace("%s", 1_000, 9_999),
    "payment": _of_trace("p-%s", 2_000_000, 8_999_999),
    "shipment": _of_trace("sh-%s", 300_000, 899_999),
    "email": _of_trace("c%s@example.com", 10_000, 99_999),
    "coupon": _of_trace("SPRING-%s", 100, 999),
    "warehouse": _of_trace("wh%s", 1, 4),
    "category": _word("lamps, chairs, tables, carpets, curtains, mirrors, shelves, vases"),
    "query": _word("desk lamp, oak table, red vase, wool carpet, round mirror, small shelf, blue chair, linen"),
    "country": _word("DE, AT, CH, NL"),
    "carrier": _word("Northpost, Swiftline, Parcelway"),
    "state": _word("being packed, on its way, delivered, returned"),
    "peer": Value("upstream %s", 1, 9),
    "token": Value("t%s", 10**8, 10**9 - 1),
    "ticket": Value("r%s", 10**6, 10**7 - 1),
    "number": Value(low=10_000, high=99_999),
    "bytes": _of_trace("%s", 180, 28_000),
    "big": Value(low=30_000, high=180_000),
    "many": Value(low=120, high=9_800),
    "used": Value(low=20, high=480),
    "small": Value(low=2, high=38),
    "page": Value(low=1, high=5),
    "minutes": Value(low=2, high=58),
    "age": Value(low=1, high=290),
    "percent": Value(low=1, high=99),
    "days": Value(low=21, high=29),
    "code": Value(low=51, high=65),
    "timeout": Value(low=2_000, high=3_000),
}
"""Every value by name; ``user client took elapsed`` come from the trace itself."""


def visitors(draws: Draws, n: int) -> tuple[I64, I64]:
    """Return who comes [n] and from which address [n] (a position in `CLIENTS`).

    A few users come often (the product of two even draws); each has a home address, shared with about five
    others, and some sit in the office.
    """
    user = draws.below(N_USERS, n) * draws.below(N_USERS, n) // N_USERS
    home = 2 + user * 7_919 % (len(CLIENTS) - 2)  # 7,919 is prime: neighbours in number live apart
    return user, np.where(draws.chance(_OFFICE_PERCENT, n), 0, home)


def users(user: I64) -> list[str]:
    """Return the users' names [n]."""
    return [f"u{10_000 + i * 17}" for i in user.tolist()]


def clients(client: I64) -> list[str]:
    """Return the addresses [n]."""
    return [CLIENTS[i] for i in client.tolist()]


def trace_ids(draws: Draws, n: int) -> list[str]:
    """Return 16 hexadecimal digits each [n]."""
    raw: U64 = draws.raw(n)
    return [f"{bits:016x}" for bits in raw.tolist()]
