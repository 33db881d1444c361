"""A setting of a job that does not exist."""

from airflow.sdk import DAG

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob

with DAG("missing_setting"), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=SparkJob(script="jobs/flights/clean.py", argz=["--date"]))
