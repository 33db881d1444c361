"""The `aws` command line and the amazon provider's operators run real jobs on EMR Serverless and EMR on EKS.

Commands and configurations are those of AWS's pages, with scripts of our own.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

from local_emr.engine.java import JAVA_HOME, spark_jars
from tests.local_emr.commands import SMALL, command_line_of, provider
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

BUCKET = "amzn-s3-demo-bucket"
SAMPLES = "us-east-1.elasticmapreduce"

WORD_COUNT = """
import sys
from splitting import SEPARATOR
from pyspark.sql import SparkSession
from pyspark.sql.functions import explode, split

spark = SparkSession.builder.appName("WordCount").getOrCreate()
words = spark.read.text(sys.argv[1]).select(explode(split("value", SEPARATOR)).alias("word"))
words.groupBy("word").count().orderBy("word").coalesce(1).write.mode("overwrite").csv(sys.argv[2])
print("counted for", sys.argv[3:])
"""

COUNTING = "from pyspark.sql import SparkSession; print(SparkSession.builder.getOrCreate().range(5).count())"

SLEEPING = "import time; time.sleep(600)"

FAILING = "raise ValueError('no such carrier: 日本')"

HIVE_QUERY = """
create database if not exists emrserverless;
use emrserverless;
create table if not exists test_table(id int);
insert into test_table values (1),(2),(2),(3),(3),(3);
select id, count(id) from test_table group by id order by id desc;
"""

SQL = "SELECT '${carrier}' AS carrier, id FROM range(3) WHERE id > ${hivevar:least};"

COUNT_TO = """
package example;

import org.apache.spark.sql.SparkSession;

public class CountTo {
    public static void main(String[] arguments) {
        SparkSession spark = SparkSession.builder().appName("CountTo").getOrCreate();
        System.out.println("counted to " + spark.range(Long.parseLong(arguments[0])).count());
        spark.stop();
    }
}
"""

OPERATORS = """
import json, time
from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.operators.emr import (
    EmrContainerOperator, EmrEksCreateClusterOperator, EmrServerlessCreateApplicationOperator,
    EmrServerlessDeleteApplicationOperator, EmrServerlessStartJobOperator, EmrServerlessStopApplicationOperator,
)
from airflow.providers.amazon.aws.sensors.emr import (
    EmrContainerSensor, EmrServerlessApplicationSensor, EmrServerlessJobSensor,
)

bucket, role = "s3://amzn-s3-demo-bucket", "arn:aws:iam::123456789012:role/job"
found, conn = {}, {"task_id": "task", "aws_conn_id": None}
fast = {"waiter_delay": 1, "waiter_max_attempts": 120}

def failure(operator):
    try:
        return operator.execute({})
    except Exception as error:
        return str(error)

create = {"release_label": "emr-7.10.0", "job_type": "SPARK", "config": {"name": "airflow"}}
application = {"application_id": EmrServerlessCreateApplicationOperator(**create, **conn, **fast).execute({})}
EmrServerlessApplicationSensor(**application, **conn, poke_interval=0.2).execute({})

def job(script, *arguments, **more):
    driver = {"sparkSubmit": {"entryPoint": f"{bucket}/{script}", "entryPointArguments": list(arguments)}}
    more |= {"execution_role_arn": role, "job_driver": driver}
    return EmrServerlessStartJobOperator(**application, **more, **conn, **fast)

counted = job("counting.py").execute({})
EmrServerlessJobSensor(**application, job_run_id=counted, **conn, poke_interval=0.2).execute({})
hook = EmrServerlessHook(aws_conn_id=None)
sleeping, forced = (job("sleeping.py", wait_for_completion=False) for _ in range(2))
for operator in (sleeping, forced):
    operator.execute({})
    key = {"applicationId": application["application_id"], "jobRunId": operator.job_id}
    hook.get_waiter("serverless_job_running").wait(**key, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
sleeping.on_kill()
cancelled = {"applicationId": application["application_id"], "jobRunId": sleeping.job_id}
while hook.conn.get_job_run(**cancelled)["jobRun"]["state"] != "CANCELLED":
    time.sleep(0.1)
found["busy"] = failure(EmrServerlessStopApplicationOperator(**application, **conn, **fast))
EmrServerlessStopApplicationOperator(**application, force_stop=True, **conn, **fast).execute({})
runs = hook.conn.list_job_runs(applicationId=application["application_id"])["jobRuns"]
found["serverless"] = [run["state"] for run in runs]
EmrServerlessDeleteApplicationOperator(**application, **conn, **fast).execute({})
found["application"] = hook.conn.get_application(applicationId=application["application_id"])["application"]["state"]

names = {"virtual_cluster_name": "airflow", "eks_cluster_name": "my-cluster", "eks_namespace": "airflow"}
cluster = EmrEksCreateClusterOperator(**names, **conn).execute({})

def container(script, **more):
    driver = {"sparkSubmitJobDriver": {"entryPoint": f"{bucket}/{script}"}}
    more |= {"virtual_cluster_id": cluster, "execution_role_arn": role, "release_label": "emr-7.0.0-latest"}
    return EmrContainerOperator(name="pi.py", job_driver=driver, poll_interval=1, **more, **conn)

found["reason"] = failure(container("failing.py"))
killed = container("sleeping.py", wait_for_completion=False, tags={"team": "flights"})
killed.execute({})
killed.on_kill()

sensor = EmrContainerSensor(virtual_cluster_id=cluster, job_id=killed.job_id, poll_interval=1, **conn)
found["sensor"] = failure(sensor)
found["killed"] = killed.hook.check_query_status(killed.job_id)
print("found", json.dumps(found))
"""


@pytest.fixture(scope="module")
def count_to(tmp_path_factory):
    """Compile and pack a Spark program, with the compiler among Spark's own jars; return the jar."""
    folder = tmp_path_factory.mktemp("jar")
    (folder / "classes").mkdir()
    (folder / "CountTo.java").write_text(COUNT_TO)
    jars = ":".join(map(str, spark_jars()))
    compiler = ["org.codehaus.commons.compiler.samples.CompilerDemo", "-d", folder / "classes", "-classpath", jars]
    command = [JAVA_HOME / "bin" / "java", "-XX:TieredStopAtLevel=1", "-cp", jars, *compiler, folder / "CountTo.java"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(folder / "count-to.jar", "w") as packed:
        packed.write(folder / "classes/example/CountTo.class", "example/CountTo.class")
    return folder / "count-to.jar"


def virtual_environment():
    """Return what venv-pack makes of a virtual environment with one package."""
    module, packed = b"SEPARATOR = ','", io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("lib/python3.9/site-packages/splitting.py")
        member.size = len(module)
        archive.addfile(member, io.BytesIO(module))
        link = tarfile.TarInfo("bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3.9"
        archive.addfile(link)
    return packed.getvalue()


@pytest.fixture(scope="module")
def real_url(tmp_path_factory, count_to):
    """Yield the URL of an endpoint that runs real jobs, with the buckets and scripts of AWS's examples."""
    with running_endpoint(tmp_path_factory.mktemp("real")) as url:
        s3 = client_of(url, "s3")
        for bucket in (BUCKET, SAMPLES):
            s3.create_bucket(Bucket=bucket)
        objects = {
            "wordcount.py": WORD_COUNT,
            "counting.py": COUNTING,
            "sleeping.py": SLEEPING,
            "failing.py": FAILING,
            "hive-query.ql": HIVE_QUERY,
            "query.sql": SQL,
            "words/a.txt": "b,a\nb,é\n",
        }
        for key, body in objects.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        s3.put_object(Bucket=SAMPLES, Key="emr-containers/wordcount.py", Body=WORD_COUNT.encode())
        s3.put_object(Bucket=BUCKET, Key="pyspark_venv.tar.gz", Body=virtual_environment())
        s3.put_object(Bucket=BUCKET, Key="count-to.jar", Body=count_to.read_bytes())
        yield url


def objects_of(url, prefix):
    """Return the objects below `prefix` by the rest of their keys, logs unpacked."""
    s3 = client_of(url, "s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    bodies = {item["Key"]: s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in found}
    return {
        key.removeprefix(prefix): (gzip.decompress(body) if key.endswith(".gz") else body).decode()
        for key, body in bodies.items()
        if not key.endswith(".crc")
    }


def test_the_command_line_runs_the_examples_of_aws_s_pages(real_url, monkeypatch, capsys):
    aws = command_line_of(real_url, monkeypatch, capsys)
    environment = "s3://amzn-s3-demo-bucket/pyspark_venv.tar.gz#environment"
    python = "./environment/bin/python"
    aws.names |= {
        "LOGS": '"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://amzn-s3-demo-bucket/logs"}}',
        "PACKAGES": f"--conf spark.archives={environment} --conf spark.emr-serverless.driverEnv.PYSPARK_PYTHON={python} "
        f"--conf spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON={python} --conf spark.executorEnv.PYSPARK_PYTHON={python}",
        "SMALL": SMALL,
    }
    create = (
        "aws emr-serverless create-application --release-label emr-7.1.0 --query applicationId --output text --type"
    )
    aws.names |= {"SPARK": aws(f"{create} SPARK"), "HIVE": aws(f"{create} HIVE")}
    aws.names["VC"] = aws(f"""
        aws emr-containers create-virtual-cluster --name spark --query id --output text
            --container-provider '{json.dumps(provider("spark"))}'
        """)
    start = "aws emr-serverless start-job-run --execution-role-arn $ROLE --query jobRunId --output text"
    word_count = aws(f"""{start} --application-id $SPARK
        --job-driver '{{
            "sparkSubmit": {{
                "entryPoint": "s3://us-east-1.elasticmapreduce/emr-containers/wordcount.py",
                "entryPointArguments": ["s3://amzn-s3-demo-bucket/words", "s3://amzn-s3-demo-bucket/counts", "日 é", "a b"],
                "sparkSubmitParameters": "$SMALL $PACKAGES"
            }}
        }}'
        --configuration-overrides '{{$LOGS}}'
        """)
    hive = aws(f"""{start} --application-id $HIVE
        --job-driver '{{
            "hive": {{
                "query": "s3://amzn-s3-demo-bucket/hive-query.ql",
                "parameters": "--hiveconf hive.root.logger=DEBUG,DRFA --hiveconf hive.metastore.warehouse.dir=s3://amzn-s3-demo-bucket/warehouse"
            }}
        }}'
        --configuration-overrides '{{
            "applicationConfiguration": [{{
                "classification": "hive-site",
                "properties": {{
                    "hive.exec.scratchdir": "s3://amzn-s3-demo-bucket/scratch",
                    "hive.driver.cores": "2",
                    "hive.driver.memory": "4g",
                    "hive.tez.container.size": "4096",
                    "hive.tez.cpu.vcores": "1"
                }}
            }}],
            $LOGS
        }}'
        """)
    jar = aws(f"""{start} --application-id $SPARK
        --job-driver '{{
            "sparkSubmit": {{
                "entryPoint": "s3://amzn-s3-demo-bucket/count-to.jar",
                "entryPointArguments": ["7"],
                "sparkSubmitParameters": "--class example.CountTo $SMALL"
            }}
        }}'
        --configuration-overrides '{{$LOGS}}'
        """)
    start = (
        "aws emr-containers start-job-run --virtual-cluster-id $VC --execution-role-arn $ROLE --query id --output text"
    )
    pi = aws(f"""{start} --name sample-job-name --release-label emr-6.9.0-latest
        --job-driver '{{
            "sparkSubmitJobDriver": {{
                "entryPoint": "local:///usr/lib/spark/examples/src/main/python/pi.py",
                "entryPointArguments": ["2"],
                "sparkSubmitParameters": "--conf spark.executor.instances=2 --conf spark.executor.memory=2G"
            }}
        }}'
        --retry-policy-configuration '{{"maxAttempts": 5}}'
        --configuration-overrides '{{
            "applicationConfiguration": [{{
                "classification": "spark-env",
                "configurations": [
                    {{"classification": "export", "properties": {{"PYSPARK_PYTHON": "/usr/bin/python3"}}}}
                ]
            }}],
            $LOGS
        }}'
        """)
    sql = aws(f"""{start} --release-label emr-6.7.0-latest
        --job-driver '{{
            "sparkSqlJobDriver": {{
                "entryPoint": "s3://amzn-s3-demo-bucket/query.sql",
                "sparkSqlParameters": "--conf spark.driver.cores=1 --num-executors 2 -hivevar carrier=UA -hivevar least=1"
            }}
        }}'
        --configuration-overrides '{{$LOGS}}'
        """)

    def states():
        runs = client_of(real_url, "emr-serverless"), client_of(real_url, "emr-containers")
        found = [runs[0].list_job_runs(applicationId=aws.names[name])["jobRuns"] for name in ("SPARK", "HIVE")]
        found.append(runs[1].list_job_runs(virtualClusterId=aws.names["VC"])["jobRuns"])
        return [run["state"] for listed in found for run in listed]

    eventually(lambda: set(states()) & {"SUCCESS", "COMPLETED", "FAILED"} == set(states()), expected=True, every=0.5)
    logs = objects_of(real_url, "logs/")
    assert sorted(states()) == ["COMPLETED", "COMPLETED", "SUCCESS", "SUCCESS", "SUCCESS"], logs

    def output(run):
        """Return what the driver of a job run wrote to its standard output."""
        return next(text for key, text in logs.items() if run in key and re.search("(DRIVER|-driver.*)/stdout.gz", key))

    assert output(word_count) == "counted for ['日 é', 'a b']\n"
    counts = objects_of(real_url, "counts/")
    assert [text for key, text in counts.items() if key.startswith("part-")] == ["a,1\nb,2\né,1\n"]
    assert output(hive) == "3\t3\n2\t2\n1\t1\n"
    assert all(key.startswith("emrserverless.db/test_table/part-") for key in objects_of(real_url, "warehouse/"))
    assert objects_of(real_url, "warehouse/")
    assert output(jar) == "counted to 7\n"
    assert output(pi).startswith("Pi is roughly 3.1")
    assert output(sql) == "UA\t2\n"


def test_the_amazon_provider_s_operators_follow_job_runs_to_their_ends(real_url, tmp_path):
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AWS_ENDPOINT_URL": real_url,
        **CLIENT_ENVIRONMENT,
    }
    done = subprocess.run(
        [sys.executable, "-c", OPERATORS], check=False, capture_output=True, text=True, env=environment, timeout=180
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("found ")[2])
    assert found["serverless"] == ["CANCELLED", "CANCELLED", "SUCCESS"]
    assert "1 job runs have not ended" in found["busy"]
    assert found["application"] == "TERMINATED"
    assert "USER_ERROR - JobRun failed. ValueError: no such carrier: 日本" in found["reason"]
    assert "failed" in found["sensor"]
    assert found["killed"] == "CANCELLED"
