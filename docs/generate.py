"""Writes the parts of these pages that come from the code: ``PYTHONPATH=plugins:include python -m docs.generate``.

A page marks such a part with ``<!-- generated: NAME -->`` before it and ``<!-- end: NAME -->`` after it. A test fails when a
committed page differs from what the code says now.
"""

# ruff: noqa: INP001  # the pages' own script, no package
from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from docs.samples import JOBS, SAMPLES, SITUATIONS, STATES, Sample
from emr_pipelines import (
    ApproveOperator,
    Dataset,
    EmrJobOperator,
    EmrPipeline,
    EmrReaperOperator,
    PartitionsCheckOperator,
    PublishOperator,
    QualityCheckOperator,
    errors,
    operators,
)
from emr_pipelines.cluster_jobs import CommandJob, FlinkJob, MapReduceJob
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.job_metrics import METRICS, PREFIX
from emr_pipelines.jobs import HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Standing, decide
from emr_pipelines.policy import Policy
from emr_pipelines.quality.rule_types import NOT_RUN, RULE_TYPES, usage
from emr_pipelines.quality.ruleset import Kind
from emr_pipelines.targets import base, capabilities_of, target_names

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table, without the columns in which nothing stands."""
    rows = list(rows)
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line[column].replace("|", "\\|") for column in kept) + " |" for line in lines)


def code(text: object) -> str:
    """Write a word as code; nothing when there is none."""
    return f"`{text}`" if str(text) else ""


def prose(text: str | None) -> str:
    """Write a docstring as one paragraph of Markdown."""
    words = " ".join(inspect.cleandoc(text or "").split())
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", words.replace("``", "`"))


def decisions() -> str:
    """Ask ``decide`` for every situation and standing."""
    heads = ["what this execution finds", *(f"job run {standing}" for standing in Standing)]
    found = {(name, one): decide(*SITUATIONS[name], one) for name, one in product(SITUATIONS, Standing)}
    rows = [[name, *(f"**{found[name, one].action}**" for one in Standing)] for name in SITUATIONS]
    reasons = sorted({(one.action, one.reason) for one in found.values()})
    says = "\n".join(f"- {operators._SAID[action]}: {reason}" for action, reason in reasons)  # noqa: SLF001  # the words
    return f"{table(heads, rows)}\n\nThe reasons, as the task's log gives them:\n\n{says}"


def targets() -> str:
    """Say what each target can run, whose its compute is, and how it is paid."""
    names = target_names()
    jobs_there_are = {
        "`SparkJob`, `QualityCheckOperator`": SparkJob(script="s"),
        "`SparkSqlJob`": SparkSqlJob(script="s"),
        "`HiveJob`": HiveJob(script="s"),
        "`HiveJob(spark_sql=True)`": HiveJob(script="s", spark_sql=True),
        "`MapReduceJob`, `StreamingJob`, `S3DistCpJob`": MapReduceJob(jar="j"),
        "`FlinkJob`, `TrinoJob`, `HBaseJob`": FlinkJob(jar="j"),
        "`CommandJob`": CommandJob(command=("c",)),
    }
    can = {name: capabilities_of(name) for name in names}
    rows = [["AWS's name", *(can[name].title for name in names)]]
    rows += [[told, *(_runs(job, can[name].engines) for name in names)] for told, job in jobs_there_are.items()]
    rows += [
        ["whose compute is", *(", ".join(code(owner) for owner in sorted(can[name].owners)) for name in names)],
        ["bills while idle", *(_yes(can[name].bills_while_idle) for name in names)],
        ["reports what it bills", *(_yes(can[name].reports_its_bill) for name in names)],
        ["oldest release", *(code(can[name].oldest_release) for name in names)],
    ]
    return table(["", *(code(name) for name in names)], rows)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _runs(job: Job, engines: frozenset[Any]) -> str:
    try:
        engine = job.engine_on(engines)
    except ConfigurationError:
        return "no"
    return "yes" if engine == job.engine else f"as {engine.capitalize()} SQL"


def contract() -> str:
    """List what a target does."""
    methods = [(name, one) for name, one in vars(base.Target).items() if inspect.isfunction(one) and name[0] != "_"]
    return table(
        ["method", ""],
        (
            (code(f"{name}({', '.join(list(inspect.signature(one).parameters)[1:])})"), prose(one.__doc__))
            for name, one in methods
        ),
    )


def states() -> str:
    """Say how each service's words are translated, and whose fault an end without success is."""
    parts = []
    for target, seen in STATES.items():
        rows = [(one.thing, code(one.state), code(one.detail), code(one.here), one.fault) for one in seen()]
        parts += [
            f"### States of {code(target)}",
            table(["of a", "AWS says", "with", "here it is", "fault of the"], rows),
        ]
    return "\n\n".join(parts)


def jobs() -> str:
    """Describe each job, and the request that an example becomes on each target."""
    parts = []
    for model in dict.fromkeys(type(job) for job in JOBS):
        examples = [_example(job) for job in JOBS if type(job) is model]
        parts += [f"## {model.__name__}", prose(model.__doc__), fields(model, skip={"kind"}), *examples]
    return "\n\n".join(parts)


def _example(job: Job) -> str:
    settings = job.model_dump(exclude_defaults=True, exclude={"kind"})
    given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    parts = [f"{type(job).__name__}({given})"]
    for target, sample in SAMPLES.items():
        if _runs(job, capabilities_of(target).engines) != "no":
            request = sample.runs(job)
            driver = request["HadoopJarStep"] if target == "ec2" else request["jobDriver"]
            words = [f"  {member}: {_words(value)}" for member, value in _members_of(driver)]
            parts.append("\n".join([f"{target}:", *words]))
    return "```text\n" + "\n\n".join(parts) + "\n```"


def _members_of(driver: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in driver.items():
        if isinstance(value, dict):
            yield from _members_of(value, f"{path}{name}.")
        elif value:
            yield f"{path}{name}", value


def _words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else shlex.join(value)


def fields(model: type[BaseModel], skip: Iterable[str] = (), target: str = "", **more: Callable[[str], str]) -> str:
    """List a model's settings; ``more`` are further columns by their heads, ``target`` is whose parts are linked to."""
    schema = model.model_json_schema()
    schema = schema if "properties" in schema else schema["$defs"][model.__name__]
    notes = {name: note for base_class in reversed(_own(model)) for name, note in _notes(base_class).items()}
    rows = []
    for name, setting in schema["properties"].items():
        if name not in skip:
            default = "required" if name in schema.get("required", []) else _default(model.model_fields[name].default)
            extra = [cell(name) for cell in more.values()]
            rows.append([code(name), _type(setting, target), default, *extra, prose(notes.get(name))])
    return table(["setting", "type", "default", *more, ""], rows)


def _own(model: type[BaseModel]) -> list[type[BaseModel]]:
    """List a model and what of this package it derives from."""
    return [one for one in model.__mro__ if issubclass(one, BaseModel) and one.__module__.startswith("emr_pipelines.")]


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """Read the string below each field, where there is one."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body  # type: ignore[attr-defined]  # it is a class
    return {
        ast.unparse(field.target): str(note.value.value)
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)
    }


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_unset=True)
        return code("{" + ", ".join(f"{name}: {inner}" for name, inner in given.items()) + "}") if given else ""
    if value in (None, "", (), {}):
        return ""
    return code(
        ", ".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value
    )


def _type(schema: Mapping[str, Any], target: str = "") -> str:  # noqa: PLR0911  # a line for each kind of schema
    """Say a JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()}-of-{target})" if target else name
    if forms := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(_type(one, target) for one in forms if one != {"type": "null"})
    if "const" in schema or "enum" in schema:
        return ", ".join(code(one) for one in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        return f"list of {_type(schema['items'], target)}"
    if schema["type"] == "object":
        return f"mapping to {_type(schema['additionalProperties'], target)}"
    if "pattern" in schema or "examples" in schema:
        return f"text like {code(schema.get('examples', [schema.get('pattern')])[0])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" from {low}" if low is not None else ""
    return (
        {"string": "text", "integer": "number", "number": "number", "boolean": "`true` or `false`"}[schema["type"]]
        + bounds
        + (f" to {high}" if high is not None else "")
    )


def settings_of(target: str) -> str:
    """List the settings of a target's profiles and of their parts, with the members of the requests that each becomes."""
    sample = SAMPLES[target]
    skip = {"name", "overrides", *(() if "max_concurrent" in sample.other else ("max_concurrent",))}
    columns = {operation: _member_of(sample, operation) for operation in sample.requests}
    parts = [prose(sample.model.__doc__), fields(sample.model, skip=skip, target=target, **columns)]
    for model in _parts_of(sample.model):
        parts += [f"### {model.__name__} of {code(target)}", prose(model.__doc__), fields(model, target=target)]
    return "\n\n".join(parts)


def _parts_of(model: type[BaseModel]) -> list[type[BaseModel]]:
    """List the models that a model's settings are made of, in the order of the settings."""
    found: dict[type[BaseModel], None] = {}
    for field in model.model_fields.values():
        for part in _models_in(field.annotation):
            if part is not model:
                found |= {part: None, **dict.fromkeys(_parts_of(part))}
    return list(found)


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _member_of(sample: Sample, operation: str) -> Callable[[str], str]:
    """Return what finds the members of a request that change with a setting."""

    def members(setting: str) -> str:
        if setting not in sample.other:
            return ""
        plain, other = (
            [dict(_leaves(request)) for request in sample.requests[operation](sample.profile(**changed))]
            for changed in ({}, {setting: sample.other[setting]})
        )
        paths = {
            path
            for before, after in zip(plain, other, strict=True)
            for path, value in after.items()
            if before.get(path) != value
        }
        named = {".".join(re.sub(r"\.\d+\b.*", "", path).split(".")[:2]) for path in paths}
        return ", ".join(code(member) for member in sorted({re.sub(r"^tags\..*", "tags", name) for name in named}))

    return members


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not pairs:
        yield path, value
        return
    for name, inner in pairs:
        yield from _leaves(inner, f"{path}.{name}".lstrip("."))


_CALLED = (
    EmrPipeline,
    EmrJobOperator,
    QualityCheckOperator,
    Dataset,
    ApproveOperator,
    PublishOperator,
    PartitionsCheckOperator,
    EmrReaperOperator,
)


def task_group_and_operators() -> str:
    """Describe what a DAG file calls."""
    return "\n\n".join(_callable(one) for one in _CALLED)


def _callable(one: type) -> str:
    """Write a class's docstring and its own parameters, whose meaning the docstring gives as ``:param name:``."""
    text, *named = re.split(r"^\s*:(?=param|raises)", inspect.getdoc(one) or "", flags=re.MULTILINE)
    said = {head.split()[-1]: prose(words) for head, _, words in (entry.partition(":") for entry in named)}
    rows = []
    own = vars(one).get("__init__", object.__init__)
    for name, parameter in inspect.signature(own).parameters.items():
        if name not in ("self", "args", "kwargs"):
            default = "required" if parameter.default is parameter.empty else code(repr(parameter.default))
            rows.append([code(name), default, said[name]])
    paragraphs = [
        part if part.startswith("    ") else prose(part).replace("::", ":") for part in text.strip().split("\n\n")
    ]
    body = "\n\n".join(
        f"```text\n{textwrap.dedent(part)}\n```" if part.startswith("    ") else part
        for part in paragraphs
        if part != ":"
    )
    raised = "".join(f"\n\nRaises `{name}`: {words}" for name, words in said.items() if name.endswith("Error"))
    parameters = f"\n\n{table(['parameter', 'default', ''], rows)}" if rows else ""
    return f"## {one.__name__}\n\n{body}{parameters}{raised}"


def rule_types() -> str:
    """Say what each rule type takes."""
    rows = [
        [
            code(f"{one} {usage(one)}".rstrip()),
            takes.measures,
            " or ".join(kind for kind in Kind if kind in takes.kinds),
            ", ".join(code(tag) for tag in takes.tags),
            " ".join(
                word
                for word, holds in (
                    ("`where`", takes.where),
                    ("dynamic", takes.dynamic),
                    ("rows", takes.rows),
                    ("analyzer", takes.analyzer),
                )
                if holds
            ),
            code(takes.example),
        ]
        for one, takes in RULE_TYPES.items()
    ]
    return table(["rule type", "measures", "compared with", "`with`", "also", "example"], rows)


def rule_types_refused() -> str:
    """List what DQDL has and this package does not run, and why."""
    return table(["rule type", "why not"], ([code(name), why] for name, why in NOT_RUN.items()))


def rules() -> str:
    """List what a policy file may say."""
    return fields(Policy)


def commands() -> str:
    """List what ``make help`` lists."""
    targets_of_make = re.findall(
        r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    return table(["command", ""], ((code(f"make {name}"), text) for name, text in targets_of_make))


def error_tree() -> str:
    """Draw the errors."""
    drawn = "\n".join(line for line in (errors.__doc__ or "").splitlines() if line.startswith("    "))
    return f"```text\n{textwrap.dedent(drawn)}\n```"


def measured() -> str:
    """List what is measured of job runs and compute, as CloudWatch and as Airflow are told it."""
    rows = [
        [
            code(one.name),
            one.unit,
            "; ".join(code(f"[{', '.join(view)}]") for view in one.views),
            code(f"{PREFIX}.{one.stat}"),
            f"{one.kind}, milliseconds" if one.kind == "timer" else one.kind,
            ", ".join(code(tag) for tag in one.tags),
            one.meaning,
        ]
        for one in METRICS
    ]
    return table(["in CloudWatch", "unit", "dimensions", "in Airflow's metrics", "kind", "tags", ""], rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "contract": contract,
    "decisions": decisions,
    "ec2 settings": partial(settings_of, "ec2"),
    "eks settings": partial(settings_of, "eks"),
    "error tree": error_tree,
    "jobs": jobs,
    "measured": measured,
    "operators": task_group_and_operators,
    "rules": rules,
    "rule types": rule_types,
    "rule types refused": rule_types_refused,
    "serverless settings": partial(settings_of, "serverless"),
    "states": states,
    "targets": targets,
}


def filled(page: str) -> str:
    """Return a page with its marked parts as the code says now; an unknown mark is a KeyError."""
    marked = re.compile(r"<!-- generated: (.+?) -->\n.*?<!-- end: \1 -->", re.DOTALL)
    return marked.sub(
        lambda found: f"<!-- generated: {found[1]} -->\n{PARTS[found[1]]()}\n<!-- end: {found[1]} -->", page
    )


def main() -> None:
    """Rewrite the pages that differ, and name them."""
    for path in sorted(DOCS.rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (now := filled(page)) != page:
            path.write_text(now, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)} rewritten\n")


if __name__ == "__main__":
    main()
