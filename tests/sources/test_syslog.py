"""Syslog over real sockets: every message is kept before more is read, and whatever is lost is counted."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certificates import Certificates, make_certificates
from oddlog.errors import ConfigError, OddlogError
from oddlog.sources import syslog
from oddlog.sources.addresses import parse_address
from oddlog.sources.syslog import SyslogServer

TURNS = 200


class Kept:
    """Takes entries; fails as it is told."""

    def __init__(self) -> None:
        self.entries: dict[str, list[str]] = {}
        self.failures: list[Exception] = []
        self.begun = 0

    def __call__(self, entries) -> int:
        self.begun += 1
        if self.failures:
            raise self.failures.pop(0)
        for source, texts in entries:
            self.entries.setdefault(source, []).extend(texts)
        return sum(len(texts) for _, texts in entries)

    @property
    def texts(self) -> list[str]:
        return [text for texts in self.entries.values() for text in texts]


class Listening:
    """A server that goes on when it is told."""

    def __init__(self, *texts: str) -> None:
        self.now = 0.0
        self.kept = Kept()
        self.server = SyslogServer([parse_address(text) for text in texts], self.kept, clock=lambda: self.now)
        self.ports = [int(place.rpartition(":")[2]) for place in self.server.places]

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(TURNS):
            if holds():
                return
            self.server.turn(0.05)
        raise AssertionError(f"not within {TURNS} turns: {self.kept.entries} {self.server.tally.counts}")


@pytest.fixture
def listening() -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def start(*texts: str) -> Listening:
        started.append(Listening(*texts))
        return started[-1]

    yield start
    for one in started:
        one.server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


OLD = b"<34>Oct 11 22:14:15 web-1 su: 'su root' failed for lonvick"
NEW = b"<165>1 2024-11-20T10:11:12.003Z web-1 app 4711 ID47 - started"


def test_datagrams_are_lines_of_their_sender_by_the_age_of_their_header(listening: Callable[..., Listening]):
    one = listening("udp://127.0.0.1:0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in (OLD, NEW + b"\n", b"", b"no header\xff\0"):
            sender.sendto(message, ("127.0.0.1", one.ports[0]))
    one.until(lambda: len(one.kept.texts) == 3)
    assert one.kept.entries == {
        "syslog/127.0.0.1": [OLD.decode(), "no header\ufffd"],
        "syslog5424/127.0.0.1": [NEW.decode()],
    }
    assert one.server.tally.counts["invalid UTF-8 replaced"] == 1
    assert one.server.lines == 3


def test_connections_may_count_or_end_messages_and_a_trace_keeps_its_lines(listening: Callable[..., Listening]):
    one = listening("tcp://127.0.0.1:0")
    trace = NEW + b"\n  at Pay.charge\r\n  at Pay.main"
    with socket.create_connection(("127.0.0.1", one.ports[0])) as sender:
        sender.sendall(b"%d %s" % (len(trace), trace) + OLD + b"\n" + OLD)
    one.until(lambda: len(one.kept.texts) == 5)
    assert one.kept.entries["syslog5424/127.0.0.1"] == [NEW.decode(), "  at Pay.charge", "  at Pay.main"]
    assert one.kept.entries["syslog/127.0.0.1"] == [OLD.decode()] * 2
    one.until(lambda: one.server.connections == 0)


def test_nothing_is_read_on_until_what_was_read_is_durable(
    listening: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(syslog, "AGAIN_S", 0.0)
    one = listening("tcp://127.0.0.1:0")
    one.kept.failures = [OddlogError("The spool is full."), OSError(28, "No space left on device")]
    with socket.create_connection(("127.0.0.1", one.ports[0])) as sender:
        sender.sendall(OLD + b"\n")
        one.until(lambda: one.kept.texts == [OLD.decode()])
    assert one.kept.begun == 3
    assert one.server.tally.counts[syslog.WAITED] == 1


def test_datagrams_that_the_kernel_drops_are_counted(listening: Callable[..., Listening]):
    one = listening("udp://127.0.0.1:0")
    port = one.server._ports[0]
    port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sent = 3_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for i in range(sent):
            sender.sendto(b"%s %d" % (OLD, i), ("127.0.0.1", one.ports[0]))
    while one.server.turn(0.0):
        pass
    one.now += syslog.LOOK_S
    one.server.turn(0.0)
    lost = one.server.tally.counts[syslog.LOST]
    assert lost > 0
    assert len(one.kept.texts) + lost == sent


def test_who_is_not_allowed_is_counted_and_dropped(listening: Callable[..., Listening]):
    one = listening("udp://127.0.0.1:0?allow=192.0.2.0/24", "tcp://127.0.0.1:0?allow=192.0.2.0/24")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(OLD, ("127.0.0.1", one.ports[0]))
    with socket.create_connection(("127.0.0.1", one.ports[1])) as sender:
        sender.sendall(OLD)
        one.until(lambda: one.server.tally.counts[syslog.NOT_ALLOWED] == 2)
    assert one.kept.texts == []


def send_on(sender: ssl.SSLSocket) -> None:
    for _ in range(100):  # with TLS 1.3 a refusal comes after the handshake
        sender.sendall(OLD + b"\n")
        sender.recv(1)


def test_tls_is_spoken_and_with_an_authority_only_with_whom_it_knows(
    listening: Callable[..., Listening], certificates: Certificates
):
    query = f"cert={certificates.server_cert}&key={certificates.server_key}&ca={certificates.ca}"
    one = listening(f"tls://127.0.0.1:0?{query}")
    one.server.start()
    context = ssl.create_default_context(cafile=str(certificates.ca))
    stranger = context.wrap_socket(socket.create_connection(("127.0.0.1", one.ports[0])), server_hostname="127.0.0.1")
    with stranger, pytest.raises(OSError, match=r"(?i)certificate required|reset|closed|EOF|broken pipe"):
        send_on(stranger)
    context.load_cert_chain(certificates.client_cert, certificates.client_key)
    many = b"".join(b"%d %s" % (len(NEW), NEW) for _ in range(5_000))
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", one.ports[0])), server_hostname="127.0.0.1"
    ) as sender:
        sender.sendall(many)
        sender.unwrap().close()
    one.server.stop()
    assert one.kept.entries == {"syslog5424/127.0.0.1": [NEW.decode()] * 5_000}
    assert one.server.tally.counts[syslog.NO_TLS] == 1


def test_who_never_begins_tls_does_not_keep_a_place(listening: Callable[..., Listening], certificates: Certificates):
    one = listening(f"tls://127.0.0.1:0?cert={certificates.server_cert}&key={certificates.server_key}")
    with socket.create_connection(("127.0.0.1", one.ports[0])) as silent:
        one.until(lambda: one.server.connections == 1)
        one.now += syslog.HANDSHAKE_S
        one.until(lambda: one.server.connections == 0)
        assert silent.recv(1) == b""
    with socket.create_connection(("127.0.0.1", one.ports[0])) as plain:
        plain.sendall(OLD + b"\n")
        one.until(lambda: one.server.tally.counts[syslog.NO_TLS] == 2)
    assert one.kept.texts == []


def test_connections_beyond_the_limit_are_refused(listening: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(syslog, "MOST_CONNECTIONS", 2)
    one = listening("tcp://127.0.0.1:0")
    senders = [socket.create_connection(("127.0.0.1", one.ports[0])) for _ in range(3)]
    one.until(lambda: one.server.tally.counts[syslog.TOO_MANY] == 1)
    assert one.server.connections == 2
    for sender in senders:
        sender.close()
    one.until(lambda: one.server.connections == 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("udp://0.0.0.0:5514", "allow=10.0.0.0/8"),
        ("http://127.0.0.1", "Write udp://"),
        ("tls://127.0.0.1:6514", "names no certificate"),
        ("tls://127.0.0.1:6514?cert=/nowhere.pem", "no file /nowhere.pem"),
        ("tcp://127.0.0.1:5514?alow=10.0.0.0/8", "Did you mean 'allow'"),
        ("tcp://127.0.0.1:5514?allow=ten", "is no network"),
        ("tcp://127.0.0.1:99999", "no port that there is"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_a_hint(text: str, said: str):
    with pytest.raises(ConfigError) as error:
        parse_address(text)
    assert re.search(re.escape(said), str(error.value))


def test_an_address_in_use_is_the_users_to_mend(listening: Callable[..., Listening]):
    port = listening("tcp://127.0.0.1:0").ports[0]
    with pytest.raises(ConfigError, match="in use"):
        SyslogServer([parse_address(f"tcp://127.0.0.1:{port}")], Kept())


def test_a_key_of_another_certificate_is_the_users_to_mend(certificates: Certificates):
    text = f"tls://127.0.0.1:0?cert={certificates.server_cert}&key={certificates.client_key}"
    with pytest.raises(ConfigError, match="TLS cannot be spoken"):
        SyslogServer([parse_address(text)], Kept())


def test_what_the_kernel_dropped_is_read_by_socket(tmp_path: Path):
    head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"
    row = "  641: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 2101 2 0000000000000000 17"
    (tmp_path / "udp").write_text(f"{head}\n{row}\n")
    assert syslog._dropped(tmp_path) == {2101: 17}
