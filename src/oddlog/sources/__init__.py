"""Where lines come from: files, folders, globs and standard input; read to their end, or followed while they grow."""

from oddlog.sources.files import file_changed, read_blocks
from oddlog.sources.folders import expand
from oddlog.sources.pipe import Pipe
from oddlog.sources.places import Places
from oddlog.sources.tail import Tail

__all__ = ["Pipe", "Places", "Tail", "expand", "file_changed", "read_blocks"]
