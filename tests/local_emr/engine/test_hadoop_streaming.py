"""Hadoop Streaming: real programs over real files, compared with what Python counts."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import sys
import tarfile
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from local_emr.engine.hadoop.aggregates import aggregated
from local_emr.engine.hadoop.keys import hash_of, key_fields
from local_emr.engine.hadoop.storage import Storage
from local_emr.engine.hadoop.streaming import run
from local_emr.engine.hadoop.streaming_options import parse

WORDS = """
    import sys
    from itertools import groupby

    def rows():
        return (line.rstrip("\\n").split("\\t") for line in sys.stdin)

    if sys.argv[1] == "map":
        for line in sys.stdin:
            for word in line.split():
                print(word, 1, sep="\\t")
                print("reporter:counter:Words,seen,1", file=sys.stderr)
    else:
        for word, ones in groupby(rows(), key=lambda row: row[0]):
            print(word, sum(int(number) for _, number in ones), sep="\\t")
"""
TEXTS = {
    "one.txt": b"the quick brown fox\njumps over the lazy dog\n",
    "two.txt.gz": gzip.compress(b"the dog\r\n\nthe fox"),
    "three.bz2": bz2.compress("caf\u00e9 the\n".encode()),
}
COUNTED = Counter(
    ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "the", "dog", "the", "fox", "café", "the"]
)


class Lab:
    """A bucket `data`, and Hadoop Streaming over it."""

    def __init__(self, folder: Path) -> None:
        self.bucket = folder / "s3" / "data"
        self.bucket.mkdir(parents=True)
        self.storage = Storage(folder / "s3", folder / "hdfs")
        self.folder = folder / "run"
        self.put("count.py", textwrap.dedent(WORDS).encode())
        for name, content in TEXTS.items():
            self.put(f"in/{name}", content)

    def put(self, key: str, content: bytes) -> None:
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def run(self, *words: str) -> int:
        number = len(list(self.folder.parent.iterdir()))
        folder = self.folder.with_name(f"run{number}")
        folder.mkdir()
        return run(self.storage, words, folder)

    def lines(self, output: str = "out") -> list[list[str]]:
        """The lines of each part."""
        parts = sorted((self.bucket / output).glob("part-*"))
        return [path.read_text().splitlines() for path in parts]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # as the engine gives it to steps
    return Lab(tmp_path)


PYTHON = ("-files", "s3://data/count.py", "-input", "s3://data/in", "-output", "s3://data/out")
BY_PYTHON = (*PYTHON, "-mapper", "python3 -S count.py map", "-reducer", "python3 -S count.py reduce")


def test_words_are_counted_sorted_within_as_many_parts_as_there_are_reducers(lab, capfd):
    assert lab.run(*BY_PYTHON, "-numReduceTasks", "2", "-combiner", "python3 -S count.py reduce") == 0
    parts = lab.lines()
    assert len(parts) == 2
    assert all(part == sorted(part) for part in parts)
    assert {word: int(number) for part in parts for word, number in (line.split("\t") for line in part)} == COUNTED
    assert (lab.bucket / "out/_SUCCESS").read_bytes() == b""
    said = capfd.readouterr().err
    assert f"Words\n\t\tseen={sum(COUNTED.values())}\n" in said
    assert "Map input records=6\n" in said
    assert "reporter:" not in said


@pytest.mark.parametrize(
    ("mapper", "reducer"),
    [
        ("perl -lane 'print qq($_\t1) for @F'", "python3 -S count.py reduce"),
        ("""bash -c 'tr -s " " "\\n" | sed -e "/^$/d" -e "s/$/\t1/"'""", "python3 -S count.py reduce"),
        ("perl -lane 'print qq(LongValueSum:$_\t1) for @F'", "aggregate"),
        ("s3://data/count.sh", "python3 -S count.py reduce"),
        ("counter map", "counter reduce"),
    ],
    ids=["perl", "shell", "aggregate", "script named by its address", "script renamed"],
)
def test_any_program_may_map(lab, mapper, reducer):
    lab.put("count.sh", b"#!/bin/sh\nexec python3 -S count.py map\n")
    lab.put("count2.py", b"#!/usr/bin/env python3\n" + textwrap.dedent(WORDS).encode())
    files = ("-files", "s3://data/count.py,s3://data/count2.py#counter")
    words = ("-input", "s3://data/in/", "-output", "s3://data/out/", "-mapper", mapper, "-reducer", reducer)
    assert lab.run(*files, *words) == 0
    (part,) = lab.lines()
    assert dict(line.split("\t") for line in part) == {word: str(number) for word, number in COUNTED.items()}


def test_without_reducers_the_mappers_lines_are_the_output_a_part_for_each_file_the_largest_first(lab):
    words = (
        "-input",
        "s3://data/in/*.txt",
        "-input",
        "s3://data/in/two*",
        "-output",
        "s3://data/out",
        "-mapper",
        "/bin/cat",
    )
    assert lab.run(*words, "-numReduceTasks", "0") == 0
    assert lab.lines() == [
        ["the quick brown fox\t", "jumps over the lazy dog\t"],
        ["the dog\t", "\t", "the fox\t"],
    ]


def test_without_a_reducer_records_are_sorted_by_their_keys(lab):
    lab.put("numbers", b"b\t2\na\t1\nb\t1\n")
    assert lab.run("-input", "s3://data/numbers", "-output", "s3://data/out", "-mapper", "cat") == 0
    assert lab.lines() == [["a\t1", "b\t2", "b\t1"]]


def test_a_mapper_is_told_what_it_reads_and_what_the_job_is_set_to(lab):
    variables = "mapreduce_map_input_file map_input_file mapreduce_job_name mapreduce_task_partition stream_note MY_OWN"
    lab.put("show.sh", f'for name in {variables}; do echo "$name=${{!name}}"; done; cat > /dev/null\n'.encode())
    words = ("-input", "s3://data/in/one.txt", "-output", "s3://data/out", "-mapper", "bash show.sh")
    settings = ("-Dmapred.job.name=words", "-D", "stream.note=a b")
    more = ("-cmdenv", "MY_OWN=x=y", "-numReduceTasks", "0")
    assert lab.run(*settings, "-files", "s3://data/show.sh", *words, *more) == 0
    assert lab.lines() == [
        [
            "mapreduce_map_input_file=s3://data/in/one.txt\t",
            "map_input_file=s3://data/in/one.txt\t",
            "mapreduce_job_name=words\t",
            "mapreduce_task_partition=0\t",
            "stream_note=a b\t",
            "MY_OWN=x=y\t",
        ]
    ]


def test_a_large_file_is_cut_at_ends_of_lines_and_no_line_is_lost_or_read_twice(lab):
    rows = [f"{number:03}" for number in range(100)]
    lab.put("rows", "".join(f"{row}\n" for row in rows).encode())
    for size in (7, 8, 399):
        setting = f"mapreduce.input.fileinputformat.split.maxsize={size}"
        output = f"out{size}"
        words = (
            "-input",
            "s3://data/rows",
            "-output",
            f"s3://data/{output}",
            "-mapper",
            "wc -l",
            "-numReduceTasks",
            "0",
        )
        assert lab.run("-D", setting, *words) == 0
        counts = [int(line.strip()) for part in lab.lines(output) for line in part]
        assert (len(counts), sum(counts)) == (-(-400 // size), 100)


def test_lines_are_dealt_out_to_mappers_with_their_places(lab):
    lab.put("rows", b"a\nbb\nccc\ndd\n")
    words = ("-input", "s3://data/rows", "-output", "s3://data/out", "-mapper", "cat", "-numReduceTasks", "0")
    pieces = "org.apache.hadoop.mapred.lib.NLineInputFormat"
    assert lab.run("-D", "mapreduce.input.lineinputformat.linespermap=2", *words, "-inputformat", pieces) == 0
    assert sorted(lab.lines()) == [["0\ta", "2\tbb"], ["5\tccc", "9\tdd"]]


def test_a_partitioner_and_a_comparator_of_fields_make_a_secondary_sort(lab):
    lab.put("rows", b"b,1,x\na,9,y\nb,10,z\na,10,w\n")
    settings = {
        "stream.map.output.field.separator": ",",
        "stream.num.map.output.key.fields": "2",
        "mapreduce.map.output.key.field.separator": ",",
        "mapreduce.partition.keypartitioner.options": "-k1,1",
        "mapreduce.job.output.key.comparator.class": "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator",
        "mapreduce.partition.keycomparator.options": "-k1,1 -k2,2nr",
        "mapreduce.output.textoutputformat.separator": "|",
    }
    given = [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]
    words = ("-input", "s3://data/rows", "-output", "s3://data/out", "-mapper", "cat", "-reducer", "cat")
    partitioner = "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"
    assert lab.run(*given, *words, "-partitioner", partitioner, "-numReduceTasks", "2") == 0
    # The reducer's lines have the key's comma, and a tab before the value.
    assert sorted(lab.lines()) == [["a,10|w", "a,9|y"], ["b,10|z", "b,1|x"]]


def test_output_may_be_compressed_and_archives_are_unpacked(lab):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        content = textwrap.dedent(WORDS).encode()
        entry = tarfile.TarInfo("lib/count.py")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    lab.put("code.tgz", packed.getvalue())
    compress = ("-D", "mapreduce.output.fileoutputformat.compress=true", "-archives", "s3://data/code.tgz#code")
    words = (
        "-input",
        "s3://data/in/one.txt",
        "-output",
        "s3://data/out",
        "-mapper",
        "python3 -S code/lib/count.py map",
    )
    assert lab.run(*compress, *words, "-reducer", "python3 -S code/lib/count.py reduce") == 0
    written = gzip.decompress((lab.bucket / "out/part-00000.gz").read_bytes()).decode()
    assert dict(line.split("\t") for line in written.splitlines())["the"] == "2"


FROM_TO = ("-input", "s3://data/in", "-output", "s3://data/out")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            (*FROM_TO, "-mapper", "cat", "-reducer", "sh -c 'cat > /dev/null; exit 3'"),
            1,
            "subprocess failed with code 3",
        ),
        ((*FROM_TO, "-mapper", "bash -c 'echo no such day >&2; kill -9 $$'"), 1, "subprocess failed with code 137"),
        ((*FROM_TO, "-mapper", "bash -c 'echo no such day >&2; exit 1'"), 1, "no such day"),
        ((*FROM_TO, "-mapper", "nowhere"), 1, 'Cannot run program "nowhere": error=2, No such file or directory'),
        ((*FROM_TO, "-mapper", "cat 'x"), 1, "has a quotation mark without its second"),
        (
            (*FROM_TO, "-mapper", "cat", "-reducer", "aggregate"),
            1,
            "names no function of aggregate: write one of LongValueSum",
        ),
        (("-input", "s3://data/in", "-output", "s3://data/in", "-mapper", "cat"), 4, "s3://data/in already exists"),
        (("-input", "s3://data/x", "-output", "s3://data/out"), 5, "Input path does not exist: s3://data/x"),
        (("-input", "s3://data/x*", "-output", "s3://data/out"), 5, "Input Pattern s3://data/x* matches 0 files"),
        (
            ("-input", "s3://nowhere/x", "-output", "s3://data/out"),
            5,
            "NoSuchBucket: The specified bucket does not exist: nowhere",
        ),
        (("-input", "s3://data/", "-output", "s3://data/out"), 5, "Not a file: s3://data/in"),
        (("-files", "s3://data/none.py", *FROM_TO, "-mapper", "cat"), 5, "File s3://data/none.py does not exist"),
        ((*FROM_TO, "-files", "s3://data/count.py"), 1, "Unrecognized option: -files: generic options come first"),
        ((*FROM_TO, "-nonsense"), 1, "Unrecognized option: -nonsense"),
        ((*FROM_TO, "-mapper"), 1, "Missing argument for option: -mapper"),
        (("-output", "s3://data/out"), 1, "Required argument: -input <path>"),
        ((*FROM_TO, "-numReduceTasks", "many"), 1, "The number of reducers is 'many': write 0 or more"),
        ((*FROM_TO, "-mapper", "com.example.Mine"), 1, "-mapper com.example.Mine is a Java class"),
        (
            (*FROM_TO, "-inputformat", "SequenceFileInputFormat"),
            1,
            "-inputformat SequenceFileInputFormat cannot be done",
        ),
        ((*FROM_TO, "-cmdenv", "x"), 1, "'x' has no value: write name=value"),
    ],
)
def test_a_job_that_cannot_be_done_ends_with_hadoops_code_says_why_and_leaves_no_output(lab, words, code, says, capfd):
    assert lab.run(*words) == code
    assert says in capfd.readouterr().err
    assert not (lab.bucket / "out").exists()


def test_a_program_that_fails_may_be_let_pass(lab):
    setting = ("-D", "stream.non.zero.exit.is.failure=false", *FROM_TO, "-mapper", "bash -c 'cat; exit 3'")
    assert lab.run(*setting, "-reducer", "NONE") == 0
    assert len(lab.lines()) == 3


def test_a_program_that_reads_no_further_is_let_be(lab):
    lab.put("many", b"row\n" * 200_000)
    words = ("-input", "s3://data/many", "-output", "s3://data/out", "-mapper", "head -n 1", "-numReduceTasks", "0")
    assert lab.run(*words) == 0
    assert lab.lines() == [["row\t"]]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        ("a", 31 + 97),
        ("the", ((31 + 116) * 31 + 104) * 31 + 101),
        ("\u00e9", ((31 - 61) * 31 - 87) & 0x7FFFFFFF),
    ],
)
def test_a_key_has_the_hash_that_javas_text_has(text, number):
    """From 1, each byte with its sign added to 31 times what came before; without the sign of the whole."""
    assert hash_of(text.encode()) == number


def test_a_pattern_leaves_out_what_hadoop_hides(lab):
    for name in ("_SUCCESS", ".part.crc", "part-0", "part-1"):
        lab.put(f"before/{name}", f"{name}\n".encode())
    words = ("-output", "s3://data/out", "-mapper", "cat", "-reducer", "cat")
    assert lab.run("-input", "s3://data/{before,none}/*", *words) == 0
    assert lab.lines() == [["part-0\t", "part-1\t"]]


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        ("LongValueSum", [b"1", b"2"], b"k\t3"),
        ("LongValueMax", [b"1", b"20", b"3"], b"k\t20"),
        ("LongValueMin", [b"10", b"2"], b"k\t2"),
        ("DoubleValueSum", [b"1.5", b"2"], b"k\t3.5"),
        ("StringValueMax", [b"a", b"b"], b"k\tb"),
        ("StringValueMin", [b"a", b"b"], b"k\ta"),
        ("UniqValueCount", [b"a", b"b", b"a"], b"k\t2"),
        ("ValueHistogram", [b"a", b"b", b"a", b"a"], b"k\t2\t1\t3\t3\t2.0\t1.0"),
    ],
)
def test_the_reducer_aggregate_knows_hadoops_functions(function, values, expected):
    assert aggregated(f"{function}:k".encode(), values) == expected


def test_the_reducer_aggregate_says_which_values_are_no_numbers():
    with pytest.raises(ValueError, match="LongValueSum takes numbers, and the values of 'k' are others, such as 'x'"):
        aggregated(b"LongValueSum:k", [b"1", b"x"])


@pytest.mark.parametrize(
    ("options", "key", "part"),
    [("-k2", b"a.b.c", b"b.c"), ("-k1,2", b"a.b.c", b"a.b"), ("-k 2.2,2.3", b"x.abcd.y", b"bc"), ("-k9", b"a", b"")],
)
def test_fields_of_a_key_are_named_as_sort_names_them(options, key, part):
    (fields,) = key_fields(options)
    assert fields.of(key, b".") == part


def test_words_that_hadoop_has_renamed_mean_the_same():
    job = parse(["-D", "mapred.reduce.tasks=4", "-input", "a,b", "-input", "{c,d}", "-output", "o", "-mapper", "cat"])
    assert (job.reducers, job.inputs, job.reducer) == (4, ("a", "b", "{c,d}"), None)
