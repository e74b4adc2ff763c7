"""The learning curve of a pretraining as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TITLES = {"seen_families": "held-out scenes of trained families", "unseen_families": "families never trained on"}
_PROMPTS = {"points_1": "1 point", "points_3": "3 points", "points_8": "8 points", "box": "box"}


def draw_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw IoU against the images seen, one panel for each group of held-out scenes, as PNG."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    images = [float(row["images"]) for row in rows]
    for number, (group, title) in enumerate(_TITLES.items(), start=1):
        axes = figure.add_subplot(1, 2, number)
        for prompt, label in _PROMPTS.items():
            axes.plot(images, [float(row[f"{group}_{prompt}"]) for row in rows], label=label)
        axes.set(title=title, xlabel="images seen", ylabel="IoU", ylim=(0, 1))
        axes.grid(alpha=0.3)
    axes.legend(title="prompt")
    figure.savefig(path, dpi=120)
