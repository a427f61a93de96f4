"""Keeps webhooks from addresses inside: what somebody writes as a target must not reach what only we can reach.

The address is looked at in the moment of connecting, and that very address is connected to: a name that points outside
when it is looked at and inside a moment later gains nothing.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

from oddlog.errors import SinkRefusedError

Allowed = Callable[[ipaddress.IPv4Address | ipaddress.IPv6Address], bool]


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
            raise SinkRefusedError(
                f"{host} is an address inside ({address[0]}).", "Serve with --allow-internal if that is meant."
            )
    return socket.create_connection((str(found[0][4][0]), port), *args, **options)
