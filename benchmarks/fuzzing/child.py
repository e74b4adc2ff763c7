"""The process that reads inputs: an engine makes them, a tally and a folder of findings outlive it.

python -m benchmarks.fuzzing.child REGISTRY READER ENGINE INPUTS SEED FOLDER
"""

from __future__ import annotations

import faulthandler
import importlib
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzzing.findings import keep_finding
from benchmarks.fuzzing.reader import FuzzedReader
from benchmarks.fuzzing.tally import Tally
from benchmarks.fuzzing.trial import try_input

ENGINES = ("atheris", "hypothesis")
TALLY = "tally"
FINDINGS = "findings"
CURRENT = "current"
_MEMORY = 2**31
"""What a reader may take for one input; a header that claims more must be refused, not believed."""
_LONGEST = 2**14


def main(argv: list[str]) -> None:
    """Read ``INPUTS`` inputs and leave."""
    registry, name, engine, inputs, seed, folder = argv
    faulthandler.enable()
    run = {"atheris": _run_atheris, "hypothesis": _run_hypothesis}[engine]
    run(registry, name, int(inputs), int(seed), Path(folder))


def consumer(reader: FuzzedReader, name: str, folder: Path) -> Callable[[bytes], None]:
    """What gives an input to the reader and counts what comes of it."""
    tally = Tally(folder / TALLY)
    current = folder / CURRENT / reader.file_name
    current.parent.mkdir(exist_ok=True)

    def consume(content: bytes) -> None:
        tally.begin()
        trial = try_input(reader, current, content)
        tally.end(trial.kind, trial.seconds)
        if trial.kind in ("crash", "hang"):
            keep_finding(folder / FINDINGS, name=f"{name}-{trial.place}", content=content, details=trial.details)

    return consume


def _run_atheris(registry: str, name: str, inputs: int, seed: int, folder: Path) -> None:
    import atheris

    # Only what is imported in here is guided by its coverage.
    with atheris.instrument_imports(include=["spd_bench"]):
        reader: FuzzedReader = importlib.import_module(registry).READERS[name]
    consume = consumer(reader, name, folder)

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if not random.randrange(4):
            return bytes(atheris.Mutate(content, most))
        if random.randrange(2):
            content = random.choice(reader.seeds)
        for _ in range(random.choice((1, 1, 2, 4))):
            content = reader.mutate(content, random)
        return content[:most]

    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(reader.seeds):
        (corpus / f"seed_{number}").write_bytes(content)
    options: dict[str, Any] = {
        "runs": inputs,
        "seed": seed + 1,
        "max_len": _LONGEST,
        "len_control": 0,
        "reduce_inputs": 0,
    }
    if reader.tokens:
        words.write_text("".join(f'"{_escaped(token)}"\n' for token in reader.tokens))
        options["dict"] = words
    # libFuzzer's own limits and handlers would end the run; ours count and go on.
    options |= {"timeout": 0, "rss_limit_mb": 0, "malloc_limit_mb": 0, "artifact_prefix": f"{folder}/"}
    options |= {f"handle_{signal}": 0 for signal in ("segv", "bus", "abrt", "ill", "fpe")}
    flags = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], consume, custom_mutator=mutate)
    _limit_memory()
    atheris.Fuzz()


def _run_hypothesis(registry: str, name: str, inputs: int, seed: int, folder: Path) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from benchmarks.fuzzing import strategies

    reader: FuzzedReader = importlib.import_module(registry).READERS[name]
    consume = consumer(reader, name, folder)
    _limit_memory()

    @seeded(seed)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.inputs(reader))
    def run(content: bytes) -> None:
        consume(content)

    run()


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MEMORY, most))


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main(sys.argv[1:])
