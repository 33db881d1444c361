"""S3 as a directory: bucket b's key k is the file `<root>/b/k`, for AWS clients and for Spark alike."""

from local_emr.storage.backend import install, region_of, uninstall

__all__ = ["install", "region_of", "uninstall"]
