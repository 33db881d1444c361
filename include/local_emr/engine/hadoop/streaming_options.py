"""The words of Hadoop Streaming, and what of them can be done without Hadoop's Java classes. Pure.

Source: https://hadoop.apache.org/docs/stable/hadoop-streaming/HadoopStreaming.html, "Streaming Command Options" and
"Generic Command Options". Generic options come before the others, as Hadoop asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_GENERIC = frozenset({"-D", "-conf", "-fs", "-jt", "-files", "-libjars", "-archives"})
_WITH_VALUE = frozenset(
    {
        "-input",
        "-output",
        "-mapper",
        "-combiner",
        "-reducer",
        "-file",
        "-dfs",
        "-inputformat",
        "-outputformat",
        "-partitioner",
        "-numReduceTasks",
        "-mapdebug",
        "-reducedebug",
        "-inputreader",
        "-jobconf",
        "-cmdenv",
        "-cacheFile",
        "-cacheArchive",
        "-io",
    }
)
_FLAGS = frozenset({"-lazyOutput", "-background", "-verbose", "-debug", "-info"})
_NEEDS_JAVA = ("-conf", "-libjars", "-inputreader", "-io")
INPUT_FORMATS = ("TextInputFormat", "KeyValueTextInputFormat", "NLineInputFormat")
OUTPUT_FORMATS = ("TextOutputFormat", "NullOutputFormat")
PARTITIONERS = ("HashPartitioner", "KeyFieldBasedPartitioner")
COMPARATOR = "KeyFieldBasedComparator"
_PACKAGES = r"org\.apache\.hadoop\.(mapred|mapreduce)\.(lib\.)?(\w+\.)*"
_JAVA_CLASS = re.compile(r"([a-z]\w*\.)+[A-Z]\w*")
_NEWER_NAMES = {
    "mapred.reduce.tasks": "mapreduce.job.reduces",
    "mapred.map.tasks": "mapreduce.job.maps",
    "mapred.job.name": "mapreduce.job.name",
    "mapred.output.compress": "mapreduce.output.fileoutputformat.compress",
    "mapred.output.compression.codec": "mapreduce.output.fileoutputformat.compress.codec",
    "mapred.textoutputformat.separator": "mapreduce.output.textoutputformat.separator",
    "mapred.output.key.comparator.class": "mapreduce.job.output.key.comparator.class",
    "mapred.text.key.comparator.options": "mapreduce.partition.keycomparator.options",
    "mapred.text.key.partitioner.options": "mapreduce.partition.keypartitioner.options",
    "map.output.key.field.separator": "mapreduce.map.output.key.field.separator",
    "mapred.input.dir.recursive": "mapreduce.input.fileinputformat.input.dir.recursive",
    "mapred.line.input.format.linespermap": "mapreduce.input.lineinputformat.linespermap",
    "mapred.max.split.size": "mapreduce.input.fileinputformat.split.maxsize",
}
"""Hadoop's "Deprecated Properties", as far as this machine reads them."""


@dataclass(frozen=True)
class StreamingJob:
    """What to run. Commands are command lines; `reducer` is None for the identity, `files` are addresses with `#name` or without."""

    inputs: tuple[str, ...]
    output: str
    mapper: str
    reducer: str | None = None
    combiner: str | None = None
    files: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    reducers: int = 1
    input_format: str = "TextInputFormat"
    output_format: str = "TextOutputFormat"
    partitioner: str = "HashPartitioner"
    lazy: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    def is_on(self, name: str, *, otherwise: bool = False) -> bool:
        """Read a property that is true or false."""
        return self.properties.get(name, str(otherwise)).lower() == "true"

    def number(self, name: str, otherwise: int) -> int:
        """Read a property that is a whole number. Raises ValueError for anything else."""
        text = self.properties.get(name, str(otherwise))
        if not re.fullmatch(r"-?\d+", text):
            raise ValueError(f"{name} is a number, and it is {text!r}")
        return int(text)


def parse(words: Sequence[str]) -> StreamingJob:
    """Read the words after `hadoop-streaming`.

    Raises ValueError for what Hadoop Streaming does not know, and for what needs Java classes that this machine lacks.
    """
    given, flags = _split(words)
    for name in _NEEDS_JAVA:
        if given.get(name, ["text"]) != ["text"]:
            raise ValueError(
                f"{name} {given[name][0]} cannot be done on this machine, which has no jar of Hadoop Streaming: run it on EMR"
            )
    for name in ("-input", "-output"):
        if name not in given:
            raise ValueError(f"Required argument: {name} <path>")
    pairs = dict(_pair(word) for word in (*given.get("-D", []), *given.get("-jobconf", [])))
    properties = {_NEWER_NAMES.get(name, name): value for name, value in pairs.items()}
    reducer, reducers = _reducing(given, properties)
    files = _commas(given.get("-files", [])) + given.get("-file", []) + given.get("-cacheFile", [])
    return StreamingJob(
        inputs=tuple(_commas(given["-input"])),
        output=given["-output"][-1],
        mapper=_command("-mapper", given) or "cat",
        reducer=reducer,
        combiner=_command("-combiner", given),
        files=tuple(files),
        archives=tuple(_commas(given.get("-archives", [])) + given.get("-cacheArchive", [])),
        reducers=reducers,
        input_format=_class("-inputformat", given, INPUT_FORMATS),
        output_format=_class("-outputformat", given, OUTPUT_FORMATS),
        partitioner=_class("-partitioner", given, PARTITIONERS),
        lazy="-lazyOutput" in flags,
        environment=dict(_pair(word) for word in given.get("-cmdenv", [])),
        properties=properties,
    )


def _split(words: Sequence[str]) -> tuple[dict[str, list[str]], set[str]]:
    """Return each option's values, and the flags; a generic option after another one is unknown to Hadoop Streaming."""
    given: dict[str, list[str]] = {}
    flags: set[str] = set()
    waiting = list(words)
    known = _GENERIC
    while waiting:
        word = waiting.pop(0)
        name = f"-{word.lstrip('-')}" if word.startswith("-") else word
        if known is _GENERIC and name.startswith("-D") and name not in _FLAGS and len(name) > len("-D"):
            given.setdefault("-D", []).append(name.removeprefix("-D"))
            continue
        if name not in known:
            known = _WITH_VALUE
        if name in _FLAGS:
            flags.add(name)
        elif name not in known:
            place = ": generic options come first" if name in _GENERIC or name.startswith("-D") else ""
            raise ValueError(f"Unrecognized option: {word}{place}")
        elif not waiting:
            raise ValueError(f"Missing argument for option: {word}")
        else:
            given.setdefault(name, []).append(waiting.pop(0))
    return given, flags


def _reducing(given: Mapping[str, list[str]], properties: dict[str, str]) -> tuple[str | None, int]:
    """Return the reducer's command and how many there are."""
    asked = given.get("-numReduceTasks", [properties.get("mapreduce.job.reduces", "1")])[-1]
    if not asked.isdecimal():
        raise ValueError(f"The number of reducers is {asked!r}: write 0 or more")
    reducer = _command("-reducer", given)
    number = 0 if reducer == "NONE" else int(asked)
    properties["mapreduce.job.reduces"] = str(number)
    return (None if reducer == "NONE" else reducer), number


def _command(option: str, given: Mapping[str, list[str]]) -> str | None:
    """Return the command of an option; Hadoop's identity is no command, and no other Java class can be run."""
    command = given.get(option, [None])[-1]
    if command is None or re.fullmatch(_PACKAGES + r"Identity(Mapper|Reducer)", command):
        return None
    if _JAVA_CLASS.fullmatch(command):
        raise ValueError(
            f"{option} {command} is a Java class, and this machine has no jar of Hadoop Streaming: run it on EMR, or name a program"
        )
    return command


def _class(option: str, given: Mapping[str, list[str]], known: Sequence[str]) -> str:
    name = re.sub(_PACKAGES, "", given.get(option, [known[0]])[-1])
    if name not in known:
        raise ValueError(f"{option} {name} cannot be done on this machine, which has {', '.join(known)}: run it on EMR")
    return name


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r} has no value: write name=value")
    return name, value


def _commas(words: Sequence[str]) -> list[str]:
    """Split at commas that stand in no braces, as FileInputFormat does."""
    return [part for word in words for part in re.split(r",(?![^{]*\})", word) if part]
