"""All formats there are, from the most specific to the one that takes everything."""

from __future__ import annotations

from functools import cache
from typing import Protocol, runtime_checkable

import polars as pl

from oddlog import plugins
from oddlog.errors import FormatError
from oddlog.formats.access import Access
from oddlog.formats.android import Android
from oddlog.formats.apache_error import ApacheError
from oddlog.formats.bgl import Bgl
from oddlog.formats.cbs import Cbs
from oddlog.formats.cef import Cef
from oddlog.formats.cloudflare import Cloudflare
from oddlog.formats.csv_table import CsvTable
from oddlog.formats.docker import Docker
from oddlog.formats.elb import Elb
from oddlog.formats.gelf import Gelf
from oddlog.formats.glog import Glog
from oddlog.formats.haproxy import HAProxy
from oddlog.formats.hdfs import Hdfs
from oddlog.formats.healthapp import HealthApp
from oddlog.formats.hpc import Hpc
from oddlog.formats.journald import Journald
from oddlog.formats.json_lines import JsonLines
from oddlog.formats.log4j import Log4j
from oddlog.formats.logfmt import Logfmt
from oddlog.formats.mysql import MySql
from oddlog.formats.nginx_error import NginxError
from oddlog.formats.openstack import OpenStack
from oddlog.formats.plain import Plain
from oddlog.formats.postgres import Postgres
from oddlog.formats.proxifier import Proxifier
from oddlog.formats.python_logging import PythonLogging
from oddlog.formats.redis import Redis
from oddlog.formats.syslog import Syslog
from oddlog.formats.syslog5424 import Syslog5424
from oddlog.formats.thunderbird import Thunderbird
from oddlog.formats.timestamp import Timestamp
from oddlog.formats.tsv import Tsv
from oddlog.formats.windows_event import WindowsEvent
from oddlog.formats.zeek import Zeek
from oddlog.formats.zookeeper import Zookeeper
from oddlog.types import Format

FORMATS: tuple[Format, ...] = (
    Docker(),
    Journald(),
    WindowsEvent(),
    Gelf(),
    Cloudflare(),
    Zeek(),
    JsonLines(),
    CsvTable(),
    Tsv(),
    Bgl(),
    Thunderbird(),
    Hpc(),
    HealthApp(),
    Hdfs(),
    Cbs(),
    Proxifier(),
    Android(),
    Glog(),
    OpenStack(),
    Zookeeper(),
    Elb(),
    HAProxy(),
    Access(),
    ApacheError(),
    NginxError(),
    Postgres(),
    MySql(),
    Redis(),
    Cef(),
    Syslog5424(),
    PythonLogging(),
    Log4j(),
    Syslog(),
    Logfmt(),
    Timestamp(),
    Plain(),
)
"""In order of specificity: of two formats that read the same lines the one further up is meant."""

_registered: dict[str, Format] = {}


@runtime_checkable
class Bindable(Protocol):
    """A format that must look at a source before it can read it: a header line, an inner format."""

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:
        """Return the format for the source that `sample` [lines] is from; None if it is not of this kind."""
        ...


def register(format: Format) -> None:  # noqa: A002 -- the field's word, as in DESIGN
    """Add a format of a third party; it is tried before the built-in ones.

    Raises
    ------
    FormatError
        If the name is taken by another format.

    """
    taken = {f.name: f for f in all_formats()}.get(format.name)
    if taken is not None and type(taken) is not type(format):
        raise FormatError(
            f"There is already a format called '{format.name}' ({type(taken).__module__}).",
            "Give yours another name.",
        )
    _registered[format.name] = format


def all_formats() -> tuple[Format, ...]:
    """Return the registered formats, those of installed packages, then the built-in ones."""
    return (*_registered.values(), *_installed(), *FORMATS)


@cache
def _installed() -> tuple[Format, ...]:
    """Return the formats that packages bring by entry points of the group ``oddlog.formats``."""
    return tuple(plugins.load("oddlog.formats", name)() for name in plugins.found("oddlog.formats"))
