"""A release whose files are found by patterns: anybody's folders without a script of their own."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.raw.release.cases import CaseFault, ConvertedCase, FoundCases, ReleaseCase
from spd_bench.raw.release.labelled_volumes import read_labelled_volumes
from spd_bench.raw.release.pattern_settings import LABEL, SLICES, TEXT, PatternSettings

# What macOS adds to archives: copies of every name that hold no data.
_MAC_FOLDER = "__MACOSX"

_Files = dict[str, dict[str, list[Path]]]


class FileMatches:
    """The files below a folder that patterns match; each pattern is searched for once, so files are as then.

    Args:
        source: the folder.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._found: dict[str, tuple[Path, ...]] = {}

    def matching(self, pattern: str) -> tuple[Path, ...]:
        """The files, sorted, that a glob matches at any depth; hidden ones are passed over."""
        if pattern not in self._found:
            self._found[pattern] = tuple(file for file in sorted(self.source.rglob(pattern)) if self._is_data(file))
        return self._found[pattern]

    def _is_data(self, file: Path) -> bool:
        parts = file.relative_to(self.source).parts
        return not (parts[-1].startswith(".") or _MAC_FOLDER in parts or file.is_dir())


@dataclass(frozen=True, kw_only=True)
class PatternRelease:
    """A release as its settings describe it.

    Attributes:
        pattern: the settings.
        matches: what was found below the release's folder already; None: :meth:`find` searches.
    """

    pattern: PatternSettings
    matches: FileMatches | None = field(default=None, repr=False, compare=False)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels that are taken."""
        return self.pattern.channel_names

    @property
    def target_name(self) -> str:
        """The name of label 1."""
        return self.pattern.target_name

    @property
    def description(self) -> str:
        """Source and licence."""
        return self.pattern.description or self.pattern.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting: each of them decides on what is written."""
        return {"release": self.pattern.name, **self.pattern.as_json()}

    def find(self, source: Path) -> FoundCases:
        """Match the patterns below ``source`` and bring files of one case id together."""
        files, faults = self._files(source)
        cases = []
        for case, roles in sorted(files.items()):
            try:
                if self._has_label_or_should(case, roles):
                    cases.append(self._release_case(case, roles, source))
            except InputError as error:
                faults.append(CaseFault(case=case, reason=str(error)))
        return FoundCases(cases=tuple(cases), faults=tuple(faults))

    def read(self, case: ReleaseCase) -> ConvertedCase:
        """The chosen channels and the target, slices first."""
        return read_labelled_volumes(
            images=[case.files[channel][0] for channel in self.channel_names],
            label=case.files[LABEL][0],
            values=self.pattern.values,
            arrange=SLICES[self.pattern.slices],
        )

    def test_cases(self, source: Path) -> list[str]:
        """Ids of the cases that have no label on purpose."""
        files, _ = self._files(source)
        return sorted(case for case, roles in files.items() if not self._has_label_or_should(case, roles))

    def _files(self, source: Path) -> tuple[_Files, list[CaseFault]]:
        """Case id -> role -> files, and a fault for every file without a case id in its path."""
        found: _Files = {}
        faults = []
        for role, file in self._matches(source):
            name = file.relative_to(source).as_posix()
            case = _last_match(self.pattern.case, name, "case")
            if case is None:
                reason = InputError(
                    f"no case id {self.pattern.case!r} in its path",
                    file=file,
                    remedy="correct the patterns or the name",
                )
                faults.append(CaseFault(case=name, reason=str(reason)))
            else:
                found.setdefault(re.sub(r"\s+", "_", case), {}).setdefault(role, []).append(file)
        return found, faults

    def _matches(self, source: Path) -> Iterator[tuple[str, Path]]:
        matches = self.matches
        if matches is None or matches.source != source:
            matches = FileMatches(source)
        wanted = [(name, self.pattern.images[name]) for name in self.channel_names]
        wanted.append((LABEL, self.pattern.label))
        if self.pattern.text is not None:
            wanted.append((TEXT, self.pattern.text))
        for role, pattern in wanted:
            yield from ((role, file) for file in matches.matching(pattern))

    def _has_label_or_should(self, case: str, roles: Mapping[str, Sequence[Path]]) -> bool:
        test_case = self.pattern.test_case
        return LABEL in roles or test_case is None or re.fullmatch(test_case, case) is None

    def _release_case(self, case: str, roles: Mapping[str, list[Path]], source: Path) -> ReleaseCase:
        for role in (*self.channel_names, LABEL):
            files = roles.get(role, [])
            if not files:
                pattern = self.pattern.label if role == LABEL else self.pattern.images[role]
                name = "label" if role == LABEL else f"image of channel {role}"
                there = ", ".join(file.name for found in roles.values() for file in found)
                raise InputError(
                    f"no {name} ({pattern}; there: {there})", file=source, remedy="add the file or correct its name"
                )
            if len(files) > 1:
                names = ", ".join(file.relative_to(source).as_posix() for file in files)
                raise InputError(
                    f"{len(files)} files for one {role}: {names}", file=source, remedy="keep the right one"
                )
        patient = _last_match(self.pattern.patient, case, "patient")
        if patient is None:
            raise InputError(
                f"no patient {self.pattern.patient!r} in case id {case!r}", file=source, remedy="correct the expression"
            )
        return ReleaseCase(case=case, patient=patient, files={role: tuple(files) for role, files in roles.items()})


def _last_match(expression: str, text: str, group: str) -> str | None:
    """The last match in a text, or what its named group holds."""
    match = next(iter(deque(re.finditer(expression, text), maxlen=1)), None)
    if match is None:
        return None
    return (match[group] if group in match.re.groupindex else match[0]) or None
