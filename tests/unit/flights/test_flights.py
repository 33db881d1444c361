"""One day of flights, from the raw CSV to the delays per carrier, against plain pandas."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from seed_flights import flights_by_day, flights_csv

from tests.support.pandas_flights import comparable, expected_carrier_delay, expected_clean
from tests.support.spark_jobs import JOBS, ROOT, Finished, SparkJobs, spark_jobs

if TYPE_CHECKING:
    import pandas as pd

# of all days the one with the most diverted flights: their arrival delay is missing
DAY = dt.date(2013, 9, 12)
CLEAN = JOBS / "flights" / "clean.py"
HEADER = flights_by_day(flights_csv())[DAY].split(b"\n", 1)[0] + b"\n"
GOOD = b"2013,9,12,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-09-12T09:00:00Z\n"


@dataclass(frozen=True)
class Lake:
    folder: Path
    cleaned: Finished

    def rows(self, table: str, version: str = "one") -> pd.DataFrame:
        (file,) = version_of(self.folder, table, version).glob("*.parquet")
        return pq.ParquetFile(file).read().to_pandas()


def version_of(folder: Path, table: str, version: str = "one") -> Path:
    return folder / table / f"dt={DAY}" / f"version={version}"


def clean(spark: SparkJobs, folder: Path, version: str = "one") -> Finished:
    places = ("--source", f"file://{folder}/raw/", "--destination", f"file://{version_of(folder, 'flights', version)}/")
    return spark.run(CLEAN, *places, "--date", str(DAY))


def land(folder: Path, body: bytes) -> None:
    target = folder / "raw" / f"dt={DAY}" / "flights.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)


@pytest.fixture(scope="session")
def spark() -> SparkJobs:
    return spark_jobs()


@pytest.fixture(scope="session")
def lake(spark: SparkJobs, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("lake")
    land(folder, flights_by_day(flights_csv())[DAY])
    return Lake(folder, clean(spark, folder))


def carriers(spark: SparkJobs, folder: Path, source: str = "one", version: str = "one") -> Finished:
    text = (ROOT / "include" / "hive" / "carrier_delay.hql").read_text(encoding="utf-8")
    places = {
        "source": f"file://{version_of(folder, 'flights', source)}/",
        "destination": f"file://{version_of(folder, 'carrier_delay', version)}/",
    }
    return spark.sql(text, {**places, "version": version})


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.parquet")}


def test_a_cleaned_day_equals_the_pandas_computation_row_by_row(lake):
    assert comparable(expected_clean(DAY)) == comparable(lake.rows("flights"))


def test_the_day_of_the_test_holds_diverted_and_cancelled_flights(lake):
    cleaned = lake.rows("flights")
    assert cleaned["arrival_delay"].isna().sum() > 20
    assert len(flights_by_day(flights_csv())[DAY].splitlines()) - 1 > len(cleaned)


def test_cleaning_says_how_many_rows_came_in_and_went_out(lake):
    rows_in = len(flights_by_day(flights_csv())[DAY].splitlines()) - 1
    rows_out = len(expected_clean(DAY))
    assert f"rows in: {rows_in}, rows out: {rows_out}, cancelled: {rows_in - rows_out}" in lake.cleaned.stdout


def test_cleaning_again_replaces_its_folder_by_the_same_rows_and_touches_no_other_version(lake, spark):
    other = version_of(lake.folder, "flights", "another")
    shutil.copytree(version_of(lake.folder, "flights"), other)
    kept = files(other)
    again = clean(spark, lake.folder)
    assert (again.exit_code, again.error) == (0, "")
    assert comparable(expected_clean(DAY)) == comparable(lake.rows("flights"))
    assert kept == files(other)


BAD = {
    "distance is no whole number": GOOD.replace(b"1400", b"far"),
    "another number of columns: too few": b"2013,9,12,517\n",
    "another number of columns: too many": GOOD[:-1] + b",more\n",
    "no origin": GOOD.replace(b"EWR", b"NA"),
    "a flight of another day": GOOD.replace(b"2013,9,12,", b"2013,9,13,"),
    "departed, but no dep_delay": GOOD.replace(b"515,2,", b"515,NA,"),
    "time_hour is no time": GOOD.replace(b"T09:00:00Z", b"T99:00:00Z"),
}


def test_every_malformed_row_is_counted_and_the_first_is_shown_and_nothing_is_written(spark, tmp_path):
    land(tmp_path, HEADER + GOOD + b"".join(BAD.values()) + GOOD)
    finished = clean(spark, tmp_path)
    cause = "distance is no whole number in " + BAD["distance is no whole number"].decode().strip()
    said = f"ValueError: 7 of 9 rows at file://{tmp_path}/raw/dt={DAY}/ are malformed: {cause}"
    assert (finished.exit_code, finished.error) == (1, said)
    assert not (tmp_path / "flights").exists()


def test_a_row_of_another_width_is_shown_as_it_stands(spark, tmp_path):
    land(tmp_path, HEADER + BAD["another number of columns: too many"])
    finished = clean(spark, tmp_path)
    row = BAD["another number of columns: too many"].decode().strip()
    assert finished.error.endswith(f" are malformed: another number of columns in {row}")


def test_a_day_without_rows_fails_and_writes_nothing(spark, tmp_path):
    land(tmp_path, HEADER)
    finished = clean(spark, tmp_path)
    said = f"ValueError: The raw flights at file://{tmp_path}/raw/dt={DAY}/ hold no row; land that day again"
    assert (finished.exit_code, finished.error) == (1, said)
    assert not (tmp_path / "flights").exists()


def test_a_day_with_other_columns_fails(spark, tmp_path):
    land(tmp_path, HEADER.replace(b"carrier,flight", b"flight,carrier") + GOOD)
    finished = clean(spark, tmp_path)
    assert finished.exit_code == 1
    assert "CSV header does not conform to the schema" in finished.error


def test_a_day_that_was_not_landed_fails_and_names_the_place(spark, tmp_path):
    finished = clean(spark, tmp_path)
    assert f"FileNotFoundError: There are no raw flights at file://{tmp_path}/raw/dt={DAY}/; land that day first" == (
        finished.error
    )


def test_the_delays_per_carrier_equal_the_pandas_computation(lake, spark):
    first = carriers(spark, lake.folder)
    assert (first.exit_code, first.error) == (0, "")
    assert comparable(expected_carrier_delay(DAY)) == comparable(lake.rows("carrier_delay"))
    again = carriers(spark, lake.folder)
    assert (again.exit_code, again.error) == (0, "")
    assert comparable(expected_carrier_delay(DAY)) == comparable(lake.rows("carrier_delay"))


def test_the_delays_of_another_run_leave_those_of_the_first_alone(lake, spark):
    assert carriers(spark, lake.folder, version="first").exit_code == 0
    kept = files(version_of(lake.folder, "carrier_delay", "first"))
    assert carriers(spark, lake.folder, version="second").exit_code == 0
    assert kept == files(version_of(lake.folder, "carrier_delay", "first"))
    assert comparable(lake.rows("carrier_delay", "first")) == comparable(lake.rows("carrier_delay", "second"))


def test_the_delays_of_a_day_without_flights_fail_and_leave_the_answer_alone(lake, spark):
    assert carriers(spark, lake.folder, version="kept").exit_code == 0
    version_of(lake.folder, "flights", "empty").mkdir()
    finished = carriers(spark, lake.folder, source="empty", version="kept")
    assert finished.exit_code == 1
    assert "cleaned_flights_of_this_day" in finished.error
    assert comparable(expected_carrier_delay(DAY)) == comparable(lake.rows("carrier_delay", "kept"))
