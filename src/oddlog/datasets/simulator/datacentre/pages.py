"""Where entries wait to be put in order: a page per service, for each shape that is written."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from oddlog.datasets.simulator.datacentre.estate import SERVICES
from oddlog.datasets.simulator.datacentre.rendering import Given, layout, render, stamps, style_of
from oddlog.datasets.simulator.messages import Message
from oddlog.datasets.simulator.writing import Pages, blank_pages
from oddlog.types import I64


class Entries:
    """The entries of one stretch of time.

    Parameters
    ----------
    shapes : tuple of str
        How they are written: out of ``json syslog access``.

    """

    def __init__(self, shapes: tuple[str, ...]) -> None:
        self.pages: dict[str, Pages] = {
            shape: blank_pages(s for s in SERVICES if style_of(shape, s)) for shape in shapes
        }

    def add(
        self,
        message: Message,
        given: Given,
        columns: Mapping[str, pl.Series],
        *,
        arrived: I64,
        stamp: I64,
        mark: I64,
        traced: bool,
    ) -> None:
        """Add lines [e] of one message type.

        Parameters
        ----------
        message, given
            What is written, and the values that are the same in all lines.
        columns : mapping
            The other values [e].
        arrived, stamp : I64 [e]
            When they arrive, which is their order, and the time they carry.
        mark : I64 [e]
            0 usual, else what they belong to.
        traced : bool
            Whether they carry a trace id.

        """
        for shape, pages in self.pages.items():
            style = style_of(shape, message.service)
            if style:
                here = {**columns, "ts": stamps(style, stamp)}
                text = render(layout(style, message, given, traced=traced), here)
                pages[message.service].add(arrived, text, mark)
