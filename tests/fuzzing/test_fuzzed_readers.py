"""Every reader takes its own files, and refuses spoiled ones by an InputError that names them."""

from __future__ import annotations

import pickle
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzzing.registry import READERS
from benchmarks.fuzzing.strategies import inputs
from benchmarks.fuzzing.trial import try_input


@pytest.mark.parametrize("name", READERS)
def test_the_files_of_our_own_writers_are_accepted(tmp_path: Path, name: str) -> None:
    reader = READERS[name]
    assert [try_input(reader, tmp_path / reader.file_name, content).kind for content in reader.seeds] == [
        "accepted"
    ] * len(reader.seeds)


@pytest.mark.parametrize("name", READERS)
def test_a_spoiled_file_is_accepted_or_refused(tmp_path: Path, name: str) -> None:
    reader = READERS[name]

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(reader))
    def check(content: bytes) -> None:
        trial = try_input(reader, tmp_path / reader.file_name, content)
        assert trial.kind in ("accepted", "refused"), trial.details

    check()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=20, deadline=None)
@given(content=st.binary(max_size=300), seed=st.integers(0, 99))
def test_a_change_depends_on_its_seed_alone_and_takes_any_bytes(name: str, content: bytes, seed: int) -> None:
    reader = READERS[name]
    for before in (content, *reader.seeds):
        copy = pickle.loads(pickle.dumps(before))
        assert reader.mutate(before, Random(seed)) == reader.mutate(copy, Random(seed))
        assert before == copy
