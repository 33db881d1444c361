-- Delays per carrier of one day, from the cleaned flights (which hold no cancelled flight).
-- Variables: source (folder of the day's cleaned flights), destination (folder to replace), version (a name of this run's own).
-- Runs as Hive and as Spark SQL. The two tables only lend columns and format to the two folders: they carry the version in their
-- names, so that runs on one metastore never meet, and are dropped at the end, which leaves the folders as they are.

DROP TABLE IF EXISTS flights_${hivevar:version};
CREATE EXTERNAL TABLE flights_${hivevar:version} (
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
STORED AS PARQUET
LOCATION '${hivevar:source}';

DROP TABLE IF EXISTS carrier_delay_${hivevar:version};
CREATE EXTERNAL TABLE carrier_delay_${hivevar:version} (
    carrier STRING,
    flights BIGINT,
    delayed_flights BIGINT COMMENT 'departed more than 15 minutes late',
    average_departure_delay DECIMAL(10, 4) COMMENT 'minutes',
    average_arrival_delay DECIMAL(10, 4) COMMENT 'minutes, diverted flights do not count'
)
STORED AS PARQUET
LOCATION '${hivevar:destination}';

-- A day without flights has not been cleaned: fail, rather than replace its answer by an empty one.
SELECT assert_true(cleaned_flights_of_this_day > 0)
FROM (SELECT COUNT(1) AS cleaned_flights_of_this_day FROM flights_${hivevar:version}) AS counted;

INSERT OVERWRITE TABLE carrier_delay_${hivevar:version}
SELECT
    carrier,
    COUNT(1),
    SUM(CASE WHEN departure_delay > 15 THEN 1 ELSE 0 END),
    CAST(AVG(departure_delay) AS DECIMAL(10, 4)),
    CAST(AVG(arrival_delay) AS DECIMAL(10, 4))
FROM flights_${hivevar:version}
GROUP BY carrier
ORDER BY carrier;

DROP TABLE flights_${hivevar:version};
DROP TABLE carrier_delay_${hivevar:version};
