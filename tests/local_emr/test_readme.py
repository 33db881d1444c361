"""The README's table of operations is what the code answers."""

from __future__ import annotations

import re

from local_emr.emr import ElasticMapReduce
from local_emr.protocol import JsonService
from tests.local_emr.scripted import ScriptedEngine
from tests.support.endpoint import ROOT


def test_the_readme_lists_the_operations_that_are_implemented(tmp_path):
    text = (ROOT / "include/local_emr/README.md").read_text()
    table = text.partition("<!-- operations:")[2].partition("\n\n")[0]
    operations = ElasticMapReduce(tmp_path, ScriptedEngine(tmp_path, ""), boot_seconds=0)
    assert re.findall(r"^\| ([A-Z]\w+) \|", table, re.MULTILINE) == JsonService("emr", operations).implemented()
