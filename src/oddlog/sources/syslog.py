"""Syslog as it comes: datagrams, connections, TLS; kept before more is read.

::

    udp ──┐
    tcp ──┼─► one thread: read what there is ─► `framing` ─► keep (durable) ─► read on
    tls ──┘

Syslog has no answer, so the only thing that can be promised is held back: nothing more is read until what was read is
durable. A sender over TCP or TLS then waits; datagrams that the kernel drops meanwhile are counted from
``/proc/net/udp``. A source is called by its sender's address: ``syslog/192.0.2.7``, ``syslog5424/192.0.2.7``.
"""

from __future__ import annotations

import logging
import os
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oddlog.errors import ConfigError, OddlogError
from oddlog.sources.addresses import Address
from oddlog.sources.blocks import REPAIRED
from oddlog.sources.framing import Framing
from oddlog.sources.spooled import Entries
from oddlog.types import Tally

READ_BYTES = 256 << 10  # of a connection at a time
MOST_DATAGRAMS = 2_000  # of a socket at a time
MOST_CONNECTIONS = 1_000
BUFFER_BYTES = 8 << 20  # asked of the kernel for datagrams: it grants net.core.rmem_max at most
HANDSHAKE_S = 10.0
LOOK_S = 1.0  # between looks at what the kernel dropped and who never finished a handshake
WAIT_S = 0.25
AGAIN_S = 0.5  # between tries while nothing can be kept
_DATAGRAM = 65_535

LOST = "syslog datagram lost: dropped by the kernel"
NOT_ALLOWED = "syslog message or connection of an address that is not allowed"
TOO_MANY = f"syslog connection refused: {MOST_CONNECTIONS:,} are open"
NO_TLS = "syslog connection ended: no TLS"
WAITED = "syslog not read for a while: nothing can be kept"

_NEW_HEADER = re.compile(rb"<[0-9]{1,3}>[1-9][0-9]? ")
_log = logging.getLogger("oddlog")


@dataclass
class _Port:
    """A socket that is listened at."""

    address: Address
    socket: socket.socket
    context: ssl.SSLContext | None = None
    dropped: int = 0  # by the kernel, as far as counted
    inode: int = 0


@dataclass
class _Connection:
    """A sender that is connected."""

    socket: socket.socket
    peer: str
    framing: Framing
    shakes_until: float = 0.0  # of TLS; 0 once hands are shaken
    ended: bool = False


class SyslogServer:
    """Listens for syslog and hands messages over to be kept.

    Parameters
    ----------
    addresses : sequence of Address
        Where to listen; see `addresses.parse_address`.
    keep : callable
        Takes texts by source; returns once they are durable. What it raises means: try again.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    ConfigError
        If an address cannot be listened at.

    """

    name = "syslog"

    def __init__(
        self,
        addresses: Sequence[Address],
        keep: Callable[[Entries], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self.lines = 0
        self._keep, self._clock = keep, clock
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oddlog-syslog", daemon=True)
        self._ports: list[_Port] = []
        self._connections: dict[int, _Connection] = {}
        self._looked_s = clock()
        self.failure: Exception | None = None
        try:
            for address in addresses:
                self._listen(address)
        except BaseException:
            self.close()
            raise

    @property
    def places(self) -> list[str]:
        """Where it listens, with the ports that were given for port 0."""
        return [f"{one.address.kind}://{_place(one.socket.getsockname())}" for one in self._ports]

    @property
    def connections(self) -> int:
        """How many senders are connected."""
        return len(self._connections)

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop in order: what has come already is kept."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.close()

    def close(self) -> None:
        """Close all sockets."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        for port in self._ports:
            with suppress(KeyError):
                self._selector.unregister(port.socket)
            port.socket.close()
        self._ports.clear()
        self._selector.close()

    # -- the loop --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.turn(WAIT_S)
            for _ in range(100):  # what the kernel holds already
                if not self.turn(0.0):
                    break
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the service goes on
            self.failure = error
            _log.exception("Listening for syslog has stopped")

    def turn(self, timeout_s: float) -> int:
        """Read what there is, or wait for it; return how many lines were kept."""
        ready = self._selector.select(timeout_s)
        found: dict[str, list[str]] = {}
        for key, _ in ready:
            one = key.data
            if isinstance(one, _Connection):
                self._read(one, found)
            elif one.address.kind == "udp":
                self._receive(one, found)
            else:
                self._accept(one)
        n = self._kept(list(found.items()))
        if self._clock() - self._looked_s >= LOOK_S:
            self._look()
        return n

    def _kept(self, entries: Entries) -> int:
        """Return once the entries are durable; until then nothing else is read."""
        n = sum(len(texts) for _, texts in entries)
        if not n:
            return 0
        waited = False
        while True:
            try:
                self._keep(entries)
            except (OddlogError, OSError) as error:
                self.tally.add(WAITED, int(not waited), example=str(error))
                waited = True
                # While it stops, a wait would be none: what cannot be kept then is lost with the connection.
                if self._stop.wait(AGAIN_S):
                    _log.warning("%d lines of syslog could not be kept: %s", n, error)
                    return 0
            else:
                self.lines += n
                return n

    def _look(self) -> None:
        """Count what the kernel dropped; end what never became TLS."""
        self._looked_s = now = self._clock()
        dropped = _dropped()
        for port in self._ports:
            new = dropped.get(port.inode, port.dropped) - port.dropped
            self.tally.add(LOST, new, example=_place(port.socket.getsockname()))
            port.dropped += max(new, 0)
        for connection in list(self._connections.values()):
            if connection.shakes_until and now >= connection.shakes_until:
                self.tally.add(NO_TLS, example=f"{connection.peer}: it did not begin")
                self._drop(connection)

    # -- sockets ---------------------------------------------------------------------------------------------

    def _listen(self, address: Address) -> None:
        context = address.context() if address.kind == "tls" else None
        kind = socket.SOCK_DGRAM if address.kind == "udp" else socket.SOCK_STREAM
        try:
            family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=kind)[0]
            one = socket.socket(family, kind)
            self._ports.append(_Port(address, one, context))
            if kind == socket.SOCK_DGRAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            else:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(place)
            if kind == socket.SOCK_STREAM:
                one.listen(128)
        except OSError as error:
            hint = "Ports below 1,024 are root's: take 5514." if isinstance(error, PermissionError) else "Take another."
            raise ConfigError(f"{address.text} cannot be listened at: {error.strerror}.", hint) from error
        one.settimeout(0.0)
        self._ports[-1].inode = os.fstat(one.fileno()).st_ino
        self._selector.register(one, selectors.EVENT_READ, self._ports[-1])

    def _accept(self, port: _Port) -> None:
        try:
            one, place = port.socket.accept()
        except OSError:
            return  # it has gone again
        peer = place[0]
        why = NOT_ALLOWED if not port.address.allows(peer) else ""
        why = why or (TOO_MANY if len(self._connections) >= MOST_CONNECTIONS else "")
        if why:
            self.tally.add(why, example=peer)
            one.close()
            return
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.settimeout(0.0)
        shakes_until = 0.0
        if port.context is not None:
            one = port.context.wrap_socket(one, server_side=True, do_handshake_on_connect=False)
            shakes_until = self._clock() + HANDSHAKE_S
        connection = _Connection(one, peer, Framing(self.tally, f"syslog/{peer}"), shakes_until)
        self._connections[one.fileno()] = connection
        self._selector.register(one, selectors.EVENT_READ, connection)

    def _drop(self, connection: _Connection) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        self._connections.pop(connection.socket.fileno(), None)
        if isinstance(connection.socket, ssl.SSLSocket) and not connection.shakes_until:
            with suppress(OSError, ValueError):
                connection.socket.unwrap()  # RFC 5425, 4.4: an alert, and the sender knows that all was read
        connection.socket.close()

    # -- messages --------------------------------------------------------------------------------------------

    def _receive(self, port: _Port, found: dict[str, list[str]]) -> None:
        """Take the datagrams that have come; each is one message (RFC 5426, 3.1)."""
        for _ in range(MOST_DATAGRAMS):
            try:
                data, place = port.socket.recvfrom(_DATAGRAM)
            except OSError:
                return  # none is left
            if port.address.allows(place[0]):
                self._take([data.rstrip(b"\r\n\0")], place[0], found)
            else:
                self.tally.add(NOT_ALLOWED, example=place[0])

    def _read(self, connection: _Connection, found: dict[str, list[str]]) -> None:
        """Take what a connection has sent, `READ_BYTES` at most."""
        n = 0
        # What is decrypted already makes no socket readable: of TLS it is read to its end.
        while not connection.ended and (n < READ_BYTES or _pending(connection.socket)):
            data = self._bytes(connection)
            if data is None:
                break
            n += len(data)
            connection.ended = not data
            self._take(connection.framing.push(data) if data else connection.framing.end(), connection.peer, found)
        if connection.ended:
            self._drop(connection)

    def _bytes(self, connection: _Connection) -> bytes | None:
        """Return bytes, none where the connection has ended, None where there are none yet."""
        try:
            if connection.shakes_until and isinstance(connection.socket, ssl.SSLSocket):
                connection.socket.do_handshake()
                connection.shakes_until = 0.0
            return connection.socket.recv(READ_BYTES)
        except (ssl.SSLWantReadError, BlockingIOError):
            return None
        except ssl.SSLWantWriteError:
            return None  # the answer waits for room; the sender goes on once it has read
        except ssl.SSLError as error:
            self.tally.add(NO_TLS, example=f"{connection.peer}: {error.reason or error}")
            return b""
        except OSError:
            return b""

    def _take(self, messages: Sequence[bytes], peer: str, found: dict[str, list[str]]) -> None:
        for message in messages:
            if not message:
                continue
            name = f"{'syslog5424' if _NEW_HEADER.match(message) else 'syslog'}/{peer}"
            text = message.replace(b"\0", b"").decode("utf-8", "replace")
            if "\ufffd" in text:
                self.tally.add(REPAIRED, example=name)
            # A trace may stand in one message: its lines follow each other, as in a file.
            rows = text.split("\n") if "\n" in text else (text,)
            found.setdefault(name, []).extend(row.rstrip("\r") for row in rows if row.strip())


def _place(name: tuple[object, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _pending(one: socket.socket) -> int:
    return one.pending() if isinstance(one, ssl.SSLSocket) else 0


def _dropped(proc: Path = Path("/proc/net")) -> dict[int, int]:
    """Return how many datagrams the kernel has dropped, by inode of the socket (proc_net(5))."""
    found = {}
    for name in ("udp", "udp6"):
        try:
            rows = (proc / name).read_text().splitlines()[1:]
        except OSError:
            continue  # no Linux, or no IPv6
        for row in rows:
            columns = row.split()
            found[int(columns[9])] = int(columns[12])
    return found
