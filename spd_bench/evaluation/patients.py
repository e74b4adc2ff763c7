"""Which patient a case is of: slices and volumes of one patient are not independent."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def patient_of(cases: pd.Series[str], patients: Mapping[str, str] | None) -> pd.Series[str]:
    """The patient of each case; a case that is not named is its own patient."""
    return cases.map(lambda case: (patients or {}).get(case, case))
