"""Texts as vectors: what two templates have in common in words, word pieces and spelling.

No vocabulary is learned: every feature has its direction by its name alone, so texts of different models, sites
and years can be compared, and a type unseen by the model has its place beside the known ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from oddlog.types import F32, F64, I8, Templates

WIDTH = 64
_WORD = 2  # a shared word says more than a shared trigram; whole numbers keep every sum exact
_TRIGRAM = 1
_LETTERS = re.compile(r"[^\W\d_]+")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CHUNK = 1_024  # texts at once


def embed(texts: Sequence[str] | pl.Series) -> F32:
    """Return one vector of length 1 for each text [k, 64]; a text without words is the zero vector.

    The features are the pieces of words (``dataNode_lost`` holds *data*, *node*, *lost*) and the trigrams of each
    piece with its ends marked; variables (``<*>``) and digits are left out. The BLAKE2b-64 of a feature gives its
    direction: bit i is the sign of component i, a signed random projection (Achlioptas 2003, section 1.1) of the
    hashed bag of features. All sums are sums of whole numbers, so the result is the same to the bit everywhere.

    Parameters
    ----------
    texts : sequence of str, [k]

    Examples
    --------
    >>> a, b, c = embed(["Connection to <*> refused", "connectionRefused", "Disk full"])
    >>> bool(a @ b > 0.8 > 0.4 > a @ c)
    True

    """
    parts = [_embed(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
    return np.concatenate([np.empty((0, WIDTH), np.float32), *parts])


def vectors_of(templates: Templates) -> F32:
    """Return the vectors of a model's texts [k, d]: its own embedding, or `embed` where it has none."""
    own = templates.embedding
    return own if own.size and own.any() else embed(templates.text)


def signs(texts: Sequence[str], n: int) -> F64:
    """Return `n` signs that depend on each text alone [x, n]: what tells texts apart that are nearly alike."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=n // 8).digest() for text in texts)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(-1, n // 8), axis=1)
    return 2 * bits.astype(np.float64) - 1


def _embed(texts: Sequence[str] | pl.Series) -> F32:
    """Embed one chunk of texts [k]."""
    place: dict[str, int] = {}
    features: list[int] = []
    weights: list[int] = []
    ends = [0]
    for text in texts:
        found = _features(text)
        features += [place.setdefault(feature, len(place)) for feature in found]
        weights += found.values()
        ends.append(len(features))
    signed = _directions(place)[features] * np.array(weights, np.int8)[:, None]
    running = np.zeros((len(features) + 1, WIDTH), np.int32)
    np.cumsum(signed, axis=0, dtype=np.int32, out=running[1:])
    sums = running[ends[1:]] - running[ends[:-1]]
    length = np.sqrt(np.square(sums, dtype=np.float64).sum(axis=1, keepdims=True))
    vectors: F32 = (sums / np.maximum(length, 1)).astype(np.float32)
    return vectors


def _features(text: str) -> dict[str, int]:
    """Return the features of a text and their weights; a feature that comes twice counts once."""
    found: dict[str, int] = {}
    words = _LETTERS.findall(text.replace("<*>", " "))
    for piece in (p.lower() for word in words for p in (_PIECE.findall(word) if word.isascii() else [word])):
        found[piece] = _WORD
        marked = f"^{piece}$"
        for i in range(len(marked) - 2):
            found["#" + marked[i : i + 3]] = _TRIGRAM
    return found


def _directions(features: Iterable[str]) -> I8:
    """Return the signs [x, 64] that belong to each feature."""
    digests = b"".join(hashlib.blake2b(f.encode(), digest_size=WIDTH // 8).digest() for f in features)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(-1, WIDTH // 8), axis=1)
    return 2 * bits.astype(np.int8) - 1
