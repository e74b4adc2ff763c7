"""Stage II on embeddings from disk: the same loss, no encoder, and a run that ends as it would have anyway."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.training.augmentation import augment_slices, draw_augmentation
from spd_bench.training.checkpoints import FINAL, LATEST
from spd_bench.training.embedding_cache import EmbeddingCache
from spd_bench.training.run import TrainingRun, build_trainer, train
from spd_bench.training.spd_trainer import SPDTrainer
from spd_bench.training.windows import Window, WindowBatch

CPU = torch.device("cpu")
RUN = {"epochs": 4, "iterations": 2, "stage_one_share": 0.5}


@pytest.fixture
def trainer(make_run: Callable[..., TrainingRun], results: Path) -> SPDTrainer:
    """A trainer whose Stage II has begun, with PSC in both directions and three views."""
    trainer = build_trainer(
        make_run("spd", **RUN, batch_size=6, psc_direction="both", cache_views=3), device=CPU, resume=False
    )
    assert isinstance(trainer, SPDTrainer)
    trainer.initialize()
    trainer.on_train_start()
    trainer.current_epoch = trainer.stage_one_epochs
    trainer.on_epoch_start()
    trainer.dataloader_train.start_epoch(trainer.current_epoch)
    return trainer


def drawn(trainer: SPDTrainer, *, training: bool) -> list[list[Window]]:
    sampler = trainer.window_samplers()[0 if training else 1]
    sampler.epoch = trainer.current_epoch if training else 0
    return list(sampler)


def view_by_hand(trainer: SPDTrainer, windows: list[Window]) -> WindowBatch:
    """What the windows hold, read from the preprocessed cases and augmented slice by slice."""
    parts: dict[str, list[Any]] = {"images": [], "masks": [], "points": [], "pairs": []}
    for window in windows:
        data, labels, _, _ = nnUNetDatasetBlosc2(trainer.preprocessed_dataset_folder, [window.case]).load_case(
            window.case
        )
        for position, z in enumerate(window.slices):
            if position:
                parts["pairs"].append([len(parts["images"]) - 1, len(parts["images"])])
            image = torch.from_numpy(np.repeat(data[:, z], 3, axis=0))[None]
            mask = torch.from_numpy(labels[0, z].astype(np.float32))[None]
            points = [trainer.distilled[window.case][z]]
            if window.seed is not None:
                number = int(np.random.default_rng(window.seed).integers(3))
                image, mask, points = augment_slices(image, mask, points, augmentation(trainer, window.case, number))
            parts["images"].append(image)
            parts["masks"].append(mask)
            parts["points"] += points
    return WindowBatch(
        images=torch.cat(parts["images"]),
        masks=torch.cat(parts["masks"]),
        points=parts["points"],
        pairs=torch.tensor(parts["pairs"]).reshape(-1, 2),
    )


def augmentation(trainer: SPDTrainer, case: str, number: int) -> Any:
    case_number = int.from_bytes(hashlib.sha256(case.encode()).digest()[:8], "little")
    return draw_augmentation(np.random.default_rng((trainer.settings.seed, case_number, number)), trainer.settings)


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_holds_the_embeddings_masks_and_points_of_its_views(trainer: SPDTrainer, training: bool) -> None:
    stream = trainer.dataloader_train if training else trainer.dataloader_val
    stream.start_epoch(trainer.current_epoch if training else 0)
    pairs = 0
    for windows in drawn(trainer, training=training):
        batch, expected = next(stream), view_by_hand(trainer, windows)
        with torch.no_grad():
            embeddings = torch.cat([trainer.network.encode(image[None]) for image in expected.images])
        assert batch.embeddings is not None
        assert batch.embeddings.dtype == torch.float16
        torch.testing.assert_close(batch.embeddings.float(), embeddings, atol=1e-4, rtol=2**-10)
        assert torch.equal(batch.masks, expected.masks)
        assert batch.pairs.tolist() == expected.pairs.tolist()
        for found, points in zip(batch.points, expected.points, strict=True):
            np.testing.assert_array_equal(found, points)
        pairs += len(batch.pairs)
    assert pairs > 0


def test_views_differ_so_that_the_test_above_can_fail(trainer: SPDTrainer) -> None:
    window = next(window for batch in drawn(trainer, training=True) for window in batch)
    assert window.seed is not None
    images = [
        view_by_hand(trainer, [Window(case=window.case, slices=window.slices, seed=seed)]).images
        for seed in ((number,) for number in range(20))
    ]
    assert len({round(float(image.double().sum()), 6) for image in images}) == 3


def test_the_loss_of_a_step_is_that_of_the_images_in_the_same_view(trainer: SPDTrainer) -> None:
    trainer.network.eval()
    for windows in drawn(trainer, training=True):
        batch, images = next(trainer.dataloader_train), view_by_hand(trainer, windows)
        losses = []
        for each in (batch, images):
            trainer.network.zero_grad()
            loss = trainer.batch_loss(trainer.predict_batch(each), each)
            loss.backward()
            gradients = [
                value.grad for value in trainer.network.sam.mask_decoder.parameters() if value.grad is not None
            ]
            losses.append((float(loss.detach()), torch.cat([gradient.flatten() for gradient in gradients])))
        (cached, cached_gradient), (plain, plain_gradient) = losses
        assert cached == pytest.approx(plain, rel=1e-3)
        assert float((cached_gradient - plain_gradient).norm()) < 0.02 * float(plain_gradient.norm())


def test_a_batch_moves_to_a_device_with_its_embeddings(trainer: SPDTrainer) -> None:
    batch = next(trainer.dataloader_train)
    moved = batch.to(torch.device("meta"))
    assert moved.embeddings is not None
    assert batch.embeddings is not None
    assert moved.embeddings.device.type == moved.masks.device.type == moved.pairs.device.type == "meta"
    assert moved.embeddings.shape == batch.embeddings.shape


@pytest.mark.parametrize(("storage", "called"), [("disk", False), ("none", True)])
def test_steps_of_stage_two_call_the_encoder_only_without_embeddings(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, storage: str, called: bool
) -> None:
    encoded: list[int] = []
    steps: set[tuple[int, bool]] = set()
    initialize, logits_and_loss = SPDTrainer.initialize, SPDTrainer.logits_and_loss

    def counting_initialize(trainer: SPDTrainer) -> None:
        initialize(trainer)
        encoder = trainer.network.sam.image_encoder
        encoder.register_forward_hook(lambda module, images, embeddings: encoded.append(1))

    def counting_loss(trainer: SPDTrainer, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        before = len(encoded)
        found = logits_and_loss(trainer, batch)
        steps.add((trainer.stage, len(encoded) > before))
        return found

    monkeypatch.setattr(SPDTrainer, "initialize", counting_initialize)
    monkeypatch.setattr(SPDTrainer, "logits_and_loss", counting_loss)
    run = make_run("spd", **RUN, embedding_cache=storage)
    train(run, folder=run_folder(run), device=CPU)
    assert steps == {(1, True), (2, called)}


def test_the_need_is_told_before_the_embeddings_are_made_and_recorded(
    make_run: Any, run_folder: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    write = EmbeddingCache.write

    def writing(*arguments: Any) -> None:
        told.append(capsys.readouterr().err)
        write(*arguments)

    monkeypatch.setattr(EmbeddingCache, "write", writing)
    run = make_run("spd", **RUN, cache_views=2)
    folder = run_folder(run)
    record = train(run, folder=folder, device=CPU)
    note = record.notes["embedding_cache"]
    assert note["views"] == note["wanted_views"] == 2
    # vit_t at 32 pixels: 128 channels on a grid of 4 x 4, and the bits of the mask.
    assert note["gigabytes"] == pytest.approx(note["slices"] * (2 * 128 * 16 + 32 * 32 / 8) / 1e9)
    line = f"embeddings for Stage II: 2 views, {note['slices']} slices x 4 kB = 0.00 GB in {folder / 'embeddings'}"
    assert line in told[0]
    assert line in next(folder.glob("training_log_*.txt")).read_text()


def test_no_more_is_encoded_than_stage_two_draws(make_run: Any, run_folder: Any) -> None:
    run = make_run("spd", epochs=2, iterations=1, batch_size=2, psc_weight=0.0, cache_views=8)
    note = train(run, folder=run_folder(run), device=CPU).notes["embedding_cache"]
    # One training and one validation step, each of one slice and its neighbour.
    assert note["slices"] <= 4


def test_embeddings_are_gone_when_the_run_is_complete(make_run: Any, run_folder: Any) -> None:
    run = make_run("spd", **RUN)
    folder = run_folder(run)
    (folder / "embeddings" / "of an earlier run").mkdir(parents=True)
    train(run, folder=folder, device=CPU)
    assert not (folder / "embeddings").exists()


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / FINAL, weights_only=True)["network_weights"]
    return state


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def plain(make_run: Any, run_folder: Any) -> dict[str, Tensor]:
    """The outcome of a run that encodes whatever it draws."""
    run = make_run("spd", **RUN, embedding_cache="none")
    record = train(run, folder=run_folder(run), device=CPU)
    assert "embedding_cache" not in record.notes
    return weights(run_folder(run))


def test_where_no_two_views_fit_slices_are_encoded_when_drawn(
    make_run: Any, run_folder: Any, plain: dict[str, Tensor]
) -> None:
    run = make_run("spd", **RUN, cache_gb=1e-6)
    folder = run_folder(run)
    record = train(run, folder=folder, device=CPU)
    assert record.notes["embedding_cache"]["views"] == 0
    assert "whenever they are drawn" in next(folder.glob("training_log_*.txt")).read_text()
    assert same(weights(folder), plain)


@pytest.mark.parametrize("method", ["write", "keep_choice"])
def test_a_disk_that_fills_up_or_refuses_costs_the_embeddings_and_not_the_run(
    make_run: Any, run_folder: Any, plain: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    original, calls = getattr(EmbeddingCache, method), []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        if method == "write" and len(calls) < 3:
            original(*arguments)
            return
        raise InputError("cannot be written (No space left on device)", file="x", remedy="make space")

    monkeypatch.setattr(EmbeddingCache, method, fail)
    run = make_run("spd", **RUN)
    folder = run_folder(run)
    record = train(run, folder=folder, device=CPU)
    assert len(calls) == (3 if method == "write" else 2)
    assert record.notes["embedding_cache"]["views"] == 0
    assert record.notes["embedding_cache"]["wanted_views"] == 4
    assert "No space left on device" in next(folder.glob("training_log_*.txt")).read_text()
    assert same(weights(folder), plain)


class Stopped:
    """A run that was stopped in its last epoch, and the weights it comes to when it is not."""

    def __init__(self, run: TrainingRun, folder: Path) -> None:
        self.run = run
        self.folder = folder
        train(run, folder=folder, device=CPU)
        self.whole = weights(folder)

        start = SPDTrainer.on_validation_epoch_start

        def stop(trainer: SPDTrainer) -> None:
            if trainer.current_epoch == 3:
                raise KeyboardInterrupt
            start(trainer)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SPDTrainer, "on_validation_epoch_start", stop)
            with pytest.raises(KeyboardInterrupt):
                train(run, folder=folder, device=CPU)
        assert (folder / LATEST).is_file()
        assert self.files

    @property
    def files(self) -> list[Path]:
        """The arrays on disk, of embeddings and of masks."""
        return sorted(self.folder.glob("embeddings/*/*.npy"))

    def proceed(self) -> dict[str, Any]:
        """Continue the run; returns its notes."""
        notes: dict[str, Any] = train(self.run, folder=self.folder, device=CPU, resume=True).notes
        assert same(weights(self.folder), self.whole)
        assert not (self.folder / "embeddings").exists()
        return notes


@pytest.fixture
def stopped(make_run: Any, run_folder: Any) -> Stopped:
    run = make_run("spd", **RUN)
    return Stopped(run, run_folder(run))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, stopped: Stopped) -> list[str]:
    """Names of the views that are encoded after the run was stopped."""
    names: list[str] = []
    write = EmbeddingCache.write

    def noting(cache: EmbeddingCache, view: Any, *arguments: Any) -> None:
        names.append(view.name)
        write(cache, view, *arguments)

    monkeypatch.setattr(EmbeddingCache, "write", noting)
    return names


def test_a_continued_run_encodes_nothing_again(stopped: Stopped, written: list[str]) -> None:
    stopped.proceed()
    assert written == []


def test_a_continued_run_encodes_only_what_is_torn_or_gone(stopped: Stopped, written: list[str]) -> None:
    views = [path for path in stopped.files if not path.stem.endswith("_masks")]
    torn, gone, without_masks = views[0], views[1], views[2]
    torn.write_bytes(torn.read_bytes()[:-100])
    gone.unlink()
    without_masks.with_name(f"{without_masks.stem}_masks.npy").write_bytes(b"")
    stopped.proceed()
    assert sorted(written) == sorted(path.stem for path in (torn, gone, without_masks))


def test_a_continued_run_whose_embeddings_are_gone_makes_them_again(stopped: Stopped, written: list[str]) -> None:
    count = len(stopped.files)
    shutil.rmtree(stopped.folder / "embeddings")
    stopped.proceed()
    assert 2 * len(written) == count


def test_embeddings_of_another_encoder_are_not_used(stopped: Stopped, written: list[str]) -> None:
    count = len(stopped.files)
    current = next((stopped.folder / "embeddings").iterdir())
    stale = current.rename(current.with_name("0" * len(current.name)))
    for path in stale.glob("*.npy"):
        array = np.load(path)
        np.save(path, np.zeros_like(array))
    stopped.proceed()
    assert 2 * len(written) == count


@pytest.mark.parametrize("change", ["encoder", "points", "seed", "rotation", "views", "data"])
def test_everything_that_decides_the_embeddings_is_in_their_key(trainer: SPDTrainer, change: str) -> None:
    before = trainer._cache().folder
    assert trainer._cache().folder == before
    if change == "encoder":
        with torch.no_grad():
            next(trainer.network.sam.image_encoder.parameters()).view(-1)[0] += 1e-3
    elif change == "points":
        case = trainer.train_cases[0]
        trainer.distilled[case] = [np.array([[1, 1]])] * len(trainer.distilled[case])
    elif change == "seed":
        trainer.settings = replace(trainer.settings, seed=7)
    elif change == "rotation":
        trainer.settings = replace(trainer.settings, rotation_degrees=7.0)
    elif change == "views":
        trainer.spd = replace(trainer.spd, cache_views=2)
    else:
        trainer.plans_manager.plans["spd_hashes"] = {"plan": "another"}
    assert trainer._cache().folder != before


def test_the_decoder_and_what_saves_memory_are_no_part_of_the_key(trainer: SPDTrainer) -> None:
    before = trainer._cache().folder
    trainer.settings = replace(trainer.settings, gradient_checkpointing=True)
    with torch.no_grad():
        for parameter in trainer.network.sam.mask_decoder.parameters():
            parameter += 1
    assert trainer._cache().folder == before


def test_a_continued_run_keeps_its_views_however_full_the_disk_is_by_then(
    stopped: Stopped, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spd_bench.training.embedding_stage.allowed_bytes", lambda folder, gigabytes: 0)
    assert stopped.proceed()["embedding_cache"]["views"] == 4
    assert written == []
