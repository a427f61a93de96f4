"""Sinks reach nothing inside, by whatever name it is called; unless that is allowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from oddlog.errors import ConfigError, SinkRefusedError
from oddlog.sinks import guard, parse
from stored_incidents import live

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it


@pytest.fixture
def inside() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback; what reaches it is kept."""
    reached: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reached.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, reached
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", ["webhook", "slack"])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f000001", "127.1"],
)
def test_a_webhook_reaches_nothing_inside(inside: tuple[int, list[str]], kind: str, host: str):
    port, reached = inside
    with pytest.raises(SinkRefusedError, match="address inside"):
        parse(f"{kind}+http://{host}:{port}/hook", internal=False).send(live(1))
    assert reached == []


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.0.1", "172.16.9.9", "169.254.169.254", "fd00::1", "::1", "100.64.0.1", "224.0.0.1"]
)
def test_a_name_that_points_inside_is_found_out_when_it_is_used(monkeypatch: pytest.MonkeyPatch, address: str):
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SinkRefusedError, match="address inside"):
        parse("webhook+https://hooks.example.com/x", internal=False).send(live(1))


def test_what_was_looked_at_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    connected: list[Any] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14" if len(asked) == 1 else "127.0.0.1", 80))]

    def connect(place: Any, *_: Any, **__: Any) -> socket.socket:
        connected.append(place)
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Exception, match="cannot be reached"):
        parse("webhook+http://hooks.example.com/x", internal=False).send(live(1))
    assert (asked, connected) == (["hooks.example.com"], [("93.184.215.14", 80)])


def test_an_alertmanager_is_inside_but_never_where_clouds_keep_keys(inside: tuple[int, list[str]]):
    port, reached = inside
    parse(f"alertmanager+http://127.0.0.1:{port}", internal=False).send(live(1))
    assert reached == ["/api/v2/alerts"]
    with pytest.raises(SinkRefusedError, match="address inside"):
        parse("alertmanager+http://169.254.169.254", internal=False).send(live(1))


def test_what_is_allowed_is_reached(inside: tuple[int, list[str]]):
    port, reached = inside
    parse(f"webhook+http://127.0.0.1:{port}/hook", internal=True).send(live(1))
    assert reached == ["/hook"]


# -- e-mail and Apprise, which open connections of their own -----------------------------------------------------

TO = "to=ops@example.com"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on loopback that nobody must have come to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):  # nobody waits to be accepted
            server.accept()


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "mail.example.com", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f000001", "127.1"]
)
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
def test_mail_reaches_no_server_inside(listening: int, kind: str, host: str, monkeypatch: pytest.MonkeyPatch):
    port = listening
    resolve = socket.getaddrinfo

    def inside(name: str, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if name == "mail.example.com" else name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    with pytest.raises(SinkRefusedError, match="address inside"):
        parse(f"mail+{kind}://{host}:{port}/?{TO}", internal=False).send(live(1))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_mail_to_this_machine_is_refused_before_anything_is_served(host: str):
    with pytest.raises(ConfigError, match=rf"{host} is inside.*--allow-internal"):
        parse(f"mail+smtp://{host}:25/?{TO}&tls=none", internal=False)


class Outside:
    """Stands for the public internet: every address but 127.0.0.2."""

    def __call__(self, address: Any) -> bool:
        return str(address) != "127.0.0.2"


@pytest.fixture
def apprise() -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")


HOSTS = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1", "inside.example.com"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.usefixtures("apprise")
def test_a_service_of_apprise_reaches_nothing_inside(
    inside: tuple[int, list[str]], host: str, monkeypatch: pytest.MonkeyPatch
):
    port, reached = inside
    resolve = socket.getaddrinfo

    def mine(name: str, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if name == "inside.example.com" else name, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", mine)
    with pytest.raises((SinkRefusedError, ConfigError), match=r"address inside|knows no service"):
        parse(f"apprise+json://{host}:{port}/", internal=False).send(live(1))
    assert reached == []


@pytest.mark.usefixtures("apprise")
def test_a_service_of_apprise_is_not_led_inside(inside: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch):
    """Apprise follows redirects: where these lead is asked anew."""
    port, reached = inside

    class Leads(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Content-Length", "0")
            self.send_header("Location", f"http://127.0.0.2:{port}/secret")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(guard, "is_outside", Outside())
    server = HTTPServer(("127.0.0.1", 0), Leads)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(SinkRefusedError, match=r"127\.0\.0\.2 is an address inside"):
            parse(f"apprise+json://127.0.0.1:{server.server_port}/?redirect=yes", internal=False).send(live(1))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert reached == []


@pytest.mark.parametrize("way", ["thread", "datagram", "name", "unix", "plain"])
def test_no_way_out_leads_past_the_guard(way: str, listening: int):
    port = listening

    def go() -> None:
        if way == "datagram":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(b"x", ("127.0.0.1", port))
        elif way == "name":
            with socket.socket() as one:
                one.connect(("localhost", port))
        elif way == "unix":
            with socket.socket(socket.AF_UNIX) as one:
                one.connect("/run/dbus/system_bus_socket")
        else:
            with socket.socket() as one:
                one.connect(("127.0.0.1", port))

    def quietly() -> None:
        with suppress(Exception):
            go()

    def send() -> None:
        if way == "thread":
            other = threading.Thread(target=quietly)
            other.start()
            other.join()
        else:
            go()

    with pytest.raises(SinkRefusedError, match=r"inside|by its name"), guard.watched(guard.is_outside):
        send()


def test_the_guard_holds_for_who_sends_and_for_nobody_else(inside: tuple[int, list[str]]):
    port, reached = inside
    began, go_on = threading.Event(), threading.Event()

    def guarded() -> None:
        with guard.watched(guard.is_outside):
            began.set()
            go_on.wait(10)

    thread = threading.Thread(target=guarded)
    thread.start()
    began.wait(10)
    parse(f"webhook+http://127.0.0.1:{port}/hook", internal=True).send(live(1))
    go_on.set()
    thread.join()
    parse(f"webhook+http://127.0.0.1:{port}/after", internal=True).send(live(1))
    assert reached == ["/hook", "/after"]


@pytest.mark.usefixtures("apprise")
def test_what_is_allowed_is_reached_by_apprise(inside: tuple[int, list[str]]):
    port, reached = inside
    parse(f"apprise+json://127.0.0.1:{port}/note", internal=True).send(live(1))
    assert [path.rstrip("/") for path in reached] == ["/note"]
