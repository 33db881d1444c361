"""S3DistCp: real copies over real files, and what each option makes of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from local_emr.engine.hadoop.copy_plan import MEBIBYTE, Source, parse, targets
from local_emr.engine.hadoop.s3_dist_cp import copy
from local_emr.engine.hadoop.storage import Storage

FILES = {
    "in/2013-01/a.log": b"a1\n",
    "in/2013-01/b.log": b"b1\n",
    "in/2013-02/a.log": b"a2\n",
    "in/2013-02/c.txt": b"c2\n",
    "in/packed.log.gz": gzip.compress(b"packed\n", mtime=0),
    "inner/other.log": b"not below in/\n",
}


class Lab:
    """A bucket `data`, HDFS, and S3DistCp over both."""

    def __init__(self, folder: Path) -> None:
        self.s3 = folder / "s3"
        self.storage = Storage(self.s3, folder / "hdfs")
        for key, content in FILES.items():
            self.put(key, content)

    def put(self, key: str, content: bytes) -> None:
        path = self.s3 / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def copy(self, *words: str) -> int:
        return copy(self.storage, parse(words))

    def below(self, address: str) -> dict[str, bytes]:
        folder = self.storage.local(address)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


IN = {name.removeprefix("in/"): content for name, content in FILES.items() if name.startswith("in/")}
TO_OUT = ("--src=s3://data/in/", "--dest=s3://data/out/")


@pytest.mark.parametrize("source", ["s3://data/in", "s3://data/in/", "s3a://data/in"])
def test_all_files_below_the_source_are_copied_as_they_are(lab, source):
    assert lab.copy("--src", source, "--dest", "s3://data/out") == 5
    assert lab.below("s3://data/out") == IN
    assert lab.below("s3://data/in") == IN


def test_files_travel_to_hdfs_and_back(lab):
    lab.copy("--src=s3://data/in/", "--dest=/flights")
    assert lab.below("hdfs:///flights") == IN
    lab.copy("--src=hdfs:///flights", "--dest=s3://data/back")
    assert lab.below("s3://data/back") == IN


def test_a_whole_bucket_may_be_copied(lab):
    (lab.s3 / "other").mkdir()
    assert lab.copy("--src=s3://data", "--dest=s3://other/") == len(FILES)
    assert lab.below("s3://other") == FILES


def test_one_file_is_copied_into_the_destination(lab):
    assert lab.copy("--src=s3://data/in/2013-01/a.log", "--dest=s3://data/out/") == 1
    assert lab.below("s3://data/out") == {"a.log": b"a1\n"}


def test_a_pattern_chooses_by_the_whole_path(lab):
    assert lab.copy(*TO_OUT, r"--srcPattern=.*/2013-\d\d/.*[.]log") == 3
    assert lab.below("s3://data/out") == {
        name: IN[name] for name in ("2013-01/a.log", "2013-01/b.log", "2013-02/a.log")
    }
    with pytest.raises(FileNotFoundError, match="there is no file to copy; look at --src, --srcPattern and --groupBy"):
        lab.copy(*TO_OUT, r"--srcPattern=2013")


def test_files_of_a_group_become_one_file_of_its_name_and_others_stay_behind(lab):
    assert lab.copy(*TO_OUT, r"--groupBy=.*/in/(2013)-(?<month>\d\d)/.*([.]log)") == 3
    assert lab.below("s3://data/out") == {"2013-01/2013010.log": b"a1\nb1\n", "2013-02/201302.log": b"a2\n"}


def test_a_group_is_cut_where_it_has_reached_the_size():
    options = parse([*TO_OUT, "--groupBy=.*/(in)/.*", "--targetSize=2"])
    sources = [Source(f"s3://data/in/{name}", name, MEBIBYTE) for name in "abcde"]
    assert [(target.name, "".join(one.name for one in target.sources)) for target in targets(options, sources)] == [
        ("in0", "ab"),
        ("in1", "cd"),
        ("in2", "e"),
    ]


@pytest.mark.parametrize("codec", ["gzip", "gz"])
def test_files_are_compressed_and_their_suffix_says_so(lab, codec):
    lab.copy(*TO_OUT, f"--outputCodec={codec}", "--srcPattern=.*(a.log|packed.*)")
    assert {name: gzip.decompress(content) for name, content in lab.below("s3://data/out").items()} == {
        "2013-01/a.gz": b"a1\n",
        "2013-02/a.gz": b"a2\n",
        "packed.log.gz": b"packed\n",
    }


def test_files_are_uncompressed(lab):
    lab.copy(*TO_OUT, "--outputCodec=none", "--srcPattern=.*gz")
    assert lab.below("s3://data/out") == {"packed.log": b"packed\n"}


def test_a_concatenation_of_compressed_files_can_be_read(lab):
    lab.put("in/second.log.gz", gzip.compress(b"second\n"))
    lab.copy(*TO_OUT, r"--groupBy=.*(log).gz", "--outputCodec=gz")
    assert gzip.decompress(lab.below("s3://data/out")["log0.gz"]) == b"packed\nsecond\n"


def test_what_was_copied_is_deleted_when_it_is_asked_for_and_nothing_else(lab):
    lab.copy(*TO_OUT, "--srcPattern=.*/2013-01/.*", "--deleteOnSuccess")
    assert sorted(lab.below("s3://data/in")) == ["2013-02/a.log", "2013-02/c.txt", "packed.log.gz"]
    assert not (lab.s3 / "data/in/2013-01").exists()


def test_new_data_is_appended_to_a_file_that_exists(lab):
    group = (*TO_OUT, "--groupBy=.*/(2013-01)/.*", "--appendToLastFile")
    lab.copy(*group)
    lab.put("in/2013-01/a.log", b"a3\n")
    lab.copy(*group)
    assert lab.below("s3://data/out") == {"2013-01/2013-010": b"a1\nb1\na3\nb1\n"}


def test_files_are_numbered(lab):
    lab.copy(*TO_OUT, "--srcPattern=.*/2013-01/.*", "--numberFiles", "--startingIndex=7")
    assert sorted(lab.below("s3://data/out")) == ["2013-01/7a.log", "2013-01/8b.log"]


def test_a_manifest_tells_what_was_copied_and_the_next_copy_leaves_that_out(lab):
    assert lab.copy(*TO_OUT, "--srcPattern=.*/2013-01/.*", "--outputManifest=first.gz") == 2
    first = lab.below("s3://data/out")["first.gz"]
    assert [json.loads(line) for line in gzip.decompress(first).splitlines()] == [
        {"path": f"s3://data/out/2013-01/{name}", "baseName": f"2013-01/{name}", "srcDir": "s3://data/out", "size": 3}
        for name in ("a.log", "b.log")
    ]
    (lab.s3 / "data/out/2013-01/a.log").unlink()
    again = ("--srcPattern=.*log", "--outputManifest=second.gz", "--previousManifest=s3://data/out/first.gz")
    assert lab.copy(*TO_OUT, *again) == 1
    assert sorted(lab.below("s3://data/out")) == ["2013-01/b.log", "2013-02/a.log", "first.gz", "second.gz"]
    second = gzip.decompress(lab.below("s3://data/out")["second.gz"]).splitlines()
    assert [json.loads(line)["baseName"] for line in second] == ["2013-01/a.log", "2013-01/b.log", "2013-02/a.log"]
    assert lab.copy(*TO_OUT, *again) == 1


def test_a_manifest_may_name_what_to_copy(lab):
    lab.copy(*TO_OUT, "--srcPattern=.*/2013-01/.*", "--outputManifest=list.gz")
    manifest = ("--previousManifest=s3://data/out/list.gz", "--copyFromManifest")
    assert lab.copy("--src=s3://data/out/", "--dest=s3://data/third/", *manifest) == 2
    assert sorted(lab.below("s3://data/third")) == ["2013-01/a.log", "2013-01/b.log"]


def test_a_manifest_that_is_not_there_is_an_error_unless_it_may_be_missing(lab):
    missing = "--previousManifest=s3://data/none.gz"
    with pytest.raises(FileNotFoundError, match=r"Failed to load manifest 's3://data/none\.gz': there is none"):
        lab.copy(*TO_OUT, missing)
    assert lab.copy(*TO_OUT, missing, "--requirePreviousManifest=false") == 5


def test_a_file_of_prefixes_names_the_folders_to_copy(lab):
    lab.put("prefixes", b"s3://data/in/2013-02/\n")
    assert lab.copy(*TO_OUT, "--srcPrefixesFile=s3://data/prefixes") == 2
    assert sorted(lab.below("s3://data/out")) == ["2013-02/a.log", "2013-02/c.txt"]


def test_what_s3_does_by_itself_changes_nothing_here(lab):
    upload = ("--disableMultipartUpload", "--multipartUploadChunkSize=16", "--s3Endpoint=s3.amazonaws.com")
    assert lab.copy(*TO_OUT, *upload, "--s3ServerSideEncryption", "--storageClass=STANDARD") == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*TO_OUT, "--nonsense=1"), "Unrecognized option: --nonsense"),
        ((*TO_OUT, "s3://data/in"), "Unrecognized option: s3://data/in"),
        (("--src=s3://data/in",), "Missing required option: --dest"),
        (("--dest=s3://data/in",), "Missing required option: --src"),
        ((*TO_OUT, "--groupBy"), "Missing argument for option: --groupBy"),
        ((*TO_OUT, "--groupBy=.*"), r"Group by pattern must contain at least one group\.  Use \(\) to enclose a group"),
        ((*TO_OUT, "--groupBy=("), r"Invalid pattern of --groupBy: '\('"),
        ((*TO_OUT, "--targetSize=big"), "--targetSize takes a number, and it is 'big'"),
        ((*TO_OUT, "--outputCodec=zip"), "Unknown output codec 'zip': it is gzip, gz, lzo, lzop, snappy, none or keep"),
        ((*TO_OUT, "--outputCodec=snappy"), "This machine has no codec snappy: write gzip, none or keep, or run"),
        (
            (*TO_OUT, "--copyFromManifest"),
            "--copyFromManifest needs the list of files: give --previousManifest=PATH, too",
        ),
        ((*TO_OUT, "--previousManifest=s3://data/in/2013-01/a.log"), "S3DistCp has not written it"),
        (("--src=s3://data/none", "--dest=s3://data/out"), "File s3://data/none does not exist"),
        (("--src=s3://data/in", "--dest=s3://nowhere/out"), "The specified bucket does not exist: nowhere"),
        (("--src=s3://data/../in", "--dest=s3://data/out"), "leads out of its file system"),
        (("--src=ftp://data/in", "--dest=s3://data/out"), 'No FileSystem for scheme "ftp": ftp://data/in'),
    ],
)
def test_a_copy_that_cannot_be_done_is_refused_with_a_sentence(lab, words, says):
    with pytest.raises((ValueError, OSError), match=says):
        lab.copy(*words)
    assert not (lab.s3 / "data/out").exists()
