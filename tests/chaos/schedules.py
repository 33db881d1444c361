"""What goes wrong in a run, and when: a pure function of a seed.

A schedule holds the jobs of one run and events: at a point in the run's life, as the endpoint sees it, somebody acts. Every
case that is known to leak or to double with naive pipelines has its turn, alone and together with others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

FIRST, SECOND = "first", "second"
TASKS = (FIRST, SECOND)
"""The jobs of a run; the second follows the first."""

TARGETS = ("ec2", "eks", "serverless")

SHORT, LONG = 3.0, 32.0
"""Seconds of a job that its task waits for, and of one for which it is deferred."""

DEFERRED = 24.0
"""Seconds after a job's beginning when its task surely waits deferred."""


@dataclass(frozen=True)
class Point:
    """A moment in the life of a run.

    ``moment`` is ``asked`` or ``answered``, of a call that may ``create``, ``submit`` or ``release``, or ``running`` or ``ended``
    of a job; ``nth`` counts its occurrences from 1; ``after`` so many seconds.
    """

    moment: str
    what: str
    nth: int = 1
    after: float = 0.0


@dataclass(frozen=True)
class Event:
    """At a point, somebody acts."""

    at: Point
    act: str
    amount: float = 0.0
    """Of a fault: how often it strikes, or its seconds."""


@dataclass(frozen=True)
class Schedule:
    """One run on a target: what its jobs do, what happens to it, and whether it may end red though its jobs did well."""

    seed: int
    target: str
    case: str
    dag: str = "chaos"
    seconds: tuple[float, float] = (SHORT, SHORT)
    outcomes: tuple[str, str] = ("succeed", "succeed")
    events: tuple[Event, ...] = ()
    before: tuple[Event, ...] = ()
    """Faults that are armed before the run begins."""
    red: bool = False
    targets: frozenset[str] = field(default=frozenset(TARGETS))

    @property
    def run_id(self) -> str:
        """The id of the run in Airflow."""
        return f"chaos-{self.target}-{self.seed:05d}"


def _at(  # noqa: PLR0913  # a line of the table below
    moment: str, what: str, act: str, *, nth: int = 1, after: float = 0.0, amount: float = 0.0
) -> Event:
    return Event(Point(moment, what, nth, after), act, amount)


def _case(name: str, *events: Event, **more: object) -> Schedule:
    return Schedule(0, "", name, events=events, **more)  # type: ignore[arg-type]


_START = Point("start", "run")
_LONG_FIRST = (LONG, SHORT)
_OF_CLUSTERS = frozenset({"ec2"})
_OF_OWN_COMPUTE = frozenset({"ec2", "serverless"})

CASES = (
    _case("nothing happens"),
    _case("a job fails for good", outcomes=("succeed", "fail")),
    _case("a job fails once", outcomes=("fail-once", "succeed")),
    _case("the process dies before the submit", _at("asked", "submit", "kill-process")),
    _case("the process dies between submit and record", _at("answered", "submit", "kill-process")),
    _case("the worker dies between submit and record", _at("answered", "submit", "kill-worker")),
    _case(
        "the process dies twice in a row",
        _at("answered", "submit", "kill-process"),
        _at("running", FIRST, "kill-process", after=7.0),
        seconds=(14.0, SHORT),
    ),
    _case(
        "the process dies while the job runs", _at("running", FIRST, "kill-process", after=1.0), seconds=(6.0, SHORT)
    ),
    _case("the worker dies while the job runs", _at("running", FIRST, "kill-worker", after=1.0), seconds=(6.0, SHORT)),
    _case("the process dies after the end, before the report", _at("ended", FIRST, "kill-process")),
    _case("the worker dies after the end of the last job", _at("ended", SECOND, "kill-worker")),
    _case("the process dies before the create", _at("asked", "create", "kill-process"), targets=_OF_OWN_COMPUTE),
    _case("the process dies after the create", _at("answered", "create", "kill-process"), targets=_OF_OWN_COMPUTE),
    _case("the worker dies after the create", _at("answered", "create", "kill-worker"), targets=_OF_OWN_COMPUTE),
    _case("the process dies before the release", _at("asked", "release", "kill-process"), targets=_OF_OWN_COMPUTE),
    _case("the worker dies in the release", _at("answered", "release", "kill-worker"), targets=_OF_OWN_COMPUTE),
    _case("the triggerer is killed", _at("running", FIRST, "kill-triggerer", after=DEFERRED), seconds=_LONG_FIRST),
    _case(
        "the triggerer is restarted", _at("running", FIRST, "restart-triggerer", after=DEFERRED), seconds=_LONG_FIRST
    ),
    _case("the scheduler is killed", _at("running", FIRST, "kill-scheduler", after=1.0), seconds=(15.0, SHORT)),
    _case("the scheduler is restarted", _at("running", FIRST, "restart-scheduler", after=1.0), seconds=(15.0, SHORT)),
    _case("Airflow's API is away", _at("running", FIRST, "kill-api-server", after=1.0), seconds=(15.0, SHORT)),
    _case("the answer to a submit is lost", before=(Event(_START, "lose-submit", 1),)),
    _case("the answer to a create is lost", before=(Event(_START, "lose-create", 1),), targets=_OF_OWN_COMPUTE),
    _case("the answer to a release is lost", _at("running", SECOND, "lose-release", amount=1), targets=_OF_OWN_COMPUTE),
    _case("a submit fails and is slow", before=(Event(_START, "slow-submit", 6), Event(_START, "fail-submit", 2))),
    _case("calls are throttled", _at("running", FIRST, "throttle", amount=12)),
    _case("the service fails", _at("running", FIRST, "fail-calls", amount=8)),
    _case("the service has its rate limits", _at("start", "run", "rate-limit", amount=20)),
    _case(
        "listings lag and the process dies between submit and record",
        _at("answered", "submit", "kill-process"),
        before=(Event(_START, "lag", 6),),
    ),
    _case(
        "listings lag and the answer to a submit is lost",
        before=(Event(_START, "lag", 6), Event(_START, "lose-submit", 1)),
    ),
    _case("the clock of the service is off", before=(Event(_START, "clock-skew", 90),)),
    _case("compute is refused once", before=(Event(_START, "refuse-capacity", 1),)),
    _case("a bootstrap action fails", before=(Event(_START, "bootstrap-failure", 1),), targets=_OF_CLUSTERS),
    _case("instances are lost", _at("running", SECOND, "spot-loss", after=1.0), seconds=(SHORT, 8.0)),
    _case("instances are lost while deferred", _at("running", FIRST, "spot-loss", after=DEFERRED), seconds=_LONG_FIRST),
    _case(
        "somebody ends the compute",
        _at("running", SECOND, "end-compute", after=1.0),
        seconds=(SHORT, 8.0),
        targets=_OF_CLUSTERS,
    ),
    _case("somebody cancels the job", _at("running", SECOND, "cancel-job", after=1.0), seconds=(SHORT, 8.0)),
    _case("the task is marked failed", _at("running", FIRST, "fail-task", after=1.0), seconds=(60.0, SHORT), red=True),
    _case(
        "the task is marked failed while deferred",
        _at("running", FIRST, "fail-task", after=DEFERRED),
        seconds=(60.0, SHORT),
        red=True,
    ),
    _case("the run is marked failed", _at("running", FIRST, "fail-run", after=1.0), seconds=(60.0, SHORT), red=True),
    _case(
        "the run is marked failed while deferred",
        _at("running", FIRST, "fail-run", after=DEFERRED),
        seconds=(60.0, SHORT),
        red=True,
    ),
    _case(
        "the run is marked failed while it acquires",
        _at("answered", "create", "fail-run"),
        red=True,
        targets=_OF_OWN_COMPUTE,
    ),
    _case(
        "the run is marked failed, and the create comes after its release",
        _at("asked", "create", "fail-run"),
        _at("asked", "create", "hold", amount=3.0),
        red=True,
        targets=_OF_OWN_COMPUTE,
    ),
    _case(
        "the run is marked failed, and the submit comes after its release",
        _at("asked", "submit", "fail-run"),
        _at("asked", "submit", "hold", amount=3.0),
        seconds=(30.0, SHORT),
        red=True,
    ),
    _case("the running task is cleared", _at("running", FIRST, "clear-first", after=1.0), seconds=(30.0, SHORT)),
    _case("the deferred task is cleared", _at("running", FIRST, "clear-first", after=DEFERRED), seconds=(60.0, SHORT)),
    _case("the finished task is cleared", _at("running", SECOND, "clear-first", after=1.0), seconds=(SHORT, 12.0)),
    _case("a bystander is cleared", _at("running", SECOND, "clear-second", after=1.0), seconds=(SHORT, 12.0)),
    _case(
        "the failed task is cleared with only failed on",
        _at("end", "run", "clear-only-failed"),
        outcomes=("succeed", "fail"),
    ),
    _case("the run is cleared when it has ended", _at("end", "run", "clear-first")),
    _case(
        "the run is deleted and run again", _at("running", FIRST, "delete-and-run", after=1.0), seconds=(30.0, SHORT)
    ),
    _case(
        "the run is deleted while deferred and run again",
        _at("running", FIRST, "delete-and-run", after=DEFERRED),
        seconds=(60.0, SHORT),
    ),
    _case("the run times out", dag="chaos_times_out", seconds=(60.0, SHORT), red=True),
    _case("the job takes too long", dag="chaos_deadline", seconds=(90.0, SHORT), red=True),
    _case("the deferred job takes too long", dag="chaos_late_deadline", seconds=(90.0, SHORT), red=True),
    _case(
        "the process dies and then the job takes too long",
        _at("running", FIRST, "kill-process", after=3.0),
        dag="chaos_deadline",
        seconds=(90.0, SHORT),
        red=True,
    ),
)

_BESIDES = (
    _at("running", FIRST, "kill-process", after=0.5),
    _at("running", SECOND, "kill-process", after=0.5),
    _at("answered", "submit", "kill-process", nth=2),
    _at("answered", "submit", "kill-worker", nth=2),
    _at("running", FIRST, "throttle", amount=6),
    _at("running", SECOND, "fail-calls", amount=4),
    _at("running", FIRST, "kill-triggerer", after=2.0),
    _at("running", SECOND, "restart-triggerer", after=2.0),
    _at("asked", "release", "kill-process"),
    _at("running", SECOND, "clear-second", after=0.5),
)


def schedule_of(seed: int, target: str) -> Schedule:
    """Return what happens in a seed's run on a target: each case alone first, then cases with something besides, at other moments."""
    cases = [case for case in CASES if target in case.targets]
    case = replace(cases[seed % len(cases)], seed=seed, target=target)
    if seed < len(cases):
        return case
    random = Random(seed)  # a schedule is no secret
    besides = random.sample(_BESIDES, random.choice((1, 1, 2)))
    events = tuple(_moved(event, random) for event in (*case.events, *besides))
    return replace(case, events=events)


def case_of(name: str, target: str) -> Schedule:
    """Return one case on a target, alone, by its name. Raises StopIteration when there is none."""
    seed, case = next((seed, case) for seed, case in enumerate(CASES) if case.case == name and target in case.targets)
    return replace(case, seed=seed, target=target)


def _moved(event: Event, random: Random) -> Event:
    """Return the event at a moment nearby."""
    if event.at.after == 0.0:
        return event
    return replace(event, at=replace(event.at, after=round(event.at.after * random.uniform(0.2, 1.3), 2)))
