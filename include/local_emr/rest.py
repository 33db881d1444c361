"""AWS's JSON over REST: an operation is a method and a path; its members stand in path, query, headers and body.

Sources: Smithy's AWS restJson1 protocol page; botocore's serialize.py (RestJSONSerializer) and parsers.py. Members that
stream (the `payload` trait) are left out: no service here has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local_emr.protocol import Answer, Service, ServiceError, epoch_seconds, parsed_body, reply, shaped

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape
    from werkzeug.datastructures import MultiDict
    from werkzeug.wrappers import Request, Response

    from local_emr.protocol import Operations


class RestJsonService(Service):
    """Speaks AWS's JSON over REST."""

    def __init__(self, service: str, operations: Operations) -> None:
        """Serve `operations`; botocore knows the service as `service`."""
        super().__init__(service, operations)
        self._routes = {
            name: (self.model.operation_model(name).http["method"], _route(self.model.operation_model(name)))
            for name in self.model.operation_names
        }

    def operation_of(self, request: Request) -> str:
        """Return the operation of the request's method and path."""
        path = _path(request)
        for name, (method, route) in self._routes.items():
            if request.method == method and route.fullmatch(path):
                return name
        raise self.unknown_operation(f"{request.method} {unquote(path)}", status=404)

    def read(self, request: Request, operation: OperationModel) -> Answer:
        """Return the members of path, query, headers and body."""
        if operation.input_shape is None:
            return {}
        match = self._routes[operation.name][1].fullmatch(_path(request))
        labels = {name: unquote(text) for name, text in (match.groupdict() if match else {}).items()}
        members = {} if request.method in {"GET", "HEAD"} else parsed_body(request)
        for name, shape in operation.input_shape.members.items():
            place, key = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "uri":
                members[name] = _typed(labels[key], shape, key)
            elif place == "querystring":
                members[name] = _from_query(request.args, shape, key)
            elif place == "header":
                members[name] = _typed(request.headers.get(key), shape, key)
        return members

    def write(self, answer: Answer, operation: OperationModel) -> Response:
        """Return `answer` as a body, its times in the formats that the model names."""
        body = shaped(answer, operation.output_shape, _written_time) if operation.output_shape else {}
        return _reply(operation.http.get("responseCode", 200), body)

    def refuse(self, error: ServiceError) -> Response:
        """Return `error` with the HTTP status that the model gives it."""
        modelled = {shape.name: shape.metadata.get("error", {}) for shape in self.model.error_shapes}
        status = modelled.get(error.code, {}).get("httpStatusCode", error.status)
        return _reply(status, {"message": error.message, **error.details}, error.code)

    def fault(self, message: str) -> ServiceError:
        """Return InternalServerException."""
        return ServiceError("InternalServerException", message, status=500)


def _reply(status: int, body: Answer, error: str | None = None) -> Response:
    return reply(status, body, error, content_type="application/json")


def _route(operation: OperationModel) -> re.Pattern[str]:
    """Return the pattern of an operation's path; its labels are groups."""
    parts = re.split(r"\{(\w+)\+?\}", operation.http["requestUri"].partition("?")[0])
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    )


def _path(request: Request) -> str:
    """Return the path as it was sent: a label may hold an encoded slash, as ARNs do."""
    raw: str = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    return raw.partition("?")[0]


def _from_query(query: MultiDict[str, str], shape: Shape, key: str) -> Any:
    if shape.type_name == "list":
        return [_typed(text, shape.member, key) for text in query.getlist(key)] or None  # type: ignore[attr-defined]  # a list has one
    if shape.type_name == "map":
        return dict(query)
    return _typed(query.get(key), shape, key)


def _typed(text: str | None, shape: Shape, key: str) -> Any:
    """Return what a text outside of the body means to `shape`. Raises ServiceError when it cannot be that."""
    if text is None:
        return None
    try:
        return _READERS.get(shape.type_name, str)(text)
    except (ValueError, KeyError):
        message = f"{text!r} is not a valid {shape.type_name}, which {key} must be"
        raise ServiceError("ValidationException", message) from None


def _time(text: str) -> float:
    return epoch_seconds(float(text) if _NUMBER.fullmatch(text) else text)


_NUMBER = re.compile(r"\d+(\.\d+)?")
_READERS: dict[str, Callable[[str], Any]] = {
    "boolean": {"true": True, "false": False}.__getitem__,
    "double": float,
    "float": float,
    "integer": int,
    "long": int,
    "timestamp": _time,
}


def _written_time(value: Any, shape: Shape) -> Any:
    """Return a time of an answer's body; without a format of its own it is in epoch seconds."""
    seconds = epoch_seconds(value)
    moment = datetime.fromtimestamp(seconds, UTC)
    match shape.serialization.get("timestampFormat"):
        case "iso8601":
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "rfc822":
            return format_datetime(moment, usegmt=True)
        case _:
            return seconds
