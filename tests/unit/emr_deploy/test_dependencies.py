"""A lock file beside a script becomes an archive of wheels for each platform of the profiles, uploaded once."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from emr_deploy.dependencies import build, locks, pins, steps
from emr_deploy.steps import carry_out
from emr_pipelines.artifacts import packages_key
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets.platforms import Platform
from tests.support.wheels import made_wheel, wheel_of

EMR_7 = Platform("3.9", "ARM64", "2.34")
INTEL = Platform("3.11", "X86_64", "2.34")
PATH = "jobs/clean.requirements.txt"
ENVIRONMENT = """
deployment: dev
buckets: {data: d-data, logs: d-logs, artifacts: d-artifacts}
regions:
  eu-west-1: {buckets: {artifacts: west-artifacts}}
profiles:
  arm: {target: serverless, region: us-east-1, architecture: ARM64, execution_role: arn:aws:iam::123456789012:role/jobs}
  same: {extends: arm}
  west: {extends: arm, region: eu-west-1}
  intel: {target: ec2, region: us-east-1, subnet: subnet-1, primary: {type: m5.xlarge}, python: "3.11"}
  named: {target: ec2, region: us-east-1, cluster: analytics}
"""


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels, and no network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in {
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(folder),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def lock_of(*pinned):
    return "".join(f"{one}\n" for one in pinned).encode()


def members(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened.getmembers()}


def test_an_archive_holds_what_is_imported_and_nothing_of_the_machine_that_built_it(index):
    archive = build(PATH, lock_of(wheel_of("tenacity", index)), INTEL)
    found = members(archive)
    assert "tenacity/__init__.py" in found
    assert not [
        name for name in found if name.startswith("bin/") or name.endswith(("/RECORD", "/INSTALLER", ".pyc", ".lock"))
    ]
    assert {(member.mtime, member.uid, member.uname, member.mode) for member in found.values()} == {(0, 0, "", 0o644)}


def test_two_builds_of_one_lock_for_one_platform_are_the_same_bytes(index, tmp_path, monkeypatch):
    lock = lock_of(wheel_of("tenacity", index), made_wheel(index, "flat", "1.0"))
    first = build(PATH, lock, INTEL)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another cache"))
    assert hashlib.sha256(build(PATH, lock, INTEL)).hexdigest() == hashlib.sha256(first).hexdigest()


def test_each_platform_gets_its_own_wheels(index):
    pinned = made_wheel(index, "native", "1.0", tag="cp39-cp39-manylinux_2_34_aarch64")
    made_wheel(index, "native", "1.0", tag="cp311-cp311-manylinux_2_34_x86_64")
    found = {}
    for platform in (EMR_7, INTEL):
        with tarfile.open(fileobj=io.BytesIO(build(PATH, lock_of(pinned), platform))) as opened:
            found[str(platform)] = opened.extractfile("native-1.0.dist-info/WHEEL").read().decode().split()[-1]
    assert found == {
        "Python 3.9 on ARM64": "cp39-cp39-manylinux_2_34_aarch64",
        "Python 3.11 on X86_64": "cp311-cp311-manylinux_2_34_x86_64",
    }


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("cp311-cp311-manylinux_2_17_x86_64", EMR_7),
        ("cp39-cp39-manylinux_2_28_x86_64", EMR_7),
        ("cp37-cp37m-manylinux_2_28_x86_64", Platform("3.7", "X86_64", "2.26")),
    ],
    ids=["another Python", "other processors", "a younger glibc"],
)
def test_a_package_without_a_wheel_for_the_platform_is_named_with_it(index, tag, platform):
    lock = lock_of(made_wheel(index, "native", "2.5", tag=tag))
    with pytest.raises(ConfigurationError, match=rf"^native==2\.5 of {PATH} has no wheel for {platform} \(glibc"):
        build(PATH, lock, platform)


def test_a_source_distribution_is_never_built(index):
    with zipfile.ZipFile(index / "sourced-1.0.zip", "w") as source:
        source.writestr("sourced-1.0/setup.py", "raise SystemExit('ran')")
    with pytest.raises(ConfigurationError, match=r"sourced==1\.0 .*no wheel for Python 3\.9 on ARM64"):
        build(PATH, lock_of("sourced==1.0"), EMR_7)


def test_what_the_packages_need_must_be_named_too(index):
    lock = lock_of(made_wheel(index, "upper", "1.0", needs=["lower>=1"]))
    made_wheel(index, "lower", "1.0")
    with pytest.raises(ConfigurationError, match=r"does not name lower, which its packages need"):
        build(PATH, lock, EMR_7)


def test_a_hash_that_does_not_fit_is_refused(index):
    pinned = made_wheel(index, "flat", "1.0")
    with pytest.raises(ConfigurationError, match=r"could not be installed: .*[Hh]ash"):
        build(PATH, f"{pinned} \\\n    --hash=sha256:{'0' * 64}\n".encode(), EMR_7)


def test_a_lock_file_is_read_as_uv_writes_it():
    lark = b"lark==1.3.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\n"
    lock = b"# made by uv\n" + lark + b"numpy==2.0 ; sys_platform == 'linux'\n"
    assert sorted(pins(PATH, lock)) == ["lark", "numpy"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("lark>=1", "'lark>=1'"),
        ("lark==1.*", "'lark==1.*'"),
        ("lark", "'lark'"),
        ("lark @ https://example.com/lark.whl", "'lark @ https"),
        ("./lark.whl", "'./lark.whl'"),
        ("-r other.txt", "'-r'"),
        ("--index-url https://user:hunter2@example.com/simple", "'--index-url'"),
        ("# ends with its line \\\n--index-url https://user:hunter2@example.com/simple", "'--index-url'"),
        (
            "lark==1.3.1 --index-url https://user:hunter2@example.com/simple",
            "'lark==1.3.1 --index-url https://user:***@",
        ),
        ("lark @ git+https://user:hunter2@example.com/lark", "'lark @ git+https://user:***@"),
        ("-e /srv/lark", "'-e'"),
        ("\udcff", "'\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_line_that_is_no_package_with_its_version_is_refused_without_its_secrets(line, told):
    with pytest.raises(ConfigurationError) as refused:
        pins(PATH, f"{line}\n".encode(errors="surrogateescape"))
    assert told in str(refused.value)
    assert "is no package with its version" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_link_that_leads_out_of_the_folder_is_no_lock_file(tmp_path):
    (tmp_path / "include" / "jobs").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("hunter2")
    (tmp_path / "include" / PATH).symlink_to(tmp_path / "elsewhere")
    assert locks(tmp_path / "include") == []


def test_a_lock_file_without_its_script_is_a_mistake(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / PATH).touch()
    with pytest.raises(ConfigurationError, match=r"jobs/clean\.requirements\.txt is the lock file of jobs/clean\.py"):
        locks(tmp_path)


@pytest.fixture
def checkout(tmp_path, index):
    include = tmp_path / "include"
    (include / "jobs").mkdir(parents=True)
    (include / "jobs" / "clean.py").touch()
    (include / PATH).write_bytes(lock_of(made_wheel(index, "flat", "1.0")))
    (include / "dev.yaml").write_text(ENVIRONMENT)
    return SimpleNamespace(include=include, environment=read_environment(include / "dev.yaml"))


@pytest.fixture
def account(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("d-artifacts", "west-artifacts"):
            s3.create_bucket(Bucket=bucket)
        yield s3


def test_each_archive_is_uploaded_once_for_each_platform_of_a_region(checkout, account):
    def asked():
        return list(steps(checkout.environment, checkout.include, lambda _: account))

    said = []
    carry_out(asked(), said.append, dry_run=True)
    assert [account.list_objects_v2(Bucket=bucket)["KeyCount"] for bucket in ("d-artifacts", "west-artifacts")] == [
        0,
        0,
    ]
    carry_out(asked(), said.append, dry_run=False)
    lock = (checkout.include / PATH).read_bytes()
    arm, intel = packages_key(lock, EMR_7), packages_key(lock, INTEL)
    laid = {
        bucket: sorted(one["Key"] for one in account.list_objects_v2(Bucket=bucket)["Contents"])
        for bucket in ("d-artifacts", "west-artifacts")
    }
    assert laid == {"d-artifacts": sorted([arm, intel]), "west-artifacts": [arm]}
    assert [line.split("  ")[0] for line in said] == ["would"] * 3 + ["doing"] * 3
    assert f"doing     upload the packages of {PATH} for Python 3.9 on ARM64 to s3://d-artifacts/{arm}" in said
    assert [step.needed for step in asked()] == [False, False, False]
    body = account.get_object(Bucket="d-artifacts", Key=intel)["Body"].read()
    assert "flat.py" in members(body)
