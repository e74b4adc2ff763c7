from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spd_bench.errors import InputError
from spd_bench.prompts.frames import FRAMES, agreed_frame, to_lps
from spd_bench.prompts.points import PointPrompts, without_outside
from spd_bench.raw.geometry import VolumeGeometry

FILE = Path("points.csv")


@st.composite
def grids(draw: st.DrawFn) -> VolumeGeometry:
    """Oblique, flipped and anisotropic grids."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    flips = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    return VolumeGeometry(
        shape=draw(st.tuples(*[st.integers(1, 60)] * 3)),
        spacing=draw(st.tuples(*[st.floats(0.2, 12.0)] * 3)),
        origin=draw(st.tuples(*[st.floats(-900, 900)] * 3)),
        direction=tuple((Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * flips).ravel()),
    )


def affine_of(geometry: VolumeGeometry) -> np.ndarray:
    """The matrix from an index (x, y, z) to RAS as nibabel would hold it, from the definitions alone."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(geometry.direction, (3, 3)) * geometry.spacing[::-1]
    affine[:3, 3] = geometry.origin
    return np.diag([-1, -1, 1, 1]) @ affine


@settings(max_examples=60, deadline=None)
@given(geometry=grids(), seed=st.integers(0, 1000))
def test_every_frame_leads_to_simpleitk_s_position_and_back_to_the_voxel(geometry: VolumeGeometry, seed: int) -> None:
    image = sitk.Image(geometry.shape[::-1], sitk.sitkUInt8)
    geometry.apply_to(image)
    voxels = np.random.default_rng(seed).integers(0, geometry.shape, (20, 3))
    indices = voxels[:, ::-1]
    positions = np.array([image.TransformIndexToPhysicalPoint(index) for index in indices.tolist()])
    in_frame = {
        "voxel_xyz": indices,
        "voxel_zyx": voxels,
        "ras_mm": nib.affines.apply_affine(affine_of(geometry), indices),
        "lps_mm": positions,
    }
    assert in_frame.keys() == FRAMES.keys()
    for frame, coordinates in in_frame.items():
        found = to_lps(coordinates, frame=frame, geometry=geometry)
        np.testing.assert_allclose(found, positions, atol=1e-9)
        np.testing.assert_allclose(geometry.lps_to_voxel(found), voxels, atol=1e-6)
        np.testing.assert_array_equal(PointPrompts(positions=found).voxels(geometry), voxels)


def test_coordinates_are_not_changed_in_place() -> None:
    geometry = VolumeGeometry(shape=(2, 2, 2), spacing=(1, 1, 1))
    given_points = np.ones((1, 3))
    to_lps(given_points, frame="lps_mm", geometry=geometry)[:] = 7
    to_lps(given_points, frame="ras_mm", geometry=geometry)[:] = 7
    np.testing.assert_array_equal(given_points, 1)


def test_no_points_stay_no_points_in_every_frame() -> None:
    geometry = VolumeGeometry(shape=(2, 2, 2), spacing=(1, 1, 1))
    for frame in FRAMES:
        assert to_lps(np.zeros((0, 3)), frame=frame, geometry=geometry).shape == (0, 3)


def test_unknown_frames_and_other_shapes_are_refused() -> None:
    geometry = VolumeGeometry(shape=(2, 2, 2), spacing=(1, 1, 1))
    with pytest.raises(InputError, match=r"unknown frame 'mm'.*voxel_xyz, voxel_zyx, ras_mm, lps_mm"):
        to_lps(np.zeros((1, 3)), frame="mm", geometry=geometry)
    with pytest.raises(ValueError, match="shape"):
        to_lps(np.zeros((3, 2)), frame="lps_mm", geometry=geometry)


def test_one_statement_of_the_frame_is_enough_and_two_must_agree() -> None:
    assert agreed_frame(stated="ras_mm", asked=None, file=FILE) == "ras_mm"
    assert agreed_frame(stated=None, asked="lps_mm", file=FILE) == "lps_mm"
    assert agreed_frame(stated="ras_mm", asked="ras_mm", file=FILE) == "ras_mm"
    with pytest.raises(InputError, match=r"ras_mm was asked for, the file itself states lps_mm, in points\.csv"):
        agreed_frame(stated="lps_mm", asked="ras_mm", file=FILE)
    with pytest.raises(InputError, match=r"not stated, in points\.csv: name it with --frame"):
        agreed_frame(stated=None, asked=None, file=FILE)
    with pytest.raises(InputError, match=r"unknown frame 'RAS', in points\.csv"):
        agreed_frame(stated="RAS", asked="ras_mm", file=FILE)


def test_points_outside_are_left_out_and_counted() -> None:
    geometry = VolumeGeometry(shape=(3, 4, 5), spacing=(2, 1, 1), origin=(1, 2, 3))
    voxels = np.array([[0, 0, 0], [3, 0, 0], [2, 3, 4], [0, -1, 0], [0, 0, 5]])
    prompts = PointPrompts.from_voxels(voxels, geometry, provenance={"seed": 1})
    kept, dropped = without_outside(prompts, geometry)
    assert dropped == 3
    assert kept.provenance == {"seed": 1}
    np.testing.assert_array_equal(kept.voxels(geometry), [[0, 0, 0], [2, 3, 4]])
