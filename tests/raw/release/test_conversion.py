from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

from spd_bench.errors import InputError
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.cases import CaseFault, ConvertedCase, FoundCases, ReleaseCase
from spd_bench.raw.release.conversion import Conversion, convert_release
from spd_bench.raw.release.report import report_lines, write_case_table
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.raw.volumes import read_volume


@dataclass(frozen=True, kw_only=True)
class TextRelease:
    """A release whose cases are text files: "3 5" means three target voxels and value 5 everywhere."""

    offset: float = 0.0
    explode: str = ""
    channel_names: tuple[str, ...] = ("MR",)
    target_name: str = "lesion"
    description: str = "made up"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"release": "text", "offset": self.offset, "labels": (1, 2)}

    def find(self, source: Path) -> FoundCases:
        cases = [
            ReleaseCase(case=path.stem, patient=path.stem[:2], files={"image": (path,)})
            for path in sorted(source.rglob("*.txt"))
        ]
        faults = [CaseFault(case=path.stem, reason=f"{path}: no text") for path in sorted(source.glob("*.lost"))]
        return FoundCases(cases=tuple(cases), faults=tuple(faults))

    def read(self, case: ReleaseCase) -> ConvertedCase:
        if case.case == self.explode:
            raise KeyboardInterrupt
        file = case.files["image"][0]
        words = file.read_text().split()
        if len(words) != 2:
            raise InputError("not two numbers", file=file, remedy="write two numbers")
        geometry = VolumeGeometry(shape=(3, 4, 5), spacing=(2.0, 1.0, 0.5))
        label = np.zeros(geometry.shape, np.uint8)
        label[1].flat[: int(words[0])] = 1
        image = np.full(geometry.shape, float(words[1]) + self.offset)
        prompts = PointPrompts.from_voxels(np.array([[1, 0, 0], [0, 0, 0]]), geometry)
        return ConvertedCase(
            images=(image,), label=label, geometry=geometry, prompts=prompts, repairs=("header mended",)
        )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    for name, text in {"p1a": "3 5", "p1b": "4 6", "p2a": "0 7"}.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "Dataset777_Text"


def _convert(source: Path, dataset: Path, release: TextRelease | None = None, jobs: int = 1) -> Conversion:
    return convert_release(release or TextRelease(), source=source, folder=dataset, jobs=jobs)


def _times(dataset: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(dataset.glob("*Tr/*"))}


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_result_passes_both_verifications(source: Path, dataset: Path, jobs: int) -> None:
    conversion = _convert(source, dataset, jobs=jobs)
    assert not conversion.faults
    assert sorted(conversion.records) == ["p1a", "p1b", "p2a"]
    verify_dataset_integrity(str(dataset), 1)
    raw = read_raw_dataset(dataset)
    verify_raw_dataset(raw, target_labels=[1])
    assert {case.case: case.patient for case in raw.cases} == {"p1a": "p1", "p1b": "p1", "p2a": "p2"}
    assert raw.labels == {"background": 0, "lesion": 1}
    np.testing.assert_array_equal(read_volume(dataset / "imagesTr" / "p1b_0000.nii.gz")[0], 6.0)
    assert read_volume(dataset / "labelsTr" / "p1b.nii.gz")[0].sum() == 4


def test_a_second_run_converts_nothing_again(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    before = _times(dataset)
    again = _convert(source, dataset)
    assert again.skipped == ("p1a", "p1b", "p2a")
    assert _times(dataset) == before


@pytest.mark.parametrize("spoil", ["imagesTr/p1a_0000.nii.gz", "labelsTr/p1a.nii.gz", "promptsTr/p1a.mrk.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_case_whose_files_were_damaged_is_converted_again(
    source: Path, dataset: Path, spoil: str, gone: bool
) -> None:
    _convert(source, dataset)
    file = dataset / spoil
    whole = file.read_bytes()
    if gone:
        file.unlink()
    else:
        file.write_bytes(whole[:-5])
    assert _convert(source, dataset).skipped == ("p1b", "p2a")
    assert file.stat().st_size == len(whole)


def test_a_case_whose_source_changed_is_converted_again(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    (source / "p2a.txt").write_text("2 9")
    assert _convert(source, dataset).skipped == ("p1a", "p1b")
    assert read_volume(dataset / "imagesTr" / "p2a_0000.nii.gz")[0].max() == 9.0


def test_an_interrupted_run_is_taken_up_again(source: Path, dataset: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _convert(source, dataset, TextRelease(explode="p1b"))
    assert not (dataset / "dataset.json").exists()
    conversion = _convert(source, dataset)
    assert conversion.skipped == ("p1a",)
    assert sorted(conversion.records) == ["p1a", "p1b", "p2a"]


def test_a_faulty_case_costs_only_itself(source: Path, dataset: Path) -> None:
    (source / "p2b.txt").write_text("one")
    (source / "p3.lost").touch()
    conversion = _convert(source, dataset)
    assert [fault.case for fault in conversion.faults] == ["p2b", "p3"]
    assert "not two numbers" in conversion.faults[0].reason
    assert str(source / "p2b.txt") in conversion.faults[0].reason
    verify_raw_dataset(read_raw_dataset(dataset), target_labels=[1])
    assert not list(dataset.rglob("*p2b*"))


def test_an_error_nobody_thought_of_is_told_as_a_fault_of_its_case(source: Path, dataset: Path) -> None:
    (source / "p9.txt").write_text("x 1")
    conversion = _convert(source, dataset)
    assert [fault.case for fault in conversion.faults] == ["p9"]
    assert "ValueError" in conversion.faults[0].reason
    assert str(source / "p9.txt") in conversion.faults[0].reason


def test_nothing_is_left_of_a_case_that_cannot_be_written(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    (source / "p9.txt").write_text("3 5")
    (dataset / "labelsTr" / "p9.nii.gz").mkdir(parents=True)
    conversion = _convert(source, dataset)
    assert [fault.case for fault in conversion.faults] == ["p9"]
    assert not (dataset / "imagesTr" / "p9_0000.nii.gz").exists()
    assert not (dataset / "promptsTr" / "p9.mrk.json").exists()


def test_two_cases_of_one_name_are_both_refused(source: Path, dataset: Path) -> None:
    (source / "more").mkdir()
    (source / "more" / "P1A.txt").write_text("1 1")
    conversion = _convert(source, dataset)
    assert {fault.case for fault in conversion.faults} == {"p1a", "P1A"}
    assert sorted(conversion.records) == ["p1b", "p2a"]


def test_a_link_out_of_the_release_is_refused(source: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("1 1")
    (source / "p3.txt").symlink_to(tmp_path / "secret.txt")
    (source / "p4.txt").symlink_to(source / "p1a.txt")
    conversion = _convert(source, dataset)
    assert [fault.case for fault in conversion.faults] == ["p3"]
    assert "leaves the release's folder" in conversion.faults[0].reason
    assert "p4" in conversion.records


def test_a_case_id_with_a_channel_number_in_it_survives(source: Path, dataset: Path) -> None:
    (source / "CT_000001_0000_b.txt").write_text("1 1")
    (source / "CT_000001_0000.txt").write_text("2 2")
    conversion = _convert(source, dataset)
    assert {"CT_000001_0000", "CT_000001_0000_b"} <= conversion.records.keys()
    verify_dataset_integrity(str(dataset), 1)
    assert len(read_raw_dataset(dataset).cases) == 5


def test_a_folder_made_with_other_choices_is_left_alone(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    before = _times(dataset)
    with pytest.raises(InputError, match=r"offset 0.0 instead of 1.0.*move the folder away"):
        _convert(source, dataset, TextRelease(offset=1.0))
    assert _times(dataset) == before


def test_cases_that_no_conversion_made_are_left_alone(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    before = _times(dataset)
    (dataset / "conversion.json").unlink()
    with pytest.raises(InputError, match="not converted from a release"):
        _convert(source, dataset)
    assert _times(dataset) == before


def test_a_run_killed_between_a_case_and_its_record_is_taken_up(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    (dataset / "conversion" / "p1b.json").unlink()
    assert _convert(source, dataset).skipped == ("p1a", "p2a")


def test_cases_of_another_source_are_not_mixed_in(source: Path, dataset: Path, tmp_path: Path) -> None:
    _convert(source, dataset)
    other = tmp_path / "other"
    other.mkdir()
    (other / "p8.txt").write_text("1 1")
    with pytest.raises(InputError, match=r"p1a there is not of this release"):
        _convert(other, dataset)


@pytest.mark.parametrize(("make", "fault"), [(True, "no case found"), (False, "no such folder")])
def test_a_source_without_cases_is_refused(dataset: Path, tmp_path: Path, make: bool, fault: str) -> None:
    source = tmp_path / "nothing"
    if make:
        source.mkdir()
    with pytest.raises(InputError, match=fault):
        _convert(source, dataset)
    assert not dataset.exists()


def test_doubles_are_stored_small_and_unchanged(source: Path, dataset: Path) -> None:
    (source / "p2a.txt").write_text("1 0.1")
    (source / "p2b.txt").write_text("1 40000")
    _convert(source, dataset)
    stored = {name: read_volume(dataset / "imagesTr" / f"{name}_0000.nii.gz")[0] for name in ("p1a", "p2a", "p2b")}
    assert stored["p1a"].dtype == np.int16
    assert stored["p2a"].dtype == np.float32
    assert stored["p2a"].max() == pytest.approx(0.1, rel=1e-6)
    assert stored["p2b"].max() == 40000


def test_the_table_counts_what_lies_in_the_files(source: Path, dataset: Path) -> None:
    conversion = _convert(source, dataset)
    table = pd.read_csv(write_case_table(conversion)).set_index("case")
    assert table["target_voxels"].to_dict() == {"p1a": 3, "p1b": 4, "p2a": 0}
    assert table["target_slices"].to_dict() == {"p1a": 1, "p1b": 1, "p2a": 0}
    assert table.loc["p1b", "target_ml"] == pytest.approx(4 * 2.0 * 1.0 * 0.5 / 1000)
    assert table.loc["p1a", "target_share"] == pytest.approx(3 / 60)
    assert table["points_inside"].to_dict() == {"p1a": 1, "p1b": 1, "p2a": 0}
    text = "\n".join(report_lines(conversion))
    assert "cases: 3 of 2 patients" in text
    assert "3 case(s): header mended" in text
    assert "1 case(s) without" in text


def test_choices_are_written_as_json(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    record = json.loads((dataset / "conversion" / "p1a.json").read_text())
    assert json.loads((dataset / "conversion.json").read_text()) == {"release": "text", "offset": 0.0, "labels": [1, 2]}
    assert record["source"]["image"][0]["name"] == "p1a.txt"


def test_choices_bind_nobody_while_nothing_is_converted(source: Path, dataset: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "p1a.txt").write_text("x")
    assert not _convert(bad, dataset).records
    assert len(_convert(source, dataset, TextRelease(offset=2.0)).records) == 3


def test_a_case_that_fails_later_stays_and_that_is_told(source: Path, dataset: Path) -> None:
    _convert(source, dataset)
    (source / "p1b.txt").write_text("x")
    conversion = _convert(source, dataset)
    assert "p1b" in conversion.records
    assert conversion.faults[0].reason.endswith("(the dataset keeps the case as an earlier run converted it)")


def _dead_process() -> int:
    return int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)


@pytest.mark.parametrize("name", ["imagesTr/{}p1a_0000.nii.gz", "labelsTr/{}p1a.nii.gz", "conversion/{}p1a.json"])
def test_what_a_killed_run_left_is_removed(source: Path, dataset: Path, name: str) -> None:
    _convert(source, dataset)
    left = dataset / name.format(f".part-{_dead_process()}-")
    running = dataset / name.format(f".part-{os.getpid()}-")
    for path in (left, running):
        path.write_bytes(b"half")
    conversion = _convert(source, dataset)
    assert sorted(conversion.records) == ["p1a", "p1b", "p2a"]
    assert not left.exists()
    assert running.exists()


@pytest.mark.parametrize("content", ["{}", "[]", "half a rec", ""])
def test_a_damaged_record_costs_its_case_a_conversion(source: Path, dataset: Path, content: str) -> None:
    _convert(source, dataset)
    (dataset / "conversion" / "p1b.json").write_text(content)
    conversion = _convert(source, dataset)
    assert conversion.skipped == ("p1a", "p2a")
    assert sorted(conversion.records) == ["p1a", "p1b", "p2a"]


@pytest.mark.parametrize("name", ["", "imagesTr", "labelsTr", "promptsTr", "conversion"])
def test_a_file_where_a_folder_belongs_is_told_once(source: Path, dataset: Path, name: str) -> None:
    path = dataset / name
    path.parent.mkdir(parents=True)
    path.write_text("in the way")
    with pytest.raises(InputError, match="a file stands where a folder belongs"):
        _convert(source, dataset)


def test_an_interruption_drops_the_cases_that_wait(source: Path, dataset: Path) -> None:
    """As at a terminal: the whole group is interrupted while two processes work on slow cases."""
    for number in range(12):
        (source / f"q{number:02d}.txt").write_text("1 1")
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import slow_release\n"
        "if __name__ == '__main__': sys.exit(slow_release.main(sys.argv[2], sys.argv[3]))"
    )
    script = source.parent / "run.py"
    script.write_text(code)
    (source.parent / "slow_release.py").write_text(SLOW_RELEASE)
    command = [sys.executable, str(script), str(source.parent), str(source), str(dataset)]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in the background, Ctrl-C is ignored, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while len(list((dataset / "labelsTr").glob("[!.]*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in errors
    assert "Traceback" not in errors
    assert len(list((dataset / "labelsTr").iterdir())) < 10
    assert not list(dataset.rglob(".part-*"))


SLOW_RELEASE = """
import argparse, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from spd_bench.cli.command import command_parser, run_command
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.cases import ConvertedCase, FoundCases, ReleaseCase
from spd_bench.raw.release.conversion import convert_release

@dataclass(frozen=True)
class Slow:
    channel_names = ("MR",)
    target_name = "lesion"
    description = ""
    settings = {"release": "slow"}
    def find(self, source):
        files = sorted(source.glob("*.txt"))
        return FoundCases(cases=tuple(ReleaseCase(case=f.stem, patient=f.stem, files={"a": (f,)}) for f in files))
    def read(self, case):
        time.sleep(0.5)
        shape = (2, 3, 4)
        return ConvertedCase(
            images=(np.ones(shape),), label=np.zeros(shape, np.uint8),
            geometry=VolumeGeometry(shape=shape, spacing=(1.0, 1.0, 1.0)),
        )

def main(source, dataset):
    def body(_):
        convert_release(Slow(), source=Path(source), folder=Path(dataset), jobs=2)
    return run_command(body, command_parser(name="slow", description="", example=""), [])
"""
