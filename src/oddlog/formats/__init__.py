"""Formats turn lines into records; a new one is one small file and one line in `FORMATS`."""

from __future__ import annotations

from oddlog.formats.alike import likeness
from oddlog.formats.detection import Detected, by_name, detect_format
from oddlog.formats.records import FIELDS_KEPT, parse_lines
from oddlog.formats.registry import FORMATS, register
from oddlog.formats.remembered import Remembered

__all__ = [
    "FIELDS_KEPT",
    "FORMATS",
    "Detected",
    "Remembered",
    "by_name",
    "detect_format",
    "likeness",
    "parse_lines",
    "register",
]
