-- Delays per carrier of one day, from the cleaned flights (which hold no cancelled flight).
-- Variables: dt (2013-01-15), source and destination (folders that end with a slash).
-- Runs as Hive and as Spark SQL. Every statement names its one partition, so that many days can run at once
-- on one metastore, and a rerun gives the same answer.

CREATE EXTERNAL TABLE IF NOT EXISTS flights (
    carrier STRING,
    flight INT,
    tailnum STRING,
    origin STRING,
    dest STRING,
    route STRING,
    scheduled_departure TIMESTAMP,
    departure TIMESTAMP,
    departure_delay INT COMMENT 'minutes, negative when early',
    arrival_delay INT COMMENT 'minutes, negative when early, NULL when diverted',
    air_time INT COMMENT 'minutes, NULL when diverted',
    distance INT COMMENT 'miles'
)
PARTITIONED BY (dt STRING)
STORED AS PARQUET
LOCATION '${hivevar:source}';

CREATE EXTERNAL TABLE IF NOT EXISTS carrier_delay (
    carrier STRING,
    flights BIGINT,
    delayed_flights BIGINT COMMENT 'departed more than 15 minutes late',
    average_departure_delay DECIMAL(10, 4) COMMENT 'minutes',
    average_arrival_delay DECIMAL(10, 4) COMMENT 'minutes, diverted flights do not count'
)
PARTITIONED BY (dt STRING)
STORED AS PARQUET
LOCATION '${hivevar:destination}';

-- A metastore that outlives a cluster may know the partition from elsewhere: say where it lies now.
ALTER TABLE flights ADD IF NOT EXISTS PARTITION (dt = '${hivevar:dt}');
ALTER TABLE flights PARTITION (dt = '${hivevar:dt}') SET LOCATION '${hivevar:source}dt=${hivevar:dt}';
ALTER TABLE carrier_delay ADD IF NOT EXISTS PARTITION (dt = '${hivevar:dt}');
ALTER TABLE carrier_delay PARTITION (dt = '${hivevar:dt}') SET LOCATION '${hivevar:destination}dt=${hivevar:dt}';

-- A day without flights has not been cleaned: fail, rather than replace its answer by an empty one.
SELECT assert_true(cleaned_flights_of_this_day > 0)
FROM (SELECT COUNT(1) AS cleaned_flights_of_this_day FROM flights WHERE dt = '${hivevar:dt}') AS counted;

-- The partition is written as a dynamic one: then Hive and Spark stage the files of each statement apart. Naming it would let
-- Spark's committer share one folder of temporary files between days that run at once.
SET hive.exec.dynamic.partition.mode=nonstrict;

INSERT OVERWRITE TABLE carrier_delay PARTITION (dt)
SELECT
    carrier,
    COUNT(1),
    SUM(CASE WHEN departure_delay > 15 THEN 1 ELSE 0 END),
    CAST(AVG(departure_delay) AS DECIMAL(10, 4)),
    CAST(AVG(arrival_delay) AS DECIMAL(10, 4)),
    '${hivevar:dt}'
FROM flights
WHERE dt = '${hivevar:dt}'
GROUP BY carrier
ORDER BY carrier;
