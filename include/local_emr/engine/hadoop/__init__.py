"""Tools of Hadoop that no wheel brings along, run as programs of their own: Hadoop Streaming and S3DistCp.

`python -m local_emr.engine.hadoop.streaming` and `...hadoop.s3_dist_cp` take the tool's own words after the two folders of storage.
They do what the tools document; `keys`, `aggregates`, `streaming_options` and `copy_plan` decide, and touch no file.
"""
