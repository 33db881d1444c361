"""An AWS endpoint on one machine that really runs EMR work: any AWS client, a directory for S3, Spark for steps."""

__version__ = "0.1.0"

__all__ = ["__version__"]
