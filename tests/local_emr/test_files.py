"""Keys and files: no key leaves its bucket, and listings agree with a plain sort."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_emr.storage import files

KEY_PART = st.text(st.sampled_from("ab-.0é/"), min_size=1, max_size=3)
KEYS = st.sets(st.lists(KEY_PART, min_size=1, max_size=3).map("/".join), max_size=12)


@settings(deadline=None)
@given(st.text())
def test_no_key_has_a_file_outside_its_bucket(tmp_path_factory, key):
    bucket = tmp_path_factory.getbasetemp() / "bucket"
    path = files.path_of(bucket, key)
    assert path is None or path.resolve().is_relative_to(bucket.resolve())
    assert path is None or key == "/".join(path.relative_to(bucket).parts)


@pytest.mark.parametrize(
    "key", ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "", ".", "a/./b", "a\0b", "x" * 251, "\ud800"]
)
def test_a_key_that_no_file_can_safely_be_has_none(tmp_path, key):
    assert files.path_of(tmp_path, key) is None


@pytest.mark.parametrize("name", ["..", "a", "A-bucket", "a_b", "a..b", "-ab", "ab-", ".incoming", "a/b", "x" * 64])
def test_a_name_that_s3_refuses_is_no_bucket_name(name):
    assert not files.is_bucket_name(name)


@settings(deadline=None)
@given(
    keys=KEYS, prefix=st.sampled_from(["", "a", "a/", "b/a", "a-", "é"]), after=st.sampled_from(["", "a/b", "a/", "b"])
)
def test_listing_is_the_sorted_keys_after_a_key_with_a_prefix(tmp_path_factory, keys, prefix, after):
    bucket = tmp_path_factory.mktemp("bucket")
    written = {key for key in sorted(keys) if _write(bucket, key, b"")}
    expected = sorted(key for key in written if key.startswith(prefix) and key > after)
    assert expected == list(files.keys(bucket, prefix, after))


@settings(deadline=None)
@given(keys=KEYS, prefix=st.sampled_from(["", "a", "a/", "b/a"]))
def test_a_level_is_the_keys_and_common_prefixes_at_a_prefix(tmp_path_factory, keys, prefix):
    bucket = tmp_path_factory.mktemp("bucket")
    written = {key for key in sorted(keys) if _write(bucket, key, b"")}
    below = {key[len(prefix) :] for key in written if key.startswith(prefix)}
    expected = sorted({prefix + rest.split("/")[0] + ("/" if "/" in rest else "") for rest in below})
    assert expected == list(files.level(bucket, prefix))


def test_folders_without_keys_and_uncommitted_output_are_not_listed(tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    _write(tmp_path, "out/_temporary/0/part-0", b"")
    assert (list(files.keys(tmp_path)), list(files.level(tmp_path))) == ([], [])


def test_a_listing_opens_no_folder_before_its_place(tmp_path, monkeypatch):
    for day in range(1, 5):
        _write(tmp_path, f"dt={day}/part", b"")
    opened = []
    scandir = files.os.scandir
    monkeypatch.setattr(files.os, "scandir", lambda path: opened.append(path.name) or scandir(path))
    assert list(files.keys(tmp_path, "dt=", "dt=2/part")) == ["dt=3/part", "dt=4/part"]
    assert [tmp_path.name, "dt=2", "dt=3", "dt=4"] == opened


def test_a_file_appears_whole_and_takes_its_empty_folders_with_it(tmp_path):
    bucket = tmp_path / "bucket"
    assert _write(bucket, "a/b/c", b"content")
    assert (bucket / "a/b/c").read_bytes() == b"content"
    files.remove(bucket, bucket / "a/b/c")
    assert list(bucket.iterdir()) == []
    assert list((tmp_path / files.INCOMING).iterdir()) == []


def test_what_stands_in_the_way_of_a_file_stays(tmp_path):
    bucket = tmp_path / "bucket"
    assert _write(bucket, "a", b"file")
    assert not _write(bucket, "a/b", b"below a file")
    assert _write(bucket, "folder/x", b"")
    assert not _write(bucket, "folder", b"over a folder")
    assert list(files.keys(bucket)) == ["a", "folder/x"]
    assert list((tmp_path / files.INCOMING).iterdir()) == []


def _write(bucket, key, content):
    path = files.path_of(bucket, key)
    return path is not None and files.write(bucket, path, io.BytesIO(content))
