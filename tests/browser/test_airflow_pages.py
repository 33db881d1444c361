"""What a person sees in Airflow's own pages, in a real browser; each page's picture is kept in ``.local/screenshots``."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.pipelines.test_faults import until
from tests.pipelines.test_flights import states
from tests.support.airflow import ROOT, ended_run
from tests.support.corrupted import manifest_of, rows_at, spoil

PICTURES = ROOT / ".local" / "screenshots"
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def page(airflow):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=[*QUIET, "--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.goto(airflow.url)
        page.get_by_role("textbox").first.fill("admin")
        page.locator("input[type=password]").fill(airflow.password())
        page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
        expect(page.get_by_text("Import Errors").first).to_be_visible()
        yield page
        browser.close()


@pytest.fixture(autouse=True)
def last_picture(page, request):
    """Keep what the page showed at the end of each test: the first thing to look at when one fails."""
    yield
    picture(page, f"last-{request.node.name}")


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def open_form(page: Page, airflow, dag_id: str) -> None:
    page.goto(f"{airflow.url}/dags/{dag_id}")
    page.get_by_role("button", name=re.compile("trigger", re.IGNORECASE)).first.click()
    expect(page.get_by_role("combobox", name="Target")).to_be_visible()


def test_a_dag_that_cannot_work_is_explained_on_the_home_page(page, airflow):
    page.goto(airflow.url)
    page.get_by_text("Import Errors").first.click()
    page.get_by_text("a_missing_script.py").first.click()
    expect(page.get_by_text(re.compile("There is no file 'jobs/flights/claen.py'")).first).to_be_visible()
    picture(page, "import-errors")


def test_the_trigger_form_offers_every_target_and_a_list_of_them(page, airflow):
    open_form(page, airflow, "flights_daily")
    expect(page.get_by_text("The compute that the EMR jobs of this run use.").first).to_be_visible()
    page.get_by_role("combobox", name="Target").click()
    offered = page.get_by_role("option")
    expect(offered).to_have_count(4)
    assert [text.partition(":")[0] for text in offered.all_inner_texts()] == [
        "ec2",
        "eks",
        "serverless",
        "serverless, then ec2",
    ]
    picture(page, "trigger-form")
    offered.nth(1).click()
    expect(page.get_by_text(re.compile("^eks: ")).first).to_be_visible()
    picture(page, "trigger-form-chosen")


def test_the_backfill_form_says_what_to_tick_and_with_it_the_choice_counts(page, airflow, rest):
    open_form(page, airflow, "is_backfilled")
    page.get_by_text("Run this Dag for a range of dates").click()
    expect(page.get_by_text("a choice made in that form counts only with").first).to_be_visible()
    for number in (0, 1):
        page.get_by_test_id("datetime-input").nth(number).click()
        page.locator('input[placeholder="YYYY/MM/DD"]:visible').fill("2013/01/02")
        page.locator('input[placeholder="HH:mm"]:visible').fill("00:00")
        page.get_by_text("Date Range", exact=True).click()
    page.get_by_role("combobox", name="Target").click()
    page.get_by_role("option", name=re.compile("^ec2-one-at-a-time")).click()
    page.get_by_text("Override parameters on existing runs").first.click()
    picture(page, "backfill-form")
    page.get_by_role("button", name="Run Backfill").click()
    run = until(lambda: rest.run_of("is_backfilled", datetime(2013, 1, 2, tzinfo=UTC)))
    assert run["conf"] == {"target": "ec2-one-at-a-time"}
    assert ended_run(rest, "is_backfilled", run["dag_run_id"])["state"] == "success"
    acquired = rest.xcom("is_backfilled", run["dag_run_id"], "emr.acquire")
    assert (acquired["choice"]["profile"], acquired["choice"]["given"]) == ("ec2-one-at-a-time", True)


def test_a_task_links_to_its_compute_and_to_its_logs(page, airflow, rest):
    rest.post("dags/runs_mapped/dagRuns", {"dag_run_id": "seen", "logical_date": None})
    assert ended_run(rest, "runs_mapped", "seen")["state"] == "success"
    page.goto(f"{airflow.url}/dags/runs_mapped/runs/seen/tasks/emr.acquire/details")
    link = page.get_by_role("link", name="Compute", exact=True)
    expect(link).to_be_visible()
    why = page.get_by_role("link", name="Why this compute")
    expect(why).to_be_visible()
    assert rest.xcom("runs_mapped", "seen", "emr.acquire")["compute"]["id"] in link.get_attribute("href")
    picture(page, "task-links")
    page.goto(why.get_attribute("href"))
    expect(page.get_by_text("The run was given no target").first).to_be_visible()
    picture(page, "why-this-compute")


def test_the_graph_shows_compute_around_the_jobs(page, airflow):
    page.goto(f"{airflow.url}/dags/runs_mapped/runs/seen")
    for task in ("begin", "acquire", "job", "release", "verdict"):
        expect(page.get_by_text(re.compile(rf"\b{task}\b")).first).to_be_visible()
    picture(page, "run")


YESTERDAY, TODAY = "2013-02-21", "2013-02-22"


def run_day(rest, date: str) -> str:
    rest.unpause("flights_daily")
    day = datetime.fromisoformat(date).replace(tzinfo=UTC)
    rest.trigger(
        "flights_daily",
        f"seen-{date}",
        logical_date=day,
        start=day,
        end=day + timedelta(days=1),
        conf={"target": "eks"},
    )
    return f"seen-{date}"


def test_a_spoilt_day_is_stopped_and_a_person_s_approval_lets_it_through(page, airflow, rest, client_of):
    s3 = client_of("s3")
    assert ended_run(rest, "flights_daily", run_day(rest, YESTERDAY))["state"] == "success"
    yesterday = manifest_of(s3, "flights", YESTERDAY)
    tail_numbers = spoil(s3, TODAY)
    run = run_day(rest, TODAY)
    until(lambda: states(rest, "flights_daily", run).get("approve") == "awaiting_input", 300)
    assert (manifest_of(s3, "flights", TODAY), manifest_of(s3, "flights", YESTERDAY)) == (None, yesterday)
    page.goto(f"{airflow.url}/dags/flights_daily/runs/{run}")
    expect(page.get_by_text(re.compile(r"\bapprove\b")).first).to_be_visible()
    picture(page, "gate-waits")
    page.goto(f"{airflow.url}/dags/flights_daily/runs/{run}/tasks/approve/required_actions")
    expect(page.get_by_text("Publish data that broke a rule?").first).to_be_visible()
    expect(page.get_by_role("cell", name="Failed: ask").first).to_be_visible()
    picture(page, "gate-asks")
    page.get_by_role("textbox").last.fill("the airline wrote them so")
    page.get_by_role("button", name="Approve").click()
    assert ended_run(rest, "flights_daily", run)["state"] == "success"
    manifest = json.loads(manifest_of(s3, "flights", TODAY))
    assert (manifest["quality"]["approved_by"], manifest["quality"]["reason"]) == ("admin", "the airline wrote them so")
    rows = rows_at(s3, manifest["location"])
    assert sorted(set(rows["tailnum"]) & set(tail_numbers)) == sorted(set(tail_numbers))
    assert manifest_of(s3, "flights", YESTERDAY) == yesterday
    page.goto(f"{airflow.url}/dags/flights_daily/runs/{run}")
    expect(page.get_by_text(re.compile(r"\bpublish\b")).first).to_be_visible()
    picture(page, "gate-approved")
