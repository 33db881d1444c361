"""The sections of a profile: what Spark, S3, HDFS, MapReduce, Hive and tables become on each target, and who wins over whom."""

from __future__ import annotations

import shlex
from functools import cache
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets import ec2, eks_jobs, serverless_jobs
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.profile import Classification
from emr_pipelines.targets.sections import merged
from emr_pipelines.targets.serverless_profile import ServerlessProfile

LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
KEY = Key(LEASE, "emr.clean", -1, "nonce")
CODE = {
    "a.py": "s3://code/a.py",
    "a.jar": "s3://code/a.jar",
    "q.hql": "s3://code/q.hql",
    "jobs/spark_sql.py": "s3://code/s.py",
}
ROLE = "arn:aws:iam::123456789012:role/jobs"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hive-metastore-AbCdEf"
COMMON = {"region": "us-east-1", "log_uri": "s3://logs/emr/"}


def cluster(**settings) -> Ec2Profile:
    plain = {
        "name": "ec2",
        "subnet": "subnet-1",
        "primary": {"type": "m5.xlarge"},
        "core": {"type": "r5.4xlarge", "count": 10},
    }
    return Ec2Profile(target="ec2", **COMMON | plain | settings)


def kubernetes(**settings) -> EksProfile:
    plain = {"name": "eks", "eks_cluster": "analytics", "namespace": "emr", "execution_role": ROLE}
    return EksProfile(target="eks", **COMMON | plain | settings)


def serverless(**settings) -> ServerlessProfile:
    return ServerlessProfile(target="serverless", **COMMON | {"name": "serverless", "execution_role": ROLE} | settings)


PROFILES = {"ec2": cluster, "eks": kubernetes, "serverless": serverless}


@cache
def shape_of(service: str, operation: str) -> Any:
    return get_session().get_service_model(service).operation_model(operation).input_shape


def errors_of(service: str, operation: str, request: dict[str, Any]) -> str:
    return ParamValidator().validate(request, shape_of(service, operation)).generate_report()


def on_ec2(**settings) -> dict[str, dict[str, str]]:
    """The classifications of a cluster, each of which the request has once."""
    request = cluster(**settings).request(LEASE, frozenset({"spark"}))
    assert errors_of("emr", "RunJobFlow", request) == ""
    found = {one["Classification"]: one["Properties"] for one in request["Configurations"]}
    assert len(found) == len(request["Configurations"])
    return found


def run_on_eks(job=None, **settings) -> dict[str, Any]:
    request = eks_jobs.run_request(job or SparkJob(script="a.py"), CODE, KEY, kubernetes(**settings))
    assert errors_of("emr-containers", "StartJobRun", {**request, "virtualClusterId": "abc"}) == ""
    return request


def run_on_serverless(job=None, **settings) -> dict[str, Any]:
    request = serverless_jobs.run_request(job or SparkJob(script="a.py"), CODE, KEY, serverless(**settings))
    assert errors_of("emr-serverless", "StartJobRun", {**request, "applicationId": "abc"}) == ""
    return request


RUN = {"eks": run_on_eks, "serverless": run_on_serverless}


def applied(request: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The classifications of a job run, each of which the request has once."""
    given = request["configurationOverrides"].get("applicationConfiguration", [])
    found = {one["classification"]: one["properties"] for one in given}
    assert len(found) == len(given)
    return found


def words(request: dict[str, Any]) -> list[str]:
    (driver,) = request["jobDriver"].values()
    return shlex.split(driver.get("sparkSubmitParameters") or driver.get("sparkSqlParameters") or driver["parameters"])


def conf(request: dict[str, Any]) -> dict[str, str]:
    """What a request's parameters set by --conf; of two of a name Spark takes the later."""
    said = words(request)
    return dict(said[at + 1].split("=", 1) for at, word in enumerate(said) if word == "--conf")


def finding(target: str, **settings) -> str:
    with pytest.raises(ValidationError) as raised:
        PROFILES[target](**settings)
    (one,) = raised.value.errors()
    return f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"


# Spark

SPARK = {
    "driver": {"cores": 1, "memory": 2},
    "executor": {"cores": 2, "memory": 4, "count": 10},
    "adaptive": {"advisory_partition_size": "256MB"},
    "kryo": True,
    "shuffle_partitions": 800,
    "conf": {"spark.sql.session.timeZone": "UTC"},
}
SIZES = {
    "spark.driver.cores": "1",
    "spark.driver.memory": "2g",
    "spark.executor.cores": "2",
    "spark.executor.memory": "4g",
    "spark.executor.instances": "10",
    "spark.dynamicAllocation.enabled": "false",
}
OTHERS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.enabled": "true",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "256MB",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.sql.shuffle.partitions": "800",
    "spark.sql.session.timeZone": "UTC",
}


def test_the_same_spark_settings_reach_every_target():
    assert on_ec2(spark=SPARK) == {"spark-defaults": {**SIZES, **OTHERS}}
    for run in RUN.values():
        request = run(spark=SPARK)
        assert applied(request) == {"spark-defaults": OTHERS}
        assert SIZES.items() <= conf(request).items()


def test_what_is_not_said_is_left_to_emr():
    assert on_ec2(spark={}) == {}
    assert on_ec2(spark={"executor": {"overhead": 2}}) == {"spark-defaults": {"spark.executor.memoryOverhead": "2g"}}
    assert on_ec2(spark={"adaptive": {"enabled": False, "coalesce_partitions": False}}) == {
        "spark-defaults": {
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.adaptive.coalescePartitions.enabled": "false",
        }
    }


def test_emr_may_size_the_executors_of_a_cluster():
    assert on_ec2(spark={"maximize_resource_allocation": True}) == {"spark": {"maximizeResourceAllocation": "true"}}


BOUNDS = {"dynamic_allocation": {"minimum": 1, "maximum": 50, "initial": 5}}
BOUNDED = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "1",
    "spark.dynamicAllocation.maxExecutors": "50",
    "spark.dynamicAllocation.initialExecutors": "5",
}


def test_dynamic_allocation_has_its_bounds_on_every_target():
    assert on_ec2(spark=BOUNDS) == {"spark-defaults": BOUNDED}
    assert BOUNDED.items() <= conf(run_on_serverless(spark=BOUNDS)).items()
    on_kubernetes = {
        **BOUNDED,
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.executor.instances": "5",
    }
    assert on_kubernetes.items() <= conf(run_on_eks(spark=BOUNDS)).items()


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
@pytest.mark.parametrize(
    "settings",
    [
        {"spark": {"dynamic_allocation": {"minimum": 20, "maximum": 50, "initial": 30}}},
        {"spark": {"executor": {"count": 40}}},
        {"spark": {"conf": {"spark.dynamicAllocation.maxExecutors": "99", "spark.executor.instances": "98"}}},
        {
            "configurations": [
                {"classification": "spark-defaults", "properties": {"spark.dynamicAllocation.minExecutors": "77"}}
            ]
        },
    ],
)
def test_no_more_executors_are_asked_for_than_maximum_workers(settings, run):
    said = conf(run(maximum_workers=10, **settings))
    numbers = [int(value) for name, value in said.items() if name.endswith(("Executors", ".instances"))]
    assert numbers
    assert max(numbers) == 10


def test_a_fixed_number_of_executors_is_no_dynamic_allocation_on_kubernetes():
    said = conf(run_on_eks(spark={"executor": {"count": 3}}, maximum_workers=10))
    assert said["spark.dynamicAllocation.enabled"] == "false"
    assert said["spark.executor.instances"] == "3"
    assert "spark.dynamicAllocation.shuffleTracking.enabled" not in said


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"memory": "36g", "instances": None}),
        ({"concurrent_steps": 1}, {"memory": "36g", "instances": "29"}),
        ({"concurrent_steps": 1, "maximum_workers": 4}, {"memory": "36g", "instances": "11"}),
        (
            {"concurrent_steps": 1, "managed_scaling": {"minimum": 2, "maximum": 10}},
            {"memory": "36g", "instances": None},
        ),
        ({"concurrent_steps": 1, "task": {"type": "r5.12xlarge", "count": 1}}, {"memory": "36g", "instances": "38"}),
    ],
)
def test_executors_can_be_fitted_to_the_nodes_and_counted_where_one_job_has_them_all(settings, expected):
    properties = on_ec2(spark={"executor": "fit"}, **settings)["spark-defaults"]
    assert properties["spark.executor.cores"] == "5"
    assert properties["spark.executor.memoryOverhead"] == "4g"
    assert properties["spark.executor.memory"] == expected["memory"]
    assert properties.get("spark.executor.instances") == expected["instances"]


def test_fitted_executors_come_and_go_between_their_bounds():
    properties = on_ec2(spark={"executor": "fit", **BOUNDS}, concurrent_steps=1)["spark-defaults"]
    assert BOUNDED.items() <= properties.items()
    assert "spark.executor.instances" not in properties


@pytest.mark.parametrize(
    ("size", "worker"),
    [
        ({"cores": 1, "memory": 2}, (1, 3)),
        ({"cores": 2, "memory": 4}, (2, 5)),
        ({"cores": 4, "memory": 14}, (4, 16)),
        ({"cores": 4, "memory": 20, "overhead": 8}, (4, 28)),
        ({"cores": 8, "memory": 17}, (8, 20)),  # 19 GB are no worker of 8 vCPU: they grow by 4
        ({"cores": 16, "memory": 100}, (16, 112)),
    ],
)
def test_a_serverless_worker_is_the_smallest_with_room(size, worker):
    workers = serverless(spark={"executor": size}).spark_workers
    assert (workers["Executor"].cpu, workers["Executor"].memory) == worker
    assert (workers["Driver"].cpu, workers["Driver"].memory) == (4, 16)


def test_serverless_capacity_counts_the_workers_that_spark_asks_for():
    profile = serverless(
        spark={"driver": {"cores": 1, "memory": 2}, "executor": {"cores": 2, "memory": 4}},
        maximum_workers=10,
        scheduler={"max_concurrent_runs": 1},
    )
    assert profile.request(LEASE, "spark")["maximumCapacity"] == {"cpu": "21 vCPU", "memory": "53 GB", "disk": "220 GB"}


# Who wins


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_property_by_property_a_job_wins_over_configurations_over_conf_over_sections(run):
    settings = {
        "spark": {
            "executor": {"cores": 2, "memory": 4},
            "shuffle_partitions": 800,
            "kryo": True,
            "conf": {"spark.executor.memory": "5g", "spark.executor.cores": "4", "spark.sql.shuffle.partitions": "700"},
        },
        "configurations": [
            {
                "classification": "spark-defaults",
                "properties": {"spark.executor.memory": "6g", "spark.sql.shuffle.partitions": "600"},
            },
            {"classification": "spark-defaults", "properties": {"spark.app": "x"}},
        ],
    }
    request = run(SparkJob(script="a.py", conf={"spark.driver.memory": "9g"}), **settings)
    said, defaults = conf(request), applied(request)["spark-defaults"]
    assert said["spark.executor.memory"] == "6g"
    assert said["spark.executor.cores"] == "4"
    assert said["spark.driver.memory"] == "9g"
    assert defaults["spark.sql.shuffle.partitions"] == "600"
    assert defaults["spark.serializer"] == "org.apache.spark.serializer.KryoSerializer"
    assert defaults["spark.app"] == "x"


def test_on_a_cluster_configurations_win_over_sections_and_stand_once():
    found = on_ec2(
        spark={"executor": {"memory": 4}, "kryo": True},
        hdfs={"replication": 3},
        configurations=[
            {"classification": "spark-defaults", "properties": {"spark.executor.memory": "6g"}},
            {"classification": "hdfs-site", "properties": {"dfs.replication": "2", "dfs.permissions": "true"}},
            {"classification": "spark-defaults", "properties": {"spark.executor.memory": "7g"}},
        ],
    )
    assert found == {
        "spark-defaults": {
            "spark.executor.memory": "7g",
            "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        },
        "hdfs-site": {"dfs.replication": "2", "dfs.permissions": "true"},
    }


def test_what_a_classification_contains_is_merged_too():
    def exports(**values):
        inner = Classification(classification="export", properties=values)
        return Classification(classification="spark-env", configurations=(inner,))

    assert merged([exports(A="1", B="1"), exports(B="2", C="2")]) == (exports(A="1", B="2", C="2"),)


# Hadoop and Hive

HADOOP = {
    "s3": {"block_size": 134217728, "multipart_size": 134217728, "retries": 10, "connections": 200},
    "hdfs": {
        "default_fs": "hdfs://namenode:8020",
        "io_buffer_size": 131072,
        "replication": 3,
        "block_size": 134217728,
        "namenode_handlers": 100,
        "datanode_handlers": 10,
    },
    "mapreduce": {"map": {"memory": 2048}, "reduce": {"memory": 4096, "heap": 3276}},
}


def test_s3_hdfs_and_mapreduce_become_hadoops_own_files():
    assert on_ec2(**HADOOP) == {
        "emrfs-site": {
            "fs.s3.multipart.uploads.split.size": "134217728",
            "fs.s3.maxRetries": "10",
            "fs.s3.maxConnections": "200",
        },
        "core-site": {
            "fs.s3a.block.size": "134217728",
            "fs.s3a.multipart.size": "134217728",
            "fs.s3a.attempts.maximum": "11",
            "fs.s3a.connection.maximum": "200",
            "fs.defaultFS": "hdfs://namenode:8020",
            "io.file.buffer.size": "131072",
        },
        "hdfs-site": {
            "dfs.replication": "3",
            "dfs.blocksize": "134217728",
            "dfs.namenode.handler.count": "100",
            "dfs.datanode.handler.count": "10",
        },
        "mapred-site": {
            "mapreduce.framework.name": "yarn",
            "mapreduce.map.memory.mb": "2048",
            "mapreduce.map.java.opts": "-Xmx1638m",
            "mapreduce.reduce.memory.mb": "4096",
            "mapreduce.reduce.java.opts": "-Xmx3276m",
        },
    }


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_s3_is_sparks_to_know_where_there_is_no_cluster(run):
    assert applied(run(s3={"multipart_size": 134217728})) == {
        "spark-defaults": {
            "spark.hadoop.fs.s3.multipart.uploads.split.size": "134217728",
            "spark.hadoop.fs.s3a.multipart.size": "134217728",
        }
    }


HIVE = {
    "database": {"url": "jdbc:mysql://db.internal:3306/hive", "user": "hive", "password_secret": SECRET},
    "warehouse": "s3://data/hive-warehouse/",
    "dynamic_partitions": True,
    "partition_mode": "nonstrict",
    "vectorization": True,
}
WORKS = {
    "hive.metastore.warehouse.dir": "s3://data/hive-warehouse/",
    "hive.exec.dynamic.partition": "true",
    "hive.exec.dynamic.partition.mode": "nonstrict",
    "hive.vectorized.execution.enabled": "true",
    "hive.vectorized.execution.reduce.enabled": "true",
}
DATABASE = {
    "javax.jdo.option.ConnectionURL": "jdbc:mysql://db.internal:3306/hive",
    "javax.jdo.option.ConnectionDriverName": "org.mariadb.jdbc.Driver",
    "javax.jdo.option.ConnectionUserName": "hive",
}
NETWORK = {"subnets": ["subnet-1"]}


def test_a_clusters_metastore_is_on_rds_and_its_password_in_secrets_manager():
    assert on_ec2(hive={**HIVE, "engine": "tez"}) == {
        "spark-defaults": {"spark.sql.warehouse.dir": "s3://data/hive-warehouse/"},
        "hive-site": {
            **DATABASE,
            "EMR.secret@javax.jdo.option.ConnectionPassword": SECRET,
            **WORKS,
            "hive.execution.engine": "tez",
        },
    }


def test_serverless_resolves_the_password_by_the_secrets_name():
    hive = {**HIVE, "database": {**HIVE["database"], "password_secret": "emr/hive-metastore"}}
    of_hive = run_on_serverless(HiveJob(script="q.hql"), hive=hive, network=NETWORK, spark=SPARK)
    assert applied(of_hive) == {
        "hive-site": {
            "hive.metastore.client.factory.class": "org.apache.hadoop.hive.ql.metadata.SessionHiveMetaStoreClientFactory",
            **DATABASE,
            "javax.jdo.option.ConnectionPassword": "EMR.secret@emr/hive-metastore",
            **WORKS,
        }
    }
    of_spark = applied(run_on_serverless(hive=hive, network=NETWORK))
    assert of_spark == {
        "spark-defaults": {
            "spark.sql.warehouse.dir": "s3://data/hive-warehouse/",
            **{f"spark.hadoop.{name}": value for name, value in DATABASE.items()},
            "spark.hadoop.javax.jdo.option.ConnectionPassword": "EMR.secret@emr/hive-metastore",
        }
    }


GLUE = "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory"


def test_glue_is_the_metastore_of_hive_and_spark_everywhere():
    factory = {"hive.metastore.client.factory.class": GLUE}
    for_spark = {"spark-defaults": {"spark.hadoop.hive.metastore.client.factory.class": GLUE}}
    hive = {"metastore": "glue"}
    assert on_ec2(hive=hive) == {"hive-site": factory, "spark-hive-site": factory}
    assert applied(run_on_eks(hive=hive)) == for_spark
    assert applied(run_on_eks(SparkSqlJob(script="q.hql"), hive=hive)) == for_spark
    assert applied(run_on_serverless(hive=hive)) == for_spark
    assert applied(run_on_serverless(HiveJob(script="q.hql"), hive=hive)) == {"hive-site": factory}


def test_a_metastore_service_is_found_by_its_address():
    hive = {"metastore": "thrift://metastore.internal:9083"}
    uris = {"hive.metastore.uris": "thrift://metastore.internal:9083"}
    for_spark = {"spark-defaults": {"spark.hadoop.hive.metastore.uris": "thrift://metastore.internal:9083"}}
    assert on_ec2(hive=hive) == {"hive-site": uris, "spark-hive-site": uris}
    assert applied(run_on_eks(hive=hive)) == for_spark
    assert applied(run_on_serverless(hive=hive)) == for_spark


# Tables

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
ICEBERG = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.iceberg": "org.apache.iceberg.spark.SparkCatalog",
}
IN_HIVE = {"spark.sql.catalog.iceberg.type": "hive"}
IN_GLUE = {
    "spark.sql.catalog.iceberg.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
    "spark.sql.catalog.iceberg.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    "spark.sql.catalog.iceberg.warehouse": "s3://data/iceberg/",
}
HUDI = {
    "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
}


def test_a_cluster_brings_its_table_formats():
    assert on_ec2(tables=["delta"]) == {"delta-defaults": {"delta.enabled": "true"}, "spark-defaults": DELTA}
    assert on_ec2(tables=["iceberg"]) == {
        "iceberg-defaults": {"iceberg.enabled": "true"},
        "spark-defaults": {**ICEBERG, **IN_HIVE},
    }
    assert on_ec2(tables=["hudi"]) == {
        "spark-defaults": {**HUDI, "spark.jars": "/usr/lib/hudi/hudi-spark-bundle.jar"},
    }


@pytest.mark.parametrize(("run", "prefix"), [(run_on_eks, "local://"), (run_on_serverless, "")], ids=RUN)
def test_elsewhere_their_files_are_those_of_the_image(run, prefix):
    delta = f"{prefix}/usr/share/aws/delta/lib/delta-spark.jar,{prefix}/usr/share/aws/delta/lib/delta-storage.jar"
    iceberg = f"{prefix}/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"
    assert applied(run(tables=["delta"])) == {"spark-defaults": {**DELTA, "spark.jars": delta}}
    assert applied(run(tables=["hudi"])) == {
        "spark-defaults": {**HUDI, "spark.jars": f"{prefix}/usr/lib/hudi/hudi-spark-bundle.jar"}
    }
    both = applied(run(tables=["delta", "iceberg"], hive={"metastore": "glue", "warehouse": "s3://data/iceberg/"}))
    assert both["spark-defaults"] == {
        **DELTA,
        **ICEBERG,
        **IN_GLUE,
        "spark.sql.extensions": f"{DELTA['spark.sql.extensions']},{ICEBERG['spark.sql.extensions']}",
        "spark.jars": f"{delta},{iceberg}",
        "spark.hadoop.hive.metastore.client.factory.class": GLUE,
        "spark.sql.warehouse.dir": "s3://data/iceberg/",
    }


def test_an_older_release_has_the_older_file():
    properties = applied(run_on_serverless(tables=["delta"], release="emr-6.15.0"))["spark-defaults"]
    assert (
        properties["spark.jars"] == "/usr/share/aws/delta/lib/delta-core.jar,/usr/share/aws/delta/lib/delta-storage.jar"
    )


def test_a_jobs_own_jars_join_those_of_its_tables():
    job = SparkJob(script="a.py", jars=("a.jar",))
    bundle = "/usr/lib/hudi/hudi-spark-bundle.jar"
    step = ec2.step_request(job, CODE, "name", cluster(tables=["hudi"]))["HadoopJarStep"]["Args"]
    for said, expected in (
        (step, f"s3://code/a.jar,{bundle}"),
        (words(run_on_serverless(job, tables=["hudi"])), f"s3://code/a.jar,{bundle}"),
        (words(run_on_eks(job, tables=["hudi"])), f"s3://code/a.jar,local://{bundle}"),
        (words(run_on_eks(job)), "s3://code/a.jar"),
    ):
        assert said[said.index("--jars") + 1] == expected


# What cannot be, and what cannot work


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        (
            "ec2",
            {"spark": {"dynamic_allocation": {"minimum": 5, "maximum": 1}}},
            "spark.dynamic_allocation: minimum 5 is above maximum 1: write the smaller one as minimum",
        ),
        (
            "eks",
            {"spark": {"dynamic_allocation": {"maximum": 4, "initial": 5}}},
            "spark.dynamic_allocation: initial 5 lies outside of the bounds: write 0 to 4, or leave it out",
        ),
        (
            "ec2",
            {"spark": {"executor": {"count": 60}, **BOUNDS}},
            "spark: executor.count 60 is above dynamic_allocation.maximum 50: lower it, or leave it out",
        ),
        (
            "serverless",
            {"spark": {"conf": {"hive.exec.parallel": "true"}}},
            "spark: conf: 'hive.exec.parallel' is no property of Spark: begin it with 'spark.', for Hadoop's with 'spark.hadoop.'",
        ),
        (
            "ec2",
            {"spark": {"maximize_resource_allocation": True, "executor": "fit"}},
            "spark: maximize_resource_allocation sizes the executors: leave out executor, or that",
        ),
        (
            "ec2",
            {"spark": {"executor": "large"}},
            "spark.executor: 'large' is no size of executors: write fit, or {cores: 4, memory: 8}",
        ),
        (
            "ec2",
            {"spark": {"executor": {"cores": 0}}},
            "spark.executor.cores: Input should be greater than or equal to 1",
        ),
        (
            "ec2",
            {"spark": {"executor": "fit"}, "core": None},
            ": spark.executor: fit needs core or task nodes of types whose size is known here: write cores and memory instead",
        ),
        (
            "eks",
            {"spark": {"executor": {"memory": 4}}, "executor": {"memory": 8}},
            ": spark.executor and executor both say memory: leave it out of one of them",
        ),
        (
            "serverless",
            {"spark": {"driver": {"cores": 2, "memory": 4}}, "driver": {"cpu": 2, "memory": 8}},
            ": spark.driver and driver both say cores: leave it out of one of them",
        ),
        (
            "serverless",
            {"spark": {"executor": {"cores": 3, "memory": 4}}},
            ": spark.executor.cores is 3: a worker has 1, 2, 4, 8 or 16 vCPU: write one of these",
        ),
        (
            "serverless",
            {"spark": {"executor": {"cores": 2}}},
            ": spark.executor: a worker needs both, cores and memory, and one of them is not said: write it, too",
        ),
        (
            "serverless",
            {"spark": {"executor": {"cores": 1, "memory": 8}}},
            (
                ": spark.executor takes 9 GB with what lies outside of its heap, and a worker of 1 vCPU has at most 8: "
                "lower memory, or raise cores"
            ),
        ),
        (
            "ec2",
            {"mapreduce": {"map": {"memory": 2048, "heap": 2048}}},
            "mapreduce.map: heap 2048 does not fit into memory 2048: write a smaller one, or leave it out for 80 % of it",
        ),
        (
            "ec2",
            {"hive": {"metastore": "rds"}},
            "hive.metastore: 'rds' is no metastore: write glue, or the address of one, such as thrift://host:9083",
        ),
        (
            "ec2",
            {"hive": {**HIVE, "metastore": "glue"}},
            "hive: metastore and database name two metastores: leave out one of them",
        ),
        (
            "ec2",
            {"hive": {"database": {**HIVE["database"], "password_secret": "hive"}}},
            (
                "hive: database.password_secret is a name, and EMR on EC2 finds a secret by its ARN: write "
                "arn:aws:secretsmanager:<region>:<account>:secret:<name>"
            ),
        ),
        (
            "ec2",
            {"hive": {"database": {**HIVE["database"], "url": "jdbc:mysql://db/hive?user=a&password=b"}}},
            (
                "hive.database: url has a password in it: keep that in AWS Secrets Manager and name the secret in "
                "password_secret"
            ),
        ),
        (
            "serverless",
            {"hive": HIVE},
            ": hive.database lies in a VPC, which network names: write network: {subnets: [...], security_groups: [...]}",
        ),
        (
            "eks",
            {"tables": ["delta", "hudi"]},
            ": tables: delta and hudi both replace Spark's own catalog: give each a profile of its own",
        ),
        (
            "serverless",
            {"tables": ["delta"], "release": "emr-6.8.0"},
            ": tables: delta comes with emr-6.9.0 and later: raise release, which is emr-6.8.0",
        ),
        ("ec2", {"tables": ["iceberg", "iceberg"]}, ": tables names a format twice: write each of iceberg once"),
    ],
)
def test_what_cannot_be_is_said_with_its_cure(target, settings, said):
    assert finding(target, **settings) == said


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("eks", {"hdfs": {"replication": 3}}),
        ("serverless", {"mapreduce": {}}),
        ("eks", {"hive": {"vectorization": True}}),
        ("eks", {"hive": {"database": HIVE["database"]}}),
        ("serverless", {"spark": {"maximize_resource_allocation": True}}),
        ("ec2", {"hive": {"database": {**HIVE["database"], "password": "hunter2"}}}),
    ],
)
def test_what_means_nothing_on_a_target_is_an_unknown_setting(target, settings):
    assert finding(target, **settings).endswith("Extra inputs are not permitted")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"spark": {"executor": "fit"}}, ()),
        ({"spark": {"executor": {"cores": 2, "memory": 4, "count": 10}}}, ()),
        (
            {"spark": {"executor": {"count": 1000, "memory": 4}}},
            ("1000 executors are asked for, and the nodes have memory for 270",),
        ),
        ({"spark": {"executor": {"count": 1000, "memory": 4}}, "managed_scaling": {"minimum": 1, "maximum": 100}}, ()),
        (
            {"spark": {"executor": {"cores": 17}}},
            ("An executor of 17 cores is larger than a node: r5.4xlarge has 16 vCPUs",),
        ),
        (
            {"spark": {"driver": {"memory": 17}}},
            ("spark.driver.memory is 17 GB, and m5.xlarge, where drivers run, has 16 GiB",),
        ),
        ({"spark": {"driver": {"memory": 17}}, "deploy_mode": "cluster"}, ()),
        (
            {"mapreduce": {"reduce": {"memory": 122881}}},
            ("mapreduce.reduce takes 122881 MiB, and YARN has 122880 MiB on r5.4xlarge: none runs there",),
        ),
    ],
)
def test_a_cluster_warns_of_what_no_node_has_room_for(settings, told):
    assert cluster(**settings).warnings == told


@pytest.mark.parametrize("make", [kubernetes, serverless])
def test_bounds_that_are_never_reached_are_a_warning(make):
    assert make(spark=BOUNDS, maximum_workers=20).warnings == (
        "spark.dynamic_allocation.maximum is 50, and maximum_workers allows 20",
    )
    assert make(spark=BOUNDS, maximum_workers=50).warnings == ()


def test_a_job_templates_configurations_are_its_own_and_the_profiles_have_no_effect():
    template = {"id": "0123456789abcdefghijklmno", "parameters": {"Script": "{entry_point}"}}
    assert kubernetes(job_template=template).warnings == ()
    assert kubernetes(job_template=template, spark={"executor": {"cores": 2}}).warnings == ()
    assert kubernetes(job_template=template, spark={"kryo": True}).warnings == (
        "job_template says the configurations of its job runs: those of this profile have no effect",
    )


def test_a_stated_overhead_is_what_a_pod_is_counted_with():
    spark = {
        "driver": {"cores": 1, "memory": 2, "overhead": 1},
        "executor": {"cores": 2, "memory": 4, "overhead": 2, "count": 10},
    }
    used = eks_jobs.usage_of(run_on_eks(spark=spark), 3600)
    assert (used.vcpu_hours, used.memory_gb_hours) == (1 + 10 * 2, 3 + 10 * 6)


# Secrets


@pytest.mark.parametrize("target", PROFILES)
@pytest.mark.parametrize(
    "name",
    [
        "javax.jdo.option.ConnectionPassword",
        "fs.s3a.secret.key",
        "presto.s3.secret-key",
        "spark.authenticate.secret",
        "spark.some.apiToken",
        "ssl.keystore.password",
    ],
)
def test_a_secret_in_plain_text_is_refused_and_not_told(name, target):
    configuration = {
        "classification": "core-site",
        "configurations": [{"classification": "x", "properties": {name: "hunter2"}}],
    }
    said = finding(target, configurations=[configuration])
    assert said == (
        f"configurations.0.configurations.0.properties: {name} would hold a secret in plain text: keep it in AWS Secrets "
        f"Manager and write, for EC2, 'EMR.secret@{name}' with the secret's ARN, for Serverless 'EMR.secret@' and its name as the value"
    )


def test_a_secret_in_sparks_own_properties_is_refused():
    assert "spark.ssl.keyPassword would hold a secret" in finding(
        "eks", spark={"conf": {"spark.ssl.keyPassword": "hunter2"}}
    )


REFERENCE_BY_ARN = {"EMR.secret@presto.s3.secret-key": SECRET}
REFERENCE_BY_NAME = {"javax.jdo.option.ConnectionPassword": "EMR.secret@emr/hive-metastore"}


def core_site(properties: dict[str, str]) -> list[dict[str, Any]]:
    return [{"classification": "core-site", "properties": properties}]


def test_each_service_takes_its_own_reference_to_a_secret():
    assert on_ec2(configurations=core_site(REFERENCE_BY_ARN)) == {"core-site": REFERENCE_BY_ARN}
    assert applied(run_on_serverless(configurations=core_site(REFERENCE_BY_NAME))) == {"core-site": REFERENCE_BY_NAME}
    assert finding("ec2", configurations=core_site(REFERENCE_BY_NAME)) == (
        ": javax.jdo.option.ConnectionPassword: EMR on EC2 takes the ARN of a secret: write it as the value of "
        "EMR.secret@javax.jdo.option.ConnectionPassword"
    )
    assert finding("serverless", configurations=core_site(REFERENCE_BY_ARN)) == (
        ": EMR.secret@presto.s3.secret-key: EMR Serverless takes the name of a secret: write presto.s3.secret-key: "
        "EMR.secret@<name>"
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"hive.server2.enable.token": "true"},
        {"hadoop.security.credential.provider.path": "jceks://s3/keys"},
        {"spark.hadoop.fs.s3a.access.key.count": "3"},
    ],
)
def test_what_is_only_named_like_a_secret_is_taken(properties):
    assert on_ec2(configurations=[{"classification": "core-site", "properties": properties}]) == {
        "core-site": properties
    }


@pytest.mark.parametrize("text", ["hunter 2!", "", "arn:aws:iam::123456789012:role/x"])
def test_a_secret_is_named_as_secrets_manager_names_it(text):
    database = {**HIVE["database"], "password_secret": text}
    assert finding("serverless", hive={"database": database}, network=NETWORK) == (
        "hive.database.password_secret: this is no secret of AWS Secrets Manager: write its name or its ARN, never the secret "
        "itself"
    )


def test_a_profile_with_sections_can_be_overridden_for_a_run():
    profile = serverless(spark=SPARK, tables=["delta"]).overridden({"maximum_workers": 4})
    assert serverless_jobs.spark_sizes(profile)["spark.executor.instances"] == "4"
    assert cluster(spark={"executor": "fit"}).overridden({"maximum_workers": 1}).warnings == ()
