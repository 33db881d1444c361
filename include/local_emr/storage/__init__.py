"""S3 as a directory: bucket b's key k is the file `<root>/b/k`, for AWS clients and for Spark alike."""

from local_emr.storage.backend import forget, install, region_of

__all__ = ["forget", "install", "region_of"]
