"""The weights that come with the package: ``sam_small``, pretrained on procedural scenes (``docs/sam_small.md``)."""

from __future__ import annotations

from pathlib import Path

BUILTIN = "builtin"
"""What they are called on the command line, in run records and in tables."""

RANDOM = "random"
"""What starting without any weights is called."""


def builtin_weights() -> Path:
    """The file of the package's own weights, for the backbone ``sam_small``."""
    return Path(__file__).with_name("sam_small.safetensors")


def is_builtin(path: str | Path | None) -> bool:
    """Whether ``path`` is that file."""
    return path is not None and Path(path).absolute() == builtin_weights().absolute()


def weights_name(path: str | Path) -> str:
    """What records call the weights in a file or folder: "builtin", or the path's last part."""
    return BUILTIN if is_builtin(path) else Path(path).absolute().name
