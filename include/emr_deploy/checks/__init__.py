"""Whether an account has what an environment names. Nothing is changed by asking, and no secret is read.

What cannot be asked (not allowed, throttled, a region that does not answer) is said as such: it is not missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from emr_deploy.account import Account
from emr_deploy.checks import emr, identity, network, quotas, storage
from emr_deploy.needs import Thing, home_of, regions_of, things_of
from emr_deploy.steps import Missing
from emr_pipelines.environments import Environment
from emr_pipelines.targets.refusals import REFUSALS, code_of

Clients = Callable[[str], Any]
"""Gives the client of a service, in one region."""

TOGETHER: Mapping[str, Callable[[Clients, list[Thing]], Iterable[Missing]]] = {
    "subnet": network.subnets,
    "security_group": network.security_groups,
    "zone": network.zones,
    "key_pair": network.key_pairs,
    "instance_type": network.instance_types,
    "ami": network.amis,
    "cluster": emr.clusters,
    "serverless_release": emr.listed_releases,
    "eks_release": emr.listed_releases,
    "namespace": emr.namespaces,
}
"""Checks of all things of a kind in a region, with one call or two."""

EACH: Mapping[str, Callable[[Clients, Thing], Iterable[Missing]]] = {
    "bucket": storage.bucket,
    "object": storage.stored,
    "log_group": storage.log_group,
    "image": storage.image,
    "queue": storage.queue,
    "database": storage.database,
    "role": identity.role,
    "eks_role": identity.role,
    "instance_profile": identity.instance_profile,
    "kms_key": identity.kms_key,
    "secret": identity.secret,
    "release": emr.release,
    "application": emr.application,
    "security_configuration": emr.security_configuration,
    "eks_cluster": emr.eks_cluster,
    "virtual_cluster": emr.virtual_cluster,
    "eks_security_configuration": emr.eks_security_configuration,
    "job_template": emr.job_template,
}
"""Checks of one thing, with a call of its own."""

OF_THIS_MACHINE = frozenset(
    {"bucket", "object", "release", "application", "cluster", "virtual_cluster", "job_template"}
)
"""Kinds that the local endpoint has; behind it are no network, no roles and no keys."""


@dataclass(frozen=True)
class Unasked:
    """What could not be asked, and why."""

    what: str
    why: str

    @property
    def sentence(self) -> str:
        """Both, in one sentence."""
        return f"{self.what} could not be asked for: {self.why}"


@dataclass(frozen=True)
class Findings:
    """What an account has not, of what it has too little, and what it did not say."""

    missing: tuple[Missing, ...] = ()
    short: tuple[Missing, ...] = ()
    """Quotas: a run that stays within them works all the same."""
    unasked: tuple[Unasked, ...] = ()


@dataclass(frozen=True)
class _Question:
    """Some things, and how to ask for them."""

    subject: str
    region: str
    ask: Callable[[Clients], Iterable[Missing]]


def check(environment: Environment, account: Account, kinds: Iterable[str] | None = None) -> Findings:
    """Ask an account for what an environment names, many calls at a time; ``kinds`` are those to ask for, all unless it is given."""
    asked = frozenset(kinds) if kinds is not None else None
    things = list(_questions(environment, asked))
    questions = [*things, *(_of_quotas(environment) if asked is None else ())]
    with ThreadPoolExecutor(account.threads) as pool:
        answers = list(pool.map(lambda question: _answer(question, account, home_of(environment)), questions))
    missing = _said(answers[: len(things)])
    short = _said(answers[len(things) :])
    refused: dict[tuple[str, str], list[str]] = {}
    for question, answer in zip(questions, answers, strict=True):
        if isinstance(answer, BaseException):
            why = _why(answer)
            refused.setdefault((why, question.region), []).append(question.subject)
    unasked = [
        Unasked(", ".join(dict.fromkeys(subjects)) + (f" in {region}" if region else ""), why)
        for (why, region), subjects in refused.items()
    ]
    return Findings(missing, short, tuple(unasked))


_Answer = list[Missing] | ClientError | BotoCoreError


def _said(answers: Iterable[_Answer]) -> tuple[Missing, ...]:
    return tuple(dict.fromkeys(one for answer in answers if isinstance(answer, list) for one in answer))


def _answer(question: _Question, account: Account, home: str) -> _Answer:
    try:
        return list(question.ask(lambda service: account.client(service, question.region or home)))
    except REFUSALS as error:
        return error


def _questions(environment: Environment, kinds: frozenset[str] | None) -> Iterator[_Question]:
    batches: dict[tuple[str, str], list[Thing]] = {}
    for thing in things_of(environment):
        if kinds is not None and thing.kind not in kinds:
            continue
        if thing.kind in EACH:
            yield _Question(_title(thing), thing.region, _asking(EACH[thing.kind], thing))
        else:
            batches.setdefault((thing.kind, thing.region), []).append(thing)
    for (kind, region), things in batches.items():
        yield _Question(f"{_plural(kind)}", region, _asking(TOGETHER[kind], things))


def _asking(ask: Callable[[Clients, Any], Iterable[Missing]], subject: Any) -> Callable[[Clients], Iterable[Missing]]:
    return lambda clients: ask(clients, subject)


def _of_quotas(environment: Environment) -> Iterator[_Question]:
    for region in regions_of(environment):
        profiles = [one for one in environment.profiles.values() if one.region == region]
        for quota in quotas.QUOTAS:
            if needs := quotas.needs(quota, profiles):
                yield _Question(f"the quota {quota.name!r}", region, _asking(quotas.short(quota), needs))


def _title(thing: Thing) -> str:
    # What passes for a secret's name may be the secret.
    return f"the secret of {thing.uses[0].setting}" if thing.kind == "secret" else f"{_plural(thing.kind)}"


def _plural(kind: str) -> str:
    return " ".join(_WORDS.get(word, word) for word in kind.split("_")) + "s"


_WORDS = {"eks": "EKS", "ami": "AMI", "kms": "KMS"}


def _why(error: BaseException) -> str:
    if isinstance(error, ClientError):
        return f"{error.operation_name} was answered with {code_of(error) or 'an error'}"
    return " ".join(str(error).split())
