"""The values inside the entries: who, what, how many, as columns.

Addresses are those set aside for documentation (RFC 5737), names end in ``example`` (RFC 2606).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.datasets.simulator.draws import Draws
from oddlog.types import I64, U64

N_USERS = 6_000
_HEX = pl.Series([f"{i:04x}" for i in range(1 << 16)])
_CENTS = pl.Series([f".{i:02d}" for i in range(100)])
_TENTHS = pl.Series([f".{i}" for i in range(10)])

ADDRESSES: tuple[str, ...] = tuple(f"{net}.{i}" for net in ("198.51.100", "203.0.113") for i in range(1, 255))
"""Customers have the first `N_HOMES`; the others are strangers, whom one meets at the firewall."""
N_HOMES = 400
_ADDRESSES = pl.Series(ADDRESSES)


@dataclass(frozen=True)
class Value:
    """A number from `low` to `high` behind `prefix`, or one of `words`."""

    prefix: str = ""
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()
    of_trace: bool = False
    cents: bool = False  # written with two decimals
    decade: bool = False  # spread over orders of magnitude: sizes

    def draw(self, draws: Draws, n: int) -> pl.Series:
        """Return the values [n], as text or as numbers."""
        if self.words:
            return pl.Series(self.words).gather(draws.below(len(self.words), n))
        if self.decade:  # log-normal around the low end, cut at the high one
            return pl.Series(np.minimum(draws.latency(self.low, n), self.high))
        number = draws.below(self.high - self.low + 1, n) + self.low
        if self.cents:
            return decimals(number, 100, _CENTS)
        return text_of(self.prefix, number) if self.prefix else pl.Series(number)


def text_of(prefix: str, number: I64) -> pl.Series:
    """Return `number` [n] behind `prefix`."""
    return pl.select(pl.concat_str(pl.lit(prefix), pl.Series(number))).to_series()


def decimals(number: I64, unit: int, endings: pl.Series) -> pl.Series:
    """Return `number` [n] in units of 1 / `unit` with its decimals."""
    return pl.select(pl.concat_str(pl.Series(number // unit), endings.gather(number % unit))).to_series()


def tenths(number: I64) -> pl.Series:
    """Return `number` [n], in tenths, with one decimal."""
    return decimals(number, 10, _TENTHS)


def _of_trace(prefix: str, low: int, high: int) -> Value:
    return Value(prefix, low, high, of_trace=True)


def _words(words: str, *, of_trace: bool = True) -> Value:
    return Value(words=tuple(words.split(", ")), of_trace=of_trace)


VALUES: dict[str, Value] = {
    "parcel": _of_trace("P", 100_000_000, 999_999_999),
    "shipment": _of_trace("S", 1_000_000, 9_999_999),
    "invoice": _of_trace("I", 200_000, 899_999),
    "payment": _of_trace("pay-", 3_000_000, 9_999_999),
    "object": _of_trace("obj-", 10**9, 10**10 // 4),
    "device": _of_trace("D", 100, 399),
    "courier": _of_trace("K", 1_000, 1_399),
    "depot": _of_trace("dep", 10, 39),
    "email": _of_trace("c", 10_000, 99_999),
    "items": _of_trace("", 1, 9),
    "partner": _of_trace("partner", 1, 40),
    "amount": Value(low=390, high=18_900, of_trace=True, cents=True),
    "country": _words("DE, AT, CH, NL, FR, IT"),
    "query": _words("linden road, old harbour, mill lane, station square, park street, hill view, green way"),
    "state": _words("announced, collected, in transit, at depot, out for delivery, delivered"),
    "topic": _words("scans, bookings, payments, hooks", of_trace=False),
    "job": _words("cleanup, report, certificates, mirror, statistics", of_trace=False),
    "admin": _words("ana, bo, chris, dana, eli", of_trace=False),
    "upstream": _words("portal, identity, tracking, booking, pricing", of_trace=False),
    "service": _words("portal, identity, tracking, booking, pricing, search, billing", of_trace=False),
    "version": _words("5.0.0", of_trace=False),
    "host_name": _words("ops-01", of_trace=False),
    "bytes": Value(low=2_400, high=60_000, of_trace=True, decade=True),
    "rows": Value(low=1, high=60, of_trace=True),
    "ticket": Value("r", 10**6, 10**7 - 1),
    "number": Value(low=10_000, high=99_999),
    "big": Value(low=12_000, high=180_000),
    "many": Value(low=120, high=9_800),
    "used": Value(low=20, high=480),
    "small": Value(low=2, high=38),
    "page": Value(low=1, high=8),
    "minutes": Value(low=2, high=58),
    "percent": Value(low=1, high=99),
    "days": Value(low=21, high=29),
    "code": Value(low=51, high=65),
    "port": Value(low=1_024, high=65_535),
    "target": Value(low=21, high=9_100),
    "edge": Value(low=10, high=14),
    "pid": Value(low=1_200, high=32_000),
    "lag": Value(low=8, high=90),
    "depth": Value(low=0, high=60),
    "connections": Value(low=60, high=190),
    "sessions": Value(low=2_000, high=9_000),
    "in": Value(low=40, high=900),
    "out": Value(low=40, high=900),
    "attempt": Value(low=1, high=1),
    "client": Value(words=ADDRESSES[:N_HOMES], of_trace=True),
    "stranger": Value(words=ADDRESSES[N_HOMES:]),
}
"""Every value by name; ``ts host trace_id user client took elapsed`` come from the entry itself."""


def visitors(draws: Draws, n: int) -> tuple[I64, I64]:
    """Return who comes [n] and from which address [n].

    A few users come often (the product of two even draws); each has a home address, shared with some others.
    """
    user = draws.below(N_USERS, n) * draws.below(N_USERS, n) // N_USERS
    home = user * 7_919 % N_HOMES  # 7,919 is prime: neighbours in number live apart
    return user, np.where(draws.chance(8, n), draws.below(N_HOMES, n), home)


def users(user: I64) -> pl.Series:
    """Return the users' names [n]."""
    return text_of("u", 10_000 + user * 17)


def addresses(client: I64) -> pl.Series:
    """Return the addresses [n]."""
    return _ADDRESSES.gather(client)


def trace_ids(draws: Draws, n: int) -> pl.Series:
    """Return 16 hexadecimal digits each [n]."""
    raw: U64 = draws.raw(n)
    parts = [_HEX.gather(((raw >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)) for shift in (48, 32, 16, 0)]
    return pl.select(pl.concat_str(parts)).to_series()
