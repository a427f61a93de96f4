"""The way of a line: lines → records → events → windows → scores → verdicts → incidents.

No stage knows another; only this room knows their order. One file a leg of the way::

    reading       paths → records        sources, formats, cleaning; `excluding`, `turning` and `years` help
    planning      which views a log gets: sessions, stretches of time, entities
    watching      which numbers to watch: found fields and parameter slots
    events        records → events, spilled to disk when there are many
    cutting       events → windows

  learning
    collecting    first pass             templates, event stores, counts by minute
    gathering     second pass            `distinct` finished windows, `whole` ones beside; `labels`
    learning      windows → a view       trimming, `members`, calibration, threshold; what recurs is `known`
    joining       who may vote           candidates against windows that `corrupting` has spoiled
    rates         counts → a view        what is usual by minute, what is odd
    fitting       fit                    all of these in order
    updating      update                 what a model remembers (`memory`) and new logs
    usual         paths → windows        what a fit learns from, for searches

  judging
    views         windows → verdicts     members, calibration, threshold; lines by `verdicts`
    odd           what makes windows odd, `telling` what members remark on
    answering     what people have said; `since_deploy` and `deployments` what they have marked
    episodes      odd counts → incidents `rates_reasons` says why
    merging       verdicts → incidents   `closeups` keeps lines in context
    overview      what a report tells of the whole log
    detecting     detect                 all of these in order

  while it happens
    arriving      lines → records        a few at a time; `recent` keeps their text
    streaming     lines → verdicts       the same functions, with state between batches
    unfolding     verdicts → incidents   new, grown, over
    following     the loop               source → stream → whoever is told
  without a model
    looking       templates, formats
"""

from oddlog.pipeline.detecting import Detection, detect
from oddlog.pipeline.fitting import fit
from oddlog.pipeline.updating import update

__all__ = ["Detection", "detect", "fit", "update"]
