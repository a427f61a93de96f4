"""features/keywords.py: what a text speaks of."""

from __future__ import annotations

import pytest

from oddlog.features.keywords import GROUPS, keywords


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Connection to <*> refused", {"refusal"}),
        ("java.net.SocketTimeoutException: read", {"exception", "waiting"}),
        ("Failed password for <*> from <*>", {"failure", "access"}),
        ("Starting task <*>, attempt <*>", {"begin", "again"}),
        ("Served page <*> to <*>", set()),
        ("Worker <*> terminating", {"finish"}),
        ("<*> is not found", {"loss"}),
        ("", set()),
    ],
)
def test_a_text_speaks_of_what_its_words_say(text: str, groups: set[str]):
    flags = keywords([text])[0]
    assert {name for name, flag in zip(GROUPS, flags, strict=True) if flag} == groups


def test_a_word_counts_only_from_its_beginning():
    assert not keywords(["unfailing terror prefix"]).any()


def test_no_texts_give_no_rows():
    assert keywords([]).shape == (0, len(GROUPS))
