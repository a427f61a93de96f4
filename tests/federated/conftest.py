"""Three small sites, and five."""

from __future__ import annotations

import pytest


def made(n):
    pytest.importorskip("flwr", reason="extra 'federated'")
    from small_federation import Sites  # noqa: PLC0415 - of the extra

    return Sites(n)


@pytest.fixture
def sites():
    return made(3)


@pytest.fixture
def five():
    return made(5)
