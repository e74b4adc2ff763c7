"""SPD's two stages: what is trained when, what enters the loss, what is distilled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from torch import Tensor

from spd_bench.errors import InputError
from spd_bench.losses import segmentation_loss
from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.planning.plan import Plan
from spd_bench.storage import read_json, write_json
from spd_bench.training.run import TrainingRun, build_trainer, load_network, train
from spd_bench.training.spd_trainer import SPDTrainer
from spd_bench.training.windows import WindowBatch

CPU = torch.device("cpu")
SIZE = 32
ENCODER, HEAD = "sam.image_encoder.", "saliency_head."
PROMPT_ENCODER, DECODER = "sam.prompt_encoder.", "sam.mask_decoder."


class History:
    """Which epoch ran in which stage, and the network after each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stages: list[int] = []
        self.rates: list[float] = []
        self.states: list[dict[str, Tensor]] = []
        self.neighbours: list[str] = []
        start, end, optimise = SPDTrainer.on_train_epoch_start, SPDTrainer.on_epoch_end, SPDTrainer.optimise

        def on_train_epoch_start(trainer: SPDTrainer) -> None:
            if not self.states:
                self._keep(trainer)
            self.stages.append(trainer.stage)
            self.neighbours.append(trainer.neighbours)
            start(trainer)

        def wrapped(trainer: SPDTrainer, batch: WindowBatch) -> dict[str, Any]:
            self.rates.append(trainer.optimizer.param_groups[0]["lr"])
            return optimise(trainer, batch)

        def on_epoch_end(trainer: SPDTrainer) -> None:
            end(trainer)
            self._keep(trainer)

        monkeypatch.setattr(SPDTrainer, "on_train_epoch_start", on_train_epoch_start)
        monkeypatch.setattr(SPDTrainer, "optimise", wrapped)
        monkeypatch.setattr(SPDTrainer, "on_epoch_end", on_epoch_end)

    def _keep(self, trainer: SPDTrainer) -> None:
        self.states.append({name: value.clone() for name, value in trainer.network.state_dict().items()})

    def changed(self, first: int, last: int) -> set[str]:
        """Names of what differs between before epoch ``first`` and after epoch ``last``."""
        before, after = self.states[first], self.states[last + 1]
        return {name for name in before if not torch.equal(before[name], after[name])}


def of(prefixes: tuple[str, ...], names: Any) -> set[str]:
    return {name for name in names if name.startswith(prefixes)}


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    return History(monkeypatch)


@pytest.mark.parametrize(
    ("epochs", "share", "stages"),
    [(5, 0.6, [1, 1, 1, 2, 2]), (2, 0.9, [1, 2]), (2, 0.1, [1, 2]), (4, 0.25, [1, 2, 2, 2]), (3, 0.99, [1, 1, 2])],
)
def test_stage_two_begins_after_its_share_and_each_stage_gets_an_epoch(
    make_run: Any, run_folder: Any, history: History, epochs: int, share: float, stages: list[int]
) -> None:
    run = make_run("spd", epochs=epochs, iterations=1, batch_size=2, stage_one_share=share)
    train(run, folder=run_folder(run), device=CPU)
    assert history.stages == stages
    assert history.neighbours == ["none" if stage == 1 else "next" for stage in stages]


def test_each_stage_has_a_schedule_of_its_own(make_run: Any, run_folder: Any, history: History) -> None:
    recipe = {"schedule": "cosine", "warmup_share": 0.25, "learning_rate": 1e-3}
    run = make_run("spd", epochs=4, iterations=4, batch_size=2, stage_one_share=0.5, training=recipe)
    train(run, folder=run_folder(run), device=CPU)
    assert history.rates[:2] == pytest.approx([0.5e-3, 1e-3])
    assert history.rates[7] < 0.1e-3
    assert history.rates[8:] == pytest.approx(history.rates[:8])


@pytest.mark.parametrize("weight", [0.0, None])
def test_from_scratch_stage_one_trains_encoder_and_head_and_stage_two_decoder_and_prompt_encoder(
    make_run: Any, run_folder: Any, history: History, weight: float | None
) -> None:
    run = make_run("spd", epochs=4, stage_one_share=0.5, stage_one_mask_weight=weight)
    train(run, folder=run_folder(run), device=CPU)
    names = history.states[0].keys()
    first, second = history.changed(0, 1), history.changed(2, 3)
    decoding = () if weight == 0 else (DECODER, PROMPT_ENCODER)
    assert first <= of((ENCODER, HEAD, *decoding), names)
    assert bool(of((DECODER,), first)) == (weight is None)
    assert of((HEAD,), names) <= first
    assert len(of((ENCODER,), first)) > 0.9 * len(of((ENCODER,), names))
    assert second <= of((DECODER, PROMPT_ENCODER), names)
    assert of((DECODER,), second)
    assert f"{PROMPT_ENCODER}point_embeddings.1.weight" in second
    # The random frequencies of the positions are SAM's, no parameters.
    assert f"{PROMPT_ENCODER}pe_layer.positional_encoding_gaussian_matrix" not in second


@pytest.mark.parametrize(("switch", "trained"), [(None, False), (True, True)])
def test_with_weights_stage_one_trains_lora_and_head_and_stage_two_the_decoder(
    make_run: Any, run_folder: Any, history: History, sam_weights: Path, switch: bool | None, trained: bool
) -> None:
    run = make_run("spd", epochs=4, stage_one_share=0.5, weights=sam_weights, lora_rank=2, train_prompt_encoder=switch)
    train(run, folder=run_folder(run), device=CPU)
    names = history.states[0].keys()
    first, second = history.changed(0, 1), history.changed(2, 3)
    lora = {name for name in names if ".lora_" in name}
    assert len(lora) == 2 * 4
    assert first == lora | of((HEAD,), names)
    assert second <= of((DECODER, PROMPT_ENCODER), names)
    assert of((DECODER,), second)
    assert bool(of((PROMPT_ENCODER,), second)) == trained
    given = torch.load(sam_weights, weights_only=True)
    final = {
        name.replace(".base_layer.", ".").removeprefix("sam."): value for name, value in history.states[-1].items()
    }
    assert all(torch.equal(final[name], value) for name, value in given.items() if name.startswith("image_encoder."))


def test_the_prompt_encoder_stays_frozen_from_scratch_where_the_switch_says_so(
    make_run: Any, run_folder: Any, history: History
) -> None:
    run = make_run("spd", epochs=2, train_prompt_encoder=False)
    train(run, folder=run_folder(run), device=CPU)
    assert not of((PROMPT_ENCODER,), history.changed(0, 1))


def test_frozen_parts_are_in_evaluation_mode_while_stage_two_trains(
    make_run: Any, run_folder: Any, sam_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool, bool]] = []
    original = SPDTrainer.predict_batch

    def predict_batch(trainer: SPDTrainer, batch: WindowBatch) -> Tensor:
        parts = trainer.network.sam
        seen.append((trainer.stage, parts.image_encoder.training, parts.mask_decoder.training))
        return original(trainer, batch)

    monkeypatch.setattr(SPDTrainer, "predict_batch", predict_batch)
    run = make_run("spd", epochs=2, weights=sam_weights)
    train(run, folder=run_folder(run), device=CPU)
    assert {entry for entry in seen if entry[1] or entry[2]} == {(1, True, False), (2, False, True)}


@pytest.fixture
def trainer(make_run: Callable[..., TrainingRun], results: Path) -> SPDTrainer:
    """An initialised trainer."""
    trainer = build_trainer(make_run("spd"), device=CPU, resume=False)
    trainer.initialize()
    assert isinstance(trainer, SPDTrainer)
    return trainer


def batch_of(points: list[list[tuple[int, int]]], pairs: list[tuple[int, int]]) -> WindowBatch:
    generator = torch.Generator().manual_seed(0)
    count = len(points)
    return WindowBatch(
        images=torch.rand(count, 3, SIZE, SIZE, generator=generator) * 2 - 1,
        masks=(torch.rand(count, SIZE, SIZE, generator=generator) > 0.8).float(),
        points=[np.array(slice_points, dtype=np.int64).reshape(-1, 2) for slice_points in points],
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
    )


def brute_force_consistency(logits: Tensor, pairs: list[tuple[int, int]]) -> float:
    probabilities = 1 / (1 + np.exp(-logits.double().numpy()))
    terms = []
    for first, second in pairs:
        a, b = probabilities[first].ravel(), probabilities[second].ravel()
        terms.append(1 - 2 * sum(a * b) / (sum(a) + sum(b)))
    return float(np.mean(terms))


def test_consistency_enters_the_loss_in_stage_two_with_neighbours_only(trainer: SPDTrainer) -> None:
    pairs = [(0, 1), (2, 3)]
    batch, alone = batch_of([[(3, 4)]] * 4, pairs), batch_of([[(3, 4)]] * 4, [])
    logits = torch.randn(4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    saliency_loss = trainer.settings.saliency_loss
    assert saliency_loss is not None
    assert saliency_loss != trainer.settings.loss
    saliency = float(segmentation_loss(logits, batch.masks, saliency_loss))
    assert float(trainer.batch_loss(logits, batch)) == pytest.approx(saliency)
    trainer.stage = 2
    segmentation = float(segmentation_loss(logits, batch.masks, trainer.settings.loss))
    assert float(trainer.batch_loss(logits, alone)) == pytest.approx(segmentation)
    expected = segmentation + 0.1 * brute_force_consistency(logits, pairs)
    assert float(trainer.batch_loss(logits, batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_masks_from_the_raw_points_enter_the_loss_of_stage_one_with_their_weight(
    make_run: Any, results: Path, weight: float
) -> None:
    trainer = build_trainer(make_run("spd", stage_one_mask_weight=weight), device=CPU, resume=False)
    trainer.initialize()
    trainer.network.eval()
    batch = batch_of([[(3, 4)], [], [(5, 6), (7, 8)]], [])
    logits, loss = trainer.logits_and_loss(batch)
    embeddings = trainer.network.encode(batch.images)
    torch.testing.assert_close(logits, trainer.network.saliency_logits(embeddings))
    masks = torch.full_like(batch.masks, EMPTY_LOGIT)
    masks[[0, 2]] = trainer.network.decode(embeddings[[0, 2]], [batch.points[0], batch.points[2]])
    expected = segmentation_loss(logits, batch.masks, trainer.settings.saliency_loss)
    expected = expected + weight * segmentation_loss(masks, batch.masks, trainer.settings.loss)
    torch.testing.assert_close(loss, expected)


def test_no_weight_switches_consistency_off(make_run: Any, results: Path) -> None:
    trainer = build_trainer(make_run("spd", psc_weight=0.0), device=CPU, resume=False)
    trainer.stage = 2
    batch = batch_of([[(3, 4)]] * 2, [(0, 1)])
    logits = torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(trainer.batch_loss(logits, batch), segmentation_loss(logits, batch.masks, trainer.settings.loss))


def test_the_gradient_of_consistency_reaches_both_slices(trainer: SPDTrainer) -> None:
    trainer.stage = 2
    batch = batch_of([[(3, 4)]] * 2, [(0, 1)])
    logits = torch.zeros(2, SIZE, SIZE, requires_grad=True)
    with_pair = torch.autograd.grad(trainer.batch_loss(logits, batch), logits)[0]
    without = torch.autograd.grad(trainer.batch_loss(logits, batch_of([[(3, 4)]] * 2, [])), logits)[0]
    difference = (with_pair - without).abs().sum(dim=(1, 2))
    assert (difference > 1e-6).all()


def test_stage_one_predicts_the_saliency_of_every_slice_whatever_its_points(trainer: SPDTrainer) -> None:
    batch = batch_of([[], [(1, 1)]], [])
    trainer.network.eval()
    expected = trainer.network.saliency_logits(trainer.network.encode(batch.images))
    torch.testing.assert_close(trainer.predict_batch(batch), expected)


@pytest.mark.parametrize("empty_prompt", ["skip", "decode"])
def test_a_slice_without_a_point_is_left_empty_or_decoded_without_one(
    make_run: Any, results: Path, empty_prompt: str
) -> None:
    trainer = build_trainer(make_run("spd", empty_prompt=empty_prompt), device=CPU, resume=False)
    trainer.initialize()
    trainer.stage = 2
    trainer.network.eval()
    points = [[], [(1, 2)], [(5, 6), (7, 8)], []]
    batch = batch_of(points, [])
    with torch.no_grad():
        logits = trainer.predict_batch(batch)
        for index in range(4):
            if points[index] or empty_prompt == "decode":
                embedding = trainer.network.encode(batch.images[index : index + 1])
                expected = trainer.network.decode(embedding, [batch.points[index]])[0]
                torch.testing.assert_close(logits[index], expected, atol=1e-5, rtol=1e-5)
            else:
                assert (logits[index] == EMPTY_LOGIT).all()


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_batch_without_any_point_is_survived(trainer: SPDTrainer) -> None:
    trainer.stage = 2
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    loss = trainer.optimise(batch_of([[], []], [(0, 1)]))["loss"]
    assert np.isfinite(loss)
    assert all(torch.equal(before[name], value) for name, value in trainer.network.state_dict().items())


def test_training_draws_prompted_slices_only_where_the_others_are_skipped(make_run: Any, results: Path) -> None:
    for empty_prompt, expected in (("skip", [1, 3]), ("decode", [0, 1, 2, 3])):
        trainer = build_trainer(make_run("spd", empty_prompt=empty_prompt), device=CPU, resume=False)
        trainer.read_cases()
        case = trainer.train_cases[0]
        assert len(trainer.candidate_slices(case)) == len(trainer.slice_indices[case].has_target)
        trainer.stage = 2
        none, one = np.zeros((0, 2), np.int64), np.array([[1, 1]])
        trainer.distilled = {case: [none, one, none, one]}
        trainer.slice_indices[case] = type(trainer.slice_indices[case])(
            points=[none] * 4, has_target=np.zeros(4, dtype=bool)
        )
        assert trainer.candidate_slices(case).tolist() == expected
        assert trainer.points_of(case) is trainer.distilled[case]


def brute_force_distillation(saliency: Any, points: list[Any], *, threshold: float, context: int) -> list[set[Any]]:
    depth = len(saliency)
    distilled = []
    for t in range(depth):
        kept = set()
        for j in range(max(0, t - context), min(depth, t + context + 1)):
            for x, y in points[j]:
                if saliency[j][y, x] > threshold and saliency[t][y, x] > threshold:
                    kept.add((x, y))
        distilled.append(kept)
    return distilled


def brute_force_quality(points: list[Any], masks: Any) -> dict[str, float | None]:
    inside = total = covered = with_target = empty = empty_prompted = 0
    for slice_points, mask in zip(points, masks, strict=True):
        total += len(slice_points)
        inside += sum(bool(mask[y, x]) for x, y in slice_points)
        if mask.any():
            with_target += 1
            covered += bool(slice_points)
        else:
            empty += 1
            empty_prompted += bool(slice_points)
    return {
        "purity": inside / total if total else None,
        "coverage": covered / with_target,
        "empty_slices_with_point": empty_prompted / empty,
    }


def test_prompt_quality_in_the_notes_is_that_of_the_validation_cases(
    make_run: Any, run_folder: Any, copied_plan: Plan
) -> None:
    planned = copied_plan
    folder = planned.folder / f"SPDPlans_{planned.configuration}"
    for case in planned.split(0)["train"]:
        # Training cases with points outside the target on every slice, so that counting them would show.
        path = folder.with_name(f"{folder.name}_slices") / f"{case}.json"
        index = read_json(path)
        write_json(path, {**index, "points": [[*points, [0, 0]] for points in index["points"]]})
    own = {"stage_one_share": 0.75, "threshold": 0.45, "saliency_bias": 0.0}
    run = make_run("spd", epochs=4, iterations=10, plan=planned, **own)
    record = train(run, folder=run_folder(run), device=CPU)
    network, _ = load_network(SPDTrainer, run_folder(run), plan=planned, device=CPU)
    raw, distilled, masks = [], [], []
    for case in planned.split(0)["val"]:
        data, labels, _, _ = nnUNetDatasetBlosc2(str(folder), [case]).load_case(case)
        index = read_json(folder.with_name(f"{folder.name}_slices") / f"{case}.json")
        points = [[tuple(point) for point in slice_points] for slice_points in index["points"]]
        with torch.no_grad():
            images = torch.from_numpy(np.repeat(data[:], 3, axis=0)).transpose(0, 1)
            saliency = [torch.sigmoid(network(image[None]))[0].numpy() for image in images]
        raw += [set(slice_points) for slice_points in points]
        distilled += brute_force_distillation(
            saliency, points, threshold=0.45, context=planned.slice_settings["context"]
        )
        masks += list(labels[0])
    assert record.notes["prompt_quality"]["raw"] == pytest.approx(brute_force_quality(raw, masks))
    assert record.notes["prompt_quality"]["distilled"] == pytest.approx(brute_force_quality(distilled, masks))
    # A test of anything only if the saliency map had something to say.
    assert sum(map(len, distilled)) > 0
    assert distilled != raw


def test_points_reach_the_neighbours_that_the_plan_names(
    trainer: SPDTrainer, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sure(network: Any, slices: Any, *, device: torch.device, only: Any) -> Any:
        return np.ones((len(slices), SIZE, SIZE), np.float32)

    monkeypatch.setattr("spd_bench.training.spd_trainer.saliency_volume", sure)
    trainer.stage = 2
    trainer.get_dataloaders()
    assert planned.slice_settings["context"] == 1
    assert set(trainer.distilled) == {*planned.split(0)["train"], *planned.split(0)["val"]}
    for case, distilled in trainer.distilled.items():
        raw = [{tuple(point) for point in points.tolist()} for points in trainer.slice_indices[case].points]
        for t, points in enumerate(distilled):
            assert {tuple(point) for point in points.tolist()} == set().union(*raw[max(0, t - 1) : t + 2])


def test_stage_one_that_leaves_no_prompt_is_an_input_error(make_run: Any, run_folder: Any) -> None:
    run = make_run("spd", saliency_bias=-30.0, threshold=0.5)
    with pytest.raises(InputError, match=r"Stage I left no prompt.*0\.5"):
        train(run, folder=run_folder(run), device=CPU)


def test_from_scratch_the_threshold_is_chosen_and_prediction_uses_it(
    make_run: Any, run_folder: Any, planned: Plan
) -> None:
    # Far below 0.5 everywhere, as a map that has seen few images: the points are still told apart by their order.
    run = make_run("spd", saliency_bias=-8.0)
    record = train(run, folder=run_folder(run), device=CPU)
    tau = record.notes["threshold"]["tau"]
    assert record.notes["threshold"]["chosen"]
    assert 0 <= record.notes["threshold"]["trained_with"] < 0.1
    assert 0 <= record.notes["threshold"]["validation_dice"] <= 1
    assert record.notes["prompt_quality"].keys() == {"raw", "training", "distilled"}
    assert 0 <= tau < 0.1
    network, _ = load_network(SPDTrainer, run_folder(run), plan=planned, device=CPU)
    assert float(network.threshold) == pytest.approx(tau)
    assert record.notes["prompt_quality"]["distilled"]["coverage"] > 0


def test_a_given_threshold_is_kept_with_the_network(make_run: Any, run_folder: Any, planned: Plan) -> None:
    run = make_run("spd", threshold=0.25, saliency_bias=0.0)
    record = train(run, folder=run_folder(run), device=CPU)
    assert record.notes["threshold"] == {"tau": 0.25, "chosen": False}
    network, _ = load_network(SPDTrainer, run_folder(run), plan=planned, device=CPU)
    assert float(network.threshold) == 0.25


def test_one_epoch_is_too_few(make_run: Any) -> None:
    with pytest.raises(InputError, match="two stages, 1 epoch is too few"):
        make_run("spd", epochs=1)


@pytest.mark.parametrize("name", ["unet", "nnunet", "spd"])
def test_training_never_opens_a_test_case(
    make_run: Any, run_folder: Any, copied_plan: Plan, name: str, sam_weights: Path
) -> None:
    test = copied_plan.split(0)["test"]
    poisoned = 0
    for path in copied_plan.folder.rglob("*"):
        if path.is_file() and any(path.name.startswith(f"{case}.") or f"{case}_" in path.name for case in test):
            path.write_bytes(b"poison")
            poisoned += 1
    assert poisoned >= 8 * len(test)
    run = make_run(name, epochs=3, iterations=3, plan=copied_plan)
    assert train(run, folder=run_folder(run), device=CPU).status == "complete"
