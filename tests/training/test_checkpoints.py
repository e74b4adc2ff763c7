"""What a run writes: whole checkpoints that cannot run code, a record, and nothing about the machine."""

from __future__ import annotations

import contextlib
import gc
import json
import pathlib
import platform
import socket
import subprocess
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from nnunetv2.training.logging.nnunet_logger import LocalLogger
from scipy.spatial import cKDTree

from spd_bench.errors import InputError
from spd_bench.storage import read_json
from spd_bench.training.checkpoints import FINAL, LATEST, read_checkpoint
from spd_bench.training.records import RunRecord, read_record
from spd_bench.training.run import build_trainer, load_network, train
from spd_bench.training.tracked import TrackedTrainer

CPU = torch.device("cpu")
HOST = "unmistakable-host-name"


@pytest.mark.parametrize("name", ["unet", "spd", "nnunet"])
def test_a_run_leaves_a_safe_checkpoint_a_record_and_no_host_name(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module, function in ((socket, "gethostname"), (platform, "node"), (subprocess, "getoutput")):
        monkeypatch.setattr(module, function, lambda *arguments: HOST)
    run = make_run(name)
    folder = run_folder(run)
    checkpoints: list[dict[str, Any]] = []
    original = TrackedTrainer.save_checkpoint

    def save_checkpoint(self: TrackedTrainer, filename: str) -> None:
        original(self, filename)
        checkpoints.append(torch.load(filename, weights_only=True))

    monkeypatch.setattr(TrackedTrainer, "save_checkpoint", save_checkpoint)
    record = train(run, folder=folder, device=CPU)
    assert [checkpoint["current_epoch"] for checkpoint in checkpoints] == [1, 2]
    assert read_record(folder) == record
    written = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert folder / "run.json" in written
    for path in written:
        assert HOST.encode() not in path.read_bytes(), path
        assert HOST not in path.name
    assert not (folder / LATEST).exists()
    assert not list(folder.glob(".part-*"))


def test_the_record_states_the_run(make_run: Any, run_folder: Any) -> None:
    run = make_run("spd", epochs=3, iterations=2, batch_size=4, seed=5)
    record = train(run, folder=run_folder(run), device=CPU)
    plan = run.plan
    assert (record.method, record.dataset, record.fold, record.seed) == ("spd", plan.dataset, 0, 5)
    assert (record.epochs, record.images_seen, record.status) == (3, 3 * 2 * 4, "complete")
    assert record.backbone == "vit_t"
    assert record.weights == {"name": "random", "sha256": None}
    assert record.hashes == plan.hashes()
    assert record.prompts == plan.prompts_provenance
    assert record.settings["training"]["learning_rate"] == run.training.learning_rate
    network, _ = load_network(run.trainer, run_folder(run), plan=run.plan, device=CPU)
    assert record.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert record.seconds["training"] > 0
    assert record.peak_memory_mb > 50
    assert torch.__version__.startswith(record.environment["packages"]["torch"])
    assert read_json(run_folder(run) / "run.json")["environment"]["device"].startswith("cpu")


def test_the_record_of_nnunet_claims_no_recipe_of_ours(make_run: Any, run_folder: Any) -> None:
    run = make_run("nnunet")
    recorded = train(run, folder=run_folder(run), device=CPU).settings["training"]
    assert set(recorded) == {"epochs", "iterations_per_epoch", "validation_iterations", "batch_size", "seed"}


def test_weights_are_recorded_by_name_and_hash(make_run: Any, run_folder: Any, sam_weights: Path) -> None:
    run = make_run("spd", weights=sam_weights)
    record = train(run, folder=run_folder(run), device=CPU)
    expected = subprocess.run(["sha256sum", str(sam_weights)], capture_output=True, text=True, check=True)
    assert record.weights == {"name": "sam_vit_t.pth", "sha256": expected.stdout.split()[0]}
    assert "weights" not in record.notes


def test_the_loaded_network_is_the_trained_one_in_evaluation_mode(
    make_run: Any, run_folder: Any, sam_weights: Path
) -> None:
    for run in (make_run("unet"), make_run("spd"), make_run("spd", weights=sam_weights), make_run("nnunet")):
        train(run, folder=run_folder(run), device=CPU)
        network, checkpoint = load_network(run.trainer, run_folder(run), plan=run.plan, device=CPU)
        assert not any(module.training for module in network.modules())
        state = network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in checkpoint["network_weights"].items())


def test_a_checkpoint_cannot_name_what_is_imported(make_run: Any, run_folder: Any) -> None:
    run = make_run("nnunet")
    folder = run_folder(run)
    train(run, folder=folder, device=CPU)
    checkpoint = torch.load(folder / FINAL, weights_only=True)
    configuration = checkpoint["init_args"]["plans"]["configurations"]["2d"]
    configuration["architecture"]["network_class_name"] = "subprocess.Popen"
    torch.save(checkpoint, folder / FINAL)
    with pytest.raises(InputError, match=r"asks for 'subprocess\.Popen', in .*checkpoint_final\.pth"):
        load_network(run.trainer, folder, plan=run.plan, device=CPU)


def test_a_network_is_not_loaded_for_another_plan(make_run: Any, run_folder: Any) -> None:
    run = make_run("unet")
    train(run, folder=run_folder(run), device=CPU)
    other = replace(run.plan, plans={**run.plan.plans, "transpose_forward": [1, 0, 2]})
    with pytest.raises(InputError, match="trained on another plan"):
        load_network(run.trainer, run_folder(run), plan=other, device=CPU)


@pytest.mark.parametrize("name", ["unet", "spd"])
def test_a_loss_that_is_no_number_ends_the_run(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A network of NaN predicts nothing anywhere, which a table would take for a result."""
    run = make_run(name)
    original = run.trainer.batch_loss
    monkeypatch.setattr(run.trainer, "batch_loss", lambda *arguments: original(*arguments) * float("nan"))
    with pytest.raises(RuntimeError, match="the loss is nan in epoch 1"):
        train(run, folder=run_folder(run), device=CPU)
    assert not (run_folder(run) / "run.json").exists()
    assert not (run_folder(run) / FINAL).exists()


def test_options_that_do_not_fit_cost_no_finished_run(make_run: Any, run_folder: Any, tmp_path: Path) -> None:
    run = make_run("spd")
    folder = run_folder(run)
    train(run, folder=folder, device=CPU)
    before = {name: (folder / name).read_bytes() for name in (FINAL, "run.json")}
    other = tmp_path / "other.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 8)}, other)
    with pytest.raises(InputError, match="do not fit this backbone"):
        train(make_run("spd", weights=other), folder=folder, device=CPU)
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("fails", [False, True])
def test_denormals_are_flushed_while_training_and_only_then(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """SciPy's k-d tree ends the process with a segmentation fault where they are."""
    halved: list[float] = []
    original = TrackedTrainer.train_step

    def train_step(self: TrackedTrainer, batch: Any) -> dict[str, Any]:
        halved.append(float(np.float64(1e-310) * 0.5))
        if fails:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(TrackedTrainer, "train_step", train_step)
    run = make_run("unet")
    with pytest.raises(KeyboardInterrupt) if fails else contextlib.nullcontext():
        train(run, folder=run_folder(run), device=CPU)
    assert set(halved) == {0.0}
    assert float(np.float64(1e-310) * 0.5) > 0
    points = np.random.default_rng(0).uniform(size=(50, 2))
    assert cKDTree(points).query(points + 1e-9)[1].tolist() == list(range(50))


def test_a_new_run_replaces_the_earlier_one(make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("unet")
    folder = run_folder(run)
    train(run, folder=folder, device=CPU)

    def fail(self: TrackedTrainer, batch: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrackedTrainer, "train_step", fail)
    with pytest.raises(KeyboardInterrupt):
        train(run, folder=folder, device=CPU)
    assert not (folder / FINAL).exists()
    assert not (folder / "run.json").exists()
    assert read_record(folder) is None


def test_a_checkpoint_holds_the_names_of_the_bare_network_when_compiled(make_run: Any, run_folder: Any) -> None:
    run = make_run("nnunet")
    trainer = build_trainer(run, device=CPU, resume=False)
    trainer.initialize()
    names = set(trainer.network.state_dict())
    trainer.network = torch.compile(trainer.network)
    path = run_folder(run) / FINAL
    trainer.save_checkpoint(str(path))
    assert set(read_checkpoint(path, CPU)["network_weights"]) == names
    trainer.load_checkpoint(str(path))
    network, _ = load_network(run.trainer, path.parent, plan=run.plan, device=CPU)
    assert set(network.state_dict()) == names


@pytest.mark.filterwarnings("ignore:.*GradScaler is enabled")
def test_the_device_asked_for_is_the_one_used(make_run: Any, results: Path) -> None:
    for name in ("unet", "nnunet"):
        for device in (torch.device("cuda", 1), CPU):
            trainer = build_trainer(make_run(name), device=device, resume=False)
            assert trainer.device == device


@pytest.mark.parametrize(
    "content",
    [
        {"network_weights": {}},
        [1, 2, 3],
        {"network_weights": {}, "init_args": {}, "current_epoch": pathlib.PurePosixPath("x")},
    ],
)
def test_a_foreign_checkpoint_is_an_input_error(tmp_path: Path, content: Any) -> None:
    path = tmp_path / FINAL
    torch.save(content, path)
    with pytest.raises(InputError, match=FINAL):
        read_checkpoint(path, CPU)


def test_a_missing_or_empty_checkpoint_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="checkpoint not found"):
        read_checkpoint(tmp_path / FINAL, CPU)
    (tmp_path / FINAL).touch()
    with pytest.raises(InputError, match="checkpoint cannot be read"):
        read_checkpoint(tmp_path / FINAL, CPU)


def test_a_failed_write_leaves_the_earlier_checkpoint(make_run: Any, run_folder: Any, monkeypatch: Any) -> None:
    run = make_run("unet")
    trainer = build_trainer(run, device=CPU, resume=False)
    trainer.initialize()
    path = run_folder(run) / LATEST
    trainer.save_checkpoint(str(path))
    before = path.read_bytes()

    def fail(value: Any, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        trainer.save_checkpoint(str(path))
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir() if file.suffix == ".pth"} == {LATEST}


def test_a_record_with_other_fields_is_an_input_error(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    for content in ('{"method": "unet"}', "[]", "{"):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(InputError, match=r"run\.json"):
            read_record(tmp_path)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = RunRecord(
        method="m",
        dataset="d",
        fold=1,
        seed=2,
        epochs=3,
        images_seen=4,
        configuration="c",
        settings={"training": {"a": 1.5}},
        backbone=None,
        weights={"name": "random", "sha256": None},
        parameters=5,
        hashes={"plan": "x", "prompts": None},
    )
    record.write(tmp_path)
    assert read_record(tmp_path) == record
    content = json.loads((tmp_path / "run.json").read_text())
    for field, value in [("hashes", None), ("fold", "1"), ("seed", 0.5), ("backbone", []), ("seconds", [1])]:
        (tmp_path / "run.json").write_text(json.dumps(content | {field: value}))
        with pytest.raises(InputError, match=rf"not a run record \({field} is .*run\.json"):
            read_record(tmp_path)


def test_the_figures_of_the_progress_do_not_pile_up(
    make_run: Any, run_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[weakref.ref[Figure]] = []
    alive: list[int] = []

    def plot(self: LocalLogger, output_folder: str) -> None:
        figure = plt.figure()
        plt.close(figure)
        alive.append(sum(one() is not None for one in drawn))
        drawn.append(weakref.ref(figure))

    monkeypatch.setattr(LocalLogger, "plot_progress_png", plot)
    monkeypatch.setattr("spd_bench.training.tracked._PLOT_EVERY", 1)
    run = make_run("unet", epochs=4)
    gc.disable()
    try:
        train(run, folder=run_folder(run), device=CPU)
    finally:
        gc.enable()
    assert alive == [0, 0, 0, 0]
