"""Counts by minute: how many lines, errors and failures there usually are, and where there are too many or too few.

::

    counting        blocks of lines → counts by minute, bounded
    choosing        which counts are watched
    series          … and their dense form
    seasons         what is usual at an hour of a weekday
    levels          z-score and moving average: too many, too few
    silence         a source that usually talks says nothing
    ramps           something climbs for six hours
    means           a latency, a size, a load is far from usual
    shares          the share of errors is too high
    concentrations  one address or user causes most of the failures
    limits          scores → share of usual hours that are as odd
    origins         which sources of training wrote what, and which of them are not here
    watch           all of these, learned and asked together
"""

from oddlog.rates.choosing import counted
from oddlog.rates.counting import Before, Counting, is_measure
from oddlog.rates.limits import rate_of
from oddlog.rates.origins import Absent, Origin, Origins, Wrote, joined
from oddlog.rates.series import Counted, Series, Span
from oddlog.rates.watch import Watch

__all__ = [
    "Absent",
    "Before",
    "Counted",
    "Counting",
    "Origin",
    "Origins",
    "Series",
    "Span",
    "Watch",
    "Wrote",
    "counted",
    "is_measure",
    "joined",
    "rate_of",
]
