"""What the rows of the SAM family start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.methods.fitting import expected_settings, training_run
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import ROWS, without_weights
from spd_bench.methods.start import Start, choose_start
from spd_bench.models.builtin_weights import builtin_weights
from spd_bench.models.weight_families import parse_weights
from spd_bench.models.weight_files import weights_sha256
from spd_bench.training.settings import Budget

MakeRun = Callable[..., MethodRun]
BUDGET = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)


def start(*families: str, backbone: str | None = None, folder: Path | None = None, **given: Path | None) -> Start:
    return choose_start(families or ("sam",), backbone=backbone, given=given, folder=folder)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sam_vit_b_01ec64.pth"
    path.write_bytes(b"weights")
    return path


def test_without_any_weights_it_is_the_package_s_own() -> None:
    found = start()
    assert (found.backbone, found.weights) == ("sam_small", builtin_weights())
    assert found.builtin
    assert not found.from_scratch
    assert not found.published


def test_weights_that_are_given_or_found_go_before_the_package_s_own(file: Path) -> None:
    for found in (start(sam=file), start(folder=file.parent)):
        assert (found.backbone, found.weights) == ("vit_b", file)
        assert found.published


def test_another_backbone_without_weights_starts_from_scratch() -> None:
    assert start(backbone="vit_t") == Start(backbone="vit_t", weights=None)
    assert start(backbone="sam_small").builtin


def test_random_weights_are_had_by_name(file: Path) -> None:
    assert start(sam=None, folder=file.parent) == Start(backbone="sam_small", weights=None)
    assert start(sam=None, backbone="vit_b") == Start(backbone="vit_b", weights=None)
    assert start("medsam", "sam", sam=None).from_scratch


def test_the_first_family_with_weights_is_taken(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    assert start("medsam", "sam", sam=file, medsam=other).weights == other
    assert start("medsam", "sam", sam=file).weights == file
    assert start("medsam", "sam").builtin
    assert start("medsam").from_scratch
    assert start("sam2", backbone="hiera_tiny").from_scratch


def test_the_package_s_own_weights_are_refused_for_another_backbone() -> None:
    with pytest.raises(InputError, match="builtin weights are of the backbone sam_small, not vit_b: leave out"):
        start(backbone="vit_b", sam=builtin_weights())


def test_builtin_and_random_are_words_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_weights(["builtin"]) == {"sam": builtin_weights()}
    assert parse_weights(["medsam=builtin", "random"]) == {"medsam": builtin_weights(), "sam": None}
    with pytest.raises(InputError, match="there are no builtin weights of sam2: give the path"):
        parse_weights(["sam2=builtin"])
    monkeypatch.chdir(tmp_path)
    Path("random").write_bytes(b"a file of that name")
    assert parse_weights(["./random"]) == {"sam": Path("random")}


@pytest.mark.parametrize(
    ("name", "intensity"),
    [("sam", "symmetric"), ("medsam", "symmetric"), ("sam_refiner", "symmetric"), ("sam_tuning", "symmetric")],
)
def test_rows_from_the_package_s_own_weights_see_images_as_those_were_trained(
    make_method_run: MakeRun, name: str, intensity: str
) -> None:
    options = MethodOptions(weights={"sam": builtin_weights()})
    found = expected_settings(make_method_run(name, options=options), BUDGET)["method"]
    assert (found["backbone"], found["intensity"]) == ("sam_small", intensity)
    assert found["weights_sha256"] == weights_sha256(builtin_weights())


@pytest.mark.parametrize("name", ["spd", "sam_tuning"])
def test_the_small_encoder_is_trained_whole_unless_lora_is_asked_for(make_method_run: MakeRun, name: str) -> None:
    def adaptation(backbone: str, weights: Path | None, **overrides: Any) -> str | None:
        options = MethodOptions(backbone=backbone, weights={"sam": weights}, overrides=overrides)
        return str(expected_settings(make_method_run(name, options=options), BUDGET)["method"]["adaptation"])

    assert adaptation("sam_small", builtin_weights()) == "whole"
    assert adaptation("sam_small", builtin_weights(), adaptation="lora") == "lora"
    assert adaptation("sam_small", None) == "whole"
    with pytest.raises(InputError, match=f"setting of {name} refused .*from scratch"):
        adaptation("sam_small", None, adaptation="lora")


@pytest.mark.parametrize("setting", ["backbone", "weights", "weights_sha256"])
@pytest.mark.parametrize("name", ["sam", "sam_tuning", "medsam", "msa", "sam_refiner", "spd"])
def test_what_the_start_decides_is_no_setting(make_method_run: MakeRun, name: str, setting: str) -> None:
    options: dict[str, Any] = {"overrides": {setting: "vit_b"}, "weights": {"sam": builtin_weights()}}
    with pytest.raises(InputError, match=f"setting of {name} refused"):
        expected_settings(make_method_run(name, options=MethodOptions(**options)), BUDGET)


def test_with_the_package_s_own_weights_only_other_models_rows_are_left_out() -> None:
    reasons = without_weights(ROWS, named=[], options=lambda _: MethodOptions())
    assert reasons.keys() == {"medsam_zero_shot", "sam2", "medsam2"}


@pytest.mark.parametrize("name", ["spd", "sam_tuning", "medsam", "msa"])
def test_the_recipe_of_the_package_s_own_weights_is_annealed_and_gentler_than_from_scratch(
    make_method_run: MakeRun, name: str
) -> None:
    def training(weights: Path | None) -> Any:
        options = MethodOptions(backbone="sam_small", weights={"sam": weights})
        return training_run(make_method_run(name, options=options), BUDGET).training

    own, scratch = training(builtin_weights()), training(None)
    assert own.schedule == scratch.schedule == "cosine"
    assert own.learning_rate <= scratch.learning_rate
    assert own.images_seen == scratch.images_seen
