"""What a deploy does: job code where acquire looks for it, a record of the release, and nothing twice."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from emr_deploy import __main__ as command
from emr_deploy.account import Account
from emr_deploy.releases import commit_of
from emr_pipelines import artifacts
from emr_pipelines.checking import plan_of
from emr_pipelines.environments import read_environment
from tests.unit.emr_deploy import accounts

BUCKETS = "buckets: {data: trial-data, logs: trial-logs, artifacts: trial-artifacts}"
PROFILE = (
    "profiles: {serverless: {target: serverless, region: us-east-1, maximum_workers: 2, "
    "execution_role: 'arn:aws:iam::123456789012:role/emr-serverless-jobs'}}"
)
TRIAL = f"deployment: trial\n{BUCKETS}\n{PROFILE}\n"
CODE = {
    "hive/carrier_delay.hql",
    "jobs/flights/clean.py",
    "jobs/quality_check.py",
    "jobs/rehearse.py",
    "jobs/spark_sql.py",
    "quality/flights.dqdl",
}


@pytest.fixture
def include(tmp_path, monkeypatch):
    """A folder like include/ with an environment called trial, which no variable of this machine leads elsewhere."""
    include = accounts.copied(tmp_path)
    (include / "compute" / "trial.yaml").write_text(TRIAL)
    (include / "jobs" / "__pycache__").mkdir()
    (include / "jobs" / "__pycache__" / "clean.pyc").write_bytes(b"compiled")
    (include / "jobs" / ".clean.py.swp").write_bytes(b"of an editor")
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(include))
    for variable in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return include


@pytest.fixture
def trial(include, monkeypatch):
    """An account with all that the environment names."""
    with mock_aws():
        for name in ("data", "logs", "artifacts"):
            accounts.make_bucket(f"trial-{name}")
        accounts.make_role("emr-serverless-jobs", {"Service": "emr-serverless.amazonaws.com"})
        monkeypatch.setattr(command, "Account", lambda _: accounts.account())
        yield boto3.client("s3", "us-east-1")


def objects(s3, bucket="trial-artifacts"):
    return {one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in contents(s3, bucket)}


def contents(s3, bucket):
    return s3.list_objects_v2(Bucket=bucket).get("Contents", [])


def deploy(capsys, *words):
    """Run the command; return its exit code, what it said behind the line of the account, and what it complained of."""
    code = command.main(["trial", *words])
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if not line.startswith("account ")]
    return code, lines, [line for line in said.err.splitlines() if "credentials.py" not in line]


def test_job_code_and_the_environments_files_are_laid_where_their_content_says(include, trial, capsys):
    code, said, complained = deploy(capsys)
    assert (code, complained) == (0, [])
    laid = objects(trial)
    for path in CODE - {"quality/flights.dqdl"} | {"compute/trial.yaml", "compute/policy.yaml"}:
        content = (include / path).read_bytes()
        assert laid[f"code/{hashlib.sha256(content).hexdigest()[:32]}/{Path(path).name}"] == content
    assert len(laid) == len(CODE) + 2 + 1
    assert [line.split()[:3] for line in said[:2]] == [
        ["doing", "upload", "hive/carrier_delay.hql"],
        ["doing", "upload", "jobs/flights/clean.py"],
    ]
    assert said[-1].endswith("for trial: 9 of 9 steps were needed")


def test_what_acquire_pins_after_a_deploy_is_there_already(include, trial, capsys, monkeypatch):
    """The keys are those of ``pin``: it looks, finds, and uploads nothing."""
    deploy(capsys)
    environment = read_environment(include / "compute" / "trial.yaml")
    wanted = [artifacts.read_artifact(path) for path in sorted(CODE - {"quality/flights.dqdl"})]
    wanted.append(artifacts.Artifact("quality/flights.dqdl", "plan.json", plan_of("quality/flights.dqdl").encode()))
    called = []
    trial.meta.events.register("before-call", lambda model, **_: called.append(model.name))
    monkeypatch.setattr(artifacts, "s3_of_profile", lambda _: trial)
    artifacts.pin(environment, environment.profiles["serverless"], wanted)
    assert called == ["HeadObject"] * len(CODE)


def test_the_record_of_a_release_says_what_was_deployed_by_whom_and_for_whom(include, trial, capsys):
    _, said, _ = deploy(capsys)
    ((key, content),) = [one for one in objects(trial).items() if one[0].startswith("releases/trial/")]
    record = json.loads(content)
    assert set(record["files"]) == CODE | {"compute/trial.yaml", "compute/policy.yaml"}
    clean = (include / "jobs/flights/clean.py").read_bytes()
    digest = hashlib.sha256(clean).hexdigest()
    assert record["files"]["jobs/flights/clean.py"] == {"sha256": digest, "key": f"code/{digest[:32]}/clean.py"}
    assert (record["environment"], record["deployment"], record["commit"]) == ("trial", "trial", None)
    assert record["by"] == boto3.client("sts", "us-east-1").get_caller_identity()["Arn"]
    assert key == f"releases/trial/{record['at'].replace(':', '-')}-{record['release'][:12]}.json"
    assert said[-1].startswith(f"Release {record['release'][:12]} for trial")


def test_a_second_deploy_of_the_same_files_does_nothing(include, trial, capsys):
    deploy(capsys)
    before = contents(trial, "trial-artifacts")
    code, said, _ = deploy(capsys)
    assert code == 0
    assert {line.split("  ")[0] for line in said[:-1]} == {"is there"}
    assert contents(trial, "trial-artifacts") == before


def test_going_back_to_older_files_is_one_more_release(include, trial, capsys):
    clean = include / "jobs/flights/clean.py"
    older = clean.read_bytes()
    instants = iter(["2026-01-01T00:00:00", "2026-01-02T00:00:00", "2026-01-03T00:00:00"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            command, "now", lambda: command.datetime.fromisoformat(next(instants)).replace(tzinfo=command.UTC)
        )
        for content in (older, older + b"# newer", older):
            clean.write_bytes(content)
            assert deploy(capsys)[0] == 0
    records = [json.loads(content) for key, content in sorted(objects(trial).items()) if key.startswith("releases/")]
    assert [record["at"][:10] for record in records] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert records[0]["release"] == records[2]["release"] != records[1]["release"]


def test_each_region_gets_the_whole_release_in_its_own_bucket(include, trial, capsys):
    role = "arn:aws:iam::123456789012:role/emr-serverless-jobs"
    west = f"{{target: serverless, region: us-west-2, maximum_workers: 2, execution_role: '{role}'}}"
    (include / "compute" / "trial.yaml").write_text(
        TRIAL.replace("profiles: {", f"profiles: {{west: {west}, ")
        + "regions: {us-west-2: {buckets: {logs: trial-logs-west, artifacts: trial-artifacts-west}}}\n"
    )
    for name in ("logs", "artifacts"):
        accounts.make_bucket(f"trial-{name}-west", "us-west-2")
    assert deploy(capsys)[0] == 0
    assert objects(trial) == objects(trial, "trial-artifacts-west")


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(include, trial, capsys):
    code, said, complained = deploy(capsys, "--dry-run")
    assert (code, complained) == (0, [])
    assert {line.split()[0] for line in said[:-1]} == {"would"}
    assert said[-1].endswith("for trial: 9 of 9 steps are needed")
    assert objects(trial) == {}


def test_nothing_is_deployed_where_something_is_missing(include, trial, capsys):
    trial.delete_bucket(Bucket="trial-data")
    code, said, complained = deploy(capsys)
    sentence = "there is no bucket 'trial-data' (buckets.data): `make infra` makes it, on one machine `make up`; or name one that there is"
    assert (code, said) == (1, [])
    assert complained == [f"missing   {sentence}", "Nothing was deployed."]
    assert objects(trial) == {}


def test_the_first_line_says_in_which_account(include, trial, capsys):
    assert command.main(["trial", "--dry-run"]) == 0
    first = next(line for line in capsys.readouterr().out.splitlines() if "credentials.py" not in line)
    assert first == "account   123456789012, as arn:aws:sts::123456789012:user/moto"


def test_a_dry_run_plans_without_credentials(include, capsys):
    code, said, complained = deploy(capsys, "--dry-run")
    assert code == 0
    assert complained == [
        "AWS was not asked: there are no credentials: log in, such as by `aws sso login`, or set AWS_PROFILE"
    ]
    assert {line.split()[0] for line in said[:-1]} == {"would"}


def test_a_deploy_without_credentials_is_refused_with_what_to_do(include, capsys):
    code, said, complained = deploy(capsys)
    assert (code, said) == (1, [])
    assert complained == [
        "AWS was not asked, and nothing was deployed: there are no credentials: log in, such as by `aws sso login`, or set AWS_PROFILE"
    ]


def test_credentials_that_are_not_taken_are_told(include, trial, capsys, monkeypatch):
    monkeypatch.setitem(accounts.ANSWERS, "GetCallerIdentity", lambda _: accounts.refusal("ExpiredToken", 403))
    code, _, complained = deploy(capsys)
    why = "the credentials were not taken (ExpiredToken): log in again, or set another AWS_PROFILE"
    assert (code, complained) == (1, [f"AWS was not asked, and nothing was deployed: {why}"])


def test_an_account_that_is_not_reached_is_told(include, trial, capsys, monkeypatch):
    def down(_):
        raise EndpointConnectionError(endpoint_url="https://sts.example.internal")

    monkeypatch.setitem(accounts.ANSWERS, "GetCallerIdentity", down)
    code, _, complained = deploy(capsys)
    why = 'Could not connect to the endpoint URL: "https://sts.example.internal"'
    cure = "look whether this machine reaches AWS, or what AWS_ENDPOINT_URL names"
    assert (code, complained) == (
        1,
        [f"AWS was not asked, and nothing was deployed: STS did not answer ({why}): {cure}"],
    )


def test_an_upload_that_aws_refuses_ends_the_deploy_and_nothing_is_recorded(include, trial, capsys, monkeypatch):
    monkeypatch.setitem(accounts.ANSWERS, "PutObject", lambda _: accounts.refusal("AccessDenied", 403))
    code, _, complained = deploy(capsys)
    assert code == 1
    assert complained == [
        (
            "AWS refused, and the deploy stopped there: An error occurred (AccessDenied) when calling the PutObject operation: as a test "
            "wants it"
        )
    ]
    assert objects(trial) == {}


def test_an_object_that_may_not_be_looked_at_is_named_with_what_is_needed(include, trial, capsys, monkeypatch):
    monkeypatch.setitem(accounts.ANSWERS, "HeadObject", lambda _: accounts.refusal("403", 403))
    code, said, (complained,) = deploy(capsys, "--dry-run")
    assert (code, said) == (1, [])
    assert complained.startswith("s3://trial-artifacts/code/")
    assert "may not be looked at: whoever deploys needs s3:GetObject and s3:ListBucket in that bucket" in complained


def test_what_a_link_leads_to_outside_is_not_uploaded(include, trial, capsys, tmp_path):
    (tmp_path / "credentials").write_text("aws_secret_access_key = hunter2")
    (include / "jobs" / "flights" / "other.py").symlink_to(tmp_path / "credentials")
    assert deploy(capsys)[0] == 0
    assert [key for key, content in objects(trial).items() if key.endswith("other.py") or b"hunter2" in content] == []


def test_a_full_disk_is_told_in_one_sentence(include, trial, capsys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "artifacts_of", full)
    code, said, complained = deploy(capsys)
    assert (code, said) == (1, [])
    assert complained == ["This machine refused, and the deploy stopped there: [Errno 28] No space left on device"]


def test_mistakes_of_profiles_come_first_as_check_profiles_says_them(include, trial, capsys):
    path = include / "compute" / "trial.yaml"
    path.write_text(TRIAL.replace("maximum_workers: 2", "maximum_wrokers: 2"))
    code, said, complained = deploy(capsys)
    assert (code, said) == (1, [])
    assert complained == [
        (
            f"WRONG     trial/serverless: {path}:3: profiles.serverless.maximum_wrokers: there is no such setting (did you mean "
            "'maximum_workers'?)"
        )
    ]


def test_an_environment_that_there_is_not_is_told_with_those_that_there_are(include, capsys):
    assert command.main(["trail"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"There is no environment 'trail' (did you mean 'trial'?) in {include / 'compute'}; there are: dev, local, prod, test, trial"
    ]


def test_a_ruleset_that_is_not_valid_ends_the_deploy(include, trial, capsys):
    (include / "quality" / "flights.dqdl").write_text("Rules = [ IsComplete ]")
    code, said, complained = deploy(capsys)
    assert (code, said) == (1, [])
    assert complained[0].startswith("quality/flights.dqdl:1")
    assert objects(trial) == {}


def test_a_build_server_reads_one_json_object(include, trial, capsys):
    trial.delete_bucket(Bucket="trial-data")
    code, said, _ = deploy(capsys, "--json", "--dry-run")
    told = json.loads("\n".join(said))
    assert code == 1
    assert [sentence.partition(" (")[0] for sentence in told["missing"]] == ["there is no bucket 'trial-data'"]
    assert (told["environment"], told["dry_run"], told["done"], told["unasked"], told["short"]) == (
        "trial",
        True,
        False,
        [],
        [],
    )
    assert len(told["steps"]) == 9
    assert all(step["needed"] for step in told["steps"])


def test_local_without_a_running_system_is_told(include, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command.LocalEndpoint, "alive", lambda _: False)
    assert command.main(["local"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "AWS was not asked, and nothing was deployed: nothing of this machine runs: type make up"
    ]


def test_behind_the_local_endpoint_only_what_it_has_is_looked_for(include, trial, capsys, monkeypatch):
    nowhere = "{target: ec2, region: us-east-1, subnet: subnet-1, service_role: nobody, key_pair: none, primary: {type: m5.xlarge}}"
    (include / "compute" / "trial.yaml").write_text(TRIAL.replace("profiles: {", f"profiles: {{ec2: {nowhere}, "))
    assert deploy(capsys, "--dry-run")[0] == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setattr(command.endpoint, "answers", lambda url: url == "http://127.0.0.1:4566")
    assert deploy(capsys, "--dry-run")[::2] == (0, [])


def test_the_commit_of_a_checkout_is_told_and_that_it_was_changed_since(tmp_path):
    assert commit_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.internal"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit_of(tmp_path) == head
    (tmp_path / "new.py").write_text("")
    assert commit_of(tmp_path) == f"{head}+"


def test_clients_of_an_account_are_made_once_for_a_region():
    account = Account(boto3.Session())
    assert account.client("s3", "us-east-1") is account.client("s3", "us-east-1")
    assert account.client("s3", "us-east-1") is not account.client("s3", "us-west-2")
