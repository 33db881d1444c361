"""Files with one mistake each, in ``bad_profiles/``: the first line of each says what a person is to hear."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emr_pipelines.check_profiles import main
from emr_pipelines.environments import current_environment, environment_files, read_environment
from emr_pipelines.errors import ConfigurationError

FOLDER = Path(__file__).parent / "bad_profiles"
FILES = environment_files(FOLDER)


def expected(path: Path) -> str:
    """Return what is said of a file: its first line, with the folder before the file in which the mistake is."""
    told = path.read_text(encoding="utf-8", errors="replace").splitlines()[0].removeprefix("# ")
    place = re.match(r"(\w+\.yaml:)?(\d+)?: ", told)
    assert place, f"{path} begins with no place: # <line>: <message>"
    return f"{FOLDER}/{told}" if place[1] else f"{path}:{told}"


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_is_one_sentence_with_file_line_and_cure(name):
    with pytest.raises(ConfigurationError) as caught:
        read_environment(FILES[name])
    assert str(caught.value) == expected(FILES[name])
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("elsewhere", ["../../etc/passwd", "/etc/passwd", "a/b", "", "..", "[a]", '"a\\0b"'])
def test_nothing_outside_of_the_folder_is_extended(tmp_path, elsewhere):
    file = tmp_path / "dev.yaml"
    file.write_text(f"deployment: d\nextends: {elsewhere or repr('')}\n")
    (tmp_path / "base.yaml").touch()
    with pytest.raises(ConfigurationError) as caught:
        read_environment(file)
    assert re.match(rf"{file}:2: extends: there is no file .*; there are: base$", str(caught.value), re.DOTALL)


def test_what_an_editor_hides_beside_an_environment_is_none(tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    (tmp_path / "compute" / "dev.yaml").write_bytes((FOLDER / "deployment-in-capitals.yaml").read_bytes())
    (tmp_path / "compute" / ".#dev.yaml").symlink_to("somebody@somewhere.1234")
    (tmp_path / "compute" / "gone.yaml").symlink_to("nowhere")
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "dev")
    monkeypatch.setenv("EMR_PIPELINES_DEPLOYMENT", "d")
    assert current_environment().deployment == "d"
    assert set(environment_files(tmp_path / "compute")) == {"dev", "gone"}


def test_all_of_them_are_told_in_one_go_each_in_a_line(capsys):
    assert main(FOLDER) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.split()[1] == "WRONG"]
    assert len(wrong) >= len(FILES) > 50
    assert {line.split()[0].partition("/")[0] for line in wrong} == set(FILES)
