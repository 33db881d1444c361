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

    def partition(self, table: str, day: dt.date = DAY) -> pd.DataFrame:
        (file,) = (self.folder / table / f"dt={day}").glob("*.parquet")
        return pq.ParquetFile(file).read().to_pandas()


def clean(spark: SparkJobs, folder: Path, day: dt.date = DAY) -> Finished:
    places = ("--source", f"file://{folder}/raw/", "--destination", f"file://{folder}/flights/")
    return spark.run(CLEAN, *places, "--date", str(day))


def land(folder: Path, body: bytes, day: dt.date = DAY) -> None:
    target = folder / "raw" / f"dt={day}" / "flights.csv"
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


def carriers(spark: SparkJobs, folder: Path, day: dt.date = DAY) -> Finished:
    text = (ROOT / "include" / "hive" / "carrier_delay.hql").read_text(encoding="utf-8")
    places = {"source": f"file://{folder}/flights/", "destination": f"file://{folder}/carrier_delay/"}
    return spark.sql(text, {"dt": str(day), **places})


def test_a_cleaned_day_equals_the_pandas_computation_row_by_row(lake):
    assert comparable(expected_clean(DAY)) == comparable(lake.partition("flights"))


def test_the_day_of_the_test_holds_diverted_and_cancelled_flights(lake):
    cleaned = lake.partition("flights")
    assert cleaned["arrival_delay"].isna().sum() > 20
    assert len(flights_by_day(flights_csv())[DAY].splitlines()) - 1 > len(cleaned)


def test_cleaning_says_how_many_rows_came_in_and_went_out(lake):
    rows_in = len(flights_by_day(flights_csv())[DAY].splitlines()) - 1
    rows_out = len(expected_clean(DAY))
    assert f"rows in: {rows_in}, rows out: {rows_out}, cancelled: {rows_in - rows_out}" in lake.cleaned.stdout


def test_cleaning_again_replaces_the_day_by_the_same_rows_and_no_other_day(lake, spark):
    other = lake.folder / "flights" / "dt=2013-12-24" / "kept.parquet"
    before = comparable(lake.partition("flights"))
    other.parent.mkdir(parents=True)
    shutil.copy(next((lake.folder / "flights" / f"dt={DAY}").glob("*.parquet")), other)
    again = clean(spark, lake.folder)
    assert (again.exit_code, again.error) == (0, "")
    assert before == comparable(lake.partition("flights"))
    assert other.exists()


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
    assert comparable(expected_carrier_delay(DAY)) == comparable(lake.partition("carrier_delay"))
    again = carriers(spark, lake.folder)
    assert (again.exit_code, again.error) == (0, "")
    assert comparable(expected_carrier_delay(DAY)) == comparable(lake.partition("carrier_delay"))


def test_the_delays_of_a_day_without_flights_fail_and_leave_the_answer_alone(lake, spark):
    finished = carriers(spark, lake.folder, dt.date(2013, 2, 2))
    assert finished.exit_code == 1
    assert "cleaned_flights_of_this_day" in finished.error
    assert list((lake.folder / "carrier_delay").glob("dt=2013-02-02/*.parquet")) == []
