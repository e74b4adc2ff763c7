"""Hypothesis' inputs for a reader: noise, words of the format strung together, whole files spoiled a little."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from benchmarks.fuzzing.reader import FuzzedReader
from benchmarks.fuzzing.values import NUMBERS, WORDS

_SPACE = (b"\n", b" ", b",", b";", b"\t", b"=", b'"', b"<", b">", b"[", b"]", b"{", b"}", b":")
_MOST_CHANGES = 6


def inputs(reader: FuzzedReader) -> st.SearchStrategy[bytes]:
    """Files for one reader, most of them nearly right."""
    spoiled = st.builds(
        _spoiled,
        st.just(reader),
        st.sampled_from(reader.seeds),
        st.integers(0, 2**63),
        st.integers(0, _MOST_CHANGES),
    )
    words = [*reader.tokens, *_SPACE, *(word.encode() for word in (*NUMBERS, *WORDS))]
    strung = st.lists(st.sampled_from(words), max_size=60).map(b"".join)
    return st.one_of(spoiled, spoiled, spoiled, strung, st.binary(max_size=600))


def _spoiled(reader: FuzzedReader, content: bytes, seed: int, changes: int) -> bytes:
    random = Random(seed)
    for _ in range(changes):
        content = reader.mutate(content, random)
    return content
