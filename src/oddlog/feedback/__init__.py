"""What people say of incidents: answers and marks, kept beside the model as an overlay that detection heeds."""

from oddlog.feedback.answers import Answer, Answers, Standing
from oddlog.feedback.log import Log, beside, written
from oddlog.feedback.marks import Mark, Marks
from oddlog.feedback.remembered import Remembered, by_pattern, recall, remember
from oddlog.feedback.settings import Setting, Settings

__all__ = [
    "Answer",
    "Answers",
    "Log",
    "Mark",
    "Marks",
    "Remembered",
    "Setting",
    "Settings",
    "Standing",
    "beside",
    "by_pattern",
    "recall",
    "remember",
    "written",
]
