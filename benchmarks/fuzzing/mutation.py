"""Small changes of bytes, of text word by word, and of what lies inside a gzip archive."""

from __future__ import annotations

import gzip
import re
import zlib
from random import Random

from benchmarks.fuzzing.reader import Mutator
from benchmarks.fuzzing.values import NUMBERS, WORDS

_WORD = re.compile(r"""[^\s,;:=<>()"'/{}\[\]]+""")
_MOST_BYTES = 2**20


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Flip, cut out, double or append a few bytes."""
    changed = bytearray(content or b"\0")
    start = random.randrange(len(changed))
    end = min(len(changed), start + random.choice((1, 1, 2, 4, 8, 64)))
    match random.randrange(6):
        case 0:
            changed[start] ^= 1 << random.randrange(8)
        case 1:
            changed[start:end] = random.randbytes(end - start)
        case 2:
            del changed[start:end]
        case 3:
            changed[start:start] = changed[start:end] * random.choice((1, 3, 50))
        case 4:
            del changed[start:]
        case _:
            changed[start:end] = bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))]) * (end - start)
    return bytes(changed)


def text_mutator(words: tuple[str, ...]) -> Mutator:
    """Change words, cells and lines of a text; ``words`` are those of the format."""

    def mutate(content: bytes, random: Random) -> bytes:
        if not random.randrange(10):
            return mutate_bytes(content, random)
        text = content.decode("utf-8", "surrogateescape")
        changed = _change_line(text, random) if not random.randrange(4) else _change_word(text, words, random)
        return changed.encode("utf-8", "surrogateescape")

    return mutate


def gzip_mutator(inner: Mutator) -> Mutator:
    """Change what is inside an archive, now and then the archive itself."""

    def mutate(content: bytes, random: Random) -> bytes:
        unpacked = _unpacked(content)
        if unpacked is None or not random.randrange(10):
            return mutate_bytes(content, random)
        if not random.randrange(200):
            unpacked += bytes(random.choice((2**16, 2**24)))
        return gzip.compress(inner(unpacked, random), 1, mtime=0)

    return mutate


def prefix_mutator(inner: Mutator, *, end: bytes) -> Mutator:
    """Change what stands before the first ``end`` and keep the rest."""

    def mutate(content: bytes, random: Random) -> bytes:
        head, mark, rest = content.partition(end)
        if not random.randrange(10):
            return head + mark + mutate_bytes(rest, random)
        return inner(head, random) + mark + rest

    return mutate


def _unpacked(content: bytes) -> bytes | None:
    try:
        return zlib.decompressobj(wbits=31).decompress(content, _MOST_BYTES)
    except zlib.error:
        return None


def _change_line(text: str, random: Random) -> str:
    lines = text.split("\n")
    first, second = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            lines[first] = lines[first][: random.randrange(len(lines[first]) + 1)] + lines[second]
    return "\n".join(lines)


def _change_word(text: str, words: tuple[str, ...], random: Random) -> str:
    found = list(_WORD.finditer(text))
    new = random.choice(random.choice((words or WORDS, NUMBERS, WORDS)))
    if not found:
        return text + new
    start, end = random.choice(found).span()
    match random.randrange(6):
        case 0:
            return text[:start] + new + random.choice(" ,;\t=:") + text[start:]
        case 1:
            return text[:start] + text[end + 1 :]
        case 2:
            other = random.choice(found)
            return text[:start] + other[0] + text[end:]
        case _:
            return text[:start] + new + text[end:]
