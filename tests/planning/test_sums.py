"""Preprocessed files are compared with what was written."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.planning.sums import check_sums, sums_of_case, sums_path, write_sums

ENDINGS = (".b2nd", "_seg.b2nd", ".pkl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cases"
    folder.mkdir()
    for case in ("a", "b"):
        for ending in ENDINGS:
            (folder / f"{case}{ending}").write_bytes(f"{case}{ending}".encode() * 1000)
    write_sums(folder, {case: sums_of_case(folder, case) for case in ("a", "b")})
    return folder


def test_a_sum_is_the_crc_of_the_whole_file(folder: Path) -> None:
    large = bytes(range(256)) * 10_000
    (folder / "a.b2nd").write_bytes(large)
    assert sums_of_case(folder, "a")[".b2nd"] == zlib.crc32(large)


def test_files_as_they_were_written_pass(folder: Path) -> None:
    seen: list[str] = []
    check_sums(folder, ["a", "b"], progress=lambda cases: (seen.append(case) or case for case in cases))
    assert seen == ["a", "b"]
    assert {path.name for path in folder.iterdir()} == {f"{case}{ending}" for case in "ab" for ending in ENDINGS}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_changed_cut_or_missing_file_is_named_and_other_cases_do_not_matter(folder: Path, ending: str) -> None:
    path = folder / f"a{ending}"
    content = path.read_bytes()
    for wrong in (content[:-1], content[:-1] + b"x", b""):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=rf"not as it was written, in .*a{ending}: run spd_plan_and_preprocess"):
            check_sums(folder, ["b", "a"])
        check_sums(folder, ["b"])
    path.unlink()
    with pytest.raises(InputError, match=rf"cannot be read .*a{ending}"):
        check_sums(folder, ["a"])


def test_a_case_that_is_not_listed_is_refused_and_a_folder_without_sums_taken(folder: Path) -> None:
    with pytest.raises(InputError, match="no sums of the preprocessed case c"):
        check_sums(folder, ["c"])
    sums_path(folder).unlink()
    check_sums(folder, ["c"])


def test_planning_leaves_the_sums_of_every_configuration(planned: Plan) -> None:
    cases = [case for cases in planned.split(0).values() for case in cases]
    listed = sorted(planned.folder.glob("*_sums.json"))
    assert len(listed) == 2
    for path in listed:
        check_sums(path.with_name(path.name.removesuffix("_sums.json")), cases)
