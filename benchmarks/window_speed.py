"""Events per CPU-second into windows: a million events of 50,000 sessions, in one push and in small ones."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from oddlog.types import EVENTS, Tally
from oddlog.windows import Windower

N = 1_000_000


def events() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    session = pl.Series(rng.integers(0, 50_000, N)).cast(pl.String)
    zero = pl.repeat(0, N, eager=True)
    columns = {
        "session": "blk_" + session,
        "template": pl.Series(rng.integers(0, 30, N)),
        "time_us": pl.int_range(N, eager=True) * 1000,
        **dict.fromkeys(("level", "service", "source"), zero),
        "line": pl.int_range(N, eager=True),
    }
    return pl.DataFrame(columns).cast(dict(EVENTS))


def cost(every: pl.DataFrame, step: int, **options: object) -> str:
    windower = Windower(**options, tally=Tally())  # type: ignore[arg-type]
    began, windows = time.process_time(), 0
    for start in range(0, N, step):
        windows += len(windower.push(every.slice(start, step)))
    windows += len(windower.flush())
    spent = time.process_time() - began
    return f"{windows:,} | {N / spent / 1e6:.2f} M"


def main() -> None:
    every = events()
    cost(every, N, by="session")  # the first run pays for fresh memory
    print("| windows by | events a push | windows | events per CPU-second |\n|---|---|---|---|")
    print(f"| session | {N:,} | {cost(every, N, by='session')} |")
    print(f"| session, 30 s idle (most sessions split) | {N:,} | {cost(every, N, by='session', idle_us=30_000_000)} |")
    print(f"| session, 1 h idle | 100,000 | {cost(every, 100_000, by='session', idle_us=3_600_000_000)} |")
    print(f"| session, 1 h idle | 1,000 | {cost(every, 1_000, by='session', idle_us=3_600_000_000)} |")
    one = every.with_columns(session=pl.lit(None, pl.String))
    print(f"| time, 1 s, one group | {N:,} | {cost(one, N, by='time', size=1_000_000)} |")
    print(f"| count, 100, one group | {N:,} | {cost(one, N, by='count', size=100)} |")


if __name__ == "__main__":
    main()
