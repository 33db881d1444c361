"""YAML files that remember where each setting stands, so that every complaint names its file and line.

A file, or a part of one, is laid over another: mappings are merged, everything else replaces what is beneath.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from emr_pipelines.errors import ConfigurationError, suggestion
from emr_pipelines.targets.aws_names import SETTINGS, plain

_Model = TypeVar("_Model", bound=BaseModel)

Where = tuple[str | int, ...]
"""Path of a setting, from the part that it is asked of: ``("core", "count")``."""

_SCALARS = yaml.SafeLoader("")
_FEW = 3
"""Places of a name that are told at most."""

_SECRET = re.compile(r"passw|pwd|passphrase|secret|token|credential|api.?key|access.?key", re.IGNORECASE)
_NAME = re.compile(r"[a-z_]+(?:\.[a-z_]+)*")
_QUOTED = re.compile(r"'([^']*)'")
_MERGE = "tag:yaml.org,2002:merge"
_MOST_PLACES = 100_000
"""Settings of a file at most: aliases of aliases could make more of a few lines than memory holds."""

_SENTENCES = {
    "missing": "this setting is missing: add it",
    "value_error": "{error}",
    "greater_than_equal": "{given} is too little: at least {ge} is needed",
    "less_than_equal": "{given} is too much: at most {le} is possible",
    "greater_than": "{given} is too little: more than {gt} is needed",
    "too_short": "{given} holds too few: at least {min_length} is needed",
    "too_long": "{given} holds too many: at most {max_length} are possible",
    "string_too_short": "{given} is too short: at least {min_length} characters are needed",
    "string_too_long": "{given} is too long: at most {max_length} characters are possible",
    "literal_error": "{given} is not possible{guess}: write {expected}",
    "int_type": "{given} is no whole number: write one",
    "int_parsing": "{given} is no whole number: write one",
    "int_from_float": "{given} is no whole number: write one",
    "float_type": "{given} is no number: write one",
    "float_parsing": "{given} is no number: write one",
    "bool_type": "{given} is neither true nor false: write one of them",
    "bool_parsing": "{given} is neither true nor false: write one of them",
    "string_type": "{given} is no text: put it in quotes",
    "text_of_several": "{given} stands where one text is needed: write it without brackets",
    "list_of_one": "{given} is no list: put it in brackets, as [one, another]",
    "nothing": "nothing stands there: write a value, or take the line out",
    "tuple_type": "{given} is no list: write it as [one, another]",
    "list_type": "{given} is no list: write it as [one, another]",
    "model_type": "{given} stands where settings are needed: write them as {{name: value}}",
    "dict_type": "{given} stands where settings are needed: write them as {{name: value}}",
}
"""What is there, and what to write instead, by pydantic's type of the finding, or by what ``_kind`` makes of it."""


@dataclass(frozen=True)
class Part:
    """Settings, and the ``file:line`` at which each of them was written."""

    settings: dict[str, Any]
    places: Mapping[Where, str]
    name: str = ""
    """What stands before a setting's name in a complaint, such as ``profiles.ec2``."""

    def part(self, *where: str | int) -> Part:
        """Return the mapping below a path, and an empty one where nothing is.

        :raises ConfigurationError: something else than a mapping stands there.
        """
        settings: Any = self.settings
        for step in where:
            settings = settings.get(step) if isinstance(settings, dict) else None
        settings = {} if settings is None else settings
        name = ".".join((*filter(None, [self.name]), *map(str, where)))
        self.require(isinstance(settings, dict), where, f"{name}: settings are needed here, as name: value")
        deep = len(where)
        below = {path[deep:]: place for path, place in self.places.items() if path[:deep] == where}
        return Part(settings, {(): self.place(where), **below}, name)

    def over(self, beneath: Part) -> Part:
        """Return these settings laid over others."""
        replaced = {where for where in self.places if not isinstance(_at(self.settings, where), dict)}
        kept = {
            where: place
            for where, place in beneath.places.items()
            if replaced.isdisjoint(where[:length] for length in range(1, len(where) + 1))
        }
        return Part(_merge(beneath.settings, self.settings), {**kept, **self.places}, self.name)

    def without(self, *names: str) -> Part:
        """Return these settings without some of the outermost."""
        return Part({name: value for name, value in self.settings.items() if name not in names}, self.places, self.name)

    def place(self, where: Where = ()) -> str:
        """Return ``file:line`` of a setting, or of the nearest one above it that was written."""
        while where and where not in self.places:
            where = where[:-1]
        return self.places[where]

    def require(self, holds: object, where: Where, message: str) -> None:
        """Raise ``ConfigurationError`` with file and line unless the condition holds."""
        if not holds:
            raise ConfigurationError(f"{self.place(where)}: {message}")

    def model(self, model: type[_Model], **more: Any) -> _Model:
        """Build a typed model, turning pydantic's findings into sentences with file and line.

        :raises ConfigurationError: the first mistake.
        """
        try:
            return model(**{**self.settings, **more})
        except ValidationError as error:
            # A misspelt setting is both unknown and missing: the first names the line that a person wants to see.
            finding = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
            where, said = _written(finding, self.settings), _said(finding, model)
            name = ".".join(filter(None, (self.name, *map(str, where))))
            raise ConfigurationError(f"{self.place(self._named_in(said, where))}: {name}: {said}") from None

    def _named_in(self, said: str, where: Where) -> Where:
        """Return the first setting below a path that a sentence names, as it was written there; without one, the path."""
        named = ((*where, *word.split(".")) for word in _NAME.findall(said))
        return next((one for one in named if one in self.places), where)


@dataclass
class _Reading:
    """One file on its way from YAML's nodes to settings with places."""

    path: Path
    places: dict[Where, str] = field(default_factory=dict)

    def value(self, node: yaml.Node, where: Where) -> Any:
        self.places.setdefault(where, self._place(node))
        if len(self.places) > _MOST_PLACES:
            self._refuse(node, f"it holds more than {_MOST_PLACES} settings: write fewer aliases")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*where, index)) for index, item in enumerate(node.value)]
        try:
            return _SCALARS.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, AttributeError):
            # PyYAML lets pass what Python says of a day that no month has, or of a number with too many digits.
            self._refuse(
                node, "this value has not the form of its type: put it in quotes, and take a tag such as !!int away"
            )

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._refuse(name_node, "a list or a mapping stands where a name is needed: write name: value")
            if name_node.tag == _MERGE:
                self._refuse(name_node, "<< is not read: write extends, or a preset, for what profiles share")
            name = str(name_node.value)
            if name in mapping:
                raise ConfigurationError(f"{self._place(name_node)}: {name!r} stands here a second time: remove one")
            self.places[*where, name] = self._place(name_node)
            mapping[name] = self.value(value_node, (*where, name))
        return mapping

    def _refuse(self, node: yaml.Node, why: str) -> NoReturn:
        raise ConfigurationError(f"{self._place(node)}: not valid YAML: {why}")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"


def read(path: Path) -> Part:
    """Read a YAML file whose outermost value is a mapping.

    :raises ConfigurationError: it cannot be read, is not YAML, or is no mapping.
    """
    reading = _Reading(path)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = {} if node is None else reading.value(node, ())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not valid YAML: an anchor holds itself, or values nest too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line, problem = _not_yaml(error, text)
        raise ConfigurationError(
            f"{path}{line}: not valid YAML: {problem}; look for a bracket, quote or blank"
        ) from None
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path}:1: a mapping is needed, such as profiles: {{...}}, and this is none")
    return Part(settings, {(): f"{path}:1", **reading.places})


def _not_yaml(error: yaml.YAMLError | UnicodeDecodeError, text: str) -> tuple[str, str]:
    """Say at which line a text is no YAML, and why; nothing of a line is repeated that may hold a secret."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f":{line}", "this is not written in UTF-8"
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f":{line}", f"here is a character that nobody sees, {error.character:#x}"
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None) or error)
    if mark is None:
        return "", problem
    # What begins with * may be a password that nobody put in quotes.
    if problem.startswith("found undefined alias") or _SECRET.search("".join(text.splitlines()[mark.line :][:1])):
        problem = problem.partition("'")[0].rstrip()
    return f":{mark.line + 1}", problem


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        beneath = merged.get(name)
        merged[name] = _merge(beneath, value) if isinstance(beneath, dict) and isinstance(value, dict) else value
    return merged


def _at(settings: Any, where: Where) -> Any:
    """Return what stands at a path, and an empty mapping where it was taken out."""
    for step in where:
        settings = settings[step] if not isinstance(settings, dict) else settings.get(step, {})
    return settings


def _written(finding: Mapping[str, Any], settings: Any) -> Where:
    """Return the path of a finding without what pydantic adds to it: tags of unions, which nobody wrote."""
    where: list[str | int] = []
    for step in finding["loc"]:
        known = range(len(settings)) if isinstance(settings, list) else settings if isinstance(settings, dict) else ()
        if step in known:
            settings = settings[step]
            where.append(step)
    return (*where, finding["loc"][-1]) if finding["type"] == "missing" else tuple(where)


def _said(finding: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Put a finding of pydantic into a sentence. A secret is not repeated."""
    loc, limits, kind = finding["loc"], finding.get("ctx", {}), finding["type"]
    if kind == "extra_forbidden":
        return f"there is no such setting{_instead(str(loc[-1]), _models_beside(loc, model))}"
    given = shown(finding["input"], *loc)
    guess = suggestion(str(finding["input"]), _QUOTED.findall(limits.get("expected", "")))
    sentence = _SENTENCES.get(_kind(finding), "{given} is not possible: {msg}")
    return sentence.format(given=given, guess=guess, msg=finding["msg"], **limits)


def _kind(finding: Mapping[str, Any]) -> str:
    """Return pydantic's type of a finding, or a closer one where what is there tells what was meant."""
    kind, value = str(finding["type"]), finding["input"]
    if value is None and kind.endswith("_type"):
        return "nothing"
    if kind == "string_type" and isinstance(value, list | dict):
        return "text_of_several"
    return "list_of_one" if kind in ("tuple_type", "list_type") and isinstance(value, str) else kind


def _instead(word: str, models: list[type[BaseModel]]) -> str:
    """Say what to write for a name that is no setting of these models: AWS's name for one, one of a section, or one like it."""
    names = list(dict.fromkeys(name for model in models for name in model.model_fields))
    if alike := [name for name in names if plain(name) == plain(word)]:
        return _meant(alike)
    if (settings := SETTINGS.get(plain(word))) is not None:
        return _meant([name for name in settings if _is_reached(models, name)])
    sections = [f"{name}.{word}" for name in names if _is_reached(models, f"{name}.{word}")]
    return _meant(sections[:_FEW]) if sections else suggestion(word, names) or _meant([])


def _meant(names: list[str]) -> str:
    if not names:
        return ": leave it out"
    *others, last = map(repr, names)
    return f" (did you mean {' or '.join([', '.join(others), last] if others else [last])}?)"


def _is_reached(models: list[type[BaseModel]], path: str) -> bool:
    """Whether a path leads from one of these models through sections to a setting."""
    name, _, rest = path.partition(".")
    return any(name in model.model_fields for model in models) and (not rest or _is_reached(_below(models, name), rest))


def _below(models: list[type[BaseModel]], name: str) -> list[type[BaseModel]]:
    fields = [model.model_fields[name] for model in models if name in model.model_fields]
    return [inner for field in fields for inner in _models_in(field.annotation)]


def shown(value: Any, *loc: str | int) -> str:
    """Return a value as a sentence repeats it, unless it, or where it stands, tells of a secret."""
    told = repr(value)
    return "what stands there" if _SECRET.search(".".join(map(str, (*loc, told)))) else told


def _models_beside(loc: tuple[str | int, ...], model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the models of which a setting at the end of a path could be."""
    models = [model]
    for step in loc[:-1]:
        models = _below(models, str(step)) or models
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
