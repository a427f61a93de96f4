"""How well what was reported agrees with what is known: per line, per window, per incident.

- `judge_incidents` matches reported incidents with labelled ones.
- `judge_lines` sets the verdicts of single lines against labelled lines.
- `judged` makes the usual figures of any scores, verdicts and labels.

And the bench, which asks how well a detector does on a labelled set. One file a step::

    catalogue     a set's lines, with time, session and label
    protocols     which of them are learned from, which are judged
    cells         split, fit, detect: what the product says
    judging       verdicts, with the labels of their windows beside them
    scoring       the figures of a cell; `metrics`, `resampling` and `localising` know how
    prequential   what answers are worth
    bench         all cells, by their splits; `processes` has each split's in a process of their own (`worker`)
    results       what is left on disk
    wording       misses and false alarms in words
    report        tables (`tables`, `showing`, `versus`), figures (`plots`), one page (`page`)
    goals         what was promised and planned, and what came of it
    frozen        the default that `fit` ships, written down beforehand
"""

from __future__ import annotations

from oddlog.evaluation.incidents import JudgedIncidents, judge_incidents
from oddlog.evaluation.lines import judge_lines, recall_by_kind
from oddlog.evaluation.verdicts import Judged, judged

__all__ = ["Judged", "JudgedIncidents", "judge_incidents", "judge_lines", "judged", "recall_by_kind"]
