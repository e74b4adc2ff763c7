"""How well weights of ``sam_small`` follow prompts on scenes that were never trained on.

    python -m benchmarks.pretraining_report                              # the weights of the package
    python -m benchmarks.pretraining_report --weights RUN/sam_small.safetensors

Scenes of three seeds of their own, of the trained families and of families that were held out, at 1, 3 and 8 clean
points and a box, by the size and the family of the target, with 95 % intervals from a bootstrap over scenes; the same
network untrained beside it. OUTPUT gets held_out.json and held_out.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from segment_anything.modeling import Sam
from tqdm import tqdm

from benchmarks.pretraining_batches import fixed_scenes
from benchmarks.pretraining_model import scene_ious
from benchmarks.pretraining_scenes.scene import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from spd_bench.evaluation.bootstrap import DEFAULT_SETTINGS, bootstrap_intervals
from spd_bench.models.builtin_weights import builtin_weights, weights_name
from spd_bench.models.sam_small import build_sam_small
from spd_bench.models.weight_files import weights_sha256
from spd_bench.models.weights import load_sam_weights
from spd_bench.storage import atomic_path, write_json

RESULTS = Path(__file__).parents[1] / "results" / "sam_small"
_SIDE = 128
_SEEDS = tuple(2**31 + 1000 + number for number in range(3))
_GROUPS = {"trained families": TRAINING_FAMILIES, "held-out families": HELD_OUT_FAMILIES}
_AREAS = (0, 100, 400, 1600, _SIDE * _SIDE)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    trained = build_sam_small(resolution=_SIDE)
    load_sam_weights(trained, arguments.weights)
    torch.manual_seed(0)
    networks = {weights_name(arguments.weights): trained, "random": build_sam_small(resolution=_SIDE)}
    scores = pd.concat(
        [_scores(network, scenes=arguments.scenes).assign(weights=name) for name, network in networks.items()]
    )
    table = pd.concat([_table(scores, "all"), _table(scores[scores["area"] >= _AREAS[1]], f"at least {_AREAS[1]}")])
    by_area = _table(scores, pd.cut(scores["area"], _AREAS, right=False).astype(str))
    by_family = _table(scores, scores["family"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(arguments.output / "held_out.csv") as part:
        pd.concat([table, by_area, by_family]).to_csv(part, index=False)
    write_json(
        arguments.output / "held_out.json",
        {"weights_sha256": weights_sha256(arguments.weights), "seeds": list(_SEEDS), "scenes_a_seed": arguments.scenes},
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print(f"written: {arguments.output}/held_out.csv, held_out.json")


def _scores(sam: Sam, *, scenes: int) -> pd.DataFrame:
    """IoU of every scene and prompt."""
    rows = []
    for seed in tqdm(_SEEDS, "seeds", unit="seed"):
        for group, families in _GROUPS.items():
            chosen = fixed_scenes(seed, count=scenes, side=_SIDE, families=families)
            found = scene_ious(sam, chosen, device=torch.device("cpu"))
            facts = {
                "group": group,
                "seed": seed,
                "scene": range(len(chosen)),
                "area": [int(scene.masks[0].sum()) for scene in chosen],
                "family": [scene.family for scene in chosen],
            }
            rows += [pd.DataFrame({**facts, "prompt": prompt, "iou": ious}) for prompt, ious in found.items()]
    return pd.concat(rows, ignore_index=True)


def _table(scores: pd.DataFrame, targets: str | pd.Series[str]) -> pd.DataFrame:
    """Mean IoU with its interval, and the means of the seeds, of each kind of targets: one for all, or one for each."""
    rows = []
    keys = ["weights", "group", "prompt", "targets"]
    for key, part in scores.assign(targets=targets).groupby(keys, sort=False):
        low, high = bootstrap_intervals(part[["iou"]].to_numpy(), np.ones((len(part), 1), int), DEFAULT_SETTINGS)[0]
        seeds = part.groupby("seed")["iou"].mean()
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                "iou": part["iou"].mean(),
                "ci_low": low,
                "ci_high": high,
                "lowest_seed": seeds.min(),
                "highest_seed": seeds.max(),
                "n": len(part),
            }
        )
    return pd.DataFrame(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=builtin_weights(), help="file of weights (the package's own)")
    parser.add_argument("--scenes", type=int, default=192, help="scenes of each seed and group (192)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder (results/sam_small)")
    return parser


if __name__ == "__main__":
    main()
