"""Results as a table, as a plot, and as a line for machines. Pure, but for writing the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.watch.rounds import LARGEST, ROOT, Result
from benchmarks.watch.sqs import OPERATIONS

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "bench-watch.svg"
BEGIN, END = "<!-- bench-watch: begin -->", "<!-- bench-watch: end -->"

_HEADER = (
    "service",
    "jobs",
    "who",
    "calls a minute",
    "refused a minute",
    "failed waits",
    "notice delay p50",
    "p99",
    "of lost events",
    "CPU s per job and hour",
    "KiB per job",
)


def in_order(results: Iterable[Result]) -> list[Result]:
    """Return results by size, then as services and those who wait on them are listed."""
    places = [(service, who) for service, sizes in LARGEST.items() for who in sizes]
    return sorted(results, key=lambda one: (one.case.jobs, places.index((one.case.service, one.case.who))))


def table(results: Iterable[Result]) -> str:
    """Return a Markdown table, and below it what failed waits said."""
    rows = [_HEADER, ["---"] * len(_HEADER), *map(_row, results)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    said = [
        f"{result.case.who}, {result.case.jobs} on {result.case.service}, {count} times: {reason}"
        for result in results
        for reason, count in result.reasons.items()
    ]
    return "\n".join([*lines, *said])


def _row(result: Result) -> list[str]:
    counts = {name: count for name, count in result.calls.items() if name not in OPERATIONS}
    counts["SQS"] = result.sqs_calls_a_minute
    calls = ", ".join(f"{name} {count:,.0f}" for name, count in counts.items() if round(count))
    return [
        result.case.service,
        f"{result.case.jobs:,}",
        result.case.who,
        calls or ("0" if math.isfinite(result.p99) else "unknown"),
        f"{result.refused:,.0f}",
        f"{result.failed:,}",
        f"{result.p50:,.1f} s",
        f"{result.p99:,.1f} s{_unnoticed(result.unnoticed)}",
        _lost(result),
        f"{result.cpu:,.2f}",
        f"{result.memory / 1024:,.0f}",
    ]


def _unnoticed(count: int) -> str:
    return f" ({count} not noticed)" if count else ""


def _lost(result: Result) -> str:
    delays = result.lost_delays
    return f"{len(delays)}, up to {max(delays):,.1f} s{_unnoticed(result.lost_unnoticed)}" if delays else ""


def last_line(results: Iterable[Result], jobs: int = 1_000) -> str:
    """Return the provider's calls over ours on EMR Serverless, with so many jobs or else with the most that were measured."""
    calls = {(one.case.jobs, one.case.who): one.calls_a_minute for one in results if one.case.service == "serverless"}
    sizes = [size for size, who in calls if who == "ours" and (size, "provider") in calls]
    if not sizes:
        return "calls ratio=none"
    at = jobs if jobs in sizes else max(sizes)
    return f"calls ratio={calls[at, 'provider'] / max(calls[at, 'ours'], 1):.0f} at jobs={at}"


WIDTH, HEIGHT, MARGIN = 320, 260, 46
COLOURS = {"ours": "#1f6feb", "ours with events": "#1a7f37", "provider": "#d1242f"}
_PANELS: tuple[tuple[str, Callable[[Result], float]], ...] = (
    ("Calls to EMR a minute", lambda result: result.calls_a_minute),
    ("Notice delay p99, seconds", lambda result: result.p99),
    ("Memory of all that wait, MiB", lambda result: result.memory * result.case.jobs / 2**20),
)
_LEAST = 0.1
"""What is less is drawn as this: a logarithmic axis has no zero."""

Line = Sequence[tuple[float, float]]


def plot(results: Iterable[Result], service: str = "serverless") -> str:
    """Return an SVG: what grows with the number of job runs on one service, both axes logarithmic."""
    shown = [result for result in results if result.case.service == service]
    panels = "".join(
        f'<g transform="translate({number * WIDTH} 0)">\n{_panel(title, _lines(shown, value))}</g>\n'
        for number, (title, value) in enumerate(_PANELS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(_PANELS)} {HEIGHT}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n{panels}</svg>\n'
    )


def _lines(results: Sequence[Result], value: Callable[[Result], float]) -> dict[str, Line]:
    return {
        who: [
            (one.case.jobs, max(value(one), _LEAST))
            for one in results
            if one.case.who == who and math.isfinite(one.p99)
        ]
        for who in COLOURS
    }


def _panel(title: str, lines: Mapping[str, Line]) -> str:
    """Return one plot: its axes at powers of ten, a line for each contestant."""
    points = [point for line in lines.values() for point in line]
    across, up = (_decades(values) for values in zip(*points, strict=True))

    def x(value: float) -> float:
        return MARGIN + (WIDTH - 1.5 * MARGIN) * _place(value, across)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * _place(value, up)

    drawn = [f'<text x="{MARGIN}" y="{MARGIN - 22}" font-weight="bold">{title}</text>']
    drawn += [
        f'<text x="{x(10**power):.1f}" y="{HEIGHT - MARGIN + 16}" text-anchor="middle">{10**power:,}</text>'
        for power in range(across[0], across[1] + 1)
    ]
    for power in range(up[0], up[1] + 1):
        at = f"{y(10.0**power):.1f}"
        drawn.append(f'<line x1="{MARGIN}" x2="{x(10 ** across[1]):.1f}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        drawn.append(f'<text x="{MARGIN - 4}" y="{at}" dy="4" text-anchor="end">{10.0**power:,g}</text>')
    drawn.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">job runs that wait</text>')
    for number, (who, line) in enumerate(lines.items()):
        path = " ".join(f"{x(jobs):.1f},{y(value):.1f}" for jobs, value in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[who]}" stroke-width="2"/>')
        drawn += [
            f'<circle cx="{x(jobs):.1f}" cy="{y(value):.1f}" r="3" fill="{COLOURS[who]}"/>' for jobs, value in line
        ]
        drawn.append(f'<text x="{MARGIN + 90 * number}" y="{MARGIN - 8}" fill="{COLOURS[who]}">{who}</text>')
    return "\n".join(drawn) + "\n"


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten around values, two different ones."""
    powers = [math.log10(value) for value in values]
    least = math.floor(min(powers))
    return least, max(math.ceil(max(powers)), least + 1)


def _place(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def between_markers(page: str, text: str) -> str:
    """Return a page with what stands between its markers replaced. Raises ValueError when it has not both."""
    replaced, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{text}\n{END}", page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(
            f"The page needs {BEGIN} and {END} once, it has both {count} times: put them where the table goes."
        )
    return replaced


def circumstances(load: float, cores: int) -> str:
    """Say how busy the machine was when it began to measure: `load` is the processes of the minute before that were ready to run."""
    said = f"load {load:.1f} in the minute before"
    busy = ". The machine had other work: all delays are longer than they would be, and calls fewer"
    return said + (busy if load > cores / 2 else "")


def write_page(results: Sequence[Result], measured: str) -> None:
    """Put the table, and where it was measured, into the page, and draw the plot when there is something on EMR Serverless."""
    PAGE.write_text(between_markers(PAGE.read_text(), f"{table(results)}\n\nMeasured on {measured}."))
    if any(one.case.service == "serverless" and math.isfinite(one.p99) for one in results):
        PLOT.parent.mkdir(exist_ok=True)
        PLOT.write_text(plot(results))
