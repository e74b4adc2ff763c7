from __future__ import annotations

import copy
import dataclasses
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from medpy.metric import dc

from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.planning.preprocessor import SPDPreprocessor
from spd_bench.prediction.volume import read_prompted_volume, volume_slices
from spd_bench.raw.volumes import write_volume

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")


def _plan_at(planned: Plan, resolution: int) -> Plan:
    plans = copy.deepcopy(planned.plans)
    plans["configurations"]["spd_32"]["spd"]["resolution"] = resolution
    plans["spd"]["target_labels"] = [1, 2]
    return dataclasses.replace(planned, plans=plans)


@pytest.mark.parametrize(
    ("dataset", "case", "resolution"),
    [
        ("sunnybrook", "SCD0000101_ED", 256),
        ("sunnybrook", "SCD0000201_ES", 512),
        ("hippocampus", "hippocampus_001", 64),
        ("hippocampus", "hippocampus_042", 128),
    ],
)
def test_a_real_label_comes_back_from_its_slices(
    planned: Plan, tmp_path: Path, dataset: str, case: str, resolution: int
) -> None:
    plan = _plan_at(planned, resolution)
    [image] = (DATA / dataset / "imagesTr").glob(f"{case}*")
    [label] = (DATA / dataset / "labelsTr").glob(f"{case}*")
    data, mask, _ = SPDPreprocessor(verbose=False).run_case(
        [str(image)], str(label), *plan.managers("spd_32"), plan.dataset_json
    )
    volume = read_prompted_volume(case, [image], None)
    np.testing.assert_allclose(volume_slices(volume, plan)[:, 0], data[0], atol=1e-5)

    logits = mask[0] * 2.0 - 1.0
    back = masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=plan.transpose)
    write_volume(tmp_path / "mask.nii.gz", back, volume.geometry)
    written, expected = nib.load(tmp_path / "mask.nii.gz"), nib.load(label)
    assert dc(np.asarray(written.dataobj), np.asarray(expected.dataobj) > 0) == 1.0
    np.testing.assert_allclose(written.affine, nib.load(image).affine, atol=1e-3)
