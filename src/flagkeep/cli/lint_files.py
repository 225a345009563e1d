"""Environment files read for lint: everything that is wrong, each with its file and line."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from flagkeep.cli.locate import Locator
from flagkeep.errors import InvalidFile, InvalidItem
from flagkeep.evaluation.lint import Finding, Severity, lint_environment
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.flag import Flag
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.segment import Segment
from flagkeep.protocol.document import SECTIONS, Document, Section
from flagkeep.protocol.files import KIND_OF, make_item, make_value_flag, read_file


class FileFinding(msgspec.Struct, frozen=True):
    """Something that is wrong, and where.

    Attributes:
        line: None if it has none, or cannot be told.
        kind: None for the file as a whole.
        path: within the item; within the file if there is no kind.
    """

    file: str
    line: int | None
    kind: Kind | None
    key: str
    path: str
    severity: Severity
    message: str


class Linted(NamedTuple):
    """What came out.

    Attributes:
        is_whole: whether every file could be read; if not, references were not looked at.
    """

    findings: list[FileFinding]
    flags: int
    segments: int
    is_whole: bool


class Source(NamedTuple):
    """Where an item was found."""

    locator: Locator
    section: Section


def lint_files(names: Sequence[str]) -> Linted:
    """Return what is wrong with files that together are one environment.

    Raises:
        OSError: one is not there, or cannot be opened.
        MissingExtra: one is YAML and PyYAML is not installed.
    """
    return lint_read([(name, Path(name).read_bytes()) for name in names])


def lint_read(files: Sequence[tuple[str, bytes]]) -> Linted:
    """Return the same for files that are read already: names and contents."""
    reading = _Reading()
    for name, data in files:
        reading.take(name, data)
    if reading.is_whole:
        reading.look_at_items()
    names = [name for name, _ in files]
    findings = sorted(reading.findings, key=lambda one: (names.index(one.file), one.line or 0))
    return Linted(findings, len(reading.flags), len(reading.segments), reading.is_whole)


class _Reading:
    """What was found so far."""

    def __init__(self) -> None:
        self.findings: list[FileFinding] = []
        self.flags: dict[str, Flag] = {}
        self.segments: dict[str, Segment] = {}
        self.is_whole = True
        self._sources: dict[ItemRef, Source] = {}
        self._unusable: set[ItemRef] = set()

    def take(self, name: str, data: bytes) -> None:
        """Read one file."""
        try:
            document = read_file(name, data)
        except InvalidFile as exc:
            self.is_whole = False
            problem = exc.problem
            found = FileFinding(name, exc.line, None, "", exc.path, Severity.ERROR, problem)
            self.findings.append(found)
            return
        locator = Locator(document, data)
        for path, first, second in locator.duplicates():
            message = f"it is there twice, first in line {first.line}: only the last one counts"
            found = FileFinding(name, second.line, None, "", path, Severity.ERROR, message)
            self.findings.append(found)
        for one in document.problems:
            ref = ItemRef(KIND_OF[one.section], one.key)
            self._sources[ref] = Source(locator, one.section)
            self._refuse(ref, InvalidItem(ref.kind, ref.key, one.path, one.problem))
        for section in SECTIONS:
            self._take_section(document, section, locator)

    def _take_section(self, document: Document, section: Section, locator: Locator) -> None:
        kind = KIND_OF[section]
        for key, text in document.items[section].items():
            ref, source = ItemRef(kind, key), Source(locator, section)
            if ref in self._sources:
                first = self._sources[ref]
                place = f"{first.locator.name}:{first.locator.line(first.section, key, '$')}"
                message = f"{kind} {key!r} is already defined in {place}"
                self._add(source, Finding(kind, key, "$", Severity.ERROR, message))
                continue
            self._sources[ref] = source
            try:
                if section == "flagValues":
                    self.flags[key] = decode_flag(make_value_flag(key, text).data, key)
                else:
                    self._take_item(ref, text)
            except InvalidItem as exc:
                self._refuse(ref, exc)

    def _take_item(self, ref: ItemRef, text: bytes) -> None:
        item = make_item(ref.kind, ref.key, text)
        if item.deleted:
            if ref.kind is Kind.FLAG:
                self.flags[ref.key] = Flag(key=ref.key, version=item.version, deleted=True)
            else:
                self.segments[ref.key] = Segment(key=ref.key, version=item.version, deleted=True)
        elif ref.kind is Kind.FLAG:
            self.flags[ref.key] = decode_flag(item.data, ref.key)
        else:
            self.segments[ref.key] = decode_segment(item.data, ref.key)

    def look_at_items(self) -> None:
        """Find what is wrong with items that could be read."""
        self._add_all(lint_environment(self.flags, self.segments, unusable=self._unusable))

    def _refuse(self, ref: ItemRef, problem: InvalidItem) -> None:
        self._unusable.add(ref)
        finding = Finding(ref.kind, ref.key, problem.path, Severity.ERROR, problem.problem)
        self._add_all([finding])

    def _add_all(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._add(self._sources[ItemRef(finding.kind, finding.key)], finding)

    def _add(self, source: Source, one: Finding) -> None:
        line = source.locator.line(source.section, one.key, one.path)
        name = source.locator.name
        self.findings.append(
            FileFinding(name, line, one.kind, one.key, one.path, one.severity, one.message)
        )
