"""Where lines come from: files, folders, globs and standard input."""

from oddlog.sources.files import file_year, read_blocks
from oddlog.sources.folders import expand

__all__ = ["expand", "file_year", "read_blocks"]
