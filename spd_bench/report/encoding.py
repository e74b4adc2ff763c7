"""Pixels and masks as text that fits into a page, and back."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image


def data_uri(content: bytes, media_type: str) -> str:
    """A file's bytes as a ``data:`` address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def script_json(value: Any) -> Markup:
    """JSON in ASCII that may stand inside ``<script type="application/json">``, whatever texts it holds.

    A page's parser looks for ``</script`` and ``<!--`` inside scripts. JSON knows escapes for either, so that the
    values stay the same.

    Raises:
        ValueError: a number is NaN or infinite, which JSON has no word for.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    escaped = text.replace("</", r"<\/").replace("<!--", r"<\u0021--")
    return Markup(escaped)  # nosec B704 - what would end a script is escaped by now


def jpeg_text(pixels: NDArray[np.uint8], *, quality: int) -> str:
    """Grey pixels (rows, columns) as a JPEG file in base64, without the head of a ``data:`` address.

    Args:
        pixels: grey levels.
        quality: Pillow's, 1 to 95.
    """
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def pixels_of_jpeg(text: str) -> NDArray[np.uint8]:
    """The grey pixels (rows, columns) of :func:`jpeg_text`, up to the losses of JPEG."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("L"))


def run_lengths(mask: NDArray[np.bool_]) -> str:
    """A mask (rows, columns) as run lengths: pixels off, pixels on, pixels off... row after row.

    The last run of pixels off is left out, so that an empty mask is an empty text.

    Example:
        >>> run_lengths(np.array([[False, True, True], [True, False, False]]))
        '1 3'
    """
    flat = np.concatenate([[False], mask.ravel(), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return " ".join(map(str, np.diff(changes, prepend=0).tolist()))


def mask_of_runs(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (rows, columns) of :func:`run_lengths`."""
    flat = np.zeros(shape[0] * shape[1], bool)
    ends = np.cumsum([int(run) for run in text.split()], dtype=np.int64).reshape(-1, 2)
    for start, end in ends.tolist():
        flat[start:end] = True
    return flat.reshape(shape)
