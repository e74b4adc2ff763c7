"""What the trained rows of the SAM family train, and on which slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spd_bench.methods.medsam import MedSamSettings, ZeroShotMedSamSettings
from spd_bench.methods.sam import ZeroShotSamSettings
from spd_bench.methods.sam_tuning import SamTuningSettings
from spd_bench.models.inference import EMPTY_LOGIT, decode_volume
from spd_bench.training.prompted import prompted_logits
from spd_bench.training.run import TrainingRun, build_trainer, train
from spd_bench.training.sam_settings import SamSettings
from spd_bench.training.windows import WindowBatch

CPU = torch.device("cpu")


def trained_names(settings: SamSettings) -> set[str]:
    network = settings.network(64)
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_zero_shot_rows_train_nothing() -> None:
    assert not trained_names(ZeroShotSamSettings(backbone="vit_t"))
    assert not trained_names(ZeroShotMedSamSettings(backbone="vit_t"))


def test_sam_tuning_trains_lora_and_decoder_alone() -> None:
    names = trained_names(SamTuningSettings(backbone="vit_t", weights="somewhere.pth"))
    encoder = {name for name in names if name.startswith("sam.image_encoder.")}
    assert encoder
    assert all(".lora_" in name for name in encoder)
    assert names - encoder
    assert all(name.startswith("sam.mask_decoder.") for name in names - encoder)


@pytest.mark.parametrize("settings", [SamTuningSettings, MedSamSettings])
def test_a_row_from_scratch_trains_every_part(settings: type[SamSettings]) -> None:
    network = settings(backbone="vit_t").network(64)
    # SAM's random positional code is a buffer, and nothing else of it is fixed.
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_medsam_keeps_the_prompt_encoder_of_its_weights() -> None:
    names = trained_names(MedSamSettings(backbone="vit_t", weights="somewhere.pth"))
    parts = {".".join(name.split(".")[:2]) for name in names}
    assert parts == {"sam.image_encoder", "sam.mask_decoder"}


def batch_of(points: list[Any]) -> WindowBatch:
    count = len(points)
    return WindowBatch(
        images=torch.zeros(count, 3, 8, 8),
        masks=torch.zeros(count, 8, 8),
        points=points,
        pairs=torch.zeros(0, 2, dtype=torch.long),
    )


def test_only_prompted_slices_are_decoded_and_land_in_their_places() -> None:
    batch = batch_of([np.zeros((0, 2), int), np.ones((1, 2), int), np.zeros((0, 2), int), np.ones((3, 2), int)])
    asked = []

    def decode(chosen: Any, points: Any) -> torch.Tensor:
        asked.append((list(chosen), [len(array) for array in points]))
        return torch.stack([torch.full((8, 8), float(index)) for index in chosen])

    skipped = prompted_logits(batch, "skip", decode)
    assert asked.pop() == ([1, 3], [1, 3])
    assert skipped[:, 0, 0].tolist() == [EMPTY_LOGIT, 1.0, EMPTY_LOGIT, 3.0]
    decoded = prompted_logits(batch, "decode", decode)
    assert asked.pop() == ([0, 1, 2, 3], [0, 1, 0, 3])
    assert decoded[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert prompted_logits(batch_of([np.zeros((0, 2), int)]), "skip", decode).unique().tolist() == [EMPTY_LOGIT]
    assert not asked


def test_slices_without_a_point_are_not_drawn(make_run: Callable[..., TrainingRun], results: Path) -> None:
    trainer: Any = build_trainer(make_run("sam_tuning"), device=CPU, resume=False)
    trainer.read_cases()
    for case in trainer.train_cases:
        points = trainer.slice_indices[case].points
        assert trainer.candidate_slices(case).tolist() == [z for z in range(len(points)) if len(points[z])]
    decoding: Any = build_trainer(make_run("sam_tuning", empty_prompt="decode"), device=CPU, resume=False)
    decoding.read_cases()
    assert len(decoding.candidate_slices(decoding.train_cases[0])) == 6


@pytest.mark.parametrize("name", ["sam_tuning", "medsam"])
def test_training_changes_the_network_and_starts_from_the_weights_given(
    make_run: Callable[..., TrainingRun],
    run_folder: Callable[[TrainingRun], Path],
    sam_weights: Path,
    name: str,
) -> None:
    run = make_run(name, weights={"sam": sam_weights, "medsam": sam_weights})
    record = train(run, folder=run_folder(run), device=CPU)
    assert record.weights["name"] == sam_weights.name
    given = torch.load(sam_weights, weights_only=True)
    trained = torch.load(run_folder(run) / "checkpoint_final.pth", weights_only=True)["network_weights"]
    moved = {
        name
        for name, value in given.items()
        if not torch.equal(value, trained.get(f"sam.{name}", trained.get(_lora_name(name))))
    }
    assert any(name.startswith("mask_decoder.") for name in moved)
    assert not any(name.startswith("prompt_encoder.") for name in moved)
    assert any(name.startswith("image_encoder.") for name in moved) == (name == "medsam")


def _lora_name(name: str) -> str:
    head, _, last = f"sam.{name}".rpartition(".")
    return f"{head}.base_layer.{last}"


def test_the_recipes_of_medsam_are_its_own(make_run: Callable[..., TrainingRun], sam_weights: Path) -> None:
    tuned = make_run("medsam", weights={"medsam": sam_weights}).training
    assert (tuned.optimizer, tuned.learning_rate, tuned.weight_decay, tuned.schedule) == (
        "adamw",
        1e-4,
        0.01,
        "constant",
    )
    assert (tuned.rotation_degrees, tuned.flip_probability) == (0, 0)
    assert (tuned.loss.dice_weight, tuned.loss.cross_entropy_weight, tuned.loss.dice_sums) == (1, 1, "squared")
    scratch = make_run("medsam").training
    assert (scratch.schedule, scratch.loss.dice_over) == ("cosine", "batch")


def test_a_volume_is_decoded_slice_by_slice_in_any_order_of_counts() -> None:
    """One by one, as a person would call it, against batches sorted by the number of points."""
    torch.manual_seed(0)
    network = SamTuningSettings(backbone="vit_t").network(64).eval()
    generator = np.random.default_rng(0)
    slices = generator.uniform(-1, 1, (5, 3, 64, 64)).astype(np.float32)
    points = [generator.integers(0, 64, (count, 2)) for count in (3, 0, 1, 3, 2)]
    parts = list(decode_volume(network, slices, points, device=CPU, batch_size=2))
    assert [part.indices for part in parts] == [[2, 4], [0, 3]]
    whole = {z: logits.numpy() for part in parts for z, logits in zip(part.indices, part.logits, strict=True)}
    for z in (0, 2, 3, 4):
        with torch.inference_mode():
            alone = network(torch.from_numpy(slices[z : z + 1]), [points[z]])[0].numpy()
        np.testing.assert_allclose(whole[z], alone, atol=1e-4)
