"""A profile that does not exist."""

from airflow.sdk import DAG

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob

with DAG("missing_profile"), EmrPipeline("emr", targets=["ec2-big"]):
    EmrJobOperator(task_id="job", job=SparkJob(script="jobs/flights/clean.py"))
