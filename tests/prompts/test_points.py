from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from spd_bench.errors import InputError
from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts
from spd_bench.raw.geometry import VolumeGeometry

GEOMETRY = VolumeGeometry(
    shape=(5, 9, 7),
    spacing=(8.0, 1.5, 0.75),
    origin=(10.0, -20.0, 30.0),
    direction=tuple((Rotation.from_euler("zx", [140, 20], degrees=True).as_matrix() * [1, 1, -1]).ravel()),
)


def _markups(path: Path, *markups: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"markups": list(markups)}))
    return path


def test_every_voxel_survives_the_way_through_a_file(tmp_path: Path) -> None:
    voxels = np.argwhere(np.ones(GEOMETRY.shape, dtype=bool))
    prompts = PointPrompts.from_voxels(voxels, GEOMETRY, provenance={"seed": 3})
    write_prompts(tmp_path / "a.mrk.json", prompts)
    again = read_prompts(tmp_path / "a.mrk.json")
    np.testing.assert_array_equal(again.positions, prompts.positions)
    np.testing.assert_array_equal(again.voxels(GEOMETRY), voxels)
    assert again.provenance == {"seed": 3}
    assert len(again) == GEOMETRY.shape[0] * GEOMETRY.shape[1] * GEOMETRY.shape[2]


def test_positions_in_the_file_are_those_of_simpleitk(tmp_path: Path) -> None:
    image = sitk.Image([7, 9, 5], sitk.sitkUInt8)
    GEOMETRY.apply_to(image)
    write_prompts(tmp_path / "a.mrk.json", PointPrompts.from_voxels(np.array([[4, 8, 1]]), GEOMETRY))
    markup = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    np.testing.assert_allclose(markup["controlPoints"][0]["position"], image.TransformIndexToPhysicalPoint((1, 8, 4)))


def test_ras_turns_x_and_y_and_lps_is_the_default(tmp_path: Path) -> None:
    path = _markups(
        tmp_path / "a.mrk.json",
        {"type": "Curve", "coordinateSystem": "RAS", "controlPoints": [{"position": [1, 2, 3]}]},
        {"type": "Line", "controlPoints": [{"position": [4, 5, 6]}]},
    )
    np.testing.assert_array_equal(read_prompts(path).positions, [[-1, -2, 3], [4, 5, 6]])


def test_points_that_were_never_placed_are_skipped(tmp_path: Path) -> None:
    points = [{"position": [1, 2, 3], "positionStatus": status} for status in ("undefined", "defined", "preview")]
    assert len(read_prompts(_markups(tmp_path / "a.mrk.json", {"controlPoints": points}))) == 1


def test_a_file_without_points_gives_none(tmp_path: Path) -> None:
    write_prompts(tmp_path / "a.mrk.json", PointPrompts(positions=np.zeros((0, 3))))
    prompts = read_prompts(tmp_path / "a.mrk.json")
    assert len(prompts) == 0
    assert prompts.voxels(GEOMETRY).shape == (0, 3)


def test_points_between_voxels_belong_to_the_nearest() -> None:
    prompts = PointPrompts.from_voxels(np.array([[0.4, 2.6, -0.4], [4.5, 8.49, 6.5]]), GEOMETRY)
    np.testing.assert_array_equal(prompts.voxels(GEOMETRY), [[0, 3, 0], [4, 8, 6]])


def test_a_point_outside_the_volume_is_told_with_its_file() -> None:
    prompts = PointPrompts.from_voxels(np.array([[0, 0, 0], [5, 0, 0], [0, -1, 0]]), GEOMETRY)
    with pytest.raises(InputError, match=r"2 of 3 points .* first point 2 at .*in a\.mrk\.json"):
        prompts.voxels(GEOMETRY, file=Path("a.mrk.json"))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"markups": 3}',
        '{"markups": [{}]}',
        '{"markups": [{"controlPoints": [{}]}]}',
        '{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}',
        '{"markups": [{"controlPoints": [{"position": [1, 2, NaN]}]}]}',
        '{"markups": [{"controlPoints": [{"position": ["a", 2, 3]}]}]}',
        '{"markups": [{"coordinateSystem": "IJK", "controlPoints": [{"position": [1, 2, 3]}]}]}',
        '{"markups": [{"coordinateSystem": "IJK", "controlPoints": []}]}',
        '{"markups": [{"coordinateSystem": ["RAS"], "controlPoints": []}]}',
        "not json",
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.mrk.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.mrk\.json"):
        read_prompts(path)


@pytest.mark.parametrize("positions", [np.zeros(3), np.zeros((2, 2)), np.full((1, 3), np.inf)])
def test_positions_must_be_finite_triples(positions: np.ndarray) -> None:
    with pytest.raises(ValueError, match="positions"):
        PointPrompts(positions=positions)
