"""What several tests of the report look at."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

import oddlog
from oddlog.model import Model
from oddlog.pipeline import Detection


@pytest.fixture(scope="session")
def shop_model(small_log: Path) -> Model:
    """A model of the usual log with the members that learn in no time."""
    return oddlog.fit(small_log, detectors=["snn", "new-event"])


@pytest.fixture(scope="session")
def shop_found(shop_model: Model, odd_log: Path) -> Detection:
    """What is odd in the log with three lost orders."""
    return shop_model.detect(odd_log, overview=True)


class Page(HTMLParser):
    """A page as a browser sees it: its tags with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # whatever is opened is closed, in order

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="session")
def as_seen() -> type[Page]:
    return Page
