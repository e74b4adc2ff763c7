"""Real scanner volumes from raw to plan to export: nothing moves, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from medpy.metric import dc
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from spd_bench.paths import DataFolders
from spd_bench.planning.grid import masks_on_own_grid
from spd_bench.planning.plan import Plan
from spd_bench.planning.prepare import plan_and_preprocess
from spd_bench.planning.settings import PlanSettings
from spd_bench.prediction.folder import find_cases, predict_cases
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.prompts.formats import read_points
from spd_bench.prompts.points import write_prompts
from spd_bench.raw.volumes import read_geometry

DATA = Path(os.environ.get("SPD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAME = "Dataset900_Real"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")


@dataclass(frozen=True, kw_only=True)
class RealCase:
    """Files of one case, below the folder of real data."""

    image: str
    label: str
    points: str | None = None


@dataclass(frozen=True, kw_only=True)
class RealSet:
    """A few cases that are planned together.

    ``resolution`` keeps or at least doubles the slices, so that no pixel of a mask is lost.
    """

    cases: tuple[RealCase, ...]
    target: tuple[int, ...]
    largest: int
    resolution: int
    ending: str = ".nii.gz"
    channel: str = "MR"


def sunnybrook(case: str) -> RealCase:
    return RealCase(image=f"sunnybrook/imagesTr/{case}_0000.nii.gz", label=f"sunnybrook/labelsTr/{case}.nii.gz")


CORD_T2 = RealCase(
    image="spinalcord/t2_image.nii.gz",
    label="spinalcord/t2_label.nii.gz",
    points="spinalcord/t2_centerline-manual.nii.gz",
)
KIDNEY = RealCase(image="kidney_ct/example_ct_sm.nii.gz", label="kidney_ct/example_seg.nii.gz")
SETS = {
    "sunnybrook": RealSet(
        cases=tuple(sunnybrook(f"SCD0000{name}") for name in ("101_ED", "101_ES", "201_ED", "201_ES")),
        target=(1, 2),
        largest=2,
        resolution=256,
    ),
    "spinalcord": RealSet(cases=(CORD_T2,) * 3, target=(1,), largest=1, resolution=128),
    "brain": RealSet(
        cases=(RealCase(image="pyradiomics/brain1_image.nrrd", label="pyradiomics/brain1_label.nrrd"),) * 3,
        target=(1,),
        largest=1,
        resolution=256,
        ending=".nrrd",
    ),
    "breast": RealSet(
        cases=(RealCase(image="pyradiomics/breast1_image.nrrd", label="pyradiomics/breast1_label.nrrd"),) * 3,
        target=(1,),
        largest=1,
        resolution=256,
        ending=".nrrd",
    ),
    # 2 and 3 are the kidneys of the 117 classes.
    "kidney_ct": RealSet(cases=(KIDNEY,) * 3, target=(2, 3), largest=117, resolution=256, channel="CT"),
}


def write_raw(folder: Path, chosen: RealSet) -> None:
    """An nnU-Net raw dataset of unchanged files; a volume that stands in for several patients is copied."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number, case in enumerate(chosen.cases):
        shutil.copy(DATA / case.image, folder / "imagesTr" / f"case_{number}_0000{chosen.ending}")
        shutil.copy(DATA / case.label, folder / "labelsTr" / f"case_{number}{chosen.ending}")
        if case.points is not None:
            geometry = read_geometry(DATA / case.image)
            points = read_points(DATA / case.points, geometry=geometry)
            write_prompts(folder / "promptsTr" / f"case_{number}.mrk.json", points)
    labels = {"background": 0, **{f"label_{value}": value for value in range(1, chosen.largest + 1)}}
    description = {
        "channel_names": {"0": chosen.channel},
        "labels": labels,
        "numTraining": len(chosen.cases),
        "file_ending": chosen.ending,
    }
    (folder / "dataset.json").write_text(json.dumps(description))


class Oracle:
    """Answers with the preprocessed mask of a case, so that the export alone is tried."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        plan = self._plan
        cases = nnUNetDatasetBlosc2(str(plan.folder / f"SPDPlans_{plan.configuration}"), [volume.case])
        _, mask, _, _ = cases.load_case(volume.case)
        logits = np.asarray(mask[0], dtype=np.float32) * 2 - 1
        return Prediction(mask=masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=plan.transpose))


@pytest.fixture(params=list(SETS))
def real(request: pytest.FixtureRequest, own_folders: DataFolders, fingerprint_in_threads: None) -> tuple[Plan, Path]:
    """A real set, planned, and its raw folder."""
    chosen = SETS[request.param]
    folder = own_folders.raw / NAME
    write_raw(folder, chosen)
    verify_dataset_integrity(str(folder), 1)
    settings = PlanSettings(resolution=chosen.resolution, folds=3, target_labels=chosen.target)
    return plan_and_preprocess(NAME, folders=own_folders, settings=settings), folder


def test_a_real_set_comes_back_unchanged(real: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, folder = real
    target = plan.plans["spd"]["target_labels"]
    cases = find_cases(folder / "imagesTr", folder / "promptsTr", channels=1, file_ending=plan.file_ending)
    predict_cases(cases, Oracle(plan), output=tmp_path / "masks", file_ending=plan.file_ending)
    for files in cases:
        label = sitk.ReadImage(str(folder / "labelsTr" / f"{files.case}{plan.file_ending}"))
        image = sitk.ReadImage(str(files.images[0]))
        mask = sitk.ReadImage(str(tmp_path / "masks" / f"{files.case}{plan.file_ending}"))
        reference = np.isin(sitk.GetArrayFromImage(label), target)
        assert reference.any()
        assert dc(sitk.GetArrayFromImage(mask), reference) == 1.0
        for name in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(mask, name)(), getattr(image, name)(), atol=1e-4)
        if plan.file_ending == ".nii.gz":
            written = nib.load(tmp_path / "masks" / f"{files.case}.nii.gz")
            np.testing.assert_allclose(written.affine, nib.load(files.images[0]).affine, atol=1e-4)


def test_prompts_of_a_real_set_lie_on_its_slices(real: tuple[Plan, Path]) -> None:
    """The cord's centreline, drawn by a reader as a mask in unusual axes, and simulated points elsewhere."""
    plan, folder = real
    expected = sorted(path.name for path in (folder / "promptsTr").iterdir())
    assert expected == [f"{case}.mrk.json" for case in sorted(plan.patients)]
    inside = total = 0
    for case in plan.patients:
        index = json.loads(
            (plan.folder / f"SPDPlans_{plan.configuration}_slices" / f"{case}.json").read_text(encoding="utf-8")
        )
        cases = nnUNetDatasetBlosc2(str(plan.folder / f"SPDPlans_{plan.configuration}"), [case])
        mask = np.asarray(cases.load_case(case)[1][0])
        for z, points in enumerate(index["points"]):
            total += len(points)
            inside += sum(int(mask[z, y, x]) for x, y in points)
    assert total > 0
    if plan.prompts_provenance.get("format") == "nifti":
        assert inside == total
    assert inside / total > 0.5
