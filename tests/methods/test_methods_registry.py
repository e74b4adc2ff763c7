"""The rows by name, and the options they take and refuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.methods.fitting import expected_settings, fit, hashes, training_run
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import ABLATION, METHODS, ROWS, get_method, get_methods, without_weights
from spd_bench.planning.plan import Plan
from spd_bench.training.records import read_record
from spd_bench.training.settings import Budget

BUDGET = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)


MakeRun = Callable[..., MethodRun]


def settings_of(make_run: MakeRun, name: str, **overrides: Any) -> dict[str, Any]:
    return expected_settings(make_run(name, **overrides), BUDGET)


def test_rows_are_registered_under_their_own_names() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    assert {"empty", "unet", "nnunet", "spd"} <= set(METHODS)
    assert next(iter(METHODS)) == "empty"
    assert ROWS[-1].name == "spd"
    assert not {method.name for method in ROWS} & {method.name for method in ABLATION}


def test_no_name_confuses_nnunets_folders() -> None:
    assert not any("__" in name or "/" in name for name in METHODS)


def test_an_unknown_row_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown method 'samm'") as caught:
        get_method("samm")
    assert all(name in str(caught.value) for name in METHODS)
    with pytest.raises(InputError, match="unknown method"):
        get_methods(["unet", "samm"])


def test_rows_come_in_the_tables_order_once_each() -> None:
    assert [method.name for method in get_methods(["spd", "unet", "spd"])] == ["unet", "spd"]
    rows = [method.name for method in ROWS]
    assert [method.name for method in get_methods(["all"])] == rows
    assert [method.name for method in get_methods(["unet", "all"])] == rows
    assert {"sam", "spd", "spd_local", "sam_consensus"} <= {method.name for method in get_methods(["ablation"])}


def test_prompts_are_hashed_only_where_a_row_is_given_them(planned: Plan, make_method_run: MakeRun) -> None:
    for name, method in METHODS.items():
        found = hashes(make_method_run(name))
        assert found["plan"] == planned.hashes()["plan"]
        assert found["splits"] == planned.hashes()["splits"]
        assert found["prompts"] == (planned.prompts_sha256 if method.uses_prompts else None), name
    promptless = {name for name, method in METHODS.items() if not method.uses_prompts}
    assert promptless == {"empty", "sam_refiner", "unet", "nnunet"}


def test_other_prompts_concern_the_rows_that_use_them_alone(planned: Plan, make_method_run: MakeRun) -> None:
    other = replace(planned, prompts_sha256="0" * 64)
    changed = {name for name in METHODS if hashes(make_method_run(name, plan=other)) != hashes(make_method_run(name))}
    assert changed == {name for name, method in METHODS.items() if method.uses_prompts}


def test_every_row_has_a_folder_of_its_own_in_nnunets_layout(planned: Plan) -> None:
    folders = [method.run_folder(Path("results"), planned, 1) for method in METHODS.values()]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert folder.name == "fold_1"
        assert folder.parent.parent == Path("results") / planned.dataset
        assert len(folder.parent.name.split("__")) == 3


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.trainer and not method.own_plan])
def test_trained_rows_share_the_budget(make_method_run: MakeRun, name: str) -> None:
    options = MethodOptions(backbone="vit_t", allow_random=True)
    assert training_run(make_method_run(name, options=options), BUDGET).training.images_seen == 2 * 2 * 4


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("unet", {"depth": 3}, "depth"),
        ("unet", {"base_features": 0}, "base_features"),
        ("unet", {"base_features": 2.5}, "2.5"),
        ("unet", {"base_features": "many"}, "many"),
        ("unet", {"stages": 1}, "stages"),
        ("unet", {"stages": 7}, "cannot be halved 6 times"),
        ("nnunet", {"epochs": 3}, "no setting 'epochs'"),
        ("empty", {"x": 3}, "no setting 'x'"),
        ("spd", {"tau": 0.5}, "tau"),
        ("spd", {"threshold": 2}, "threshold"),
        ("spd", {"threshold": "high"}, "spd"),
        ("spd", {"context": -1}, "context"),
        ("spd", {"context": 1.5}, "context"),
        ("spd", {"backbone": "vit_b"}, "backbone"),
        ("sam_tuning", {"lora_rank": 0}, "rank"),
        ("sam_tuning", {"intensity": "odd"}, "intensity"),
        ("sam_tuning", {"empty_prompt": "guess"}, "empty_prompt"),
        ("medsam", {"box_margin": -0.1}, "box_margin"),
        ("medsam", {"empty_prompt": "decode"}, "no box"),
        ("msa", {"adapter_reduction": 0}, "reduction"),
        ("msa", {"mlp_adapter_scale": "high"}, "str"),
        ("msa", {"keep_relative_positions": "some"}, "keep_relative_positions"),
        ("msa", {"points": "two"}, "points"),
    ],
)
def test_a_setting_that_a_row_does_not_take_is_refused(
    make_method_run: MakeRun, name: str, overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=f"setting of {name} refused") as caught:
        settings_of(make_method_run, name, **overrides)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["spd", "sam_tuning", "medsam", "msa"])
def test_an_unknown_backbone_is_told_once(make_method_run: MakeRun, name: str) -> None:
    with pytest.raises(InputError, match=r"^unknown backbone 'vit_x': choose one of [\w, ]+$"):
        training_run(make_method_run(name, options=MethodOptions(backbone="vit_x")), BUDGET)


def test_overrides_arrive_in_the_settings(make_method_run: MakeRun) -> None:
    assert settings_of(make_method_run, "unet", base_features=8)["method"] == {"base_features": 8, "stages": 5}
    assert settings_of(make_method_run, "spd", threshold=0.3)["method"]["threshold"] == 0.3
    assert settings_of(make_method_run, "nnunet")["method"] == {}
    assert settings_of(make_method_run, "empty") == {"training": None, "method": {}}


@pytest.mark.parametrize(
    ("name", "family"), [("spd", "sam"), ("sam_tuning", "sam"), ("medsam", "medsam"), ("msa", "sam")]
)
def test_weights_change_recipe_and_settings(make_method_run: MakeRun, tmp_path: Path, name: str, family: str) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    options = MethodOptions(backbone="vit_t", weights={family: file})
    with_weights = expected_settings(make_method_run(name, options=options), BUDGET)
    without = settings_of(make_method_run, name)
    assert with_weights["method"]["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert without["method"]["weights_sha256"] is None
    assert with_weights["training"]["learning_rate"] < without["training"]["learning_rate"]


def test_the_same_weights_elsewhere_are_the_same_settings(make_method_run: MakeRun, tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        file = tmp_path / folder / "weights.pth"
        file.parent.mkdir()
        file.write_bytes(b"weights")
        options = MethodOptions(backbone="vit_t", weights={"sam": file})
        found.append(expected_settings(make_method_run("spd", options=options), BUDGET))
    assert found[0] == found[1]
    assert str(tmp_path) not in json.dumps(found[0])


@pytest.mark.parametrize(
    "name",
    ["sam", "sam_consensus", "medsam_zero_shot", "sam_refiner", "sam_refiner_points", "sam2", "medsam2", "sam2_tuned"],
)
def test_a_row_that_means_nothing_without_weights_asks_for_them(make_method_run: MakeRun, name: str) -> None:
    with pytest.raises(InputError, match=r"without the weights of \w+ .*--weights .*--allow-random"):
        settings_of(make_method_run, name)
    allowed = MethodOptions(backbone="vit_t", allow_random=True)
    assert expected_settings(make_method_run(name, options=allowed), BUDGET)["method"]["weights_sha256"] is None


def test_a_group_leaves_out_what_lacks_weights_but_a_named_row_stays(tmp_path: Path) -> None:
    random = MethodOptions(weights={"sam": None})
    reasons = without_weights(ROWS, named=["medsam_zero_shot"], options=lambda _: random)
    assert "sam" in reasons
    assert "--weights sam=FILE" in reasons["sam"]
    assert {"sam_refiner", "sam_refiner_points", "sam2", "medsam2"} <= reasons.keys()
    assert not {"medsam_zero_shot", "unet", "spd", "sam_tuning", "medsam", "msa"} & reasons.keys()
    assert not without_weights(ROWS, named=[], options=lambda _: MethodOptions(allow_random=True))


def test_a_variant_is_its_row_with_one_setting_fixed(make_method_run: MakeRun) -> None:
    whole = settings_of(make_method_run, "spd", threshold=0.3)["method"]
    for name, changed in {
        "spd_local": {"context": 0, "psc_weight": 0.0},
        "spd_cpd": {"psc_weight": 0.0},
        "spd_decode": {"empty_prompt": "decode"},
        "spd_previous": {"psc_direction": "previous"},
        "spd_both": {"psc_direction": "both"},
        "spd_q_v": {"lora_target": "q_v"},
    }.items():
        assert settings_of(make_method_run, name, threshold=0.3)["method"] == {**whole, **changed}
        assert METHODS[name].base == "spd"


def test_a_row_without_training_is_recorded_without_any(make_method_run: MakeRun, tmp_path: Path) -> None:
    run = make_method_run("empty", tmp_path, fold=1)
    record = fit(run, BUDGET)
    assert (record.epochs, record.images_seen, record.parameters) == (0, 0, 0)
    assert record.weights["name"] == "none"
    assert read_record(run.folder) == record
    with pytest.raises(InputError, match="fold 9 does not exist"):
        fit(make_method_run("empty", tmp_path, fold=9), BUDGET)
    with pytest.raises(InputError, match="'empty' is not trained"):
        training_run(run, BUDGET)


def test_a_zero_shot_row_records_its_weights(make_method_run: MakeRun, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    options = MethodOptions(backbone="vit_t", weights={"sam": file})
    record = fit(make_method_run("sam", tmp_path, options=options), BUDGET)
    assert record.weights == {"name": "weights.pth", "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert record.backbone == "vit_t"


def test_an_unknown_fold_is_an_input_error(make_method_run: MakeRun, tmp_path: Path) -> None:
    for fold in (-1, 3):
        with pytest.raises(InputError, match=f"fold {fold} does not exist"):
            fit(make_method_run("unet", tmp_path, fold=fold), BUDGET)
