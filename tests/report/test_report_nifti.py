from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import plane_geometry
from spd_bench.report.answers import MethodView
from spd_bench.report.cases import CaseView
from spd_bench.report.encoding import script_json
from spd_bench.report.fates import Fate
from spd_bench.report.nifti_volumes import nifti_coders
from spd_bench.report.prompt_sets import PromptSet
from spd_bench.report.reduction import case_values, fit_case
from spd_bench.report.turning import Turn

# Rows and columns of the volume change places, and two of its axes run backwards.
TURNED = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GEOMETRY = VolumeGeometry(shape=(5, 12, 8), spacing=(4.0, 1.0, 1.5), origin=(-20.0, 10.0, 30.0), direction=STRAIGHT)
MARK = (1, 9, 2)


def view_of(geometry: VolumeGeometry, *, axis: int = 0, mark: tuple[int, int, int] = MARK) -> CaseView:
    """A case with one bright voxel, which is target, answer and point."""
    turn = Turn.of(geometry, axis)
    volume = np.zeros(geometry.shape, np.float32)
    volume[mark] = 1.0
    empty = np.zeros(geometry.shape, bool)
    dice = np.ones(turn.depth)
    answers = {"spd": volume > 0, "empty": empty}
    methods = tuple(
        MethodView(name=name, mask=turn.mask(mask), missing=False, slice_dice=dice, volumetric_dice=1.0)
        for name, mask in answers.items()
    )
    points = turn.points(np.array([mark]))
    chosen: Any = SimpleNamespace(case="a", leader=SimpleNamespace(plan=SimpleNamespace(dataset="D"), fold=0))
    return CaseView(
        chosen=chosen,
        image=turn.grey(volume, (0.0, 1.0)),
        reference=turn.mask(volume > 0),
        prompt_sets=(PromptSet(severity=None, points=points, fates=[Fate.KEPT], methods=methods),),
        saliency=turn.grey(volume, (0.0, 1.0)),
        grid=turn.grid,
        pixel=turn.pixel,
        affine=turn.affine,
        sides=turn.sides,
    )


def values_of(view: CaseView) -> dict[str, Any]:
    return case_values(view, coder=nifti_coders(view)[0])


def volume_of(text: str) -> nib.Nifti1Image:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))
    assert image.get_data_dtype() == np.uint8
    assert "".join(nib.aff2axcodes(image.affine)) == "RAS"
    return image


@pytest.mark.parametrize("direction", [STRAIGHT, TURNED])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_lies_in_the_file_where_it_lies_in_the_patient(direction: tuple[float, ...], axis: int) -> None:
    geometry = replace(GEOMETRY, direction=direction)
    values = values_of(view_of(geometry, axis=axis))
    (expected,) = geometry.voxel_to_lps(np.array([MARK], float)) * (-1, -1, 1)
    for text in (values["images"], values["reference"], values["prompt_sets"][0]["methods"]["spd"]["masks"]):
        image = volume_of(text)
        data = np.asarray(image.dataobj)
        (found,) = np.argwhere(data)
        np.testing.assert_allclose(nib.affines.apply_affine(image.affine, found), expected, atol=1e-4)
        assert data.max() == (255 if text is values["images"] else 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axes_lead_from_a_point_on_the_page_to_its_voxel_in_the_file(axis: int) -> None:
    values = values_of(view_of(replace(GEOMETRY, direction=TURNED), axis=axis))
    image = volume_of(values["reference"])
    (place,) = np.argwhere(np.asarray(image.dataobj))
    ((slice_number, ((column, row, _),)),) = [
        (number, points) for number, points in enumerate(values["prompt_sets"][0]["points"]) if points
    ]
    assert values["target"][slice_number] == 1
    for number, (file_axis, backwards) in zip((column, row, slice_number), values["axes"], strict=True):
        last = image.shape[file_axis] - 1
        assert place[file_axis] == (last - number if backwards else number)


def test_reduced_volumes_cover_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spd_bench.report.turning.LONGEST_SIDE", 6)
    view = view_of(GEOMETRY)
    values = values_of(view)
    assert values["size"] == [6, 4]
    edges = []
    for text in (values["images"], values["saliency"]):
        image = volume_of(text)
        corners = np.array([[-0.5] * 3, np.array(image.shape) - 0.5])
        edges.append(nib.affines.apply_affine(image.affine, corners))
    np.testing.assert_allclose(edges[0], edges[1], atol=1e-4)
    sizes = np.abs(edges[0][1] - edges[0][0])
    np.testing.assert_allclose(sizes, (8 * 1.5, 12 * 1.0, 5 * 4.0), rtol=1e-5)


def test_an_empty_mask_is_an_empty_text() -> None:
    assert values_of(view_of(GEOMETRY))["prompt_sets"][0]["methods"]["empty"]["masks"] == ""


def test_the_same_case_is_the_same_text() -> None:
    assert values_of(view_of(GEOMETRY)) == values_of(view_of(GEOMETRY))


def test_a_2d_image_is_one_slice_of_ordinary_thickness() -> None:
    geometry = plane_geometry((12, 8), spacing=(1.0, 1.5))
    image = volume_of(values_of(view_of(geometry, mark=(0, 9, 2)))["images"])
    assert image.shape == (8, 12, 1)
    np.testing.assert_allclose(image.header.get_zooms(), (1.5, 1.0, 1.5))


def test_a_case_takes_the_finest_form_that_finds_room() -> None:
    view = view_of(GEOMETRY)
    noise = np.random.default_rng(0).integers(0, 256, (6, 256, 200)).astype(np.uint8)
    own = replace(view.prompt_sets[0], methods=())
    view = replace(
        view, image=noise, reference=np.zeros(noise.shape, bool), saliency=None, prompt_sets=(own,), grid=(256, 200)
    )
    sizes = [len(script_json(case_values(view, coder=coder))) for coder in nifti_coders(view)]
    assert sizes == sorted(sizes, reverse=True)
    for room in (sizes[0], sizes[0] - 1, sizes[3], sizes[-1]):
        values = fit_case(view, room=room, coders=nifti_coders)
        assert values is not None
        assert len(script_json(values)) == max(size for size in sizes if size <= room)
    assert fit_case(view, room=sizes[-1] - 1, coders=nifti_coders) is None


def test_grey_levels_keep_their_ends_and_lose_little() -> None:
    view = view_of(GEOMETRY)
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    view = replace(view, image=ramp, grid=(16, 16), affine=np.eye(4))
    for coder in nifti_coders(view)[:4]:
        kept = np.asarray(volume_of(coder.image(ramp)).dataobj).astype(int)
        assert (kept.min(), kept.max()) == (0, 255)
        assert np.abs(kept[:, :, 0].T - ramp[0].astype(int)).max() <= 2
