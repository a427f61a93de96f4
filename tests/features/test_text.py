"""Texts as vectors: the same to the bit everywhere, near where texts share words."""

import hashlib

import numpy as np
import polars as pl
import pytest

from oddlog.features.text import WIDTH, embed

GOLDEN = "bfcabdacf7ab17fbf4ef28f1bb7754d6462b7943416b0a83941668ccd232f426"  # SHA-256 of four vectors


def test_a_vector_is_the_signed_sum_of_its_features_hashes():
    (vector,) = embed(["Up"])
    signs = []
    for feature in ("up", "#^up", "#up$"):
        bits = np.unpackbits(np.frombuffer(hashlib.blake2b(feature.encode(), digest_size=8).digest(), np.uint8))
        signs.append(2.0 * bits - 1)
    expected = 2 * signs[0] + signs[1] + signs[2]
    np.testing.assert_array_equal(vector, (expected / np.sqrt(expected @ expected)).astype(np.float32))


def test_vectors_are_the_same_to_the_bit_on_every_machine():
    vectors = embed(["Connection to <*> refused", "DataNode lost block_map", "Größe überschritten", ""])
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, WIDTH)
    assert hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest() == GOLDEN


def test_vectors_have_length_one_or_none():
    np.testing.assert_allclose(
        np.linalg.norm(embed(["disk full", "a", "<*> 12 --", ""]), axis=1), [1, 1, 0, 0], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("Connection to <*> refused", "connection to refused"),
        ("DataNode lost", "data node lost"),
        ("data_node.lost", "Data-Node <*> LOST"),
        ("HTTPServer up", "http server up"),
        ("retry retry retry", "retry"),
        ("port 8080 open", "port open"),
        ("Größe ÜBER", "größe über"),
    ],
)
def test_case_joints_variables_and_repetitions_do_not_count(one, same):
    a, b = embed([one, same])
    np.testing.assert_array_equal(a, b)


def test_texts_that_share_words_are_nearer_than_others():
    a, b, c, d = embed(
        ["Connection to <*> refused", "connection from <*> was refused", "connecting failed", "Disk quota exceeded"]
    )
    assert a @ b > 0.7
    assert a @ b > a @ c > a @ d
    assert abs(a @ d) < 0.4


def test_a_text_has_the_same_vector_alone_and_among_thousands():
    texts = [f"word{chr(97 + i % 26)} of {chr(97 + i // 26 % 26)}x" for i in range(2_100)]
    every = embed(pl.Series(texts))
    for i in (0, 1_023, 1_024, 2_099):
        np.testing.assert_array_equal(every[i], embed([texts[i]])[0])


def test_no_texts_give_no_vectors():
    assert embed([]).shape == (0, WIDTH)
    assert embed(pl.Series([], dtype=pl.String)).dtype == np.float32
