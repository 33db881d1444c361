"""EMR Serverless: applications and job runs, as the service emr-serverless answers for them."""

from local_emr.serverless.service import EmrServerless

__all__ = ["EmrServerless"]
