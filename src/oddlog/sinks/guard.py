"""Keeps sinks from addresses inside: what somebody writes as a target must not reach what only we can reach.

The address is looked at in the moment of connecting, and that very address is connected to: a name that points outside
when it is looked at and inside a moment later gains nothing. Webhooks connect by `opener`; what opens connections by
itself, a library for e-mail or Apprise's services, is `watched`: Python asks us before each of them (PEP 578).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from oddlog.errors import SinkRefusedError

Allowed = Callable[[ipaddress.IPv4Address | ipaddress.IPv6Address], bool]
_GOES_OUT = ("socket.connect", "socket.sendto", "socket.sendmsg")
_ALLOW = "Serve with --allow-internal if that is meant."


def is_outside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address is one of the public internet.

    >>> [is_outside(ipaddress.ip_address(one)) for one in ("9.9.9.9", "10.0.0.7", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return bool((mapped or address).is_global and not (mapped or address).is_multicast)


def is_anywhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address is none of those where clouds keep the keys of a machine (link-local)."""
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_link_local


def opener(allowed: Allowed, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Return an opener that connects to allowed addresses only, by no proxy."""

    def connect(place: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        return _connect(place, allowed, *args, **options)

    class Plain(http.client.HTTPConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = connect

    class Secure(http.client.HTTPSConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = connect

    class OpensPlain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, request)

    class OpensSecure(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, request, context=self._context)  # type: ignore[attr-defined] # of the base

    return urllib.request.build_opener(OpensPlain, OpensSecure, urllib.request.ProxyHandler({}), *handlers)


def _connect(place: tuple[str, int], allowed: Allowed, *args: Any, **options: Any) -> socket.socket:
    host, port = place
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not allowed(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            raise SinkRefusedError(f"{host} is an address inside ({address[0]}).", _ALLOW)
    return socket.create_connection((str(found[0][4][0]), port), *args, **options)


class _ForbiddenError(OSError):
    """A connection that must not be: libraries tidy up after it as after one that failed."""


class _Watch:
    """What a thread, and those it starts, may connect to; `refused` is why a connection was forbidden, if one was."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed, self.refused = allowed, ""

    def check(self, address: Any) -> None:
        """Forbid an address that is not allowed, and whatever is no address: nobody can look where a name leads."""
        if address is None:  # of a connection that is there
            return
        if not isinstance(address, tuple):
            self._forbid(f"A socket of this machine is inside ({address!r}).")
        try:
            number = ipaddress.ip_address(str(address[0]).partition("%")[0])
        except ValueError:
            self._forbid(f"'{address[0]}' is sent to by its name, which may lead inside.")
        if not self._allowed(number):
            self._forbid(f"{address[0]} is an address inside.")

    def _forbid(self, said: str) -> NoReturn:
        self.refused = self.refused or said
        raise _ForbiddenError(said)


_watch: ContextVar[_Watch | None] = ContextVar("watch")  # of whoever runs here, also as a task that a pool is given
_watches: WeakKeyDictionary[threading.Thread, _Watch] = WeakKeyDictionary()  # of threads that one of these has begun


@contextmanager
def watched(allowed: Allowed | None) -> Iterator[None]:
    """Let what runs here, and threads it starts, connect to allowed addresses only, whatever code opens connections.

    Everything is allowed by None, also to threads that were begun elsewhere.

    Raises
    ------
    SinkRefusedError
        At the end, if a connection was forbidden meanwhile: libraries may say nothing of it.

    """
    _listen()
    watch = None if allowed is None else _Watch(allowed)
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)
        if watch is not None and watch.refused:
            raise SinkRefusedError(watch.refused, _ALLOW)


@cache
def _listen() -> None:
    """Have Python ask before connections; for good, as such a hook cannot be taken away."""
    sys.addaudithook(_heard)
    begin = threading.Thread.start

    def start(self: threading.Thread) -> None:
        watch = _here()
        if watch is not None:
            _watches[self] = watch
        begin(self)

    threading.Thread.start = start  # type: ignore[method-assign] # Python 3.11 tells no hook who starts a thread


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _GOES_OUT:
        watch = _here()
        if watch is not None:
            watch.check(arguments[1])


def _here() -> _Watch | None:
    try:
        return _watch.get()
    except LookupError:
        return _watches.get(threading.current_thread())
