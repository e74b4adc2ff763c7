"""Evaluation on the original grid: metrics per slice and volume, their summary, statistics and the tables."""

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.case import CaseKey, CaseScores, evaluate_case
from spd_bench.evaluation.empty_policy import EMPTY_POLICIES, EmptyPolicy
from spd_bench.evaluation.folders import FolderScores, default_slice_axis, evaluate_folders
from spd_bench.evaluation.frames import SLICE_COLUMNS, SUMMARY_COLUMNS, VOLUME_COLUMNS, read_frame, write_frame
from spd_bench.evaluation.lesions import LesionScores, lesion_scores
from spd_bench.evaluation.metrics import METRICS
from spd_bench.evaluation.overlap import dice_score, iou_score
from spd_bench.evaluation.rules import ScoringRules
from spd_bench.evaluation.summary import describe_runs, summarise
from spd_bench.evaluation.surface import SurfaceScores, surface_scores
from spd_bench.evaluation.tables import DiceTable, build_table, print_table, write_tables

__all__ = [
    "EMPTY_POLICIES",
    "METRICS",
    "SLICE_COLUMNS",
    "SUMMARY_COLUMNS",
    "VOLUME_COLUMNS",
    "BootstrapSettings",
    "CaseKey",
    "CaseScores",
    "DiceTable",
    "EmptyPolicy",
    "FolderScores",
    "LesionScores",
    "ScoringRules",
    "SurfaceScores",
    "build_table",
    "default_slice_axis",
    "describe_runs",
    "dice_score",
    "evaluate_case",
    "evaluate_folders",
    "iou_score",
    "lesion_scores",
    "print_table",
    "read_frame",
    "summarise",
    "surface_scores",
    "write_frame",
    "write_tables",
]
