r"""Messages out of a stream of syslog (RFC 6587, 3.4; RFC 5425, 4.3): counted, or each with an end of its own.

::

    29 <34>1 - web-1 su - - - failed     the length stands before the message
    <34>Oct 11 22:14:15 web-1 su: x\n    a line end (or a NUL) behind it

Which of the two is told message by message: a count is digits, a space, and the "<" that every message begins with.

>>> framing = Framing(Tally(), "syslog/192.0.2.7")
>>> framing.push(b"5 <34>a<34>b\n6 <3")
[b'<34>a', b'<34>b']
>>> framing.push(b"4>cd")
[b'<34>cd']
"""

from __future__ import annotations

import re

from oddlog.sources.blocks import CUT, MAX_LINE_BYTES
from oddlog.types import Tally

TORN = "syslog message torn off: its connection ended"
_COUNT = re.compile(rb"([1-9][0-9]{0,8}) <")
_MAY_COUNT = re.compile(rb"[1-9][0-9]{0,8} ?\Z")  # of what has come so far
_NUL = re.compile(rb"[\n\0]")


class Framing:
    """Bytes in, whole messages out; of a message nothing is kept beyond 64 KiB.

    Parameters
    ----------
    tally : Tally
        Takes what was cut or torn off.
    source : str
        Named as the example of it.

    """

    def __init__(self, tally: Tally, source: str) -> None:
        self._tally, self._source = tally, source
        self._rest = b""  # from the beginning of a message on
        self._skip = 0  # bytes of a counted message that are still to come and not wanted
        self._in_long = False  # the line's beginning was handed over; its end is still to come

    def push(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the messages that are whole now."""
        data, self._rest = self._rest + data, b""
        found: list[bytes] = []
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            after = self._one(data, at, found)
            if after == at:
                self._rest = data[at:]
                break
            at = after
        return found

    def end(self) -> list[bytes]:
        """Return what is left when the stream has ended: half of a counted message is none."""
        rest, self._rest = self._rest, b""
        if self._skip or _COUNT.match(rest):
            self._tally.add(TORN, example=self._source)
            return []
        return [rest] if rest and not self._in_long else []

    def _one(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Take a message, or all lines there are, from `at` on; return the offset behind, `at` if more must come."""
        counted = None if self._in_long else _COUNT.match(data, at)
        if counted is not None:
            return self._counted(data, counted.end() - 1, int(counted[1]), at, found)
        if not self._in_long and _MAY_COUNT.match(data, at):
            return at
        end = _NUL.search(data, at)
        if end is None:
            return self._long(data, at, found)
        if self._in_long:
            self._in_long = False
        else:
            self._keep(data[at : end.start()], found)
        return end.end()

    def _counted(self, data: bytes, begin: int, size: int, at: int, found: list[bytes]) -> int:
        if size <= MAX_LINE_BYTES:
            if len(data) < begin + size:
                return at
            self._keep(data[begin : begin + size], found)
            return begin + size
        if len(data) < begin + MAX_LINE_BYTES:
            return at
        self._keep(data[begin : begin + MAX_LINE_BYTES], found)
        self._tally.add(CUT, example=self._source)
        self._skip = size - MAX_LINE_BYTES
        return begin + MAX_LINE_BYTES

    def _long(self, data: bytes, at: int, found: list[bytes]) -> int:
        """Hand over the beginning of a line without an end once it is as long as a line may be."""
        if not self._in_long:
            if len(data) - at < MAX_LINE_BYTES:
                return at
            self._keep(data[at : at + MAX_LINE_BYTES], found)
            self._tally.add(CUT, example=self._source)
            self._in_long = True
        return len(data)

    @staticmethod
    def _keep(message: bytes, found: list[bytes]) -> None:
        message = message.rstrip(b"\r\n\0")
        if message:
            found.append(message)
