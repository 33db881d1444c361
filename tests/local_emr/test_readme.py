"""The README's tables of operations and faults are what the code knows."""

from __future__ import annotations

import re

import pytest

from local_emr.eks import EmrContainers
from local_emr.emr import ElasticMapReduce
from local_emr.faults import KINDS, Faults
from local_emr.history import History
from local_emr.journal import Journal
from local_emr.protocol import JsonService
from local_emr.rest import RestJsonService
from local_emr.runs import Machine
from local_emr.serverless import EmrServerless
from tests.local_emr.scripted import ManualClock, ScriptedEngine
from tests.support.endpoint import ROOT

SERVICES = {
    "emr": lambda machine: JsonService("emr", ElasticMapReduce(machine, Faults())),
    "emr-containers": lambda machine: RestJsonService("emr-containers", EmrContainers(machine, Faults())),
    "emr-serverless": lambda machine: RestJsonService(
        "emr-serverless",
        EmrServerless(machine, faults=Faults(), history=History(machine.data, machine.engine)),
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_lists_the_operations_that_are_implemented(tmp_path, service):
    text = (ROOT / "include/local_emr/README.md").read_text()
    table = text.partition(f"<!-- operations of {service}:")[2].partition("\n\n")[0]
    clock = ManualClock()
    machine = Machine(tmp_path, ScriptedEngine(tmp_path, ""), clock, 0, Journal(clock))
    assert re.findall(r"^\| ([A-Z]\w+) \|", table, re.MULTILINE) == SERVICES[service](machine).implemented()


def test_the_readme_lists_all_faults():
    text = (ROOT / "include/local_emr/README.md").read_text()
    part = text.partition("## Faults on purpose")[2].partition("\n## ")[0]
    assert sorted(KINDS) == sorted(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))
