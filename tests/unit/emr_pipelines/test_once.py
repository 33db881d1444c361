"""Calls without a client token happen once, whatever the network does to their answers."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from emr_pipelines.targets.once import LISTING_LAG, Effect, effect_of, send_once

URL = "http://127.0.0.1:1"


def refused(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "RunJobFlow")


class Service:
    """A service that remembers what happened in it, and a network that plays a script of failures."""

    def __init__(self, *script):
        self.script = list(script)
        self.happened: list[str] = []
        self.clock = 0.0
        self.shows_after = 0.0

    def send(self) -> str:
        error, effect = self.script.pop(0) if self.script else (None, True)
        if effect:
            self.happened.append(f"j-{len(self.happened) + 1}")
        if error:
            raise error
        return self.happened[-1]

    def find(self) -> str | None:
        return self.happened[0] if self.happened and self.clock >= self.shows_after else None

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def run(self) -> str:
        return send_once(self.send, self.find, sleep=self.sleep, now=lambda: self.clock)


AMBIGUOUS = [
    ReadTimeoutError(endpoint_url=URL),
    ConnectionClosedError(endpoint_url=URL),
    refused("InternalServerException", 500),
    refused("ServiceUnavailable", 503),
]


@pytest.mark.parametrize("error", AMBIGUOUS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("effect", [True, False], ids=["it happened", "it did not happen"])
def test_a_lost_answer_never_doubles_the_effect(error, effect):
    service = Service((error, effect))
    assert service.run() == "j-1"
    assert service.happened == ["j-1"]


def test_an_effect_that_the_listing_shows_late_is_found_and_not_repeated():
    service = Service((ReadTimeoutError(endpoint_url=URL), True))
    service.shows_after = LISTING_LAG - 2
    assert service.run() == "j-1"
    assert service.happened == ["j-1"]


@pytest.mark.parametrize(
    "error",
    [refused("ThrottlingException", 400), EndpointConnectionError(endpoint_url=URL)],
    ids=["throttled", "not reached"],
)
def test_a_call_that_cannot_have_happened_is_sent_again_without_looking(error):
    service = Service((error, False), (error, False))
    service.find = lambda: pytest.fail("nothing can be there")
    assert service.run() == "j-1"


def test_a_refusal_is_raised_at_once():
    service = Service((refused("ValidationException", 400), False))
    with pytest.raises(ClientError):
        service.run()
    assert service.clock == 0.0


def test_a_throttle_that_never_ends_is_raised_after_minutes():
    service = Service()
    service.send = lambda: (_ for _ in ()).throw(refused("ThrottlingException", 400))
    with pytest.raises(ClientError, match="ThrottlingException"):
        service.run()
    assert 120 < service.clock < 600


def test_what_could_not_be_looked_for_is_looked_for_before_anything_is_sent_again():
    service = Service((ReadTimeoutError(endpoint_url=URL), True))
    shown, looks = service.find, []

    def find():
        looks.append(service.clock)
        if len(looks) < 3:
            raise refused("ServiceUnavailable", 503)
        return shown()

    service.find = find
    assert service.run() == "j-1"
    assert service.happened == ["j-1"]


@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url=URL), ReadTimeoutError(endpoint_url=URL), refused("ServiceUnavailable", 503)],
    ids=["not reached", "no answer", "out of service"],
)
def test_a_service_that_does_not_answer_is_given_up_within_about_a_minute(error):
    service = Service()
    service.send = lambda: (_ for _ in ()).throw(error)
    with pytest.raises(type(error)):
        service.run()
    assert 45 <= service.clock < 95


def test_a_bug_of_ours_is_no_reason_to_send_again():
    assert effect_of(KeyError("x")) is Effect.NONE
