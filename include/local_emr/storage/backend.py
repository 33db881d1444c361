"""moto's S3 with buckets that are folders: everything but storage and listing is moto's own."""

from __future__ import annotations

import base64
import binascii
import shutil
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import InvalidBucketName, InvalidContinuationToken
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends

from local_emr.storage import files
from local_emr.storage.store import DirectoryKeyStore

if TYPE_CHECKING:
    from pathlib import Path


def install(root: Path) -> None:
    """Make moto's S3 keep its buckets as folders of `root`, and adopt the folders that are there."""
    root.mkdir(parents=True, exist_ok=True)
    forget()
    s3_backends.clear()
    s3_backends.bucket_accounts.clear()
    s3_backends.backend = partial(DirectoryBackend, root)  # type: ignore[assignment]  # called like the class it replaces


def uninstall() -> None:
    """Let moto's S3 be what it was: whoever uses moto in this process next has buckets in memory, and none of ours."""
    forget()
    s3_backends.clear()
    s3_backends.bucket_accounts.clear()
    s3_backends.backend = S3Backend


def forget() -> None:
    """Let go of the objects that only memory has: moto warns of each whose content is not given up."""
    for regions in s3_backends.values():
        for backend in regions.values():
            for bucket in backend.buckets.values():
                if isinstance(bucket.keys, DirectoryKeyStore):
                    bucket.keys.forget()


def region_of(bucket: str) -> str | None:
    """Return the region of a bucket that somebody has created or used since the endpoint started; None: nobody has."""
    for regions in list(s3_backends.values()):
        for backend in list(regions.values()):
            if (known := backend.buckets.get(bucket)) is not None:
                return str(known.region_name)
    return None


class DirectoryBackend(S3Backend):
    """S3 of one account whose buckets are the folders of `root`."""

    def __init__(self, root: Path, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.root = root
        for folder in sorted(root.iterdir()):
            known = folder.name in s3_backends.bucket_accounts  # another account's or partition's
            if not known and folder.is_dir() and files.is_bucket_name(folder.name):
                self._adopt(folder.name)

    def _adopt(self, name: str) -> FakeBucket:
        bucket = FakeBucket(name=name, account_id=self.account_id, region_name="us-east-1")  # type: ignore[abstract]  # moto makes them so
        self.buckets[name] = self._on_folder(bucket)
        return bucket

    def _on_folder(self, bucket: FakeBucket) -> FakeBucket:
        folder = self.root / bucket.name
        folder.mkdir(exist_ok=True)
        bucket.keys = DirectoryKeyStore(folder, self.account_id, bucket.region_name)
        return bucket

    def create_bucket(self, bucket_name: str, region_name: str, bucket_namespace: str | None = None) -> FakeBucket:
        """Create the bucket and its folder."""
        if not files.is_bucket_name(bucket_name):
            raise InvalidBucketName
        return self._on_folder(super().create_bucket(bucket_name, region_name, bucket_namespace))

    def get_bucket(self, bucket_name: str) -> FakeBucket:
        """Find the bucket, also when its folder was made by someone else."""
        known = bucket_name in self.buckets or bucket_name in s3_backends.bucket_accounts
        if not known and files.is_bucket_name(bucket_name) and (self.root / bucket_name).is_dir():
            return self._adopt(bucket_name)
        return super().get_bucket(bucket_name)

    def delete_bucket(self, bucket_name: str) -> FakeBucket | None:
        """Delete the bucket, if it holds no key, and its folder."""
        deleted = super().delete_bucket(bucket_name)
        if deleted is not None:
            shutil.rmtree(self.root / bucket_name, ignore_errors=True)
        return deleted

    def get_object(self, *args: Any, **kwargs: Any) -> FakeKey | None:
        """Find the object; one that vanishes while moto looks is not there."""
        try:
            return super().get_object(*args, **kwargs)
        except KeyError:
            return None

    def reset(self) -> None:
        """Keep everything: what is on disk is not moto's to forget."""

    def list_objects(
        self, bucket: FakeBucket, prefix: str | None, delimiter: str | None, marker: str | None, max_keys: int | None
    ) -> tuple[Any, Any, bool, str | None]:
        """List one page in the way of ListObjects.

        The next marker is a token: moto does not URL-encode it, while clients decode it.
        """
        after = self._pagination_tokens.get(marker, marker) if marker else None
        page, more = _page(bucket, prefix, delimiter, after, max_keys)
        keys = [entry for entry in page if isinstance(entry, FakeKey)]
        folders = [entry for entry in page if isinstance(entry, str)]
        if not more:
            return keys, folders, False, None
        token = _encode(_name(page[-1]))
        self._pagination_tokens[token] = _name(page[-1])
        return keys, folders, True, token

    def list_objects_v2(  # noqa: PLR0913, PLR0917 - moto's signature
        self,
        bucket: FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> tuple[Any, bool, str | None]:
        """List one page in the way of ListObjectsV2; a token is the last name of the page before."""
        after = _decode(continuation_token) if continuation_token else start_after
        page, more = _page(bucket, prefix, delimiter, after, max_keys)
        return page, more, _encode(_name(page[-1])) if more else None


def _page(
    bucket: FakeBucket, prefix: str | None, delimiter: str | None, after: str | None, size: int | None
) -> tuple[list[FakeKey | str], bool]:
    """Return up to `size` keys and common prefixes after `after`, and whether more follow."""
    store = bucket.keys
    if not isinstance(store, DirectoryKeyStore):  # S3 Tables' own buckets stay moto's
        raise TypeError(f"bucket {bucket.name} is not a folder")
    names = store.grouped(prefix or "", delimiter, after or "") if delimiter else store.names(prefix or "", after or "")
    found: list[FakeKey | str] = []
    for name in names:
        if delimiter and delimiter in name[len(prefix or "") :]:
            found.append(name)
        elif (current := store.get(name)) is not None and not isinstance(current, FakeDeleteMarker):
            found.append(current)
        if size is not None and len(found) > size:
            break
    return list(islice(found, size)), size is not None and 0 < size < len(found)


def _name(entry: FakeKey | str) -> str:
    return entry if isinstance(entry, str) else entry.name


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidContinuationToken from error
