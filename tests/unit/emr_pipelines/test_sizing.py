"""Sizes of Spark executors for nodes: what AWS documents of instance types, and what follows from it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from emr_pipelines.size_executors import explained, main
from emr_pipelines.targets.instance_sizes import GIB_PER_VCPU, InstanceSize, size_of
from emr_pipelines.targets.sizing import (
    Executors,
    Nodes,
    container_warnings,
    executor_warnings,
    executors_for,
)

ROOT = Path(__file__).parents[3]
(TYPES_OF_EC2,) = (one for one in files("moto") or () if str(one) == "moto/ec2/resources/instance_types.json.gz")
OFFERED = json.loads(gzip.decompress(TYPES_OF_EC2.read_binary()))
"""What EC2's DescribeInstanceTypes answered, as moto has kept it."""

TYPES = sorted(one for one in OFFERED if one.partition(".")[0] in GIB_PER_VCPU and "metal" not in one)
NODES = some.builds(Nodes, some.sampled_from(TYPES), some.integers(1, 200))


def test_vcpus_and_memory_of_every_type_of_the_listed_families_are_ec2s():
    found = {one: size_of(one) for one in TYPES}
    expected = {
        one: (OFFERED[one]["VCpuInfo"]["DefaultVCpus"], OFFERED[one]["MemoryInfo"]["SizeInMiB"]) for one in TYPES
    }
    assert {one: size and (size.vcpus, size.memory) for one, size in found.items()} == expected
    assert len(expected) > 500
    assert {one.partition(".")[0] for one in TYPES} == set(GIB_PER_VCPU)


@pytest.mark.parametrize(
    ("instance_type", "memory"),
    [  # yarn.nodemanager.resource.memory-mb of AWS's page "Task configuration"
        ("c5.xlarge", 6144),
        ("c5.2xlarge", 12288),
        ("c5.9xlarge", 65536),
        ("c5.24xlarge", 188416),
        ("c5n.xlarge", 8064),
        ("c5n.4xlarge", 34816),
        ("c5n.18xlarge", 188416),
        ("c5a.xlarge", 5632),
        ("c5ad.8xlarge", 54272),
        ("c6g.xlarge", 5632),
        ("c6g.2xlarge", 11712),
        ("c6gn.16xlarge", 116736),
        ("d3.xlarge", 23424),
        ("g4dn.16xlarge", 253952),
        ("i3.xlarge", 23424),
        ("i3.2xlarge", 54272),
        ("i3.16xlarge", 491520),
        ("i3en.24xlarge", 778240),
        ("m4.large", 6144),
        ("m4.10xlarge", 155648),
        ("m5.xlarge", 12288),
        ("m5.2xlarge", 24576),
        ("m5.4xlarge", 57344),
        ("m5a.24xlarge", 385024),
        ("m6g.xlarge", 11712),
        ("m6g.8xlarge", 116736),
        ("m7a.32xlarge", 491520),
        ("m7a.48xlarge", 741376),
        ("m7g.12xlarge", 179200),
        ("m7i.4xlarge", 54272),
        ("r4.8xlarge", 241664),
        ("r5.xlarge", 24576),
        ("r5.4xlarge", 122880),
        ("r5.24xlarge", 778240),
        ("r5b.12xlarge", 366592),
        ("r6gd.16xlarge", 491520),
        ("z1d.3xlarge", 90112),
    ],
)
def test_what_yarn_has_of_a_node_is_what_aws_documents(instance_type, memory):
    size = size_of(instance_type)
    assert size is not None
    assert size.yarn_memory == memory


@pytest.mark.parametrize("name", ["m5.metal", "t3.medium", "m5", "m5.xxlarge", "p6-b200.48xlarge", "m1.large", ""])
def test_a_type_that_is_not_known_has_no_size_and_brings_no_warning(name):
    assert size_of(name) is None
    assert executors_for([Nodes("m5.xlarge", 2), Nodes(name, 2)]) is None
    assert executor_warnings(Executors(64, 500, None, 1000), [Nodes(name, 2)]) == []
    assert container_warnings("mapreduce.map", 500_000, [Nodes(name, 2)]) == []


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        # AWS's example, r5.12xlarge: 9 executors to a node, 42 GB each of 383; of YARN's 376 GB it is 41, and 5 of them overhead.
        ([Nodes("r5.12xlarge", 19)], Executors(5, 36, 5, 170)),
        ([Nodes("r5.4xlarge", 10)], Executors(5, 36, 4, 29)),
        ([Nodes("m5.xlarge", 2)], Executors(3, 10, 2, 1)),
        # Room for one executor only: a GB is left to the application master.
        ([Nodes("m5.xlarge", 1)], Executors(3, 9, 2, 1)),
        # Of several types the smallest counts, and larger nodes run more of them.
        ([Nodes("m5.xlarge", 2), Nodes("m5.4xlarge", 1)], Executors(3, 10, 2, 5)),
        ([Nodes("c7g.medium", 4)], Executors(1, 1, 0, 3)),
    ],
)
def test_executors_are_those_of_awss_method(nodes, expected):
    assert executors_for(nodes) == expected


@given(some.lists(NODES, min_size=1, max_size=4))
def test_executors_never_exceed_a_node_or_the_cluster(nodes):
    executors = executors_for(nodes)
    assert executors is not None
    room = 0
    for one in nodes:
        size = size_of(one.type)
        assert size is not None
        assert executors.cores <= size.vcpus
        assert (executors.memory + executors.overhead) * 1024 <= size.yarn_memory
        by_memory = size.yarn_memory // ((executors.memory + executors.overhead) * 1024)
        room += one.count * min(by_memory, max(1, (size.vcpus - 1) // executors.cores))
    assert 1 <= executors.count <= room
    assert executor_warnings(executors, nodes) == []


@given(NODES)
def test_nodes_of_one_type_lose_no_more_than_a_gb_for_each_executor_by_rounding(nodes):
    size, executors = size_of(nodes.type), executors_for([nodes])
    assert size is not None
    assert executors is not None
    to_a_node = max(1, (size.vcpus - 1) // 5)
    if nodes.count * to_a_node > 1 and size.yarn_memory >= to_a_node * 1024:
        assert (executors.memory + executors.overhead + 1) * 1024 * to_a_node > size.yarn_memory


@pytest.mark.parametrize(
    ("executors", "expected"),
    [
        (Executors(4, 9, None, 2), []),
        (Executors(8, 9), ["An executor of 8 cores is larger than a node: m5.xlarge has 4 vCPUs"]),
        # 11 GB and a tenth is 12390 MiB.
        (
            Executors(4, 11),
            ["An executor takes 12390 MiB (memory and overhead), and YARN has 12288 MiB on m5.xlarge: none runs there"],
        ),
        (
            Executors(4, 10, 3),
            ["An executor takes 13312 MiB (memory and overhead), and YARN has 12288 MiB on m5.xlarge: none runs there"],
        ),
        # A heap of 1 GB has the smallest overhead, 384 MiB: 8 of them on a node.
        (Executors(1, 1, None, 16), []),
        (Executors(1, 1, None, 17), ["17 executors are asked for, and the nodes have memory for 16"]),
    ],
)
def test_what_cannot_fit_is_said(executors, expected):
    assert executor_warnings(executors, [Nodes("m5.xlarge", 2)]) == expected


def test_a_container_larger_than_a_node_is_said():
    nodes = [Nodes("m5.xlarge", 2), Nodes("r5.xlarge", 2)]
    assert container_warnings("mapreduce.map", 12288, nodes) == []
    assert container_warnings("mapreduce.reduce", 12289, nodes) == [
        "mapreduce.reduce takes 12289 MiB, and YARN has 12288 MiB on m5.xlarge: none runs there"
    ]


def test_what_the_command_prints_is_what_the_page_shows():
    page = (ROOT / "docs/how-to/tune-spark.md").read_text()
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert explained(Nodes("r5.4xlarge", 10)) == shown


def test_the_command_prints_it(capsys):
    assert main(["m5.xlarge", "2"]) == 0
    assert capsys.readouterr().out.endswith("  executor: {cores: 3, memory: 10, overhead: 2, count: 1}\n")


def test_the_command_prints_nothing_else():
    command = (sys.executable, "-m", "emr_pipelines.size_executors", "m5.xlarge", "2")
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")}, capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == (explained(Nodes("m5.xlarge", 2)), "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Write an instance type and how many nodes of it there are: r5.4xlarge 10\n"),
        (["r5.4xlarge", "ten"], "Write an instance type and how many nodes of it there are: r5.4xlarge 10\n"),
        (["r5.4xlarge", "0"], "0 nodes run nothing: write how many core and task nodes there are, 1 or more\n"),
        (
            ["r55.4xlarge", "2"],
            (
                "'r55.4xlarge' is no instance type whose size is known here: write one such as r5.4xlarge, of a family such as c5, "
                "m5, r5, c6i, m6g or r7g\n"
            ),
        ),
    ],
)
def test_a_mistake_at_the_command_is_one_sentence(arguments, said, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", said)


def test_a_size_is_what_its_name_says():
    assert size_of("c5n.4xlarge") == InstanceSize(vcpus=16, memory=43008, yarn_memory=34816)
