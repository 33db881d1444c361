"""AWS's protocols, driven by botocore's own models: requests checked, answers shaped, errors named. And AWS JSON itself.

Sources: Smithy's AWS JSON 1.1 protocol page; botocore's validate.py and model.py. A control plane is an object whose
methods have botocore's Python names (`run_job_flow`); each takes the request and the caller, and returns the answer.
JSON over REST is in `rest`.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore import xform_name
from botocore.session import get_session
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import OperationModel, Shape

logger = logging.getLogger(__name__)

Answer = dict[str, Any]
"""What an operation returns, in the shape of its output."""


class ServiceError(Exception):
    """An error that the client sees by its AWS name.

    `status` is its HTTP status where the service's model does not say; `details` are further members of its shape.
    """

    def __init__(self, code: str, message: str, status: int = 400, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = details


@dataclass(frozen=True)
class Caller:
    """Who calls, as far as it matters here: the region that the request is signed for."""

    region: str


class ControlPlane(Protocol):
    """What answers for one AWS service."""

    def respond(self, request: Request, caller: Caller, skew: float = 0.0) -> Response:
        """Answer one HTTP request, errors included, with a clock that is `skew` seconds ahead."""

    def close(self) -> None:
        """End what runs: the endpoint ends."""


class Operations(Protocol):
    """The operations of one service, as methods with botocore's Python names; looked up by name."""

    def close(self) -> None:
        """End what runs: the endpoint ends."""


class Service(ABC):
    """Answers for one AWS service: what its protocol reads from a request goes to `operations`, and the answer back."""

    def __init__(self, service: str, operations: Operations) -> None:
        """Serve `operations`; botocore knows the service as `service`."""
        self.model = get_session().get_service_model(service)
        self.operations = operations

    def implemented(self) -> list[str]:
        """Name the operations that are answered, sorted."""
        return sorted(name for name in self.model.operation_names if self._method(name) is not None)

    def respond(self, request: Request, caller: Caller, skew: float = 0.0) -> Response:
        """Answer one HTTP request; see `ControlPlane`."""
        name = ""
        try:
            name = self.operation_of(request)
            method = self._implemented(name)
            operation = self.model.operation_model(name)
            asked = checked(self.read(request, operation), operation.input_shape)
            answer = method(moved(asked, operation.input_shape, -skew), caller)
            return self.write(moved(answer, operation.output_shape, skew), operation)
        except ServiceError as error:
            return self.refuse(error)
        except Exception:
            logger.exception("%s failed: this is a fault of the endpoint itself", name)
            return self.refuse(self.fault(f"{name} failed inside the endpoint; its own log has the traceback"))

    def close(self) -> None:
        """End what the operations run."""
        self.operations.close()

    @abstractmethod
    def operation_of(self, request: Request) -> str:
        """Return the name of the operation that is asked for. Raises ServiceError when there is none."""

    @abstractmethod
    def read(self, request: Request, operation: OperationModel) -> Answer:
        """Return the request's members, unchecked. Raises ServiceError when they cannot be read."""

    @abstractmethod
    def write(self, answer: Answer, operation: OperationModel) -> Response:
        """Return the response that carries `answer`."""

    @abstractmethod
    def refuse(self, error: ServiceError) -> Response:
        """Return the response that carries `error`."""

    @abstractmethod
    def fault(self, message: str) -> ServiceError:
        """Return the service's error for a fault of its own."""

    def unknown_operation(self, asked: str, status: int = 400) -> ServiceError:
        """Return the error for an operation that the service does not have."""
        return ServiceError("UnknownOperationException", f"{self._service_name} has no operation {asked!r}", status)

    def _implemented(self, name: str) -> Callable[[Answer, Caller], Answer]:
        method = self._method(name)
        if method is None:
            message = f"{name} is an operation of {self._service_name} that this endpoint does not implement yet"
            raise ServiceError("NotImplementedException", message, status=501)
        return method

    def _method(self, name: str) -> Callable[[Answer, Caller], Answer] | None:
        return getattr(self.operations, xform_name(name), None)

    @property
    def _service_name(self) -> str:
        return str(self.model.metadata["serviceFullName"])


class JsonService(Service):
    """Speaks AWS JSON 1.1: the operation in a header, everything else in the body."""

    def operation_of(self, request: Request) -> str:
        """Return the operation that X-Amz-Target names."""
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if name not in self.model.operation_names:
            raise self.unknown_operation(name)
        return name

    def read(self, request: Request, operation: OperationModel) -> Answer:  # noqa: ARG002 - the body has it all
        """Return the body's members."""
        return parsed_body(request)

    def write(self, answer: Answer, operation: OperationModel) -> Response:
        """Return `answer` as a body, its times as epoch seconds."""
        return _reply(200, (operation.output_shape and shaped(answer, operation.output_shape)) or {})

    def refuse(self, error: ServiceError) -> Response:
        """Return `error` as a body that names it."""
        body = {"__type": error.code, "message": error.message, "Message": error.message, **error.details}
        return _reply(error.status, body, error.code)

    def fault(self, message: str) -> ServiceError:
        """Return InternalFailure."""
        return ServiceError("InternalFailure", message, status=500)


def _reply(status: int, body: Answer, error: str | None = None) -> Response:
    return reply(status, body, error, content_type="application/x-amz-json-1.1")


def reply(status: int, body: Answer, error: str | None = None, *, content_type: str) -> Response:
    """Return a response with a request's id, and the name of the error if it carries one."""
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    if error:
        headers["x-amzn-ErrorType"] = error
    return Response(json.dumps(body), status, headers, content_type=content_type)


def parsed_body(request: Request) -> Answer:
    """Return the members of a JSON body; none when there is no body."""
    try:
        members = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise ServiceError("SerializationException", "The request is not a JSON object")
    return members


def checked(request: Answer, shape: Shape | None) -> Answer:
    """Return `request` with timestamps as epoch seconds; ValidationException when the model does not allow it."""
    if shape is None:
        return {}
    given = {name: value for name, value in request.items() if value is not None}
    report = ParamValidator().validate(given, shape)
    if report.has_errors():
        raise ServiceError("ValidationException", report.generate_report())
    if broken := broken_constraints(given, shape):
        count = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected: "
        raise ServiceError("ValidationException", count + "; ".join(broken))
    return shaped(given, shape) or {}


def broken_constraints(value: Any, shape: Shape, path: str = "") -> list[str]:
    """Say where `value` breaks what botocore leaves for the service to check: enumerations, patterns, upper limits."""
    broken = _broken_limits(value, shape, path)
    for item, inner, name in _inner(value, shape):
        broken += broken_constraints(item, inner, f"{path}.{name}" if path else name)
    return broken


def _inner(value: Any, shape: Shape) -> Iterator[tuple[Any, Shape, str]]:
    """Yield what is directly inside `value`: item, shape, and the name that AWS's messages give it."""
    if shape.type_name == "structure":
        for name in value:
            if name in shape.members:  # type: ignore[attr-defined]  # a structure has them
                yield value[name], shape.members[name], f"{name[:1].lower()}{name[1:]}"  # type: ignore[attr-defined]  # as above
    elif shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield item, shape.member, f"{number}.member"  # type: ignore[attr-defined]  # a list has one
    elif shape.type_name == "map":
        for key, item in value.items():
            yield key, shape.key, "key"  # type: ignore[attr-defined]  # a map has one
            yield item, shape.value, f"{key}.member"  # type: ignore[attr-defined]  # as above


def _broken_limits(value: Any, shape: Shape, path: str) -> list[str]:
    failed = f"Value '{str(value)[:80]}' at '{path}' failed to satisfy constraint: Member must"
    most = shape.metadata.get("max")
    if shape.type_name in {"integer", "long", "double", "float"}:
        return [f"{failed} have value less than or equal to {most}"] if most is not None and value > most else []
    if shape.type_name in {"string", "list", "map"} and most is not None and len(value) > most:
        return [f"{failed} have length less than or equal to {most}"]
    if shape.type_name != "string":
        return []
    allowed, pattern = getattr(shape, "enum", None), shape.metadata.get("pattern")
    if allowed and value not in allowed:
        return [f"{failed} satisfy enum value set: [{', '.join(allowed)}]"]
    if pattern and not _matches(pattern, value):
        return [f"{failed} satisfy regular expression pattern: {pattern}"]
    return []


def _matches(pattern: str, value: str) -> bool:
    # A pattern over UTF-16's surrogates allows every character and means something else to Python
    return r"\uD800" in pattern or re.fullmatch(pattern, value, re.DOTALL) is not None


def shaped(value: Any, shape: Shape, timestamp: Callable[[Any, Shape], Any] | None = None) -> Any:
    """Keep of `value` what `shape` knows and is not None; timestamps become what `timestamp` makes of them."""
    if value is None:
        return None
    if shape.type_name == "structure":
        members = {name: shaped(value.get(name), member, timestamp) for name, member in shape.members.items()}  # type: ignore[attr-defined]  # a structure has them
        return {name: member for name, member in members.items() if member is not None}
    if shape.type_name == "list":
        return [shaped(item, shape.member, timestamp) for item in value]  # type: ignore[attr-defined]  # a list has one
    if shape.type_name == "map":
        return {key: shaped(item, shape.value, timestamp) for key, item in value.items()}  # type: ignore[attr-defined]  # a map has one
    if shape.type_name == "timestamp":
        return (timestamp or epoch_seconds)(value, shape)
    return value


def moved(value: Answer, shape: Shape | None, seconds: float) -> Answer:
    """Return `value` with all its times so many seconds later."""
    if shape is None or not seconds:
        return value
    later: Answer = shaped(value, shape, lambda time, _: epoch_seconds(time) + seconds)
    return later


def epoch_seconds(value: Any, shape: Shape | None = None) -> float:  # noqa: ARG001 - every format is read
    """Return a time in any of AWS's formats as epoch seconds."""
    return parse_to_aware_datetime(value).timestamp()
