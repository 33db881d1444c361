"""The command that checks every profile of every environment."""

from __future__ import annotations

from emr_pipelines.check_profiles import main
from emr_pipelines.environments import include_folder

GOOD = """\
deployment: team-a
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  eks:
    target: eks
    region: us-east-1
    eks_cluster: analytics
    namespace: emr
    execution_role: arn:aws:iam::123456789012:role/jobs
"""


def test_every_profile_of_every_environment_gets_a_line(tmp_path, capsys):
    (tmp_path / "dev.yaml").write_text(GOOD)
    (tmp_path / "prod.yaml").write_text(GOOD + "  wrong: {extends: eks, namespace: EMR}\n")
    (tmp_path / "test.yaml").write_text(GOOD.replace("logs: a-logs, ", ""))
    (tmp_path / "policy.yaml").write_text("environments: [dev]\n")
    assert main(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    said = [(name, verdict) for name, verdict, *_ in map(str.split, lines)]
    assert said == [
        ("dev/eks", "ok"),
        ("prod/eks", "ok"),
        ("prod/wrong", "WRONG"),
        ("test/eks", "ok"),
        ("test", "WRONG"),
    ]
    assert f"{tmp_path / 'prod.yaml'}:10: profiles.wrong.namespace: " in lines[2]
    assert f"{tmp_path / 'test.yaml'}:2: buckets.logs: this setting is missing" in lines[4]


def test_what_ships_is_right(capsys):
    assert main(include_folder() / "compute") == 0
    assert "WRONG" not in capsys.readouterr().out


def test_a_folder_without_environments_is_said(tmp_path, capsys):
    assert main(tmp_path) == 1
    assert "there is no environment: write one" in capsys.readouterr().out


def test_one_node_is_counted_as_one(tmp_path, capsys):
    ec2 = "  ec2: {target: ec2, region: us-east-1, subnet: subnet-0123456789abcdef0, primary: {type: m5.xlarge}}\n"
    (tmp_path / "dev.yaml").write_text(GOOD + ec2)
    assert main(tmp_path) == 0
    assert "in us-east-1, at most 1 node;" in capsys.readouterr().out
