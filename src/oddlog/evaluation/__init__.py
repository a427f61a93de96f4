"""How well what was reported agrees with what is known: per line, per window, per incident.

- `judge_incidents` matches reported incidents with labelled ones.
- `judge_lines` sets the verdicts of single lines against labelled lines.
- `judged` makes the usual figures of any scores, verdicts and labels.
"""

from __future__ import annotations

from oddlog.evaluation.incidents import JudgedIncidents, judge_incidents
from oddlog.evaluation.lines import judge_lines, recall_by_kind
from oddlog.evaluation.verdicts import Judged, judged

__all__ = ["Judged", "JudgedIncidents", "judge_incidents", "judge_lines", "judged", "recall_by_kind"]
