"""The Airflow plugin's face.

Airflow imports this file once in every component, before it forks the processes that parse DAGs and run tasks: what each of them
would import and build again is loaded here, once.
"""

from __future__ import annotations

import gc
from contextlib import suppress

import airflow.providers.amazon.aws.assets.s3
import airflow.providers.amazon.aws.hooks.base_aws  # noqa: F401
from airflow.plugins_manager import AirflowPlugin

import emr_pipelines
from emr_pipelines.checking import ruleset_of
from emr_pipelines.datasets import staged
from emr_pipelines.environments import include_folder
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.manifests import published
from emr_pipelines.quality import RulesetError, parse_ruleset

parse_ruleset("Rules = [ RowCount > 0 ]", "the first one builds the grammar")
# What is wrong is told where a DAG asks for it.
with suppress(ConfigurationError):
    emr_pipelines.current_environment()
for ruleset in include_folder().glob("quality/*.dqdl"):
    with suppress(RulesetError, ValueError, OSError):
        ruleset_of(f"quality/{ruleset.name}")
# A process that is forked would else go through all of this each time when it collects garbage.
gc.collect()
gc.freeze()


class EmrPipelinesPlugin(AirflowPlugin):
    """Makes the package known to ``airflow plugins``, and to templates as ``macros.emr_pipelines``."""

    name = emr_pipelines.__name__
    macros = [staged, published]  # noqa: RUF012  # Airflow's convention
