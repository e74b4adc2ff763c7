"""Numbers and words on which readers have stumbled before."""

from __future__ import annotations

from random import Random
from typing import Any

NUMBERS = (
    *("0", "-0.0", "1", "-1", "2", "3", "0.5", "1e-320", "1e-12", "1e9", "-1e9", "1e39", "1e308", "-1.8e308"),
    *("255", "256", "32767", "32768", "65536", "2147483647", "2147483648", "-2147483648", "4294967296"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "nan", "inf", "-inf", "0x10", "1_000"),
    *("9" * 400, "9" * 5000, "1.", ".5", "1e", "--1", "1,5"),
)
WORDS = ("", " ", "\t", "#", '"', "'", "\\", "\0", "\r", "\ufeff", "µ", "\u2028", "\u0663", "true", "null", "a" * 3000)
_JSON_NUMBERS = (0, -0.0, 1, -1, 2, 0.5, 1e-320, 1e9, 1e308, -1e308, 2**31, 2**63, 2**64, 10**400)


def json_value(random: Random, words: tuple[str, ...], depth: int = 0) -> Any:
    """A value that JSON can hold, or nearly: NaN and infinity are written by Python and by nobody else."""
    kind = random.randrange(8 if depth < 3 else 6)
    if kind < 2:
        return random.choice((*_JSON_NUMBERS, float("nan"), float("inf")))
    if kind < 4:
        return random.choice((*words, *WORDS, *NUMBERS, "\ud800"))
    if kind < 6:
        return random.choice((None, True, False, [], {}))
    values = [json_value(random, words, depth + 1) for _ in range(random.randrange(5))]
    return values if kind == 6 else {random.choice((*words, "a")): value for value in values}
