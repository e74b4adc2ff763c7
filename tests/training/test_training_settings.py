"""Settings refuse what makes no sense, and survive JSON."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from spd_bench.errors import InputError
from spd_bench.losses import LossSettings
from spd_bench.training.schedules import warmup_cosine
from spd_bench.training.settings import Budget, TrainingSettings, pretrained_training, scratch_training
from spd_bench.training.spd_settings import SPDSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("iterations_per_epoch", 0),
        ("validation_iterations", 0),
        ("batch_size", -1),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("gradient_clip", -1.0),
        ("weight_decay", -1e-5),
        ("rotation_degrees", -5.0),
        ("warmup_share", 1.5),
        ("foreground_share", -0.1),
        ("flip_probability", 2.0),
        ("schedule", "step"),
    ],
)
def test_training_settings_name_the_value_they_refuse(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} must.*{value}"):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("iterations_per_epoch", 0), ("batch_size", 0), ("seed", -1)]
)
def test_a_budget_names_the_value_it_refuses(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must.*{value}"):
        Budget(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backbone", "vit_x"),
        ("threshold", 1.5),
        ("empty_prompt", "drop"),
        ("psc_weight", -0.1),
        ("psc_direction", "up"),
        ("stage_one_share", 0.0),
        ("stage_one_share", 1.0),
        ("lora_rank", 0),
        ("lora_rank", 2.5),
        ("lora_alpha", 0.0),
        ("lora_dropout", 1.0),
        ("train_prompt_encoder", "maybe"),
        ("embedding_cache", "memory"),
        ("cache_views", 0),
        ("cache_views", 2.5),
        ("cache_gb", -1.0),
    ],
)
def test_spd_settings_refuse_what_makes_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=str(value)) as caught:
        SPDSettings(**{name: value})
    assert name.removeprefix("lora_") in str(caught.value)


def test_an_unknown_backbone_is_an_input_error_that_lists_the_known() -> None:
    with pytest.raises(InputError, match="vit_b, vit_l, vit_h, vit_t"):
        SPDSettings(backbone="vit_x")


def test_settings_survive_json() -> None:
    settings = TrainingSettings(epochs=3, learning_rate=3e-4, loss=LossSettings(alpha=0.25, dice_over="batch"))
    assert TrainingSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    spd = SPDSettings(backbone="vit_t", threshold=0.3, psc_direction="both", train_prompt_encoder=False)
    assert SPDSettings(**json.loads(json.dumps(spd.to_json()))) == spd


def test_images_seen_are_epochs_times_steps_times_batch() -> None:
    assert TrainingSettings(epochs=3, iterations_per_epoch=5, batch_size=7).images_seen == 105


@pytest.mark.parametrize("recipe", [pretrained_training, scratch_training])
def test_a_recipe_keeps_to_the_budget(recipe: Any) -> None:
    budget = Budget(epochs=7, iterations_per_epoch=30, batch_size=4, seed=9)
    settings = recipe(budget)
    assert (settings.epochs, settings.iterations_per_epoch, settings.batch_size, settings.seed) == (7, 30, 4, 9)
    assert settings.validation_iterations == 3
    assert recipe(replace(budget, epochs=None)).epochs == TrainingSettings().epochs
    assert recipe(Budget(iterations_per_epoch=1)).validation_iterations == 1


def test_the_pretrained_recipe_is_the_papers() -> None:
    settings = pretrained_training(Budget())
    assert (settings.learning_rate, settings.weight_decay, settings.schedule) == (1e-4, 1e-5, "plateau")
    loss = settings.loss
    assert (loss.dice_weight, loss.focal_weight, loss.gamma, loss.alpha) == (0.7, 0.3, 2.0, None)


def test_spd_defaults_are_the_papers() -> None:
    settings = SPDSettings()
    assert (settings.threshold, settings.psc_weight, settings.psc_direction) == (0.5, 0.1, "next")
    assert (settings.lora_rank, settings.lora_alpha, settings.lora_dropout) == (8, 16.0, 0.1)
    assert (settings.empty_prompt, settings.backbone) == ("skip", "vit_b")


def test_lora_comes_with_weights_only() -> None:
    assert SPDSettings().model(512).lora is None
    lora = SPDSettings(weights="sam.pth", lora_rank=4).model(512).lora
    assert lora is not None
    assert lora.rank == 4


def test_warmup_rises_linearly_and_cosine_falls_to_zero() -> None:
    factors = [warmup_cosine(step, warmup=5, steps=25) for step in range(26)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == pytest.approx(1.0)
    assert factors[10] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[15] == pytest.approx(0.5)
    assert factors[25] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in itertools.pairwise(factors[5:]))
    assert warmup_cosine(1000, warmup=5, steps=25) == pytest.approx(0.0, abs=1e-12)
    assert warmup_cosine(0, warmup=1, steps=1) == 1.0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backbone": "vit_b"}, False),
        ({"backbone": "sam_small"}, True),
        ({"backbone": "sam_small", "saliency_position": False}, False),
        ({"backbone": "vit_t", "saliency_position": True}, True),
    ],
)
def test_the_saliency_head_is_told_its_place_where_the_encoder_has_none(settings: dict[str, Any], told: bool) -> None:
    assert SPDSettings(**settings).model(64).saliency_position is told


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({"weights": "sam.pth"}, 0.0),
        ({}, 1.0),
        ({"weights": "sam.pth", "adaptation": "whole"}, 1.0),
        ({"stage_one_mask_weight": 0.0}, 0.0),
        ({"weights": "sam.pth", "stage_one_mask_weight": 2.0}, 2.0),
    ],
)
def test_masks_count_in_stage_one_where_the_encoder_is_trained_whole(settings: dict[str, Any], weight: float) -> None:
    assert SPDSettings(**settings).model(64).stage_one_mask_weight == weight
