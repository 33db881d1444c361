"""Which stacks an environment has, what each is given, and in which order they are made. Pure but for reading the files.

``include/infra/<template>.yaml`` are templates of CloudFormation, ``include/infra/parameters/<environment>.yaml`` says which of them
an environment has in which region. A parameter has the value that stands there, or else that of the output of the same name
of another stack in its region, or else, for the deployment and its buckets, what the environment's file says, or else its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from emr_pipelines.documents import Part, read
from emr_pipelines.environments import Environment
from emr_pipelines.errors import ConfigurationError, suggestion

LARGEST = 51_200
"""Bytes of a template in a request (CloudFormation User Guide, "Understand CloudFormation quotas": template body size)."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_FROM = "from"

Key = tuple[str, str]
"""A stack by its region and its template."""


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short functions, of which nothing is needed here but that they can be read."""


def _function(loader: yaml.CSafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML knows no fourth kind
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@dataclass(frozen=True)
class Template:
    """A template, as far as stacks have to know it."""

    name: str
    body: str
    parameters: Mapping[str, bool]
    """Its parameters, and whether each has a default."""
    outputs: frozenset[str]


@dataclass(frozen=True)
class Stack:
    """A stack that an environment shall have."""

    name: str
    region: str
    deployment: str
    template: Template
    given: Mapping[str, str]
    """Values that stand in the parameters' file."""
    wanted: Mapping[str, Key]
    """Parameters that have the value of the output of the same name of another stack."""
    known: Mapping[str, str]
    """What the environment's file says, where nothing else does."""

    @property
    def key(self) -> Key:
        """Its region and template, by which others want its outputs."""
        return (self.region, self.template.name)

    def values(self, outputs: Mapping[Key, Mapping[str, str]]) -> dict[str, str]:
        """Return the values of its parameters, once the stacks before it have told their outputs; defaults are left out."""
        told = {name: outputs[key][name] for name, key in self.wanted.items() if name in outputs.get(key, {})}
        return {**self.known, **told, **self.given}


def read_template(path: Path) -> Template:
    """Read a template.

    :raises ConfigurationError: it is none, or too large for a request.
    """
    try:
        body = path.read_text(encoding="utf-8")
        content = yaml.load(body, _Loader)  # noqa: S506  # a safe loader, with functions that are kept as texts
        parameters = {name: "Default" in one for name, one in content.get("Parameters", {}).items()}
        template = Template(path.stem, body, parameters, frozenset(content.get("Outputs", {})))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"{path} is no template of CloudFormation: {error}") from None
    if len(body.encode()) > LARGEST:
        raise ConfigurationError(
            f"{path} has more than {LARGEST} bytes, and CloudFormation takes no more: split it in two"
        )
    return template


def read_templates(folder: Path) -> dict[str, Template]:
    """Read the templates of a folder, by name."""
    return {path.stem: read_template(path) for path in sorted(folder.glob("*.yaml"))}


def read_stacks(environment: Environment, folder: Path) -> list[Stack]:
    """Return the stacks of an environment in the order in which they are made.

    :param folder: ``include/infra``.
    :raises ConfigurationError: what is wrong, with file and line.
    """
    path = folder / "parameters" / f"{environment.name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise ConfigurationError(
            f"Nothing says which stacks environment {environment.name!r} has: write {path}; there are: {known}"
        )
    document = read(path)
    chosen = _chosen(document, folder)
    stacks = [_stack(document, environment, key, chosen) for key in chosen]
    return _ordered(path, {stack.key: stack for stack in stacks})


def _chosen(document: Part, folder: Path) -> dict[Key, Template]:
    """Return the stacks that a file names, each with its template."""
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    templates: dict[str, Template] = {}
    for region in document.settings:
        document.require(_REGION.fullmatch(region), (region,), f"{region!r} is no region: write such as us-east-1")
        for name in document.part(region).settings:
            document.require(
                name in files,
                (region, name),
                f"there is no template {name!r}{suggestion(name, files)}; there are: {', '.join(files)}",
            )
            templates.setdefault(name, read_template(files[name]))
            known = templates[name].parameters
            for parameter in document.part(region, name).settings:
                document.require(
                    parameter in known,
                    (region, name, parameter),
                    f"template {name!r} has no parameter {parameter!r}{suggestion(parameter, known)}; it has: {', '.join(known)}",
                )
    return {(region, name): templates[name] for region in document.settings for name in document.part(region).settings}


def _stack(document: Part, environment: Environment, key: Key, chosen: Mapping[Key, Template]) -> Stack:
    region, name = key
    template, part = chosen[key], document.part(*key)
    given: dict[str, str] = {}
    wanted: dict[str, Key] = {}
    for parameter, value in part.settings.items():
        if isinstance(value, dict):
            wanted[parameter] = _elsewhere(part, parameter, value, chosen)
        else:
            given[parameter] = _text(part, parameter, value)
    for parameter in template.parameters.keys() - part.settings.keys():
        sources = [one for one in chosen if one[0] == region and one != key and parameter in chosen[one].outputs]
        document.require(
            len(sources) < 2,  # noqa: PLR2004  # more than one
            key,
            f"{parameter} of {name!r} is an output of {' and '.join(source for _, source in sources)}: give it a value here",
        )
        if sources:
            wanted[parameter] = sources[0]
    buckets = environment.buckets_in(region)
    says = {
        "Deployment": environment.deployment,
        "DataBucket": buckets.data,
        "LogsBucket": buckets.logs,
        "ArtifactsBucket": buckets.artifacts,
    }
    known = {parameter: value for parameter, value in says.items() if parameter in template.parameters}
    for parameter, has_default in template.parameters.items():
        if not (has_default or parameter in {**known, **wanted, **given}):
            words = f"{name!r} needs a value for {parameter}: give it one here{_or_deploy(parameter, document)}"
            document.require(False, key, words)
    return Stack(
        name=f"emr-pipelines-{environment.deployment}-{name}",
        region=region,
        deployment=environment.deployment,
        template=template,
        given=given,
        wanted=wanted,
        known=known,
    )


def _or_deploy(parameter: str, document: Part) -> str:
    """Name the templates that would give a value to a parameter."""
    folder = Path(document.place().rpartition(":")[0]).parent.parent
    makers = [one.name for one in read_templates(folder).values() if parameter in one.outputs]
    return f", or have the stack {' or '.join(makers)} in its region" if makers else ""


def _elsewhere(part: Part, parameter: str, value: Mapping[str, Any], chosen: Mapping[Key, Template]) -> Key:
    """Return the stack of another region that a parameter asks for, as ``{from: us-west-2}``."""
    region = value.get(_FROM)
    makers = [key for key in chosen if key[0] == region and parameter in chosen[key].outputs]
    part.require(
        set(value) == {_FROM} and len(makers) == 1,
        (parameter,),
        f"{parameter} is a value, or {{from: <region>}} of a region in this file where one stack has that output",
    )
    return makers[0]


def _text(part: Part, parameter: str, value: Any) -> str:
    part.require(
        isinstance(value, str | int | list) and not isinstance(value, bool),
        (parameter,),
        f"{parameter} is neither a text, a number nor a list: put it in quotes",
    )
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _ordered(path: Path, stacks: Mapping[Key, Stack]) -> list[Stack]:
    """Put each stack behind those whose outputs it wants, and else as the file has them."""
    try:
        return [
            stacks[key]
            for key in TopologicalSorter({k: one.wanted.values() for k, one in stacks.items()}).static_order()
        ]
    except CycleError as error:
        circle = " -> ".join(name for _, name in error.args[1])
        raise ConfigurationError(
            f"{path}: each of these stacks wants an output of the next: {circle}; give one of them a value"
        ) from None
