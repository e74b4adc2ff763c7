"""SPD's inference against plain SAM's, with one encoder in one run, and against SAM as others run it.

    python -m benchmarks.inference --backbone vit_b --resolution 512 --slices 12 --points 3 --device cpu

Every slice has points, so plain SAM encodes and decodes all of them, as SPD does (a slice that is left without a
consensus point is decoded all the same). Weights are random; the threshold is the median of the saliency at all
candidates, so that the slices' consensus points differ in number. LoRA is merged, as in prediction.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.inference_case import Case, networks, random_case, with_sam, with_spd
from benchmarks.inference_memory import memory_growth
from benchmarks.measuring import benchmark_parser, prepare, report, seconds_in_turn, speed_ratio
from benchmarks.sam_peers import segment_with_stock, segment_with_transformers, stock_sam, transformers_sam
from spd_bench import distill_prompts
from spd_bench.models.inference import distil_slices, encode_slices, saliency_maps
from spd_bench.models.precision import precision
from spd_bench.models.prompt_stream import PromptStream
from spd_bench.models.spd import SPDNetwork

_CLAIM = "SPD segments at >= 0.97 x plain SAM's speed with the same encoder, in memory that no number of slices moves."
_SPD, _SAM, _NAIVE = "SPD", "SAM, raw points", "SPD, an encoding for each neighbour"
_STOCK, _TRANSFORMERS = "segment_anything as installed", "transformers' SamModel"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure speed, the share of each part, and memory."""
    arguments = _arguments(argv)
    prepare(arguments)
    case = random_case(arguments)
    spd, sam = networks(arguments, case)
    small = case.first(min(arguments.peer_slices, len(case.slices)))
    peers = _peers(sam.sam, arguments)
    if arguments.compile:
        for network in (spd, sam):
            network.sam.image_encoder = torch.compile(network.sam.image_encoder)
    runs: dict[str, tuple[Callable[[], object], int]] = {
        _SAM: (partial(with_sam, sam, case), len(case.slices)),
        _SPD: (partial(with_spd, spd, case), len(case.slices)),
        _NAIVE: (partial(naively, spd, case), 1),
        **{name: (partial(segment, small.slices, small.points), len(small.slices)) for name, segment in peers.items()},
    }
    totals = seconds_in_turn(
        {name: body for name, (body, _) in runs.items()}, repeats=arguments.repeats, device=case.device
    )
    seconds = {name: [value / runs[name][1] for value in values] for name, values in totals.items()}
    report(
        "inference",
        claim=_CLAIM,
        rows=[
            {"variant": name, "slices_a_second": 1 / float(np.median(values)), "slices": runs[name][1]}
            for name, values in seconds.items()
        ],
        arguments=arguments,
        spd_against_sam=speed_ratio(seconds, _SPD, _SAM),
        **{f"spd_against_{key}": speed_ratio(seconds, _SPD, name) for name, key in _KEYS.items() if name in seconds},
        share_of_a_slice=shares_of_parts(spd, case, repeats=arguments.repeats),
        growth_of_memory_mb=memory_growth(arguments),
    )


_KEYS = {_NAIVE: "naive", _STOCK: "segment_anything", _TRANSFORMERS: "transformers"}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=3)
    parser.add_argument("--backbone", default="vit_b", help="SAM backbone (vit_b)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the slices in pixels (512)")
    parser.add_argument("--slices", type=int, default=8, help="slices of the volume (8)")
    parser.add_argument("--peer-slices", type=int, default=2, help="slices that the peers are timed on (2)")
    parser.add_argument("--points", type=int, default=3, help="points on each slice (3)")
    parser.add_argument("--context", type=int, default=2, help="n of CPD (2)")
    parser.add_argument("--batch-size", type=int, default=4, help="slices encoded together (4)")
    parser.add_argument("--compile", action="store_true", help="compile the encoder of SPD and of plain SAM")
    parser.add_argument("--memory-backbone", default="vit_t", help="backbone that memory is measured with (vit_t)")
    parser.add_argument("--memory-resolution", type=int, default=128, help="side of the slices for memory (128)")
    return parser.parse_args(argv)


def _peers(sam: Any, arguments: argparse.Namespace) -> dict[str, Callable[..., object]]:
    sizes = {"backbone": arguments.backbone, "resolution": arguments.resolution}
    device = arguments.device
    return {
        _STOCK: segment_with_stock(stock_sam(sam, **sizes).to(device), device),
        _TRANSFORMERS: segment_with_transformers(transformers_sam(sam, **sizes).to(device), device),
    }


@torch.inference_mode()
def naively(spd: SPDNetwork, case: Case) -> NDArray[np.bool_]:
    """The middle slice's mask, the paper's figure read slice by slice: all 2n + 1 slices are encoded for it."""
    middle = len(case.slices) // 2
    first, last = max(0, middle - case.context), middle + case.context + 1
    [embeddings] = encode_slices(spd, case.slices[first:last], device=case.device, batch_size=last - first)
    saliency = saliency_maps(spd, embeddings).cpu().numpy()
    points = case.points[first:last]
    row = middle - first
    prompts = distill_prompts(saliency, points, threshold=float(spd.threshold), context=case.context)[row]
    with precision(case.device):
        logits = spd.decode(embeddings[row : row + 1], [prompts])
    return (logits > 0).cpu().numpy()


def shares_of_parts(spd: SPDNetwork, case: Case, *, repeats: int) -> dict[str, float]:
    """The share of SPD's time that each part takes, and beside them what the whole saliency map would add."""
    batch = case.first(case.batch_size)
    [embeddings] = encode_slices(spd, batch.slices, device=case.device, batch_size=len(batch.slices))
    prompts = next(part.points for part in distil_slices(spd, [embeddings], batch.points, context=case.context))
    stream = _stream(batch)
    candidates = [stream.candidates(index) for index in range(len(batch.points))]

    @torch.inference_mode()
    def lookup() -> Tensor:
        with precision(case.device):
            return spd.saliency_logits_at(embeddings, candidates)

    @torch.inference_mode()
    def decode() -> Tensor:
        with precision(case.device):
            return spd.decode(embeddings, prompts)

    def distil() -> None:
        looked_at = _stream(batch)
        for pixels in candidates:
            looked_at.push(np.ones(len(pixels), np.float32))

    parts = {
        "encoder": lambda: list(encode_slices(spd, batch.slices, device=case.device, batch_size=len(batch.slices))),
        "saliency at the points": lookup,
        "distillation": distil,
        "decoder": decode,
        "(whole saliency map)": lambda: saliency_maps(spd, embeddings).cpu(),
    }
    seconds = {
        name: float(np.median(values))
        for name, values in seconds_in_turn(parts, repeats=repeats, device=case.device).items()
    }
    total = sum(value for name, value in seconds.items() if not name.startswith("("))
    return {name: round(value / total, 4) for name, value in seconds.items()}


def _stream(case: Case) -> PromptStream:
    return PromptStream(case.points, shape=case.shape[1:], context=case.context)


if __name__ == "__main__":
    main()
