"""The watchers of a process: one for each connection, region and service; each asks for all who wait.

A watcher is a thread of its own, since boto3 blocks. It lives as long as somebody waits, and a minute longer.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from emr_pipelines.environments import Watching, current_environment
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.once import Effect, effect_of
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.refusals import is_unreachable
from emr_pipelines.watching import listening, metrics
from emr_pipelines.watching.board import Answer, Board, Group, Subject, Wait
from emr_pipelines.watching.budget import Budget
from emr_pipelines.watching.calls import paced_clients
from emr_pipelines.watching.pace import IN_TRIGGERER, Pace

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 60.0


class Place(NamedTuple):
    """Where a watcher looks."""

    target: str
    connection: str | None
    region: str


class Watcher:
    """Looks in one place for all who wait for something there; ``pace`` says how often at what events tell of, too."""

    def __init__(self, place: Place, clients: Callable[[], Clients], pace: Callable[[], Pace]) -> None:
        self.place = place
        self._clients = clients
        self._pace = pace
        self._board = Board(lambda: random.uniform(0.8, 1.0))  # noqa: S311  # nothing secret
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, subject: Subject, wait: Wait) -> None:
        """Let somebody wait."""
        with self._changed:
            self._board.add(subject, wait, time.time(), self._pace_of(subject))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"watcher of {self.place.target}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, subject: Subject, wait: Wait) -> None:
        """Let somebody wait no longer."""
        with self._changed:
            self._board.remove(subject, wait)

    def hear(self, item: str, answer: Answer) -> bool:
        """Tell all who wait for an item what an event said; return whether there was anybody."""
        with self._changed:
            heard = self._board.waiting_for(item)
            for subject, wait in heard:
                self._board.remove(subject, wait)
        for _, wait in heard:
            wait.tell(answer)
        return bool(heard)

    def look_now(self, key: tuple[str, ...]) -> bool:
        """Look for a group at once; return whether anybody waits there."""
        with self._changed:
            hurried = self._board.hurry(key, time.time())
            self._changed.notify()
        return hurried

    def _work(self) -> None:
        while group := self._next():
            self._look(group)

    def _next(self) -> Group | None:
        """Wait until a look is due; ``None`` when nobody has waited for anything for a while."""
        with self._changed:
            while True:
                group = self._board.next()
                pause = group.due - time.time() if group else _IDLE_SECONDS
                if group and pause <= 0:
                    return group
                came = self._changed.wait(pause)
                if not came and group is None and self._board.next() is None:
                    self._thread = None
                    metrics.waiting(self.place.target, self.place.region, 0)
                    return None

    def _look(self, group: Group) -> None:
        begun = time.time()
        with self._changed:
            waits, count = group.everybody(), len(self._board)
        try:
            metrics.waiting(self.place.target, self.place.region, count)
            target = target_for(group.subject.profile(), self._clients())
            for item, answer in group.subject.look(target, waits, begun):
                self._tell(group, item, answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, the jobs run on and others wait for theirs
            self._failed(group, error)
            return
        with self._changed:
            self._board.looked(group, begun, self._pace_of(group.subject))

    def _pace_of(self, subject: Subject) -> Pace:
        return self._pace() if subject.announced else IN_TRIGGERER

    def _tell(self, group: Group, item: str, answer: Answer) -> None:
        with self._changed:
            told = self._board.answered(group, item)
        if told and (ended := answer.get("ended")):
            metrics.noticed(self.place.target, ended)
        for wait in told:
            wait.tell(answer)

    def _failed(self, group: Group, error: Exception) -> None:
        metrics.look_failed(self.place.target, self.place.region)
        _log.warning("Looking at %s failed, will look again: %s", group.subject.key, error)
        with self._changed:
            refused, unreachable = effect_of(error) is Effect.NONE, is_unreachable(error)
            pace = self._pace_of(group.subject)
            told = self._board.failed(group, time.time(), pace, refused=refused, reached=not unreachable)
        for wait in told:
            wait.tell({"unreachable" if unreachable else "error": f"{type(error).__name__}: {error}"})


_watchers: dict[Place, Watcher] = {}
_making = threading.Lock()


def watchers_of(target: str) -> list[Watcher]:
    """List this process's watchers of a target."""
    with _making:
        return [watcher for place, watcher in _watchers.items() if place.target == target]


def watcher_for(profile: Profile) -> Watcher:
    """Return this process's watcher for a profile's place."""
    place = Place(profile.target, profile.connection, profile.region)
    with _making:
        if place not in _watchers:
            settings = current_environment().watching
            _watchers[place] = Watcher(
                place, _clients_of(place, settings), lambda: listening.pace(place.target, place.region)
            )
        listening.listen(watchers_of)
        return _watchers[place]


def _clients_of(place: Place, settings: Watching) -> Callable[[], Clients]:
    """Return what makes the watcher's clients: once, and in its own thread, since Airflow is asked for the connection."""
    made: list[Clients] = []

    def budget(service: str) -> Budget:
        return Budget(service, settings.call_share / settings.triggerers)

    def clients() -> Clients:
        if not made:
            made.append(paced_clients(place.connection, place.region, budget))
        return made[0]

    return clients
