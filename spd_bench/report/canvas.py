"""The viewer that comes with the package: slices on a 2D canvas."""

from __future__ import annotations

from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.report.jpeg_slices import jpeg_coders
from spd_bench.report.viewer import Viewer

CANVAS = Viewer(name="canvas", coders=jpeg_coders, picture="picture_canvas.html.j2", scripts=("canvas.js",))


def canvas_viewer(bundle: Path | None) -> Viewer:
    """The canvas viewer.

    Raises:
        InputError: a bundle is given, which this viewer has no use for.
    """
    if bundle is not None:
        raise InputError(
            "the canvas viewer uses no NiiVue bundle", file=bundle, remedy="add --viewer niivue or leave the bundle out"
        )
    return CANVAS
