"""How far what comes now has gone from what was learned, named, and with a bound on false alarms.

::

    counts by minute ──► blocks ──► distances from usual ──► bets ──► what has drifted, in words
    scores of windows ─────────────────────────────────────┘

  blocks      an hour (or ten minutes) of lines: types, unseen ones, levels, how many, values
  usual       what these were in training, and how far single blocks lay from it
  betting     evidence that blocks come from elsewhere; grows only while that lasts
  following   one fold over the stream, with state: the same in batch and live
  telling     what has drifted, by name and number
"""

from oddlog.drift.following import Following
from oddlog.drift.telling import Drifted, Figures
from oddlog.drift.usual import Usual

__all__ = ["Drifted", "Figures", "Following", "Usual"]
