"""Steps that are jars: script-runner.jar, and a MapReduce program of the user's own, on an endpoint that really runs them."""

from __future__ import annotations

import gzip
import subprocess
import zipfile

import pytest

from local_emr.engine.java import JAVA_HOME, spark_jars
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually
from tests.support.endpoint import running_endpoint

COUNT_CARRIERS = """
package example;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.Mapper;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;
import org.apache.hadoop.mapreduce.lib.reduce.LongSumReducer;

public class CountCarriers {
    public static class Carriers extends Mapper {
        public void map(Object offset, Object line, Mapper.Context context) throws IOException, InterruptedException {
            context.write(new Text(line.toString().split(",")[0]), new LongWritable(1));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Job job = Job.getInstance(new Configuration(), System.getProperty("job.name"));
        job.setJarByClass(CountCarriers.class);
        job.setMapperClass(Carriers.class);
        job.setReducerClass(LongSumReducer.class);
        job.setOutputKeyClass(Text.class);
        job.setOutputValueClass(LongWritable.class);
        FileInputFormat.addInputPath(job, new Path(arguments[0]));
        FileOutputFormat.setOutputPath(job, new Path(arguments[1]));
        System.out.println("counting in " + job.getJobName());
        System.exit(job.waitForCompletion(true) ? 0 : 1);
    }
}
"""

SCRIPT_RUNNER = "s3://us-east-1.elasticmapreduce/libs/script-runner/script-runner.jar"
MASTER = {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}


@pytest.fixture(scope="module")
def jar(tmp_path_factory):
    """Compile and pack the MapReduce program, with the compiler among Spark's own jars."""
    folder = tmp_path_factory.mktemp("jar")
    source = folder / "CountCarriers.java"
    source.write_text(COUNT_CARRIERS)
    jars = ":".join(map(str, spark_jars()))
    compiler = ["org.codehaus.commons.compiler.samples.CompilerDemo", "-d", str(folder / "classes"), "-classpath", jars]
    command = [JAVA_HOME / "bin" / "java", "-XX:TieredStopAtLevel=1", "-cp", jars, *compiler, source]
    (folder / "classes").mkdir()
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(folder / "count.jar", "w") as packed:
        for file in (folder / "classes").rglob("*.class"):
            packed.write(file, file.relative_to(folder / "classes"))
    return folder / "count.jar"


def test_scripts_and_mapreduce_jars_run_as_steps_and_their_output_and_logs_are_in_s3(tmp_path, jar):
    with running_endpoint(tmp_path) as url:
        emr, s3 = client_of(url, "emr"), client_of(url, "s3")
        for bucket in ("local-data", "local-logs"):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="local-data", Key="raw/flights.csv", Body=b"UA,2\nAA,4\nUA,1\n")
        s3.put_object(Bucket="local-data", Key="jobs/hello.sh", Body=b"echo hello $1\n")
        s3.upload_file(str(jar), "local-data", "jobs/count.jar")
        count = {
            "Jar": "s3://local-data/jobs/count.jar",
            "MainClass": "example.CountCarriers",
            "Args": ["s3://local-data/raw/", "s3://local-data/counts/"],
            "Properties": [{"Key": "job.name", "Value": "carriers"}],
        }
        steps = {
            "script": {"Jar": SCRIPT_RUNNER, "Args": ["s3://local-data/jobs/hello.sh", "2013-01-15"]},
            "count": count,
            "again": count,
        }
        cluster_id = emr.run_job_flow(
            Name="jars",
            ReleaseLabel="emr-7.10.0",
            LogUri="s3://local-logs/",
            Instances={"InstanceGroups": [MASTER]},
            Steps=[
                {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar_step}
                for name, jar_step in steps.items()
            ],
        )["JobFlowId"]
        describe = emr.describe_cluster
        eventually(lambda: describe(ClusterId=cluster_id)["Cluster"]["Status"]["State"], "TERMINATED", every=0.5)
        ended = {step["Name"]: step for step in emr.list_steps(ClusterId=cluster_id)["Steps"]}
        assert {name: step["Status"]["State"] for name, step in ended.items()} == {
            "script": "COMPLETED",
            "count": "COMPLETED",
            "again": "FAILED",
        }
        assert "FileAlreadyExistsException" in ended["again"]["Status"]["FailureDetails"]["Message"]
        parts = s3.list_objects_v2(Bucket="local-data", Prefix="counts/part-")["Contents"]
        counted = [s3.get_object(Bucket="local-data", Key=part["Key"])["Body"].read() for part in parts]
        assert counted == [b"AA\t1\nUA\t2\n"]

        def said(name):
            key = f"{cluster_id}/steps/{ended[name]['Id']}/stdout.gz"
            return gzip.decompress(s3.get_object(Bucket="local-logs", Key=key)["Body"].read())

        assert said("script") == b"hello 2013-01-15\n"
        assert said("count") == b"counting in carriers\n"
