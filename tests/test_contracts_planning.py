"""What planning and prediction rely on in nnU-Net, tried against the release that is installed."""

from __future__ import annotations

import copy
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from medpy.metric import dc
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiment_dataset
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.planning.planner import SPDPlanner
from spd_bench.planning.preprocessing import preprocess_configuration
from spd_bench.planning.preprocessor import SPDPreprocessor
from spd_bench.planning.settings import PlanSettings
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.volumes import read_volume

TINY = "Dataset901_Tiny"
SETTINGS = PlanSettings(resolution=32, context=1, folds=3)


@pytest.fixture
def fingerprinted(own_folders: DataFolders, tiny_raw: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A preprocessed folder that holds the tiny dataset's fingerprint and nothing else."""
    monkeypatch.setenv("nnUNet_raw", str(tiny_raw))
    folder = own_folders.preprocessed / TINY
    folder.mkdir()
    (folder / "dataset_fingerprint.json").write_bytes((planned.folder / "dataset_fingerprint.json").read_bytes())
    return folder


def _enlarge(folder: Path) -> None:
    """Let the fingerprint say that the volumes are as large as real ones."""
    fingerprint = json.loads((folder / "dataset_fingerprint.json").read_text())
    fingerprint["shapes_after_crop"] = [[16, 128, 112]] * len(fingerprint["shapes_after_crop"])
    (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))


def test_the_planner_takes_what_nnunets_takes_and_settings() -> None:
    theirs = inspect.signature(ExperimentPlanner.__init__).parameters
    ours = inspect.signature(SPDPlanner.__init__).parameters
    assert list(ours) == [*theirs, "settings"]
    assert ours["settings"].kind is inspect.Parameter.KEYWORD_ONLY
    for name, parameter in theirs.items():
        assert ours[name].kind is parameter.kind
        if name != "plans_name":
            assert ours[name].default == parameter.default


def test_nnunets_api_accepts_the_planner_class(fingerprinted: Path) -> None:
    plans, name = plan_experiment_dataset(TINY, SPDPlanner, gpu_memory_target_in_gb=6)
    assert name == "SPDPlans"
    assert "spd_512" in plans["configurations"]
    assert json.loads((fingerprinted / "SPDPlans.json").read_text()) == json.loads(json.dumps(plans))


def test_nnunets_own_configurations_are_untouched(fingerprinted: Path) -> None:
    _enlarge(fingerprinted)
    settings = PlanSettings(resolution=32, gpu_memory_gb=4)
    ours = SPDPlanner(TINY, settings=settings).plan_experiment()
    (fingerprinted / "SPDPlans.json").unlink()
    theirs = ExperimentPlanner(TINY, 4, plans_name="SPDPlans").plan_experiment()
    assert {"2d", "3d_fullres"} <= set(theirs["configurations"])
    assert ours["configurations"].pop("spd_32")
    assert ours.pop("spd")
    assert ours.pop("experiment_planner_used") == "SPDPlanner"
    assert theirs.pop("experiment_planner_used") == "ExperimentPlanner"
    assert ours == theirs


def test_gpu_memory_reaches_nnunets_planning(fingerprinted: Path) -> None:
    _enlarge(fingerprinted)
    small, large = (
        SPDPlanner(TINY, settings=PlanSettings(gpu_memory_gb=gigabytes)).plan_experiment()["configurations"]
        for gigabytes in (0.5, 8.0)
    )
    assert np.prod(small["3d_fullres"]["patch_size"]) < np.prod(large["3d_fullres"]["patch_size"])
    assert small["spd_512"] == large["spd_512"]


def test_the_least_gpu_memory_still_gives_a_plan(fingerprinted: Path) -> None:
    plans = SPDPlanner(TINY, settings=PlanSettings(gpu_memory_gb=0.1)).plan_experiment()
    assert plans["configurations"]["2d"]["batch_size"] >= 2


def test_configurations_of_an_earlier_plan_do_not_linger(fingerprinted: Path) -> None:
    for resolution in (32, 64):
        plans = SPDPlanner(TINY, settings=PlanSettings(resolution=resolution)).plan_experiment()
    assert set(plans["configurations"]) == {"2d", "3d_fullres", "spd_64"}
    assert json.loads((fingerprinted / "SPDPlans.json").read_text()) == json.loads(json.dumps(plans))


def test_the_configuration_manager_reads_ours_with_inherited_keys(planned: Plan) -> None:
    manager, ours = planned.managers("spd_32")
    nnunets = manager.get_configuration("2d")
    assert ours.patch_size == [32, 32]
    assert ours.data_identifier == "SPDPlans_spd_32"
    assert ours.configuration["spd"] == {
        "resolution": 32,
        "context": 1,
        "intensity_range": [-1.0, 1.0],
        "channels": [0, 0, 0],
    }
    for key in ("spacing", "normalization_schemes", "use_mask_for_norm", "network_arch_class_name"):
        assert getattr(ours, key) == getattr(nnunets, key)
    assert len(ours.spacing) == 2
    assert ours.preprocessor_class is DefaultPreprocessor
    assert manager.image_reader_writer_class.__name__ == "SimpleITKIO"


def test_nnunet_reads_our_splits(planned: Plan) -> None:
    for fold, split in enumerate(planned.splits):
        plans = {**copy.deepcopy(planned.plans), "continue_training": False}
        trainer = nnUNetTrainer(plans, planned.configuration, fold, planned.dataset_json, torch.device("cpu"))
        train, validation = trainer.do_split()
        assert (sorted(train), sorted(validation)) == (split["train"], split["val"])


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_nnunets_export_undoes_our_preprocessing(planned: Plan, tiny_raw: Path, transpose: tuple[int, ...]) -> None:
    plans = copy.deepcopy(planned.plans)
    plans["transpose_forward"] = list(transpose)
    plans["transpose_backward"] = np.argsort(transpose).tolist()
    manager = PlansManager(plans)
    configuration = manager.get_configuration("spd_32")
    for case in planned.patients:
        images = [str(tiny_raw / TINY / "imagesTr" / f"{case}_0000.nii.gz")]
        label_file = tiny_raw / TINY / "labelsTr" / f"{case}.nii.gz"
        _, mask, properties = SPDPreprocessor(verbose=False).run_case(
            images, str(label_file), manager, configuration, planned.dataset_json
        )
        logits = np.concatenate([1 - mask, mask]).astype(np.float32) * 20 - 10
        exported = convert_predicted_logits_to_segmentation_with_correct_shape(
            torch.from_numpy(logits),
            manager,
            configuration,
            manager.get_label_manager(planned.dataset_json),
            properties,
            num_threads_torch=1,
        )
        assert dc(exported, read_volume(label_file)[0]) == 1.0


def test_a_process_of_its_own_preprocesses_alike(planned: Plan, tiny_raw: Path, tmp_path: Path) -> None:
    dataset = read_raw_dataset(tiny_raw / TINY)
    preprocess_configuration(
        cases=dataset.cases[:1],
        folder=tmp_path / "cases",
        preprocessor=SPDPreprocessor,
        configuration="spd_32",
        plans=planned.plans,
        dataset_json=planned.dataset_json,
        jobs=2,
    )
    folders = (tmp_path / "cases", planned.folder / "SPDPlans_spd_32")
    ours, theirs = (nnUNetDatasetBlosc2(str(folder), ["case_0"]).load_case("case_0") for folder in folders)
    np.testing.assert_array_equal(ours[0][:], theirs[0][:])
    np.testing.assert_array_equal(ours[1][:], theirs[1][:])


def test_the_fingerprint_of_a_binary_dataset_is_nnunets(
    fingerprinted: Path, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool of processes is nnU-Net's own here; only its sample of 100 million voxels is spared."""
    fewer = property(lambda _: 1e4, lambda _, __: None)
    monkeypatch.setattr(DatasetFingerprintExtractor, "num_foreground_voxels_for_intensitystats", fewer, raising=False)
    DatasetFingerprintExtractor(TINY, 1).run(overwrite_existing=True)
    ours, theirs = (folder / "dataset_fingerprint.json" for folder in (planned.folder, fingerprinted))
    assert json.loads(ours.read_text()) == json.loads(theirs.read_text())
