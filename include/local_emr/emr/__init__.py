"""EMR on EC2: clusters and steps, as the service elasticmapreduce answers for them."""

from local_emr.emr.service import ElasticMapReduce

__all__ = ["ElasticMapReduce"]
