"""Writes the parts of these pages that come from the code: ``PYTHONPATH=plugins:include python -m docs.generate``.

A page marks such a part with ``<!-- generated: NAME -->`` before it and ``<!-- end: NAME -->`` after it. A test fails when a
committed page differs from what the code says now.
"""

# ruff: noqa: INP001  # the pages' own script, no package
from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.session import get_session
from pydantic import BaseModel  # noqa: TC002  # beside what else the code below asks at run time

from emr_pipelines import EmrJobOperator, EmrPipeline, QualityCheckOperator, errors, operators
from emr_pipelines.jobs import CommandJob, HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Attempt, Lease, Record, Standing, decide
from emr_pipelines.quality import RuleType, dqdl
from emr_pipelines.targets import base, capabilities_of, ec2, ec2_profile, target_names
from emr_pipelines.targets.ec2_profile import Ec2Profile

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGE = ROOT / "plugins" / "emr_pipelines"

RECORD = Record(nonce="n", generation=1, max_tries=1, clear_number=0, fingerprint="f")
SITUATIONS: Mapping[str, tuple[Record | None, Attempt]] = {
    "there is no record": (None, Attempt(1, 0, "f")),
    "the task was cleared (`max_tries` rose)": (RECORD, Attempt(2, 1, "f")),
    "the job changed (its fingerprint differs)": (RECORD, Attempt(1, 0, "changed")),
    "only the run's `clear_number` rose": (RECORD, Attempt(1, 1, "f")),
    "nothing changed": (RECORD, Attempt(1, 0, "f")),
}
"""What an execution of a task may find, the first that holds counts."""

EXAMPLES: Sequence[Job] = (
    SparkJob(script="jobs/clean.py", args=("--date", "2013-01-15"), conf={"spark.executor.memory": "4g"}),
    SparkJob(script="jars/report.jar", main_class="com.example.Report", files=("jobs/report.conf",)),
    SparkSqlJob(script="sql/report.sql", variables={"dt": "2013-01-15"}),
    HiveJob(script="hive/report.hql", variables={"dt": "2013-01-15"}, conf={"hive.exec.parallel": "true"}),
    CommandJob(command=("bash", "-c", "hadoop fs -ls /")),
)

PLAIN: Mapping[str, Any] = {
    "name": "ec2",
    "target": "ec2",
    "region": "us-east-1",
    "log_uri": "s3://example-logs/emr/",
    "primary": {"type": "m5.xlarge"},
    "core": {"type": "m5.xlarge"},
}
OTHER: Mapping[str, Any] = {
    "name": "large",
    "region": "eu-west-1",
    "connection": "aws_other",
    "release": "emr-7.0.0",
    "applications": ["Spark"],
    "primary": {"type": "m5.2xlarge"},
    "core": {"type": "r5.xlarge"},
    "task": {"type": "r5.xlarge"},
    "managed_scaling": {"minimum": 1, "maximum": 9},
    "subnet": "subnet-1",
    "key_pair": "key",
    "primary_security_group": "sg-1",
    "core_security_group": "sg-2",
    "service_access_security_group": "sg-3",
    "service_role": "OtherRole",
    "instance_profile": "OtherProfile",
    "security_configuration": "encrypted",
    "root_volume_size": 50,
    "configurations": [{"classification": "spark-defaults"}],
    "bootstrap_actions": [{"name": "install", "script": "s3://example/install.sh"}],
    "concurrent_steps": 2,
    "idle_minutes": 5,
    "deploy_mode": "cluster",
    "log_uri": "s3://other-logs/",
    "tags": {"team": "data"},
}
"""A value of each setting that differs from ``PLAIN`` and from the default."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Write a word as code; nothing when there is none."""
    return f"`{text}`" if str(text) else ""


def prose(text: str | None) -> str:
    """Write a docstring as one paragraph of Markdown."""
    words = " ".join(inspect.cleandoc(text or "").split())
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", words.replace("``", "`"))


def decisions() -> str:
    """Ask ``decide`` for every situation and standing."""
    standings = [Standing.ABSENT, Standing.LIVE, Standing.SUCCEEDED, Standing.ENDED]
    heads = ["what this execution finds", *(f"job run {standing}" for standing in standings)]
    found = {(name, one): decide(*SITUATIONS[name], one) for name, one in product(SITUATIONS, standings)}
    rows = [[name, *(f"**{found[name, one].action}**" for one in standings)] for name in SITUATIONS]
    reasons = sorted({(one.action, one.reason) for one in found.values()})
    says = "\n".join(f"- {operators._SAID[action]}: {reason}" for action, reason in reasons)  # noqa: SLF001  # the words
    return f"{table(heads, rows)}\n\nThe reasons, as the task's log gives them:\n\n{says}"


def targets() -> str:
    """Say which engine each target has."""
    engines = [job.engine for job in (SparkJob, HiveJob, CommandJob)]
    rows = []
    for name in target_names():
        can = capabilities_of(name)
        offered = ["yes" if engine in can.engines else "no" for engine in engines]
        rows.append([code(name), *offered, "yes" if can.bills_while_idle else "no"])
    return table(["target", *engines, "bills while idle"], rows)


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
    """Say how EMR's words are translated."""
    rows = [("step", code(theirs), code(ours)) for theirs, ours in ec2._RUN_STATES.items()]  # noqa: SLF001  # the fact
    rows += [("cluster", code(theirs), code(ours)) for theirs, ours in ec2._PHASES.items()]  # noqa: SLF001  # the fact
    rows += [("cluster's end", code(theirs), f"fault of the {ours}") for theirs, ours in ec2._FAULTS.items()]  # noqa: SLF001  # the fact
    return table(["of a", "EMR says", "here it is"], rows)


def jobs() -> str:
    """Describe each job, and the step that an example becomes."""
    parts = []
    for model in (SparkJob, SparkSqlJob, HiveJob, CommandJob):
        examples = [_example(job) for job in EXAMPLES if type(job) is model]
        parts += [f"## {model.__name__}", prose(model.__doc__), fields(model, skip={"kind"}), *examples]
    return "\n\n".join(parts)


def _example(job: Job) -> str:
    given = ", ".join(
        f"{name}={value!r}" for name, value in job.model_dump(exclude_defaults=True, exclude={"kind"}).items()
    )
    addresses = {path: f"s3://artifacts/{path.rpartition('/')[2]}" for path in job.code()}
    step = ec2.step_request(job, addresses, "name", Ec2Profile(**PLAIN))["HadoopJarStep"]
    words = " ".join(word if re.fullmatch(r"[\w./:=,-]+", word) else f'"{word}"' for word in step["Args"])
    return f"```text\n{type(job).__name__}({given})\n\n{step['Jar']} {words}\n```"


def fields(model: type[BaseModel], skip: Iterable[str] = (), **more: Callable[[str], str]) -> str:
    """List a model's settings; ``more`` are further columns by their heads."""
    schema = model.model_json_schema()
    schema = schema if "properties" in schema else schema["$defs"][model.__name__]
    notes = _notes(model)
    rows = []
    for name, setting in schema["properties"].items():
        if name not in skip:
            default = "required" if name in schema.get("required", []) else _default(setting.get("default"))
            extra = [cell(name) for cell in more.values()]
            rows.append([code(name), _type(setting), default, *extra, prose(notes.get(name))])
    heads = ["setting", "type", "default", *more, ""]
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    return table([heads[column] for column in kept], ([row[column] for column in kept] for row in rows))


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """Read the string below each field, where there is one."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body  # type: ignore[attr-defined]  # it is a class
    return {
        ast.unparse(field.target): str(note.value.value)
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)
    }


def _default(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    return code(
        ", ".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else value
    )


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911  # a line for each kind of schema
    """Say a JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one != {"type": "null"})
    if "const" in schema or "enum" in schema:
        return ", ".join(code(one) for one in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object":
        return f"mapping to {_type(schema['additionalProperties'])}"
    if "pattern" in schema:
        return f"text like {code(schema['pattern'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" from {low}" if low is not None else ""
    return (
        {"string": "text", "integer": "number", "boolean": "`true` or `false`"}[schema["type"]]
        + bounds
        + (f" to {high}" if high is not None else "")
    )


def ec2_settings() -> str:
    """List the settings of a cluster and of its parts, with the member of RunJobFlow that each becomes."""
    parts = [prose(Ec2Profile.__doc__), fields(Ec2Profile, skip={"name"}, RunJobFlow=_members)]
    for name in ("InstanceGroup", "Volumes", "ManagedScaling", "BootstrapAction", "Classification"):
        model = getattr(ec2_profile, name)
        parts += [f"### {name}", prose(model.__doc__), fields(model)]
    return "\n\n".join(parts)


def _members(setting: str) -> str:
    """Find what of the request changes with a setting."""
    lease = Lease("deployment", "dag", "run", "group")
    plain, other = (
        dict(_leaves(Ec2Profile(**{**PLAIN, **changed}).request(lease, frozenset())))
        for changed in ({}, {setting: OTHER.get(setting, PLAIN.get(setting))})
    )
    paths = {path for path in plain.keys() | other.keys() if plain.get(path) != other.get(path)}
    members = {".".join(re.sub(r"\.\d+\b.*", "", path).split(".")[:2]) for path in paths}
    return ", ".join(code(member) for member in sorted(members))


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not pairs:
        yield path, value
        return
    for name, inner in pairs:
        yield from _leaves(inner, f"{path}.{name}".lstrip("."))


def task_group_and_operators() -> str:
    """Describe what a DAG file calls."""
    return "\n\n".join(_callable(one) for one in (EmrPipeline, EmrJobOperator, QualityCheckOperator))


def _callable(one: type) -> str:
    """Write a class's docstring and its own parameters, whose meaning the docstring gives as ``:param name:``."""
    text, *named = re.split(r"^\s*:(?=param|raises)", inspect.getdoc(one) or "", flags=re.MULTILINE)
    said = {head.split()[-1]: prose(words) for head, _, words in (entry.partition(":") for entry in named)}
    rows = []
    for name, parameter in inspect.signature(one.__init__).parameters.items():  # type: ignore[misc]  # a class's own
        if name not in ("self", "kwargs"):
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
    return f"## {one.__name__}\n\n{body}\n\n{table(['parameter', 'default', ''], rows)}{raised}"


def rule_types() -> str:
    """Say what each rule type takes."""
    rows = []
    for one in RuleType:
        least, most = dqdl._COLUMNS[one]  # noqa: SLF001  # the fact
        columns = {(0, 0): "none", (1, 1): "one"}.get((least, most), f"{least} to {most}")
        rows.append(
            [
                code(one),
                columns,
                "required" if one in dqdl._WITH_CONDITION else "none",  # noqa: SLF001  # the fact
                "may have one" if one is RuleType.COLUMN_VALUES else "none",
            ]
        )
    return table(["rule type", "columns", "condition", "threshold"], rows)


def rule_types_refused() -> str:
    """List what DQDL has and this package does not run."""
    return ", ".join(code(name) for name in sorted(dqdl._OTHER_RULE_TYPES))  # noqa: SLF001  # the fact


def permissions() -> str:
    """List the operations that the tasks call, as actions of IAM."""
    called = {"emr": _calls(PACKAGE / "targets" / "ec2.py", "emr"), "s3": set()}
    for module in ("targets/ec2.py", "artifacts.py", "operators.py"):
        called["s3"] |= _calls(PACKAGE / module, "s3")
    # HeadObject is allowed by s3:GetObject, and tells "not there" from "not allowed" only with s3:ListBucket.
    objects = {"s3:GetObject" if name == "HeadObject" else f"s3:{name}" for name in called["s3"]}
    return "\n".join(
        f"- `{action}`" for action in sorted({f"elasticmapreduce:{name}" for name in called["emr"]} | objects)
    )


def _calls(path: Path, service: str) -> set[str]:
    """Find the operations of a service among the attributes and words of a module."""
    known = {xform_name(name): name for name in get_session().get_service_model(service).operation_names}
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    words = {
        node.attr if isinstance(node, ast.Attribute) else node.value
        for node in tree
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    }
    return {known[word] for word in words if word in known}


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


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "contract": contract,
    "decisions": decisions,
    "ec2 settings": ec2_settings,
    "error tree": error_tree,
    "jobs": jobs,
    "operators": task_group_and_operators,
    "permissions": permissions,
    "rule types": rule_types,
    "rule types refused": rule_types_refused,
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
