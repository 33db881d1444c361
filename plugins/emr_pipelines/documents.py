"""YAML files that remember on which line each setting stands, so that every complaint can name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from emr_pipelines.errors import ConfigurationError, suggestion

__all__ = ["Document", "suggestion"]

_Model = TypeVar("_Model", bound=BaseModel)


class Document:
    """A YAML file that remembers on which line each of its settings stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[tuple[str | int, ...], int] = {}
        self._scalars = yaml.SafeLoader("")
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            self.content = self._value(node, ())
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise ConfigurationError(
                f"{path}{line}: not valid YAML: {getattr(error, 'problem', None) or error}"
            ) from None
        self.require(
            isinstance(self.content, dict), (), "an environment is a mapping of deployment, buckets and profiles"
        )

    def _value(self, node: yaml.Node | None, where: tuple[str | int, ...]) -> Any:
        if node is None:
            return None
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            mapping: dict[str, Any] = {}
            for name_node, value_node in node.value:
                name = str(name_node.value)
                line = name_node.start_mark.line + 1
                if name in mapping:
                    raise ConfigurationError(f"{self.path}:{line}: {name!r} stands here a second time")
                self._lines[(*where, name)] = line
                mapping[name] = self._value(value_node, (*where, name))
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*where, index)) for index, item in enumerate(node.value)]
        return self._scalars.construct_object(node)

    def require(self, holds: object, where: tuple[str | int, ...], message: str) -> None:
        """Raise ``ConfigurationError`` with file and line unless the condition holds."""
        if not holds:
            raise ConfigurationError(f"{self._place(where)}: {message}")

    def model(self, model: type[_Model], where: tuple[str | int, ...], settings: dict[str, Any]) -> _Model:
        """Build a typed model, turning pydantic's findings into sentences with file and line."""
        try:
            return model(**settings)
        except ValidationError as error:
            # A misspelt setting is both unknown and missing: the first names the line that a person wants to see.
            finding = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
            place = (*where, *_settings_in(finding, settings))
            name = ".".join(str(part) for part in place)
            message = f"{name}: {finding['msg']}"
            if finding["type"] == "extra_forbidden":
                message = f"{name}: there is no such setting{suggestion(str(place[-1]), _names_in(model, place[len(where) : -1]))}"
            raise ConfigurationError(f"{self._place(place)}: {message}") from None

    def _place(self, where: tuple[str | int, ...]) -> str:
        """Return ``file:line`` of a setting, or of the nearest one above it that stands in the file."""
        while where and where not in self._lines:
            where = where[:-1]
        return f"{self.path}:{self._lines.get(where, 1)}"


def _settings_in(finding: Any, settings: Any) -> list[str | int]:
    """Return the settings that a finding's place names, without what pydantic puts between: the form that they took."""
    place: list[str | int] = []
    for part in finding["loc"]:
        known = range(len(settings)) if isinstance(settings, list) else settings if isinstance(settings, dict) else ()
        if part in known:
            settings = settings[part]
            place.append(part)
    return [*place, finding["loc"][-1]] if finding["type"] == "missing" else place


def _names_in(annotation: Any, place: Sequence[str | int]) -> set[str]:
    """Return the settings that there may be at a place below what is annotated so."""
    models = list(_models_in(annotation))
    if not place:
        return {name for model in models for name in model.model_fields}
    part, *below = place
    if isinstance(part, int):
        return _names_in(annotation, below)
    fields = [model.model_fields[part] for model in models if part in model.model_fields]
    return {name for field in fields for name in _names_in(field.annotation, below)}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
