"""Seconds and bytes of one round of secure aggregation, all parties in this process on one thread.

python benchmarks/secure_sum.py
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from oddlog.federated.secagg import Identity, Party, Ring, SecureSum
from oddlog.federated.secagg.server import threshold_of

REPEATS = 5


def one_round(n: int, size: int, gone: int, bits: int = 32) -> dict[str, float]:
    """Return seconds of all parties, of the slowest site and the server, bytes a site, and the greatest error."""
    draw, session = np.random.default_rng(size), os.urandom(16)
    values = {f"site {i}": draw.uniform(-1, 1, size) for i in range(n)}
    identities = {name: Identity.new() for name in values}
    roster = {name: one.public for name, one in identities.items()}
    ring, threshold = Ring(n, 4.0, bits), threshold_of(n)
    parties = {name: Party(name, session, threshold, identities[name], roster) for name in values}
    server = SecureSum(session, threshold, ring, size, roster)
    spent: dict[str, float] = defaultdict(float)

    def timed(who: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = work()
        spent[who] += time.perf_counter() - start
        return found

    adverts = {name: timed(name, p.advertise) for name, p in parties.items()}
    adverts = timed("server", lambda: server.adverts(adverts))
    shared = {name: timed(name, lambda p=p: p.share(adverts)) for name, p in parties.items()}
    boxes = timed("server", lambda: server.boxes(shared))
    left = list(values)[gone:]
    sent = {name: timed(name, lambda n=name: parties[n].mask(values[n], ring, boxes[n])) for name in left}
    survivors = timed("server", lambda: server.survivors(sent))
    signed = {name: timed(name, lambda n=name: parties[n].agree(survivors)) for name in left}
    agreed = timed("server", lambda: server.agreed(signed))
    answers = {name: timed(name, lambda n=name: parties[n].unmask(agreed)) for name in left}
    total = timed("server", lambda: server.total(answers))
    up = {
        name: len(adverts[name].seal + adverts[name].mask + adverts[name].signature)
        + sum(map(len, shared[name].values()))
        + sent[name][0].nbytes
        + len(sent[name][1] + signed[name])
        + sum(len(share) for _, share in answers[name].values())
        for name in left
    }
    return {
        "all": sum(spent.values()),
        "site": max(spent[name] for name in values),
        "server": spent["server"],
        "bytes": max(up.values()),
        "vector": 4 * size,
        "error": float(np.abs(total - sum(values[name] for name in left)).max()),
    }


def main() -> None:
    """Print the table."""
    seconds = ["all parties s", "slowest site s", "server s"]
    head = ["sites", "gone", "numbers", "bits", *seconds, "bytes up a site", "float32", "error"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for n, size, gone, bits in (
        (5, 28_000, 0, 32),
        (5, 28_000, 2, 32),
        (10, 28_000, 0, 32),
        (10, 28_000, 4, 32),
        (10, 100_000, 0, 32),
        (10, 100_000, 4, 32),
        (10, 100_000, 4, 64),
        (20, 100_000, 9, 32),
    ):
        found = [one_round(n, size, gone, bits) for _ in range(REPEATS)]
        middle = {name: float(np.median([one[name] for one in found])) for name in found[0]}
        print(
            f"| {n} | {gone} | {size:,} | {bits} | {middle['all']:.3f} | {middle['site']:.3f} | {middle['server']:.3f} "
            f"| {middle['bytes']:,.0f} | {middle['vector']:,.0f} | {middle['error']:.0e} |"
        )


if __name__ == "__main__":
    main()
