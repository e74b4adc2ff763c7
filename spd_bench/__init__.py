"""Segmentation with noisy point prompts: Saliency-Guided Prompt Distillation (SPD) and its benchmark.

Importing this package needs numpy only; everything that needs torch lies in its modules.
"""

from __future__ import annotations

from spd_bench.models.distillation import distill_prompts

__all__ = ["__version__", "distill_prompts"]

__version__ = "0.1.0"
