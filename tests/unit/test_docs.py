"""The pages say what the code says: links lead somewhere, examples work, messages and tests exist, tables are up to date."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from docs import generate, samples
from docs.samples import SITUATIONS
from emr_pipelines import EmrJobOperator
from emr_pipelines.check_profiles import check_folder
from emr_pipelines.keys import Attempt, Record, Standing, decide
from emr_pipelines.quality import compile_plan, parse_ruleset
from emr_pipelines.targets import target_names
from tests.support.airflow import ask_airflow
from tests.unit.test_architecture import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "include" / "local_emr" / "README.md"])
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r"(?:#|--) ((?:include|dags)/\S+)\n")
HOW_TO = ROOT / "docs" / "how-to"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(language: str, pages=PAGES) -> list[tuple[str, str]]:
    """The code blocks of a language, each with the name of its page."""
    return [
        (name(page), re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for page in pages
        for indent, found, text in BLOCK.findall(page.read_text())
        if found == language
    ]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


# Links


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [
                (page.parent / link.partition("#")[0]).resolve()
                for link in re.findall(r"\]\(([^)\s:]+)\)", prose(page))
                if not link.startswith("#")
            ]
    assert {name(page) for page in PAGES} - {name(page) for page in reached} == set()


# What is generated


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- generated:" in page.read_text()], ids=name)
def test_a_generated_part_is_what_the_code_says_now(page):
    assert generate.filled(page.read_text()) == page.read_text()


def test_every_part_that_can_be_generated_stands_on_a_page():
    used = {part for page in PAGES for part in re.findall(r"<!-- generated: (.+?) -->", page.read_text())}
    assert used == set(generate.PARTS)


def test_the_first_row_of_the_decision_table_that_holds_counts():
    """The table has a row per situation; every mixture of situations is decided by the first one that it holds."""
    cells = {(row, standing): decide(*SITUATIONS[row], standing).action for row in SITUATIONS for standing in Standing}
    for kept, cleared, changed, run_cleared, standing in product(
        [False, True], [False, True], [False, True], [False, True], Standing
    ):
        record = Record("n", 1, 1, 0, "f") if kept else None
        attempt = Attempt(2 if cleared else 1, 1 if run_cleared else 0, "changed" if changed else "f")
        first = [not kept, cleared, changed, run_cleared, True].index(True)
        assert decide(record, attempt, standing).action == cells[list(SITUATIONS)[first], standing]


def test_the_states_of_every_target_are_told():
    assert sorted(samples.STATES) == sorted(samples.SAMPLES) == target_names()


# What is named


def test_every_test_that_a_page_names_exists():
    written = {
        test for path in (ROOT / "tests").rglob("test_*.py") for test in re.findall(r"def (test_\w+)", path.read_text())
    }
    written |= set(re.findall(r"def (test_\w+)", (ROOT / "tests" / "conformance" / "cases.py").read_text()))
    named = {test for page in PAGES for test in re.findall(r"`(test_\w+)`", page.read_text())}
    assert len(named) > 30
    assert named - written == set()


def test_every_promise_names_its_test():
    page = (ROOT / "docs" / "reliability.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\|(?! promise | line |-)", line)]
    assert len(rows) > 50
    assert [row for row in rows if not re.search(r"`test_\w+` *\|?$", row)] == []


def text_of(node: ast.AST) -> str:
    """A text of the code, with … where a value is put in; nothing for what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def texts_in(path: Path) -> list[str]:
    """Every text in a module."""
    return [text for node in ast.walk(ast.parse(path.read_text())) if (text := text_of(node))]


def messages_of_troubleshooting() -> list[str]:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    heads = [line for line in page.splitlines() if line.startswith("**`")]
    return [message for head in heads for message in head.removeprefix("**`").removesuffix("`**").split("`**, **`")]


def tells(message: str, text: str) -> bool:
    """Whether a message of a page is, but for what differs, said by a text of the code."""
    parts = [part.strip() for part in message.split("…") if len(part.strip(" .,:;'")) > 1]
    return in_order(parts, re.sub(r"(…\s*)+", "…", text))


def test_every_message_in_troubleshooting_is_one_of_the_code():
    said = [
        text for folder in ("plugins", "include") for path in (ROOT / folder).rglob("*.py") for text in texts_in(path)
    ]
    said.append((ROOT / "Makefile").read_text())
    messages = messages_of_troubleshooting()
    assert len(messages) > 70
    assert [message for message in messages if not any(tells(message, text) for text in said)] == []


def raised_in(path: Path) -> list[str]:
    """The sentences of people's mistakes that a module raises."""
    calls = [
        node.exc
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and node.exc is not None
    ]
    texts = [
        text_of(call.args[0])
        for call in calls
        if isinstance(call, ast.Call) and call.args and ast.unparse(call.func) != "TypeError"
    ]
    return [text for text in texts if len(re.findall(r"[A-Za-z_]{2,}", text)) > 3]


def test_every_message_that_the_tasks_raise_is_in_troubleshooting():
    paths = [path for path in (ROOT / "plugins/emr_pipelines").rglob("*.py") if path.parent.name != "quality"]
    raised = [text for path in paths for text in raised_in(path)]
    assert len(raised) > 40
    messages = messages_of_troubleshooting()
    assert [text for text in raised if not any(tells(message, text) for message in messages)] == []


def in_order(parts: list[str], text: str) -> bool:
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def test_every_variable_of_the_package_is_listed():
    read = {
        variable
        for path in (ROOT / "plugins").rglob("*.py")
        for variable in re.findall(r"EMR_PIPELINES_\w+", path.read_text())
    }
    listed = set(
        re.findall(r"^\| `(EMR_PIPELINES_\w+)`", (ROOT / "docs/reference/commands.md").read_text(), re.MULTILINE)
    )
    assert listed == read


def test_the_floors_on_the_page_are_those_that_a_test_holds():
    (drawn,) = [
        text for page, text in blocks("text") if page == "docs/architecture.md" and text.startswith("pipeline\n")
    ]
    assert [set(line.split(", ")) for line in drawn.splitlines()] == FLOORS[-2::-1]


def test_the_glossary_has_each_word_once():
    words = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_no_folder_or_file_that_is_not_there(page):
    named = re.findall(r"`((?:dags|plugins|include|tests|benchmarks|docs)/[\w./-]*)`", page.read_text())
    written = {
        title
        for _, text in blocks("python") + blocks("dqdl") + blocks("yaml") + blocks("sql")
        for title in TITLE.findall(text)
    }
    assert [path for path in named if path not in written and not (ROOT / path).exists()] == []


# Examples


def test_the_readmes_pipeline_is_an_excerpt_of_flights_daily():
    (excerpt,) = [text for page, text in blocks("python") if page == "README.md"]
    assert excerpt in (ROOT / "dags" / "flights_daily.py").read_text()


def test_the_readmes_sample_shows_the_tasks_and_rules_that_there_are():
    (sample,) = [text for page, text in blocks("text") if page == "README.md"]
    rules = parse_ruleset((ROOT / "include/quality/flights.dqdl").read_text(), "flights.dqdl").rules
    shown = sample.partition("measured  outcome\n")[2].splitlines()[1 : len(rules) + 1]
    assert [re.split(r"  +", line)[0] for line in shown] == [str(rule) for rule in rules]
    tasks = re.findall(r'task_id="(\w+)"', (ROOT / "dags" / "flights_daily.py").read_text())
    assert set(tasks) <= set(re.findall(r"^(?:emr\.)?(\w+) +success", sample, re.MULTILINE))


def test_the_readme_says_how_to_start_in_two_commands():
    first = next(text for page, text in blocks("sh") if page == "README.md")
    assert first.splitlines() == ["make demo", "make test"]
    assert ".ci/run" in {name(path) for path in (ROOT / ".ci").iterdir()}
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkout's include/ and dags/ with the files that the pages tell to write."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "include", folder / "include", ignore=shutil.ignore_patterns("__pycache__", "local_*"))
    (folder / "dags").mkdir()
    for _, text in blocks("python") + blocks("dqdl") + blocks("sql"):
        if title := TITLE.match(text):
            path = folder / title[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("dag", "tasks"),
    [
        ("flights_routes", {"routes", "check"}),
        ("flights_other_jobs", {"hive", "tuned", "listings"}),
        ("flights_anywhere", {"clean"}),
        ("flights_carriers", {"gather", "count"}),
        ("flights_counted", {"land", "late"}),
    ],
)
def test_a_dag_of_the_pages_becomes_a_pipeline(dag, tasks, written, monkeypatch):
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(written / "include"))
    path = written / "dags" / f"{dag}.py"
    made: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), made)
    (parsed,) = {task.dag for task in made.values() if isinstance(task, EmrJobOperator)}
    assert parsed.dag_id == dag
    around = {"begin", "acquire", "release", "verdict"}
    assert {task.task_id for task in parsed.tasks} - {"publish"} == {f"emr.{task}" for task in tasks | around}


@pytest.mark.parametrize(("page", "text"), blocks("python", sorted(HOW_TO.glob("*.md"))))
def test_a_script_of_the_pages_is_python_of_emr_7(page, text):
    version = (3, 11) if "airflow" in text else (3, 9)
    ast.parse(text, filename=page, feature_version=version)


@pytest.mark.parametrize(("page", "text"), blocks("dqdl"))
def test_a_ruleset_of_the_pages_compiles(page, text):
    ruleset = parse_ruleset(text, page)
    assert len(compile_plan(ruleset).checks) == len(ruleset.rules)


@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("yaml")}))
def test_the_environments_of_a_page_are_valid(page, tmp_path):
    """A block that names its file stands beside the others of its page; one that does not stands alone."""
    titled = {title[1]: text for _, text in blocks("yaml", [ROOT / page]) if (title := TITLE.match(text))}
    alone = [text for _, text in blocks("yaml", [ROOT / page]) if not TITLE.match(text)]
    for number, files in enumerate([titled, *({"include/compute/dev.yaml": text} for text in alone)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for title, text in files.items():
            (folder / Path(title).name).write_text(text)
        assert [line for line in check_folder(folder) if line.wrong and files] == [], page


def shell_lines() -> list[tuple[str, list[str]]]:
    """The commands of all shell examples, as words."""
    found = []
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            found += [(page, words)] if words else []
    return found


def test_every_make_command_on_a_page_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    typed = {word for _, words in shell_lines() if words[0] == "make" for word in words[1:]}
    typed |= {
        word for page in PAGES for words in re.findall(r"`make ([^`]+)`", page.read_text()) for word in words.split()
    }
    variables = {word.partition("=")[0] for word in typed if "=" in word}
    assert {word for word in typed if "=" not in word and word != "alone"} - targets == set()
    assert {variable for variable in variables if variable not in makefile} == set()


def test_every_option_of_the_endpoint_on_a_page_exists():
    said = subprocess.run(
        [sys.executable, "-m", "local_emr", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used = {word for page, words in shell_lines() if "local_emr" in words for word in words if word.startswith("--")}
    listed = set(re.findall(r"^\| `(--[\w-]+)`", (ROOT / "include/local_emr/README.md").read_text(), re.MULTILINE))
    assert {option for option in used | listed if option not in said} == set()


def test_airflow_takes_every_command_on_a_page(tmp_path):
    commands = [words[1:] for _, words in shell_lines() if words[0].rpartition("/")[2] == "airflow"]
    assert commands
    script = (
        "import json; from airflow.cli import cli_parser\n"
        f"for words in json.loads({json.dumps(commands)!r}):\n"
        "    assert callable(cli_parser.get_parser().parse_args(words).func)\n"
        "print('true')"
    )
    assert ask_airflow(script, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_has_one_title(page):
    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1


def test_every_page_is_on_the_overview():
    overview = (ROOT / "docs/overview.md").read_text()
    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("how-to/*.md"))
    assert [page for page in pages if f"({page})" not in overview] == []
