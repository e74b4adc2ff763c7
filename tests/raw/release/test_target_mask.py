from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spd_bench.errors import InputError
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.release.source_volumes import SourceVolume
from spd_bench.raw.release.target_mask import LabelValues, target_mask


def label(*values: float, dtype: str = "int16") -> SourceVolume:
    voxels = np.array(values, dtype=dtype).reshape(1, 1, -1)
    return SourceVolume(
        voxels=voxels, geometry=VolumeGeometry(shape=voxels.shape, spacing=(1, 1, 1)), file=Path("seg.nii.gz")
    )


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "float64"])
def test_target_values_become_one_and_all_others_zero(dtype: str) -> None:
    values = LabelValues(target=(2221, 500), others=(200, 600))
    found = target_mask(label(0, 200, 500, 600, 2221, dtype=dtype), values)
    assert found.voxels.ravel().tolist() == [0, 0, 1, 0, 1]
    assert found.voxels.dtype == np.uint8


def test_scaled_integers_that_come_back_a_little_off_count() -> None:
    found = target_mask(label(0, 2.9999998, 4.0000003, dtype="float64"), LabelValues(target=(3, 4)))
    assert found.voxels.ravel().tolist() == [0, 1, 1]


@pytest.mark.parametrize("values", [(0, 5), (0, -1), (0, 3, 1, 7)])
def test_a_value_outside_the_set_is_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"label value\(s\) (-1|5|7) are not in the release's \[0, 1, 3\], in seg"):
        target_mask(label(*values), LabelValues(target=(1,), others=(3,)))


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf])
@pytest.mark.parametrize("values", [LabelValues(target=(1,)), LabelValues(target=None)])
def test_a_value_that_is_no_whole_number_is_refused(value: float, values: LabelValues) -> None:
    with pytest.raises(InputError, match=r"(1\.5|nan|inf) is not a whole number, in seg"):
        target_mask(label(0, 1, value, dtype="float32"), values)


@pytest.mark.parametrize(("value", "notes"), [(1, ()), (255, ("mask holds 255 in place of 1",))])
def test_a_mask_of_one_value_is_taken_whatever_the_value(value: int, notes: tuple[str, ...]) -> None:
    found = target_mask(label(0, value, 0), LabelValues(target=None))
    assert found.voxels.ravel().tolist() == [0, 1, 0]
    assert found.repairs == notes
    assert target_mask(label(0, 0), LabelValues(target=None)).voxels.sum() == 0


@pytest.mark.parametrize("values", [(0, 1, 2), (0, -1)])
def test_a_mask_of_several_values_is_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected a mask of 0 and one other value"):
        target_mask(label(*values), LabelValues(target=None))


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": ()},
        {"target": (0, 1)},
        {"target": (1,), "others": (1, 2)},
        {"target": None, "others": (2,)},
    ],
)
def test_values_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"target|mask"):
        LabelValues(**wrong)
