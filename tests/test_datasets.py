from __future__ import annotations

from pathlib import Path

import pytest

from spd_bench.datasets import DATASETS, PAPER_TI_COMPONENTS, PAPER_TI_CONTEXT, resolve_dataset
from spd_bench.errors import InputError


def test_the_four_datasets_have_their_fixed_folders() -> None:
    assert [info.folder for info in DATASETS.values()] == [
        "Dataset501_TI",
        "Dataset502_SCAR",
        "Dataset503_FUMPE",
        "Dataset504_KiTS",
    ]
    assert {name: info.name for name, info in DATASETS.items()} == {name: name for name in DATASETS}
    assert {name for name, info in DATASETS.items() if info.channel_name == "CT"} == {"FUMPE", "KiTS"}


@pytest.mark.parametrize("name", DATASETS)
def test_the_printed_leads_follow_from_the_table_but_for_the_erratum(name: str) -> None:
    info = DATASETS[name]
    others = {method: value for method, value in info.paper_volumetric_dice.items() if method != "spd"}
    lead = info.paper_volumetric_dice["spd"] - max(others.values())
    assert (lead == pytest.approx(info.paper_printed_delta)) == (not info.erratum)
    assert bool(info.erratum) == (name == "SCAR")


def test_the_papers_table_is_complete() -> None:
    methods = {"medsam", "msa", "sam_refiner", "unet", "nnunet", "spd"}
    assert all(set(info.paper_volumetric_dice) == methods for info in DATASETS.values())
    assert {name: info.paper_volumetric_dice["spd"] for name, info in DATASETS.items()} == {
        "TI": 46.42,
        "SCAR": 56.74,
        "FUMPE": 73.48,
        "KiTS": 94.41,
    }


def test_spd_leads_in_every_known_average_metric() -> None:
    for info in DATASETS.values():
        for metric, row in info.paper_average.items():
            others = [value for method, value in row.methods.items() if method != "spd"]
            leads = row.methods["spd"] < min(others) if metric == "hd95" else row.methods["spd"] > max(others)
            assert leads, (info.name, metric)


def test_the_ablations_agree_with_the_main_table_and_with_each_other() -> None:
    dice, iou = DATASETS["TI"].paper_average["average_dice"], DATASETS["TI"].paper_average["average_iou"]
    assert PAPER_TI_COMPONENTS["raw points"] == (dice.methods["sam_tuning"], iou.methods["sam_tuning"])
    assert PAPER_TI_COMPONENTS["pairwise slice consistency"] == (dice.methods["spd"], iou.methods["spd"])
    assert PAPER_TI_CONTEXT[2] == dice.methods["spd"]
    assert PAPER_TI_CONTEXT[0] == PAPER_TI_COMPONENTS["local validation"][0]


@pytest.mark.parametrize("reference", ["KiTS", "kits", "504", "Dataset504_KiTS"])
def test_a_benchmark_dataset_is_known_before_it_exists(tmp_path: Path, reference: str) -> None:
    assert resolve_dataset(reference, [tmp_path, tmp_path / "absent"]) == "Dataset504_KiTS"


@pytest.mark.parametrize("reference", ["7", "007", "Dataset007_Mine_too", "Mine_too"])
def test_a_users_dataset_is_found_under_any_root(tmp_path: Path, reference: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "preprocessed" / "Dataset007_Mine_too").mkdir(parents=True)
    assert resolve_dataset(reference, [tmp_path / "raw", tmp_path / "preprocessed"]) == "Dataset007_Mine_too"


def test_a_dataset_under_two_roots_is_one_dataset(tmp_path: Path) -> None:
    for root in ("raw", "results"):
        (tmp_path / root / "Dataset007_Mine").mkdir(parents=True)
    assert resolve_dataset("7", [tmp_path / "raw", tmp_path / "results"]) == "Dataset007_Mine"


@pytest.mark.parametrize("reference", ["8", "Dataset008_Gone", "mine2", "", "../raw", "Dataset007_Mine/x"])
def test_an_unknown_dataset_is_told_with_what_is_there(tmp_path: Path, reference: str) -> None:
    (tmp_path / "Dataset007_Mine").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "Dataset009_File").touch()
    with pytest.raises(InputError, match=r"unknown dataset .*TI, SCAR, FUMPE, KiTS.*: Dataset007_Mine$"):
        resolve_dataset(reference, [tmp_path])


def test_where_nothing_is_there_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing yet"):
        resolve_dataset("8", [tmp_path])


def test_an_id_of_the_benchmark_that_a_user_took_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "Dataset501_Mine").mkdir()
    assert resolve_dataset("501", [tmp_path]) == "Dataset501_Mine"
    with pytest.raises(InputError, match="ambiguous: Dataset501_Mine, Dataset501_TI"):
        resolve_dataset("TI", [tmp_path])


@pytest.mark.parametrize("reference", ["7", "Dataset007_A", "a"])
def test_datasets_that_share_an_id_are_refused(tmp_path: Path, reference: str) -> None:
    (tmp_path / "Dataset007_A").mkdir()
    (tmp_path / "Dataset007_B").mkdir()
    with pytest.raises(InputError, match="ambiguous: Dataset007_A, Dataset007_B"):
        resolve_dataset(reference, [tmp_path])


def test_a_name_that_two_ids_carry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dataset777_TI").mkdir()
    with pytest.raises(InputError, match="ambiguous: Dataset501_TI, Dataset777_TI"):
        resolve_dataset("TI", [tmp_path])
