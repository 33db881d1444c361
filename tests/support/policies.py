"""What a role of ``include/infra/*-role*.yaml`` may do: its statements with the parameters put in, and whether they allow a request.

Conditions and wildcards are read as the IAM User Guide says ("IAM JSON policy elements: Condition operators", "Policy evaluation
logic"). moto's own evaluator takes an Allow whose condition does not hold for a Deny, so that no two statements may name one action.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.endpoint import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPLATES = tuple(ROOT / "include" / "infra" / f"{name}.yaml" for name in ("job-roles", "airflow-role", "deploy-role"))
"""The templates of roles; what is given out by one stands before what takes it."""
ACCOUNT = "123456789012"
_PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::NoValue": None}
_SHORT = {"Ref": "Ref", "Condition": "Condition"}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions: ``!Sub x`` is read as ``{"Fn::Sub": "x"}``."""


def _function(loader: yaml.SafeLoader, name: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    else:
        value = loader.construct_sequence(node, deep=True)
    return {_SHORT.get(name, f"Fn::{name}"): value}


_Loader.add_multi_constructor("!", _function)


@cache
def template(path: Path) -> dict[str, Any]:
    """Return a template of roles, with CloudFormation's functions in their long form."""
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a safe loader with more tags
    return loaded


class Rendered:
    """The templates of roles with values for their parameters, as ``make infra`` would deploy them: a stack's outputs go to the next."""

    def __init__(self, **parameters: str) -> None:
        assert set(parameters) <= {name for path in TEMPLATES for name in template(path)["Parameters"]}
        self.stacks: list[RenderedStack] = []
        told: dict[str, str] = {}
        for path in TEMPLATES:
            taken = {**told, **parameters}
            stack = RenderedStack(path, {name: taken[name] for name in template(path)["Parameters"] if name in taken})
            told |= stack.outputs()
            self.stacks.append(stack)

    @property
    def resources(self) -> set[str]:
        """Return the names of what is made."""
        return {name for stack in self.stacks for name in stack.resources}

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Return what a role may do."""
        return self._stack_of(role).statements(role)

    def trust(self, role: str) -> dict[str, Any]:
        """Return who may assume a role."""
        return self._stack_of(role).trust(role)

    def _stack_of(self, role: str) -> RenderedStack:
        return next(stack for stack in self.stacks if role in stack.resources)


class RenderedStack:
    """One template with values for its parameters."""

    def __init__(self, path: Path, given: Mapping[str, str]) -> None:
        declared = template(path)["Parameters"]
        needed = {name for name, one in declared.items() if "Default" not in one}
        assert needed - given.keys() == set(), f"{path.name} needs values"
        values = {name: given.get(name, one.get("Default")) for name, one in declared.items()}
        lists = {name for name, one in declared.items() if one["Type"] == "CommaDelimitedList"}
        self._values = {name: value.split(",") if name in lists else value for name, value in values.items()}
        self._template = template(path)
        self._conditions = self._template["Conditions"]
        self.resources = self._made("Resources")

    def _made(self, section: str) -> dict[str, Any]:
        return {name: one for name, one in self._template[section].items() if self._holds(one.get("Condition"))}

    def outputs(self) -> dict[str, str]:
        """Return what the stack gives out."""
        return {name: self.value(one["Value"]) for name, one in self._made("Outputs").items()}

    def role(self, name: str) -> str:
        """Return the name of the role that a resource of the template makes."""
        return str(self.value(self.resources[name]["Properties"]["RoleName"]))

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Return what a role may do: the statements of all policies of the template that it has."""
        own = self.resources[role]["Properties"].get("Policies", [])
        attached = [one["Properties"] for one in self.resources.values() if "PolicyDocument" in one["Properties"]]
        has = self.role(role)
        policies = own + [one for one in attached if has in self.value(one["Roles"])]
        return [statement for one in policies for statement in self.value(one["PolicyDocument"])["Statement"]]

    def trust(self, role: str) -> dict[str, Any]:
        """Return who may assume a role."""
        document = self.value(self.resources[role]["Properties"]["AssumeRolePolicyDocument"])
        return json.loads(document) if isinstance(document, str) else document

    def value(self, given: Any) -> Any:
        """Return a part of the template with its functions carried out."""
        if isinstance(given, list):
            return [value for one in given if (value := self.value(one)) is not None]
        if not isinstance(given, dict):
            return given
        function, words = next(iter(given.items()), ("", None))
        if function == "Ref" or function.startswith("Fn::"):
            return self._carried_out(function, words)
        return {name: value for name, one in given.items() if (value := self.value(one)) is not None}

    def _carried_out(self, function: str, words: Any) -> Any:
        match function, words:
            case "Ref", name:
                return self._named(name)
            case "Fn::GetAtt", path:
                return f"arn:aws:iam::{ACCOUNT}:role/{self._named(path.removesuffix('.Arn'))}"
            case "Fn::Sub", words:
                text, values = (words, {}) if isinstance(words, str) else words
                named = {name: self.value(one) for name, one in values.items()}
                return re.sub(r"\$\{([\w:]+)\}", lambda match: str(named.get(match[1]) or self._named(match[1])), text)
            case "Fn::If", [condition, yes, no]:
                return self.value(yes if self._holds(condition) else no)
            case "Fn::Join", [between, parts]:
                return between.join(self.value(parts))
            case "Fn::Split", [at, text]:
                return self.value(text).split(at)
        raise TypeError(f"{function} is no function that a template of roles uses")

    def _named(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in _PSEUDO:
            return _PSEUDO[name]
        made = self.resources[name]["Properties"]
        return self.value(made["RoleName" if "RoleName" in made else "InstanceProfileName"])

    def _holds(self, condition: Any) -> bool:
        match condition:
            case None:
                return True
            case str(name) | {"Condition": str(name)}:
                return self._holds(self._conditions[name])
            case {"Fn::Not": [one]}:
                return not self._holds(one)
            case {"Fn::And": parts}:
                return all(map(self._holds, parts))
            case {"Fn::Equals": [left, right]}:
                return bool(self.value(left) == self.value(right))
        raise TypeError(f"{condition} is no condition that a template of roles has")


@dataclass(frozen=True)
class Request:
    """What IAM decides about: an action on a resource, with what the condition keys say of it."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say it for people."""
        with_ = ", ".join(f"{name}={value}" for name, value in sorted(self.context.items()))
        return f"{self.action} on {self.resource}" + (f" with {with_}" if with_ else "")


def allows(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement that allows covers a request."""
    return (
        statement["Effect"] == "Allow"
        and any(_like(request.action.lower(), one.lower()) for one in as_list(statement["Action"]))
        and any(_like(request.resource, one) for one in as_list(statement["Resource"]))
        and all(
            _condition(operator, as_list(wanted), request.context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and anything else as the only one of its list."""
    return value if isinstance(value, list) else [value]


def actions_of(statements: list[dict[str, Any]]) -> Iterator[str]:
    """Tell the actions of statements."""
    for statement in statements:
        yield from as_list(statement["Action"])


def _condition(operator: str, wanted: list[str], has: str | None) -> bool:
    if operator.endswith("IfExists"):
        return has is None or _condition(operator.removesuffix("IfExists"), wanted, has)
    if has is None:
        return False
    match operator:
        case "StringEquals" | "ArnEquals":
            return has in wanted
        case "StringLike" | "ArnLike":
            return any(_like(has, one) for one in wanted)
    raise TypeError(f"{operator} is no operator that a template of roles uses")


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))
