"""The row ``msa``: what it trains, with what recipe, and what its settings change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spd_bench.methods.msa import MsaSettings
from spd_bench.models.one_click import OneClickSamNetwork
from spd_bench.training.run import TrainingRun, build_trainer, train

CPU = torch.device("cpu")


def test_adapters_and_decoder_alone_are_trained_from_weights() -> None:
    network = MsaSettings(backbone="vit_t", weights="somewhere.pth").network(64)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    encoder = {name for name in trained if name.startswith("sam.image_encoder.")}
    assert encoder == {name for name, _ in network.named_parameters() if "_adapter." in name}
    assert trained - encoder == {name for name, _ in network.named_parameters() if name.startswith("sam.mask_decoder.")}


def test_from_scratch_everything_is_trained_adapters_included() -> None:
    network = MsaSettings(backbone="vit_t").network(64)
    assert any("_adapter." in name for name, _ in network.named_parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_settings_reach_the_network() -> None:
    settings = MsaSettings(
        backbone="vit_t", adapter_reduction=8, mlp_adapter_scale=0.25, keep_relative_positions=False, points="one"
    )
    network = settings.network(64)
    assert isinstance(network, OneClickSamNetwork)
    for block in network.sam.image_encoder.blocks:
        assert block.attention_adapter[0].weight.shape == block.mlp_adapter[0].weight.shape == (16, 128)
        assert block.mlp_scale == 0.25
        assert not block.attn.use_rel_pos
    plain: Any = MsaSettings(backbone="vit_t").network(64)
    assert not isinstance(plain, OneClickSamNetwork)
    assert all(block.attn.use_rel_pos for block in plain.sam.image_encoder.blocks)


@pytest.mark.parametrize("weights", [True, False])
def test_training_starts_from_sam_and_moves_what_it_should(
    make_run: Callable[..., TrainingRun], run_folder: Callable[[TrainingRun], Path], sam_weights: Path, weights: bool
) -> None:
    run = make_run("msa", weights=sam_weights if weights else None)
    trainer = build_trainer(run, device=CPU, resume=False)
    trainer.initialize()
    before = {name: value.clone() for name, value in trainer.bare_network.state_dict().items()}
    given = torch.load(sam_weights, weights_only=True)
    assert all(torch.equal(value, before[f"sam.{name}"]) for name, value in given.items()) == weights
    train(run, folder=run_folder(run), device=CPU)
    after = torch.load(run_folder(run) / "checkpoint_final.pth", weights_only=True)["network_weights"]
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    encoder = {name for name in moved if name.startswith("sam.image_encoder.")}
    adapters = {name for name in before if "_adapter." in name}
    assert adapters <= encoder
    assert (encoder == adapters) == weights
    assert any(name.startswith("sam.mask_decoder.") for name in moved)
    assert any(name.startswith("sam.prompt_encoder.") for name in moved) != weights


def test_the_recipe_is_msa_s_own(make_run: Callable[..., TrainingRun], sam_weights: Path) -> None:
    tuned, scratch = make_run("msa", weights=sam_weights).training, make_run("msa").training
    for training in (tuned, scratch):
        loss = training.loss
        assert (loss.dice_weight, loss.focal_weight) == (0, 0)
        assert (loss.cross_entropy_weight, loss.positive_weight) == (1, 2)
    assert (tuned.optimizer, tuned.learning_rate, tuned.weight_decay, tuned.schedule) == ("adam", 1e-4, 0, "constant")
    assert (scratch.learning_rate, scratch.schedule) == (1e-3, "cosine")
    assert scratch.loss == tuned.loss
