"""`oddlog serve` under load: lines per second and CPU-second, how late an odd line is stored, and memory.

    python benchmarks/live_load.py [--lines 600000] [--rate 1000 --rate 20000] [--seconds 60] [--model FOLDER]

A server in a process of its own takes made storage lines by HTTP (`POST /v1/lines`, 2,000 a body, four sources) as
fast as it acknowledges them, and the same lines from a file (`--source`). Then lines come at set rates, and every
second a line of a kind never seen: how late it is, is the time the incident was stored at less the time it was sent.
Last a flood: no two lines of one kind, lines of 10 MB and garbage among them. `--only long` follows a file of many
lines (3,600,000 are an hour of 1,000 lines/s) and fits how memory grows with them.
CPU-seconds are the server's, all threads; the machine is shared, so the load average stands beside the clock's figures.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from measured import ODDLOG, lines_file, run

BODY = 2_000  # lines
SOURCES = 4
PATIENCE_S = 600.0
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jolly", "koala", "lemon")


class Server:
    """`oddlog serve`, and what it costs."""

    def __init__(self, model: str, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [ODDLOG, "serve", "-m", model, "--data", str(folder), "--port", str(self.port), *options]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.memory: list[float] = []
        self.wait(lambda: self.get("/readyz") == b"ok")
        self._began = self.cpu_s

    @property
    def cpu_s(self) -> float:
        """CPU-seconds so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def used_s(self) -> float:
        """CPU-seconds since it was ready."""
        return self.cpu_s - self._began

    @property
    def rss_mb(self) -> float:
        """Memory now, in 10^6 bytes."""
        return self._memory("VmRSS")

    @property
    def most_mb(self) -> float:
        """Memory at the most, in 10^6 bytes."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024 / 1e6

    def get(self, path: str) -> bytes:
        """Return a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return one of the figures of ``/metrics``."""
        rows = self.get("/metrics").decode().splitlines()
        return next((float(row.split()[-1]) for row in rows if row.split(" ")[0] == name), 0.0)

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looking at the memory meanwhile."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except OSError:
                if self._process.poll() is not None:
                    raise SystemExit("the server ended") from None
            self.memory.append(self.rss_mb)
            time.sleep(0.1)
        raise SystemExit("the server did not do it in time")

    def end(self) -> float:
        """End it in order; return how many seconds that took."""
        began = time.monotonic()
        self._process.terminate()
        self._process.wait()
        return time.monotonic() - began


class Pusher:
    """One connection that pushes bodies, and waits where it is told to."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.refused = 0

    def push(self, source: str, body: bytes) -> None:
        """Push lines until they are acknowledged."""
        while True:
            try:
                self._connection.request("POST", f"/v1/lines?source={source}", body)
                answer = self._connection.getresponse()
                answer.read()
            except (ConnectionError, http.client.HTTPException):  # left alone for 30 s it is closed by the server
                self._connection.close()
                continue
            if answer.status == 204:
                return
            if answer.status not in (429, 503):
                raise SystemExit(f"refused: {answer.status}")
            self.refused += 1
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), 1.0))


@contextmanager
def served(model: str, *options: str) -> Iterator[Server]:
    """Serve from a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="oddlog-load-") as folder:
        server = Server(model, Path(folder, "data"), *options)
        yield server
        seconds = server.end()
        print(f"(ended in order in {seconds:.1f} s)", flush=True)


def row(name: str, server: Server, n: int, wall_s: float, more: str = "") -> None:
    memory = [max(part) if len(part) else 0 for part in np.array_split(np.array(server.memory), 4)]
    grown = " · ".join(f"{mb:,.0f}" for mb in memory)
    cpu, load = server.used_s, os.getloadavg()[0]
    print(
        f"| {name} | {n:,} | {cpu:.1f} | {n / cpu:,.0f} | {n / wall_s:,.0f} | {load:.1f} | {grown} | {more} |",
        flush=True,
    )


def at_full_speed(model: str, lines: list[bytes]) -> None:
    """Push as fast as lines are acknowledged, over two connections."""
    bodies = [b"\n".join(lines[at : at + BODY]) for at in range(0, len(lines), BODY)]
    with served(model) as server:
        began = time.monotonic()
        pushers = [Pusher(server.port) for _ in range(2)]

        def go(which: int) -> None:
            for i in range(which, len(bodies), 2):
                pushers[which].push(f"node{i % SOURCES}", bodies[i])

        threads = [threading.Thread(target=go, args=(which,)) for which in range(2)]
        for one in threads:
            one.start()
        while any(one.is_alive() for one in threads):
            server.memory.append(server.rss_mb)
            time.sleep(0.5)
        acknowledged = time.monotonic() - began
        server.wait(lambda: server.metric("oddlog_lines_behind") == 0)
        refused = sum(one.refused for one in pushers)
        more = f"acknowledged at {len(lines) / acknowledged:,.0f} lines/s, {refused} times told to wait"
        row("HTTP", server, len(lines), time.monotonic() - began, more)


def from_a_file(model: str, path: Path, n: int) -> None:
    """Follow a file that is there already."""
    began = time.monotonic()
    with served(model, "--source", str(path), "--from-start") as server:
        server.wait(lambda: server.metric("oddlog_windows") > 0 and server.metric("oddlog_lines_behind") == 0)
        row("file", server, n, time.monotonic() - began, "start-up in the seconds, not in the CPU-seconds")


def for_long(model: str, path: Path, n: int) -> None:
    """Follow a file of many lines, and see whether memory still grows with the lines once it has filled up."""
    seen: list[tuple[float, float]] = []  # million windows judged, MB
    with served(model, "--source", str(path), "--from-start") as server:
        began, windows = time.monotonic(), -1.0
        while True:
            seen.append((server.metric("oddlog_windows") / 1e6, server.rss_mb))
            server.memory.append(seen[-1][1])
            if seen[-1][0] == windows and windows and server.metric("oddlog_lines_behind") == 0:
                break
            windows = seen[-1][0]
            time.sleep(2.0)
        judged, mb = np.array(seen).T
        late = judged > judged[-1] / 2
        lines = judged[late] / judged[-1] * n / 1e6
        slope, _ = np.polyfit(lines, mb[late], 1)
        more = f"{slope:+.1f} MB for each further million lines, over the second half of them"
        row("long", server, n, time.monotonic() - began, more)


def at_a_rate(model: str, lines: list[bytes], rate: int, seconds: int) -> None:
    """Push lines evenly, and every second one of a kind never seen."""
    draw, step = random.Random(rate), max(min(BODY, rate // 20), 1)
    kinds = [f"{a} {b} failed: no {c}" for a in WORDS for b in WORDS for c in WORDS]
    draw.shuffle(kinds)
    sent: dict[str, float] = {}
    with served(model) as server:
        pusher, began, at, late = Pusher(server.port), time.monotonic(), 0, 0.0
        warm = began + 5.0
        while at < min(len(lines), rate * seconds):
            body = lines[at : at + step]
            if time.monotonic() > warm + len(sent):
                kind = kinds[len(sent)]
                head = body[len(body) // 2].split(b": ", 1)[0].replace(b" INFO ", b" ERROR ")
                body = [*body[: len(body) // 2], head + b": " + kind.encode(), *body[len(body) // 2 :]]
                sent[kind] = time.time()
            pusher.push(f"node{at // step % SOURCES}", b"\n".join(body))
            at += step
            wait = began + at / rate - time.monotonic()
            late = max(late, -wait)
            time.sleep(max(wait, 0.0))
            if at // step % 20 == 0:
                server.memory.append(server.rss_mb)
        wall_s = time.monotonic() - began
        server.wait(lambda: server.metric("oddlog_lines_behind") == 0)
        time.sleep(2.0)
        seen = stored(server)
        delays = np.array([seen[kind] - when for kind, when in sent.items() if kind in seen])
        told = f"{len(delays)} of {len(sent)} odd lines stored after {_quantiles(delays)}; sender late by {late:.1f} s"
        row(f"{rate:,} lines/s asked", server, at, wall_s, told)


def flooded(model: str, n: int) -> None:
    """Push `n` lines no two of which are of one kind, some of 10 MB among them, and garbage."""
    head = b"260301 000005 21872 ERROR store.Node: "
    with served(model) as server:
        pusher, began = Pusher(server.port), time.monotonic()
        for at in range(0, n, BODY):
            rows = [head + f"{_word(i)} lost {_word(i * 7 + 1)}".encode() for i in range(at, min(at + BODY, n))]
            if at % (BODY * 50) == 0:
                rows += [head + b"x" * 10_000_000, os.urandom(20_000).replace(b"\n", b"")]
            pusher.push("node0", b"\n".join(rows))
            server.memory.append(server.rss_mb)
        server.wait(lambda: server.metric("oddlog_lines_behind") == 0)
        counted = [
            one for one in server.get("/metrics").decode().splitlines() if one.startswith("oddlog_counted_total")
        ]
        told = f"{pusher.refused} times told to wait; {server.metric('oddlog_lines_cut_total'):.0f} lines cut"
        row("flood", server, n, time.monotonic() - began, told)
    print("\n".join(counted), flush=True)


def _word(number: int) -> str:
    """Return letters that stand for a number, no two for the same."""
    letters = ""
    while True:
        number, rest = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[rest] + "aeiou"[rest % 5]
        if not number:
            return letters


def _quantiles(delays: np.ndarray) -> str:
    if not len(delays):
        return "–"
    return " · ".join(f"{np.quantile(delays, q):.2f}" for q in (0.5, 0.9, 0.99)) + " s (median · p90 · p99)"


def stored(server: Server) -> dict[str, float]:
    """Return when each kind of odd line was stored first (seconds since the epoch)."""
    found: dict[str, float] = {}
    after = ""
    while True:
        page = json.loads(server.get(f"/v1/incidents?limit=100{after}"))
        for one in page["incidents"]:
            when = datetime.fromisoformat(one["stored"]).timestamp()
            for line in one["lines"]:
                kind = line["text"].partition(": ")[2]
                found[kind] = min(found.get(kind, when), when)
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", default="", help="an HDFS file to repeat")
    parser.add_argument("--lines", type=int, default=600_000)
    parser.add_argument("--log", default="", help="a file of at least so many such lines, instead of a new one")
    parser.add_argument("--rate", type=int, action="append", default=[])
    parser.add_argument("--flood", type=int, default=200_000, help="lines of the flood")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--model", default="", help="a model of such lines; fitted on them if not given")
    parser.add_argument("--only", choices=("http", "file", "rate", "flood", "long"), action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oddlog-bench-") as folder:
        log, model = (
            Path(options.log or Path(folder, "storage.log")),
            options.model or str(Path(folder, "storage.model")),
        )
        if not options.log:
            lines_file(log, options.lines, options.like)
        if not options.model:
            run([ODDLOG, "fit", str(log), "-m", model])
        wanted = options.only or ["http", "file", "rate", "flood"]
        lines = [] if wanted == ["long"] else log.read_bytes().splitlines()
        print("| lines by | lines | CPU-seconds | lines/CPU-s | lines/s | load | MB, four quarters | |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        if "http" in wanted:
            at_full_speed(model, lines)
        if "file" in wanted:
            from_a_file(model, log, len(lines))
        for rate in options.rate or (1_000, 20_000) if "rate" in wanted else ():
            at_a_rate(model, lines, rate, options.seconds)
        if "flood" in wanted:
            flooded(model, options.flood)
        if "long" in wanted:
            for_long(model, log, options.lines)


if __name__ == "__main__":
    main()
