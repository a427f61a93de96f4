"""Webhooks reach nothing inside, by whatever name it is called; unless that is allowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from oddlog.errors import SinkRefusedError
from oddlog.sinks import parse
from stored_incidents import live


@pytest.fixture
def inside() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback; what reaches it is kept."""
    reached: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reached.append(self.path)
            self.send_response(200)
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
