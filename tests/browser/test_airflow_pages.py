"""What a person sees in Airflow's own pages, in a real browser; each page's picture is kept in ``.local/screenshots``."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.airflow import ROOT, ended_run

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


def test_a_dag_that_cannot_work_is_explained_on_the_home_page(page, airflow):
    page.goto(airflow.url)
    page.get_by_text("Import Errors").first.click()
    page.get_by_text("a_missing_script.py").first.click()
    expect(page.get_by_text(re.compile("There is no file 'jobs/flights/claen.py'")).first).to_be_visible()
    picture(page, "import-errors")


def test_the_trigger_form_offers_the_target_with_its_title(page, airflow):
    page.goto(f"{airflow.url}/dags/flights_daily")
    page.get_by_role("button", name=re.compile("trigger", re.IGNORECASE)).first.click()
    expect(page.get_by_role("combobox", name="Target")).to_be_visible()
    expect(page.get_by_text("The compute profile that the EMR jobs of this run use.").first).to_be_visible()
    picture(page, "trigger-form")


def test_a_task_links_to_its_compute_and_to_its_logs(page, airflow, rest):
    rest.post("dags/runs_mapped/dagRuns", {"dag_run_id": "seen", "logical_date": None})
    assert ended_run(rest, "runs_mapped", "seen")["state"] == "success"
    page.goto(f"{airflow.url}/dags/runs_mapped/runs/seen/tasks/emr.acquire/details")
    link = page.get_by_role("link", name="Compute")
    expect(link).to_be_visible()
    assert rest.xcom("runs_mapped", "seen", "emr.acquire")["compute"]["id"] in link.get_attribute("href")
    picture(page, "task-links")


def test_the_graph_shows_compute_around_the_jobs(page, airflow):
    page.goto(f"{airflow.url}/dags/runs_mapped/runs/seen")
    for task in ("begin", "acquire", "job", "release", "verdict"):
        expect(page.get_by_text(re.compile(rf"\b{task}\b")).first).to_be_visible()
    picture(page, "run")
