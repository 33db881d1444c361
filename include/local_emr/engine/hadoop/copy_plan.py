"""What S3DistCp copies where: its options, and the files that it makes of which others. Pure.

Source: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/UsingEMR_s3distcp.html. How a file of a group is called and numbered, which
the page only shows by an example, follows what the tool of Amazon's first releases does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WITH_VALUE = frozenset(
    {
        "--src",
        "--dest",
        "--srcPattern",
        "--groupBy",
        "--targetSize",
        "--outputCodec",
        "--multipartUploadChunkSize",
        "--startingIndex",
        "--outputManifest",
        "--previousManifest",
        "--s3Endpoint",
        "--storageClass",
        "--srcPrefixesFile",
        "--tmpDir",
        "--filesPerMapper",
        "--encryptionKeyArn",
    }
)
FLAGS = frozenset(
    {
        "--help",
        "--appendToLastFile",
        "--s3ServerSideEncryption",
        "--deleteOnSuccess",
        "--disableMultipartUpload",
        "--numberFiles",
        "--copyFromManifest",
        "--requirePreviousManifest",
    }
)
_CODECS = {"gzip": ".gz", "gz": ".gz", "none": "", "keep": ""}
_NO_CODEC_HERE = frozenset({"lzo", "lzop", "snappy"})
_NUMBERS = ("--targetSize", "--multipartUploadChunkSize", "--startingIndex", "--filesPerMapper")
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Options:
    """The options that change what is copied; `target_size` is in bytes, `codec` is as it was written."""

    source: str
    destination: str
    source_pattern: re.Pattern[str] | None
    group_by: re.Pattern[str] | None
    target_size: int | None
    append: bool
    codec: str
    delete_on_success: bool
    number_files: bool
    starting_index: int
    output_manifest: str | None
    previous_manifest: str | None
    require_previous_manifest: bool
    copy_from_manifest: bool
    source_prefixes_file: str | None

    @property
    def suffix(self) -> str:
        """What names of compressed files end with."""
        return _CODECS[self.codec]


@dataclass(frozen=True)
class Source:
    """A file to copy: its address, its path below the source folder, its size in bytes."""

    address: str
    name: str
    size: int


@dataclass(frozen=True)
class Target:
    """A file to write below the destination, of one or more others."""

    name: str
    sources: tuple[Source, ...]


def parse(words: Sequence[str]) -> Options:
    """Read S3DistCp's words: `--name=value`, or `--name value`.

    Raises ValueError for what the tool does not know, and for what cannot be done on this machine.
    """
    values = _values(words)
    for name in ("--src", "--dest"):
        if not values.get(name):
            raise ValueError(f"Missing required option: {name}")
    for name in _NUMBERS:
        if not re.fullmatch(r"\d+", values.get(name, "0")):
            raise ValueError(f"{name} takes a number, and it is {values[name]!r}")
    codec = values.get("--outputCodec", "keep").lower()
    if codec in _NO_CODEC_HERE:
        raise ValueError(f"This machine has no codec {codec}: write gzip, none or keep, or run the copy on EMR")
    if codec not in _CODECS:
        raise ValueError(f"Unknown output codec {codec!r}: it is gzip, gz, lzo, lzop, snappy, none or keep")
    group_by = _pattern("--groupBy", values.get("--groupBy"))
    if group_by and not group_by.groups:
        raise ValueError("Group by pattern must contain at least one group.  Use () to enclose a group")
    size = values.get("--targetSize")
    return Options(
        source=values["--src"],
        destination=values["--dest"],
        source_pattern=_pattern("--srcPattern", values.get("--srcPattern")),
        group_by=group_by,
        target_size=int(size) * MEBIBYTE if size else None,
        append=_is_on(values, "--appendToLastFile"),
        codec=codec,
        delete_on_success=_is_on(values, "--deleteOnSuccess"),
        number_files=_is_on(values, "--numberFiles"),
        starting_index=int(values.get("--startingIndex", "0")),
        output_manifest=values.get("--outputManifest"),
        previous_manifest=values.get("--previousManifest"),
        require_previous_manifest=values.get("--requirePreviousManifest", "true") != "false",
        copy_from_manifest=_is_on(values, "--copyFromManifest"),
        source_prefixes_file=values.get("--srcPrefixesFile"),
    )


def _values(words: Sequence[str]) -> dict[str, str]:
    values = {}
    waiting = list(words)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if name in FLAGS:
            values[name] = value or "true"
        elif name not in WITH_VALUE:
            raise ValueError(f"Unrecognized option: {name}")
        elif equals:
            values[name] = value
        elif waiting:
            values[name] = waiting.pop(0)
        else:
            raise ValueError(f"Missing argument for option: {name}")
    return values


def _is_on(values: dict[str, str], name: str) -> bool:
    return values.get(name, "false") != "false"


def _pattern(name: str, text: str | None) -> re.Pattern[str] | None:
    """Compile a Java pattern; Python spells its named groups otherwise."""
    if text is None:
        return None
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", text))
    except re.error as error:
        raise ValueError(f"Invalid pattern of {name}: {text!r}: {error}") from None


def chosen(options: Options, sources: Iterable[Source]) -> list[Source]:
    """Return the files that both patterns match as a whole."""
    patterns = [pattern for pattern in (options.source_pattern, options.group_by) if pattern]
    return [one for one in sources if all(pattern.fullmatch(one.address) for pattern in patterns)]


def targets(options: Options, sources: Sequence[Source]) -> list[Target]:
    """Return the files to write for the files to copy, which are in the order in which they are concatenated."""
    groups: defaultdict[str, list[tuple[int, Source]]] = defaultdict(list)
    for number, source in enumerate(sources, options.starting_index):
        groups[_group(options, source)].append((number, source))
    return [target for group, members in groups.items() for target in _targets_of(options, group, members)]


def _group(options: Options, source: Source) -> str:
    match = options.group_by and options.group_by.fullmatch(source.address)
    return "".join(part or "" for part in match.groups()) if match else source.name


def _targets_of(options: Options, group: str, members: Sequence[tuple[int, Source]]) -> list[Target]:
    """Cut a group where it has reached the size; parts are numbered as soon as a group has more than one file."""
    parts: list[list[tuple[int, Source]]] = [[]]
    for member in members:
        parts[-1].append(member)
        if options.target_size and sum(source.size for _, source in parts[-1]) >= options.target_size:
            parts.append([])
    found = []
    for index, part in enumerate(part for part in parts if part):
        number, first = part[0]
        name = group.rpartition("/")[2]
        name = f"{number}{name}" if options.number_files else name
        folder = first.name.rpartition("/")[0]
        name = _called(options, name, str(index) if len(members) > 1 else "")
        found.append(Target(f"{folder}/{name}" if folder else name, tuple(source for _, source in part)))
    return found


def _called(options: Options, name: str, index: str) -> str:
    """Put the number before a name's suffix; a codec's suffix takes that one's place."""
    stem, dot, suffix = name.rpartition(".")
    stem = stem if dot else name
    if options.codec != "keep":
        return f"{stem}{index}{options.suffix}"
    return f"{stem}{index}{dot}{suffix}" if dot else f"{stem}{index}"
