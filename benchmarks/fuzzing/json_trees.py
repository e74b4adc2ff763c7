"""Changes of one value somewhere in a JSON tree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from benchmarks.fuzzing.mutation import mutate_bytes
from benchmarks.fuzzing.reader import Mutator
from benchmarks.fuzzing.values import json_value

_DEEP = 3000


def json_mutator(words: tuple[str, ...]) -> Mutator:
    """Change one value of a tree, take it out, double it or bury it; ``words`` are keys and values of the format."""

    def mutate(content: bytes, random: Random) -> bytes:
        try:
            tree = json.loads(content)
        except (ValueError, RecursionError):
            return mutate_bytes(content, random)
        if not random.randrange(20):
            return mutate_bytes(content, random)
        if not random.randrange(500):
            return b"[" * _DEEP + content + b"]" * _DEEP
        return _dumped(_changed(tree, words, random))

    return mutate


def _dumped(tree: Any) -> bytes:
    try:
        return json.dumps(tree).encode()
    except RecursionError:
        return b"[]"


def _changed(tree: Any, words: tuple[str, ...], random: Random) -> Any:
    places = list(_places(tree))
    if not places or not random.randrange(len(places) + 5):
        return json_value(random, words)
    holder, key = random.choice(places)
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 2:
            holder[random.choice((*words, "a"))] = holder[key]
        case _:
            holder[key] = json_value(random, words)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or object of a tree with each of its keys; no recursion, for a tree may be deep."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            yield from ((holder, key) for key in keys)
            waiting += [holder[key] for key in keys]
