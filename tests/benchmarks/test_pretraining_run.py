from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.ops import sigmoid_focal_loss

from benchmarks import pretraining
from benchmarks.pretraining_batches import Prompts, SceneBatch
from benchmarks.pretraining_model import decode_all, iou, measure, prompt_loss, set_side
from benchmarks.pretraining_scenes.scene import make_scene
from spd_bench.models.sam_network import SamNetwork
from spd_bench.models.sam_small import build_sam_small
from spd_bench.models.weights import load_sam_weights
from spd_bench.storage import sha256_of_file

TINY = [
    "--steps",
    "4",
    "--every",
    "2",
    "--batch-size",
    "2",
    "--prompts",
    "2",
    "--workers",
    "0",
    "--sides",
    "32:0.5",
    "64:0.5",
]


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "_MEASURED_SCENES", 2)
    monkeypatch.setattr(pretraining, "_MEASURED_SIDE", 64)


def run(output: Path, *more: str) -> None:
    pretraining.main([*TINY, "-o", str(output), *more])


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "whole")
    train_on = pretraining.Pretraining.train_on

    def stop_at_the_fourth(self: pretraining.Pretraining, batch: SceneBatch) -> float:
        if self.step == 3:
            raise KeyboardInterrupt
        return train_on(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(pretraining.Pretraining, "train_on", stop_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts")
    run(tmp_path / "parts", "--continue")
    whole, parts = (load_file(tmp_path / name / "sam_small.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)
    rows = {name: list(csv.DictReader((tmp_path / name / "curve.csv").open())) for name in ("whole", "parts")}
    assert [row["step"] for row in rows["whole"]] == ["2", "4"]
    for one, two in zip(rows["whole"], rows["parts"], strict=True):
        assert {name: float(value) for name, value in one.items()} == {name: float(two[name]) for name in one}


def test_a_run_leaves_weights_that_load_a_curve_and_a_card(tmp_path: Path) -> None:
    run(tmp_path)
    weights = tmp_path / "sam_small.safetensors"
    assert weights.stat().st_size <= 8_000_000
    assert all(value.dtype == torch.float16 for value in load_file(weights).values())
    load_sam_weights(build_sam_small(resolution=96), weights)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["parameters"] <= 4_000_000
    assert card["settings"]["seed"] == 0
    assert card["measured"]["images"] == 8


def test_a_run_may_start_from_the_weights_of_another_and_says_so(tmp_path: Path) -> None:
    run(tmp_path / "first")
    first = tmp_path / "first" / "sam_small.safetensors"
    run(tmp_path / "second", "--weights", str(first), "--seed", "1", "--learning-rate", "1e-9")
    second = tmp_path / "second" / "sam_small.safetensors"
    for name, value in load_file(first).items():
        torch.testing.assert_close(load_file(second)[name], value, rtol=1e-3, atol=1e-3)
    card = json.loads((tmp_path / "second" / "card.json").read_text())
    assert card["started_from_sha256"] == sha256_of_file(first)
    with pytest.raises(ValueError, match="other settings"):
        run(tmp_path / "second", "--continue", "--seed", "1", "--learning-rate", "1e-9")


def test_another_run_s_checkpoint_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        run(tmp_path, "--continue", "--seed", "1")


def test_the_loss_is_20_focal_plus_dice_plus_the_iou_head_s_error() -> None:
    random = torch.Generator().manual_seed(0)
    logits, ious = torch.randn(3, 4, 16, 16, generator=random), torch.rand(3, 4, generator=random)
    target = (torch.rand(3, 16, 16, generator=random) > 0.7).float()
    expected = []
    for image in range(3):
        losses, errors = [], []
        for output in range(4):
            focal = sigmoid_focal_loss(logits[image, output], target[image], alpha=-1, gamma=2, reduction="mean")
            probability = logits[image, output].sigmoid()
            dice = 1 - (2 * (probability * target[image]).sum() + 1) / (probability.sum() + target[image].sum() + 1)
            losses.append(20 * focal + dice)
            found, true = logits[image, output] > 0, target[image] > 0
            errors.append((ious[image, output] - (found & true).sum() / (found | true).sum()) ** 2)
        expected.append(losses[0] + errors[0] + min(losses[1:]) + sum(errors[1:]) / 3)
    loss = prompt_loss(logits, ious, Prompts(masks=target))
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_iou_of_nothing_with_nothing_is_one() -> None:
    empty, full = torch.zeros(1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)
    assert iou(empty, empty).item() == 1
    assert iou(empty, full).item() == 0
    assert iou(full, full).item() == 1


def test_the_first_mask_is_what_the_house_s_network_decodes() -> None:
    torch.manual_seed(0)
    network = SamNetwork(sam=build_sam_small(resolution=64), backbone="sam_small", resolution=64)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    points = torch.tensor([[[3.0, 8.0], [40, 50]], [[20, 20], [9, 60]]])
    with torch.no_grad():
        embeddings = network.encode(images)
        expected = network.decode(embeddings, list(points))
        found = decode_all(network.sam, embeddings, Prompts(masks=torch.zeros(2, 64, 64), points=points))[0][:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_changed_side_equals_a_model_built_for_it() -> None:
    torch.manual_seed(0)
    sam, other = build_sam_small(resolution=128), build_sam_small(resolution=64)
    other.load_state_dict(sam.state_dict())
    set_side(sam, 64)
    images = torch.rand(1, 3, 64, 64)
    prompts = Prompts(
        masks=torch.zeros(1, 64, 64), points=torch.tensor([[[3.0, 8.0]]]), rough=torch.randn(1, 1, 32, 32)
    )
    with torch.no_grad():
        torch.testing.assert_close(
            decode_all(sam, sam.image_encoder(images), prompts), decode_all(other, other.image_encoder(images), prompts)
        )
    assert sam.prompt_encoder.mask_input_size == other.prompt_encoder.mask_input_size


def test_measuring_finds_one_for_a_model_that_returns_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [make_scene(seed=3, index=index, side=64) for index in range(3)]

    def perfect(sam: object, embeddings: torch.Tensor, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        logits = (prompts.masks * 2 - 1)[:, None].expand(-1, 4, -1, -1)
        return logits, torch.ones(len(logits), 4)

    monkeypatch.setattr("benchmarks.pretraining_model.decode_all", perfect)
    found = measure(build_sam_small(resolution=64), scenes, device=torch.device("cpu"), batch_size=2)
    assert found == {"points_1": 1, "points_3": 1, "points_8": 1, "box": 1}


def test_a_few_steps_on_one_batch_lower_its_loss() -> None:
    arguments = pretraining._parser().parse_args(["--steps", "30", "--batch-size", "2", "-o", "unused"])
    trained = pretraining.Pretraining(arguments)
    batch = next(iter(pretraining._batches(trained, 0)))
    losses = [trained.train_on(batch) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
