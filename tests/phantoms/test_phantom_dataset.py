from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from spd_bench.cli.make_phantoms import main
from spd_bench.errors import InputError
from spd_bench.phantoms import make_phantom, write_phantom_dataset
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.raw.volumes import read_volume
from spd_bench.storage import sha256_of_files

SMALL = {"count": 3, "seed": 4, "size": 48, "slices": 6}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_written_set_is_a_valid_raw_dataset_with_prompts(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset502_SCAR"
    assert write_phantom_dataset("SCAR", folder=folder, **SMALL)
    dataset = read_raw_dataset(folder)
    verify_raw_dataset(dataset, target_labels=[1])
    assert [case.case for case in dataset.cases] == ["SCAR_000", "SCAR_001", "SCAR_002"]
    for number, case in enumerate(dataset.cases):
        phantom = make_phantom("SCAR", seed=4, case_number=number, size=48, slices=6)
        image, geometry = read_volume(case.images[0])
        np.testing.assert_array_equal(image, phantom.image)
        assert geometry.difference_to(phantom.geometry) is None
        assert case.label is not None
        np.testing.assert_array_equal(read_volume(case.label)[0], phantom.label)
        np.testing.assert_allclose(read_prompts(case.prompts).positions, phantom.prompts.positions)


def test_cases_do_not_depend_on_how_many_are_made(tmp_path: Path) -> None:
    write_phantom_dataset("SCAR", folder=tmp_path / "many", **SMALL)
    write_phantom_dataset("SCAR", folder=tmp_path / "one", **(SMALL | {"count": 1}))
    for path in (tmp_path / "one").rglob("SCAR_000*"):
        twin = tmp_path / "many" / path.relative_to(tmp_path / "one")
        assert twin.read_bytes() == path.read_bytes()


def test_same_set_is_kept_and_another_one_refused(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset502_SCAR"
    write_phantom_dataset("SCAR", folder=folder, **SMALL)
    before = sha256_of_files(_files(folder))
    assert not write_phantom_dataset("SCAR", folder=folder, **SMALL)
    for change in ({"seed": 5}, {"count": 4}, {"size": 64}, {"slices": 7}, {"severity": 1.5}):
        with pytest.raises(InputError, match="something else"):
            write_phantom_dataset("SCAR", folder=folder, **(SMALL | change))
    assert sha256_of_files(_files(folder)) == before


def test_foreign_files_are_never_mixed_with_phantoms(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "mine_0000.nii.gz").write_bytes(b"precious")
    with pytest.raises(InputError, match="something else"):
        write_phantom_dataset("SCAR", folder=tmp_path, **SMALL)
    assert [path.name for path in _files(tmp_path)] == ["mine_0000.nii.gz"]


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(numbers: Iterable[int]) -> Iterator[int]:
        yield next(iter(numbers))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom_dataset("SCAR", folder=tmp_path / "Dataset502_SCAR", progress=interrupted, **SMALL)
    assert not list(tmp_path.iterdir())


def test_command_writes_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    command = ["-d", "scar", "-n", "2", "--seed", "1", "--size", "48", "--slices", "4", "--severity", "0"]
    assert main(command) == 0
    folder = tmp_path / "raw" / "Dataset502_SCAR"
    output = capsys.readouterr()
    assert str(folder) in output.out
    assert "2/2" in output.err
    assert len(read_raw_dataset(folder).cases) == 2
    assert main(command) == 0
    assert "already" in capsys.readouterr().out
    assert main([*command, "--seed", "2"]) == 2
    assert capsys.readouterr().err.startswith("error: the dataset folder holds something else")


@pytest.mark.parametrize("wrong", [["-d", "LIVER"], ["-n", "0"], ["--size", "3"], ["--severity", "-1"]])
def test_command_refuses_wrong_options_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert main(["-d", "SCAR", "-n", "1", "--size", "48", *wrong]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not list((tmp_path / "nnUNet_raw").iterdir())
