"""What Airflow's metrics are told, and that the page of metrics tells the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emr_pipelines.watching import metrics

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "metrics.md"


@pytest.fixture
def told(monkeypatch):
    """Each metric as (kind, name, value, tags)."""
    told = []
    for kind in ("incr", "gauge", "timing"):
        monkeypatch.setattr(
            metrics.stats, kind, lambda name, value=1, *, tags, kind=kind: told.append((kind, name, value, tags))
        )
    return told


def tell_all():
    metrics.called("emr", "ListSteps")
    metrics.throttled("emr", "ListSteps")
    metrics.waiting("ec2", "us-east-1", 3)
    metrics.look_failed("ec2", "us-east-1")
    metrics.noticed("ec2", 0.0)
    metrics.heard(waited_for=True)


def test_the_page_lists_every_metric_with_its_kind_and_tags(told):
    tell_all()
    kinds = {"incr": "counter", "gauge": "gauge", "timing": "timer, milliseconds"}
    expected = {(name, kinds[kind], ", ".join(f"`{tag}`" for tag in tags)) for kind, name, _, tags in told}
    rows = set(re.findall(r"^\| `([\w.]+)` \| ([\w, ]+) \| ([`\w, ]+) \|", PAGE.read_text(), re.MULTILINE))
    assert expected == rows


def test_values_are_those_of_the_page(told, monkeypatch):
    monkeypatch.setattr(metrics.time, "time", lambda: 12.5)
    metrics.noticed("ec2", 10.0)
    metrics.noticed("ec2", 13.0)  # the service's clock may be ahead
    metrics.waiting("ec2", "us-east-1", 3)
    assert [value for _, _, value, _ in told] == [2500.0, 0.0, 3]
