"""The rows by name, and the options they take and refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.methods.fitting import expected_settings, fit, training_run
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS, get_method, get_methods
from spd_bench.planning.plan import Plan
from spd_bench.training.records import read_record
from spd_bench.training.settings import Budget

BUDGET = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)


def settings_of(plan: Plan, name: str, **overrides: Any) -> dict[str, Any]:
    options = MethodOptions(backbone="vit_t", overrides=overrides)
    return expected_settings(METHODS[name], plan=plan, fold=0, budget=BUDGET, options=options)


def test_rows_are_registered_under_their_own_names() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    assert {"empty", "unet", "nnunet", "spd"} <= set(METHODS)
    assert next(iter(METHODS)) == "empty"
    assert next(reversed(METHODS)) == "spd"


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
    assert [method.name for method in get_methods(["all"])] == list(METHODS)
    assert [method.name for method in get_methods(["unet", "all"])] == list(METHODS)


def test_prompts_are_hashed_only_where_a_row_is_given_them(planned: Plan) -> None:
    for name, method in METHODS.items():
        hashes = method.hashes(planned)
        assert hashes["plan"] == planned.hashes()["plan"]
        assert hashes["splits"] == planned.hashes()["splits"]
        assert hashes["prompts"] == (planned.prompts_sha256 if method.uses_prompts else None), name
    assert METHODS["spd"].uses_prompts
    assert not any(METHODS[name].uses_prompts for name in ("empty", "unet", "nnunet"))


def test_other_prompts_concern_the_rows_that_use_them_alone(planned: Plan) -> None:
    other = replace(planned, prompts_sha256="0" * 64)
    changed = {name for name, method in METHODS.items() if method.hashes(other) != method.hashes(planned)}
    assert changed == {name for name, method in METHODS.items() if method.uses_prompts}


def test_every_row_has_a_folder_of_its_own_in_nnunets_layout(planned: Plan) -> None:
    folders = [method.run_folder(Path("results"), planned, 1) for method in METHODS.values()]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert folder.name == "fold_1"
        assert folder.parent.parent == Path("results") / planned.dataset
        assert len(folder.parent.name.split("__")) == 3


def test_trained_rows_share_the_budget(planned: Plan) -> None:
    options = MethodOptions(backbone="vit_t")
    for name in ("unet", "spd"):
        run = training_run(METHODS[name], plan=planned, fold=0, budget=BUDGET, options=options)
        assert run.training.images_seen == 2 * 2 * 4


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
        ("spd", {"backbone": "vit_b"}, "backbone"),
    ],
)
def test_a_setting_that_a_row_does_not_take_is_refused(
    planned: Plan, name: str, overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=f"setting of {name} refused") as caught:
        settings_of(planned, name, **overrides)
    assert words in str(caught.value)


def test_an_unknown_backbone_is_told_once(planned: Plan) -> None:
    options = MethodOptions(backbone="vit_x")
    with pytest.raises(InputError, match=r"^unknown backbone 'vit_x': choose one of [\w, ]+$"):
        training_run(METHODS["spd"], plan=planned, fold=0, budget=BUDGET, options=options)


def test_overrides_arrive_in_the_settings(planned: Plan) -> None:
    assert settings_of(planned, "unet", base_features=8)["method"] == {"base_features": 8, "stages": 5}
    assert settings_of(planned, "spd", threshold=0.3)["method"]["threshold"] == 0.3
    assert settings_of(planned, "nnunet")["method"] == {}
    assert settings_of(planned, "empty") == {"training": None, "method": {}}


def test_weights_change_recipe_and_settings(planned: Plan, tmp_path: Path) -> None:
    file = tmp_path / "sam.pth"
    options = MethodOptions(backbone="vit_t", weights=file)
    with_weights = expected_settings(METHODS["spd"], plan=planned, fold=0, budget=BUDGET, options=options)
    without = settings_of(planned, "spd")
    assert with_weights["method"]["weights"] == str(file.resolve())
    assert without["method"]["weights"] is None
    assert with_weights["training"]["learning_rate"] < without["training"]["learning_rate"]


def test_a_row_without_training_is_recorded_without_any(planned: Plan, tmp_path: Path) -> None:
    method = METHODS["empty"]
    arguments: dict[str, Any] = {"plan": planned, "budget": BUDGET, "options": MethodOptions(), "results": tmp_path}
    record = fit(method, fold=1, device=torch.device("cpu"), **arguments)
    assert (record.epochs, record.images_seen, record.parameters) == (0, 0, 0)
    assert record.weights["name"] == "none"
    assert read_record(method.run_folder(tmp_path, planned, 1)) == record
    with pytest.raises(InputError, match="fold 9 does not exist"):
        fit(method, fold=9, device=torch.device("cpu"), **arguments)
    with pytest.raises(InputError, match="'empty' is not trained"):
        training_run(method, plan=planned, fold=0, budget=BUDGET, options=MethodOptions())


def test_an_unknown_fold_is_an_input_error(planned: Plan, tmp_path: Path) -> None:
    for fold in (-1, 3):
        with pytest.raises(InputError, match=f"fold {fold} does not exist"):
            fit(
                METHODS["unet"],
                plan=planned,
                fold=fold,
                budget=BUDGET,
                options=MethodOptions(),
                results=tmp_path,
                device=torch.device("cpu"),
            )
