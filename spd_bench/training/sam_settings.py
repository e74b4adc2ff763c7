"""What every row of the SAM family chooses, whatever it adds to SAM."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

from spd_bench.models.intensity import INTENSITIES
from spd_bench.models.sam import build_sam, check_backbone
from spd_bench.models.sam_network import SamNetwork
from spd_bench.training.prompted import EmptyPrompt


@dataclass(frozen=True, kw_only=True)
class SamSettings:
    """A row of the SAM family; a row with choices of its own derives from it.

    Attributes:
        backbone: name of the SAM backbone.
        weights: path of the checkpoint that the row starts from, or None for random weights.
        weights_sha256: hash of that file, None for random weights.
        intensity: what the image encoder expects, a name in ``INTENSITIES``.
        empty_prompt: a slice without a point is left empty (``skip``) or decoded without a point.
    """

    backbone: str = "vit_b"
    weights: str | None = None
    weights_sha256: str | None = None
    intensity: str = "symmetric"
    empty_prompt: EmptyPrompt = "skip"

    def __post_init__(self) -> None:
        check_backbone(self.backbone)
        choices = {"intensity": tuple(INTENSITIES), "empty_prompt": get_args(EmptyPrompt)}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                msg = f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                raise ValueError(msg)

    @property
    def from_scratch(self) -> bool:
        """Whether the row starts from random weights."""
        return self.weights is None

    def network(self, resolution: int) -> SamNetwork:
        """The row's network, with random weights and its trained parts chosen."""
        network = self.untrained_network(resolution)
        network.train_only(self.trained_parts)
        return network

    def untrained_network(self, resolution: int) -> SamNetwork:
        """The network itself; rows that add something to SAM do it here."""
        sam = build_sam(self.backbone, resolution=resolution)
        return SamNetwork(sam=sam, backbone=self.backbone, resolution=resolution, intensity=self.intensity)

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """Names of the parts that training changes; none in a zero-shot row."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def encoder_and_decoder(*, from_scratch: bool) -> tuple[str, ...]:
    """The image encoder (what was added to it, where something was) and the mask decoder.

    From scratch the prompt encoder too: one that starts from random weights has never learned to encode a point.
    """
    return ("image_encoder", "mask_decoder", *(("prompt_encoder",) if from_scratch else ()))
