"""The way of a line: lines → records → events → windows → scores → verdicts → incidents.

No stage knows another; only this room knows their order. One file a leg of the way::

    reading       paths → records        sources, formats, cleaning; `excluding`, `turning` and `years` help
    misfits       sources of which the format found reads too few lines
    pieces        lines that a container's runtime has cut, read again whole
    planning      which views a log gets: sessions, stretches of time, entities
    watching      which numbers to watch: found fields and parameter slots
    events        records → events, spilled to disk when there are many
    cutting       events → windows
    rates         counts by minute → what is usual, what is odd
    drifting      blocks of time → what has drifted
    rolling       closed windows → what judges them: the learned threshold, or one that rolls with the stream
    shares        what follows what by ten minutes → what is usual, what is odd
    looking       templates and formats, without a model

  learning/
    collecting    first pass             templates, event stores, counts by minute
    gathering     second pass            `distinct` finished windows, `whole` ones beside; `labels`
    view          windows → a view       trimming, `members`, calibration, threshold; what recurs is `known`
    joining       who may vote           candidates against windows that `corrupting` has spoiled
    modelling     collected → model      each view, lines, rates; `checkpointing` lets a killed fit go on
    fitting       fit                    all of these in order
    updating      update                 what a model remembers (`memory`) and new logs
    usual         paths → windows        what a fit learns from, for searches

  judging/
    views         windows → verdicts     members, calibration, threshold; `lines` by `verdicts`
    odd           what makes windows odd, `telling` what members remark on
    answering     what people have said; `since_deploy` and `deployments` what they have marked
    sampling      lines kept of a stretch of time that may be told
    episodes      odd counts and shares → incidents; `causes` joins those of one cause,
                  `rates_reasons` and `share_reasons` say why
    merging       verdicts → incidents   `closeups` keeps lines in context
    overview      what a report tells of the whole log
    detecting     detect                 all of these in order
    backtesting   backtest               what would have fired, at which budget

  live/
    arriving      lines → records        a few at a time; `recent` keeps their text
    ahead         times of the future
    streaming     lines → verdicts       the same functions, with state between batches; `pushed` is what a batch gave
    encoding      records → events       what is new gets numbers of its own
    deciding      events → verdicts      of lines, windows, counts; `windowing` keeps the windows that are open
    rating        counts → verdicts      minute by minute, as the rates view judges them
    unfolding     verdicts → incidents   new, grown, over; `held` are the odd windows and lines until then, `naming`
                  has the ids of incidents, `told` what was told of one
    deploying     what deployments brought, marked before or after it came; `followed` is one of them, `lately` is what
                  came
    teller        incidents of whatever kind → who is told, heeding answers, marks and rules
    following     the loop               source → stream → whoever is told
    collecting    lines for a first model, and how far that is; `beginning` has it learned in the `background`
    versions      models beside each other, one of which judges
    quiet         sources that say nothing, or come late
    rules         lines that must never, or always, come; limits, counted in `steps`; `rulebook` is what
                  people write
    gate          what is told           no more than a `budget` holds, nothing in maintenance
"""

from oddlog.pipeline.judging.detecting import detect
from oddlog.pipeline.judging.detection import Detection
from oddlog.pipeline.learning.fitting import fit
from oddlog.pipeline.learning.updating import update

__all__ = ["Detection", "detect", "fit", "update"]
