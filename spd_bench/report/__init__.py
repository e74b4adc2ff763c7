"""The HTML report of a comparison: one file that needs nothing from anywhere else."""

from spd_bench.report.settings import ReportSettings
from spd_bench.report.writing import REPORT_NAME, write_report

__all__ = ["REPORT_NAME", "ReportSettings", "write_report"]
