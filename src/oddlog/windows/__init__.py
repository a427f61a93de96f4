"""Events to windows: sessions by a key that is named or found, or stretches of time or count.

::

    events ──► arrival order ──► open windows ──► Windows
               watermark         per key           closed by end, idle, age, size, bounds

`Windower` groups, `find_session` looks for the key, `learn_closing` learns when a session is over.
"""

from __future__ import annotations

from oddlog.windows.closing import Closing, learn_closing
from oddlog.windows.sessions import SessionChoice, find_session, parse_session, session_keys
from oddlog.windows.windower import LATE_EVENT, Windower

__all__ = [
    "LATE_EVENT",
    "Closing",
    "SessionChoice",
    "Windower",
    "find_session",
    "learn_closing",
    "parse_session",
    "session_keys",
]
