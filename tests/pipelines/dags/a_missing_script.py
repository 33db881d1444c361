"""A script that does not exist."""

from airflow.sdk import DAG

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob

with DAG("missing_script"), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=SparkJob(script="jobs/flights/claen.py"))
