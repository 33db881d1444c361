"""AWS's JSON protocol, driven by botocore's own models: requests checked, answers shaped, errors named.

Sources: Smithy's AWS JSON 1.1 protocol page; botocore's validate.py and model.py. A control plane is an object whose
methods have botocore's Python names (`run_job_flow`); each takes the request and the caller, and returns the answer.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore import xform_name
from botocore.session import get_session
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import Shape

logger = logging.getLogger(__name__)

Answer = dict[str, Any]
"""What an operation returns, in the shape of its output."""


class ServiceError(Exception):
    """An error that the client sees by its AWS name. `details` are further members of the error's shape."""

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

    def respond(self, request: Request, caller: Caller) -> Response:
        """Answer one HTTP request, errors included."""

    def close(self) -> None:
        """End what runs: the endpoint ends."""


class Operations(Protocol):
    """The operations of one service, as methods with botocore's Python names; looked up by name."""

    def close(self) -> None:
        """End what runs: the endpoint ends."""


class JsonService:
    """Speaks AWS JSON 1.1 for `operations`, whose service botocore knows as `service`."""

    def __init__(self, service: str, operations: Operations) -> None:
        self.model = get_session().get_service_model(service)
        self.operations = operations

    def implemented(self) -> list[str]:
        """Name the operations that are answered, sorted."""
        return sorted(name for name in self.model.operation_names if self._method(name) is not None)

    def respond(self, request: Request, caller: Caller) -> Response:
        """Answer one HTTP request; see `ControlPlane`."""
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        try:
            return _reply(200, self._answer(name, request.get_data(), caller))
        except ServiceError as error:
            body = {"__type": error.code, "message": error.message, "Message": error.message, **error.details}
            return _reply(error.status, body, error.code)
        except Exception:
            logger.exception("%s failed: this is a fault of the endpoint itself", name)
            message = f"{name} failed inside the endpoint; its own log has the traceback"
            return _reply(500, {"__type": "InternalFailure", "message": message}, "InternalFailure")

    def close(self) -> None:
        """End what the operations run."""
        self.operations.close()

    def _answer(self, name: str, body: bytes, caller: Caller) -> Answer:
        if name not in self.model.operation_names:
            raise ServiceError("UnknownOperationException", f"{self._service_name} has no operation {name!r}")
        method = self._method(name)
        if method is None:
            message = f"{name} is an operation of {self._service_name} that this endpoint does not implement yet"
            raise ServiceError("NotImplementedException", message, status=501)
        operation = self.model.operation_model(name)
        answer = method(_checked(_parsed(body), operation.input_shape), caller)
        return shaped(answer, operation.output_shape) or {} if operation.output_shape else {}

    def _method(self, name: str) -> Callable[[Answer, Caller], Answer] | None:
        return getattr(self.operations, xform_name(name), None)

    @property
    def _service_name(self) -> str:
        return str(self.model.metadata["serviceFullName"])


def not_served(service_name: str) -> ControlPlane:
    """Return a control plane that answers every operation of a service with a named error that is not retried."""
    return _NotServed(service_name)


class _NotServed:
    def __init__(self, service_name: str) -> None:
        self.service_name = service_name

    def respond(self, request: Request, caller: Caller) -> Response:  # noqa: ARG002 - the same answer to everyone
        message = f"This endpoint does not serve {self.service_name} yet"
        return _reply(501, {"__type": "NotImplementedException", "message": message}, "NotImplementedException")

    def close(self) -> None:
        pass


def _reply(status: int, body: Answer, error: str | None = None) -> Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    if error:
        headers["x-amzn-ErrorType"] = error
    return Response(json.dumps(body), status, headers, content_type="application/x-amz-json-1.1")


def _parsed(body: bytes) -> Answer:
    try:
        request = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "The request is not a JSON object")
    return request


def _checked(request: Answer, shape: Shape | None) -> Answer:
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
    """Say where `value` breaks what botocore leaves for the service to check: enumerations and greatest lengths."""
    if shape.type_name == "structure":
        members = ((name, shape.members[name], value[name]) for name in value if name in shape.members)  # type: ignore[attr-defined]  # a structure has them
        return [
            broken
            for name, member, item in members
            for broken in broken_constraints(item, member, f"{path}.{name[:1].lower()}{name[1:]}")
        ]
    if shape.type_name == "list":
        items = enumerate(value, 1)
        return [
            broken
            for number, item in items
            for broken in broken_constraints(item, shape.member, f"{path}.{number}.member")  # type: ignore[attr-defined]  # a list has one
        ]
    return _broken_string(value, shape, path) if shape.type_name == "string" else []


def _broken_string(value: str, shape: Shape, path: str) -> list[str]:
    failed = f"Value '{value[:80]}' at '{path[1:]}' failed to satisfy constraint: Member must"
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        return [f"{failed} satisfy enum value set: [{', '.join(allowed)}]"]
    longest = shape.metadata.get("max")
    if longest is not None and len(value) > longest:
        return [f"{failed} have length less than or equal to {longest}"]
    return []


def shaped(value: Any, shape: Shape) -> Any:
    """Keep of `value` what `shape` knows and is not None; timestamps become epoch seconds."""
    if value is None:
        return None
    if shape.type_name == "structure":
        members = {name: shaped(value.get(name), member) for name, member in shape.members.items()}  # type: ignore[attr-defined]  # a structure has them
        return {name: member for name, member in members.items() if member is not None}
    if shape.type_name == "list":
        return [shaped(item, shape.member) for item in value]  # type: ignore[attr-defined]  # a list has one
    if shape.type_name == "map":
        return {key: shaped(item, shape.value) for key, item in value.items()}  # type: ignore[attr-defined]  # a map has one
    if shape.type_name == "timestamp":
        return parse_to_aware_datetime(value).timestamp()
    return value
