"""EMR on EKS: virtual clusters, job runs and job templates, as the service emr-containers answers for them."""

from local_emr.eks.service import EmrContainers

__all__ = ["EmrContainers"]
