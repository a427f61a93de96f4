"""Where lines come from: files, folders, globs and standard input."""

from oddlog.sources.files import file_changed, read_blocks
from oddlog.sources.folders import expand
from oddlog.sources.places import Places

__all__ = ["Places", "expand", "file_changed", "read_blocks"]
