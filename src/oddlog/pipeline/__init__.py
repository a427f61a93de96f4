"""The way of a line: lines → records → events → windows → scores → verdicts → incidents.

No stage knows another; only this room knows their order. One file a leg of the way::

    reading     paths → records        sources, formats, cleaning
    planning    which views a log gets: sessions, stretches of time, entities
    watching    which numbers to watch: found fields and parameter slots
    events      records → events, spilled to disk when there are many
    collecting  first pass of a fit    templates, event stores
    cutting     events → windows
    gathering   second pass of a fit   distinct finished windows
    learning    windows → a view       trimming, members, calibration, threshold
    rates       counts → a view        what is usual by minute, what is odd
    fitting     fit                    all of these in order
    usual       paths → windows        what a fit learns from, for searches
    detecting   detect                 windows → scores → verdicts → incidents
    episodes    odd counts → incidents what is odd together; `rates_reasons` says why
"""

from oddlog.pipeline.detecting import Detection, detect
from oddlog.pipeline.fitting import fit
from oddlog.pipeline.updating import update

__all__ = ["Detection", "detect", "fit", "update"]
