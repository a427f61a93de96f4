"""The two case studies, live: a storm of 500s after a deployment and a log-in attack, while they happen.

A shop is simulated and learned from. Its next day is replayed to `oddlog serve` as shippers push it, the server tells a
real Alertmanager if there is one (Debian: apt-get install prometheus-alertmanager), and an answer calls a third,
harmless thing usual: it does not come again, nor after a restart.
Run it with: python examples/case_studies_live.py [--speed 60] [--elsewhere 1200] [--by otlp|loki|rsyslog]
At sixty times the pace of the day it takes ten minutes; two, if what is not planted goes by faster (--elsewhere).
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import oddlog
from oddlog.datasets import simulate

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
RSYSLOG = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
PATIENCE_S = 240.0
Entry = dict[str, Any]
PLANTED = {"storm": "processor.api is not set", "attack": "from 198.51.100.7: wrong password"}
"""What a line says that only the one of them has."""
SIGNS = {"storm": "“order <*> rolled back: payment failed”", "attack": "198.51.100.7:"}
"""What a reason for it says, once it is known whole."""
FIRST = {"storm": "never seen before: “processor.api is not set", "attack": SIGNS["attack"]}
"""What a reason for it says first."""
STEP_S = 0.25
BEFORE, AFTER = timedelta(minutes=2), timedelta(minutes=25)  # of the first line, at the pace that is asked for


def main() -> None:
    """Simulate, learn, serve, replay, look, answer, start anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=1_200, help="so many times as fast as it happened")
    parser.add_argument(
        "--elsewhere", type=float, default=0, help="… where nothing is planted; as --speed, if not given"
    )
    parser.add_argument("--by", choices=("otlp", "loki", "rsyslog"), default="otlp", help="how lines are sent")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        shop = simulate(folder / "shop", lines=60_000)
        model = oddlog.fit(shop.train, entity="client", detectors=["snn", "ocsvm", "new-event"])
        model.save(folder / "shop.model")
        today = entries(Path(shop.today))
        with alertmanager(folder) as alerts:
            sink: tuple[str, ...] = ("--sink", f"alertmanager+{alerts}") if alerts else ()
            # Time goes faster than it did, and with it what lines wait for: half a second here, in which the last line
            # of each source is known to be whole, is so much more there; a second, where that is not too long.
            sink += ("--lateness", f"{max(options.speed / 2, min(options.speed, 60)):.0f}s")
            with serving(folder, *sink) as (api, syslog):
                send = {"otlp": otlp, "loki": loki, "rsyslog": rsyslog}[options.by](folder, api, syslog)
                seen = Seen(api)
                replay(today, send, options.speed, options.elsewhere or options.speed, seen)
                show(api, alerts, seen)
                answer_a_third(today, send, api)
            with serving(folder, *sink) as (api, _):
                again = {"otlp": otlp, "loki": loki, "rsyslog": otlp}[options.by](folder, api, "")
                unusual(again, today, days=2)
                wait_until_judged(api)
                print(f"after a restart: {len(exports(api))} more")


def entries(folder: Path) -> list[Entry]:
    """Return the entries of a day, in order of time."""
    found: list[Entry] = []
    for path in folder.iterdir():
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        found += [json.loads(line) for line in text.splitlines()]
    return sorted(found, key=lambda entry: str(entry["ts"]))


# -- ways to send --------------------------------------------------------------------------------------------

Send = Callable[[list[Entry]], None]


def otlp(_folder: Path, api: str, _syslog: str) -> Send:
    """Return what sends entries as OpenTelemetry's exporters do."""

    def attribute(key: str, value: Any) -> Entry:
        kind = {int: "intValue", float: "doubleValue"}.get(type(value), "stringValue")
        return {"key": key, "value": {kind: str(value) if kind == "intValue" else value}}

    def record(entry: Entry) -> Entry:
        known = ("ts", "level", "service", "host", "msg", "trace_id")
        ns = round(datetime.fromisoformat(entry["ts"]).timestamp() * 1e6) * 1000
        return {
            "timeUnixNano": str(ns),
            "severityText": entry["level"],
            "body": {"stringValue": entry["msg"]},
            "traceId": entry.get("trace_id", ""),
            "attributes": [attribute(key, value) for key, value in entry.items() if key not in known],
        }

    def send(some: list[Entry]) -> None:
        resources: dict[tuple[str, str], list[Entry]] = {}
        for entry in some:
            resources.setdefault((entry["service"], entry["host"]), []).append(record(entry))
        logs = [
            {
                "resource": {"attributes": [attribute("service.name", service), attribute("host.name", host)]},
                "scopeLogs": [{"logRecords": records}],
            }
            for (service, host), records in resources.items()
        ]
        ask(f"{api}/v1/logs", {"resourceLogs": logs})

    return send


def loki(_folder: Path, api: str, _syslog: str) -> Send:
    """Return what sends entries as Promtail and Alloy do: the line itself, under labels."""

    def send(some: list[Entry]) -> None:
        streams: dict[tuple[str, str], list[list[str]]] = {}
        for entry in some:
            ns = round(datetime.fromisoformat(entry["ts"]).timestamp() * 1e6) * 1000
            streams.setdefault((entry["service"], entry["host"]), []).append([str(ns), json.dumps(entry)])
        told = [{"stream": {"service": a, "host": b}, "values": values} for (a, b), values in streams.items()]
        ask(f"{api}/loki/api/v1/push", {"streams": told})

    return send


def rsyslog(folder: Path, _api: str, syslog: str) -> Send:
    """Return what writes entries to a file that a real rsyslog follows and forwards by TCP."""
    if RSYSLOG is None:
        sys.exit("There is no rsyslogd: apt-get install rsyslog, or take --by otlp.")
    log, config = folder / "shop.log", folder / "rsyslog.conf"
    log.touch()
    host, _, port = syslog.rpartition(":")
    config.write_text(
        f'global(workDirectory="{folder}" net.enableDNS="off" maxMessageSize="64k")\n'
        'module(load="imfile")\n'
        f'input(type="imfile" File="{log}" Tag="shop:")\n'
        'template(name="line" type="string" string="%msg%\\n")\n'  # as it stands in the file
        f'action(type="omfwd" target="{host}" port="{port}" protocol="tcp" template="line"'
        ' action.resumeRetryCount="-1")\n'
    )
    command = [RSYSLOG, "-n", "-f", str(config), "-i", str(folder / "rsyslog.pid")]
    STARTED.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))  # noqa: S603

    def send(some: list[Entry]) -> None:
        with log.open("a") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in some)

    return send


def replay(today: list[Entry], send: Send, speed: float, elsewhere: float, seen: Seen) -> None:
    """Send a day's entries, `speed` times as fast as they happened around what is planted, `elsewhere` times else."""
    times = [datetime.fromisoformat(entry["ts"]) for entry in today]
    first = {name: next(i for i, one in enumerate(today) if says in one["msg"]) for name, says in PLANTED.items()}
    slow = [(times[i] - BEFORE, times[i] + AFTER) for i in first.values()]
    began, at, end, steps = time.monotonic(), 0, times[0], 0
    while at < len(today):
        end += timedelta(seconds=STEP_S * (speed if any(a <= end <= b for a, b in slow) else elsewhere))
        upto = next((i for i in range(at, len(today)) if times[i] >= end), len(today))
        seen.sent.update({name: (time.monotonic(), times[i]) for name, i in first.items() if at <= i < upto})
        if upto > at:
            send(today[at:upto])
        at, steps = upto, steps + 1
        time.sleep(max(began + steps * STEP_S - time.monotonic(), 0.0))


class Seen:
    """Looks all the while what is shown, and who was told, so that it is known how long it took."""

    def __init__(self, api: str) -> None:
        self._api, self._done = api, False
        self.sent: dict[str, tuple[float, datetime]] = {}  # when the first line was sent, and what time stands in it
        self.took_s: dict[tuple[str, str], float] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done:
            for name, (since, at) in self.sent.copy().items():
                shown = [one for one in found(self._api, FIRST[name]) if datetime.fromisoformat(one["end"]) >= at]
                told = [one for one in shown if TOLD[one["id"], "firing"]]
                for what, there in (("shown", shown), ("told", told)):
                    if there:
                        self.took_s.setdefault((name, what), time.monotonic() - since)
            time.sleep(STEP_S)

    def end(self) -> None:
        """Stop looking."""
        self._done = True
        self._thread.join()


# -- what is found -------------------------------------------------------------------------------------------


def show(api: str, alerts: str, seen: Seen) -> None:
    """Print the two incidents of the day, how soon they were there, and how often each was told."""
    wait_until(lambda: all(found(api, sign) for sign in SIGNS.values()))
    wait_until_judged(api)
    if alerts:
        wait_until(lambda: all((name, "told") in seen.took_s for name in SIGNS))
    seen.end()
    page = read(f"{api}/incidents").decode()
    for name, sign in SIGNS.items():
        mine = max(found(api, sign), key=lambda one: int(one["n_windows"]))
        print(f"{name}: {mine['n_windows']} windows of {', '.join(mine['services'][:3])}, one incident")
        for reason in mine["reasons"]:
            print(f"  {reason['kind']}: {reason['text']}")
        print(f"  on the page: {'yes' if mine['id'] in page else 'no'}")
        print(f"  shown {seen.took_s[name, 'shown']:.1f} s after its first line was sent")
        if alerts:
            print(f"  Alertmanager told of it: {TOLD[mine['id'], 'firing']} time")
            print(f"  told {seen.took_s[name, 'told']:.1f} s after its first line was sent")


def found(api: str, sign: str) -> list[Entry]:
    """Return the incidents with a reason that holds `sign`."""
    listed = ask(f"{api}/v1/incidents?limit=100")["incidents"]
    return [one for one in listed if any(sign in reason["text"] for reason in one["reasons"])]


def unusual(send: Send, today: list[Entry], days: int) -> None:
    """Send something harmless that was never seen, some days later."""
    last = datetime.fromisoformat(today[-1]["ts"]) + timedelta(days=days)
    said = "export of the price list failed: nobody asked for it"
    some = [
        {"service": "catalog", "host": "catalog-1", "level": "ERROR", "msg": said}
        | {"ts": (last + timedelta(seconds=i)).astimezone(UTC).isoformat().replace("+00:00", "Z")}
        for i in range(3)
    ]
    send([*some, {**today[-1], "ts": some[-1]["ts"], "msg": "outbox: 1 events sent, 0 left", "level": "DEBUG"}])


def exports(api: str) -> list[Entry]:
    """Return the incidents of the third thing that are shown."""
    return found(api, "export of the price list failed")


def answer_a_third(today: list[Entry], send: Send, api: str) -> None:
    """Have something harmless happen, call it usual, and have it happen again."""
    unusual(send, today, days=0)
    wait_until(lambda: bool(exports(api)))
    third = exports(api)[0]
    ask(f"{api}/v1/answers", {"incident": third["id"], "answer": "usual", "who": "ann"})
    wait_until(lambda: not exports(api))  # answers are looked for four times a second
    unusual(send, today, days=1)
    wait_until_judged(api)
    time.sleep(1.0)
    print(f"third: told once, called usual; a day later {len(exports(api))} more")


# -- processes -----------------------------------------------------------------------------------------------

STARTED: list[subprocess.Popen[bytes]] = []


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Run `oddlog serve`; give its address and that of its syslog."""
    port, syslog = free_port(), f"127.0.0.1:{free_port()}"
    command = [
        sys.executable,
        "-m",
        "oddlog",
        "serve",
        "-m",
        str(folder / "shop.model"),
        "--data",
        str(folder / "data"),
    ]
    command += ["--port", str(port), "--syslog", f"tcp://{syslog}", *options]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves
    try:
        api = f"http://127.0.0.1:{port}"
        wait_until(lambda: read(f"{api}/readyz") == b"ok")
        yield api, syslog
    finally:
        while STARTED:
            one = STARTED.pop()
            one.terminate()
            one.wait()
        server.terminate()
        server.wait()


TOLD: Counter[tuple[str, str]] = Counter()  # incident, firing or resolved -> how often Alertmanager told somebody


class Somebody(BaseHTTPRequestHandler):
    """Whoever Alertmanager tells."""

    def do_POST(self) -> None:
        """Count what is told."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        TOLD.update((one["labels"]["incident"], one["status"]) for one in told["alerts"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """Run an Alertmanager that tells somebody at once; give its address, empty where it is not installed."""
    if ALERTMANAGER is None:
        yield ""
        return
    somebody = ThreadingHTTPServer(("127.0.0.1", 0), Somebody)
    threading.Thread(target=somebody.serve_forever, daemon=True).start()
    config, port = folder / "alertmanager.yml", free_port()
    config.write_text(
        "route: {receiver: somebody, group_by: [incident], group_wait: 0s}\n"
        f"receivers: [{{name: somebody, webhook_configs: [{{url: 'http://127.0.0.1:{somebody.server_port}'}}]}}]\n"
    )
    command = [ALERTMANAGER, f"--config.file={config}", f"--storage.path={folder / 'alerts'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        wait_until(lambda: bool(read(f"http://127.0.0.1:{port}/-/ready")))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        somebody.shutdown()
        somebody.server_close()


def read(url: str, body: Any = None) -> bytes:
    """Return what a URL answers; POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def ask(url: str, body: Any = None) -> Any:
    """Return what a URL answers as JSON, None for nothing."""
    content = read(url, body)
    return json.loads(content) if content else None


def wait_until_judged(api: str) -> None:
    """Wait until no line waits, and what was found is stored."""
    wait_until(lambda: b"\noddlog_lines_behind 0.0\n" in read(f"{api}/metrics"))
    time.sleep(1.0)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if holds():
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.2)
    sys.exit("It did not happen in time.")


if __name__ == "__main__":
    main()
