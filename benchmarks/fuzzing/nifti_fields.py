"""Changes of one field of a NIfTI-1 header; the offsets are those of nifti1.h."""

from __future__ import annotations

import struct
from random import Random

from benchmarks.fuzzing.mutation import mutate_bytes

_FIELDS = (
    *(("i", 0), ("h", 70), ("h", 72), ("f", 108), ("f", 112), ("f", 116), ("b", 123), ("h", 252), ("h", 254)),
    *(("h", offset) for offset in range(40, 56, 2)),  # dim
    *(("f", offset) for offset in range(76, 108, 4)),  # pixdim
    *(("f", offset) for offset in range(256, 328, 4)),  # quaternion, offsets, rows of the matrix
    *(("b", offset) for offset in range(344, 352)),  # magic, and the flags of extensions
    *(("i", offset) for offset in (352, 356)),  # size and code of an extension
)
_WHOLE = (0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 64, 128, 256, 348, 512, 540, 768, 1024, 1536, 2**15 - 1, 2**31 - 1, -(2**31))
_REAL = (0.0, 1.0, -1.0, 0.5, 1e-40, 1e-6, 352.0, 1000.0, 1e10, 3e38, -3e38, float("nan"), float("inf"))


def mutate_nifti(content: bytes, random: Random) -> bytes:
    """Put an unlikely value into a field of the header, now and then anywhere."""
    code, offset = random.choice(_FIELDS)
    if not random.randrange(10) or len(content) < offset + struct.calcsize(code):
        return mutate_bytes(content, random)
    changed = bytearray(content)
    order = "<" if changed[0] else ">"
    if code == "f":
        struct.pack_into(f"{order}f", changed, offset, random.choice(_REAL))
    else:
        bits = 8 * struct.calcsize(code)
        value = random.choice(_WHOLE) % 2**bits
        struct.pack_into(f"{order}{code.upper()}", changed, offset, value)
    return bytes(changed)
