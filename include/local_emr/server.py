"""The HTTP server: sends each request to the control plane of the service that it is signed for, or to moto."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError
from botocore.session import get_session
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from local_emr import __version__
from local_emr.faults import (
    Error,
    Fault,
    Faults,
    InvalidFaultError,
    LoseAnswer,
    RateLimit,
    RegionDown,
    SlowAnswer,
    Throttle,
    fault_of,
)
from local_emr.journal import Call
from local_emr.protocol import Caller, Service, ServiceError
from local_emr.signing import Scope, credential_scope, expired
from local_emr.storage import region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local_emr.clock import Clock
    from local_emr.journal import Journal

    SparkUi = Callable[[str], str | None]
    """Says where the Spark UI of a step or job run can be seen; RuntimeError says why it cannot."""

HEALTH = "/_local_emr/health"
FAULTS = "/_local_emr/faults"
SPARK_UI = "/_local_emr/spark-ui/"
"""Before the id of a step or of a job run."""
SKEW = "local_emr.skew"
"""Where a request's environment says by how many seconds the answer's Date is off."""


class Router:
    """The WSGI application of the endpoint. `faults` strike what they are armed for; `journal` tells of calls."""

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        control_planes: Mapping[str, Service],
        fallback: WSGIApplication,
        *,
        faults: Faults,
        journal: Journal,
        clock: Clock,
        spark_ui: SparkUi | None = None,
    ) -> None:
        self.control_planes = control_planes
        self.fallback = fallback
        self.faults = faults
        self.journal = journal
        self.clock = clock
        self._closing = threading.Condition()
        self._closed = False
        self.spark_ui = spark_ui

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._answer(Request(environ))(environ, start_response)

    def close(self) -> None:
        """End what the control planes run; answers that are late on purpose go out."""
        with self._closing:
            self._closed = True
            self._closing.notify_all()
        for control_plane in self.control_planes.values():
            control_plane.close()

    def _answer(self, request: Request) -> WSGIApplication:
        if "Origin" in request.headers:
            # Only browsers send it: no web page may run code on the machine of the one who visits it.
            return Response("This endpoint answers no web pages; call it from a program.", 403)
        if request.path == HEALTH:
            return Response(f'{{"status": "ok", "version": "{__version__}"}}', content_type="application/json")
        if request.path == FAULTS:
            return side_door(request, self.faults)
        if request.path.startswith(SPARK_UI) and self.spark_ui:
            return _spark_ui(request, self.spark_ui)
        scope = credential_scope(request.headers.get("Authorization", ""), request.args.get("X-Amz-Credential", ""))
        return self.fallback if scope is None else self._signed(request, scope)

    def _signed(self, request: Request, scope: Scope) -> WSGIApplication:
        """Answer a request to a service, as far as no fault strikes it."""
        control_plane, now = self.control_planes.get(scope.service), self.clock.now()
        if control_plane is None:
            call = Call(scope.service, None, 0, request.full_path)
            fault = self.faults.strike(call, scope.region, now, also_of=regions_of(request, scope))
            answer = refusal(None, scope.service, fault) if type(fault) in _ERRORS else self.fallback
        else:
            answer, fault = self._asked(control_plane, request, scope)
        match fault:
            case RegionDown(silent=True) | LoseAnswer():
                return _after(answer, _lose_connection)
            case SlowAnswer(seconds=seconds):
                return _after(answer, lambda _: self._wait(now + (seconds or 0.0)))
        return answer

    def _asked(self, control_plane: Service, request: Request, scope: Scope) -> tuple[Response, Fault | None]:
        """Let one of our control planes answer; return also the fault that struck the call."""
        call, skew = _call(control_plane, request, scope.service), self.faults.skew(scope.service)
        request.environ[SKEW] = skew
        self.journal.asked(call)
        fault = self.faults.strike(call, scope.region, self.clock.now())
        if type(fault) in _ERRORS:
            answer = refusal(control_plane, scope.service, fault)
        elif skew and (words := expired(request.headers.get("X-Amz-Date", ""), time.time() + skew)):
            answer = control_plane.refuse(ServiceError("InvalidSignatureException", words, 403))
        else:
            answer = control_plane.respond(request, Caller(scope.region), skew)
        self.journal.answered(call, answer.status_code, fault.kind if fault else None)
        return answer, fault

    def _wait(self, until: float) -> None:
        with self._closing:
            while not self._closed and self.clock.now() < until:
                self.clock.wait(self._closing, until)


def regions_of(request: Request, scope: Scope) -> set[str]:
    """Return the regions of the buckets that a request to S3 names, in its path and as the source of a copy."""
    if scope.service != "s3":
        return set()
    names = (request.path, unquote(request.headers.get("x-amz-copy-source", "")))
    return {region for name in names if (region := region_of(name.lstrip("/").partition("/")[0]))}


def _call(control_plane: Service, request: Request, service: str) -> Call:
    """Return what a request asks of one of our control planes, as far as it can be told."""
    try:
        operation = control_plane.operation_of(request)
    except ServiceError:
        operation = None
    text = f"{request.full_path}\n{request.get_data(as_text=True)}"
    return Call(service, operation, request.environ["REMOTE_PORT"], text)


def refusal(control_plane: Service | None, service: str, fault: Fault | None) -> Response:
    """Return the error by which a service says that it is called too often, or that it failed.

    Sources: "Common Errors" in the API references of EMR, EMR Serverless and EMR on EKS; "Error responses" in S3's.
    """
    error = (_S3_ERRORS if service == "s3" else _ERRORS)[type(fault)]
    if control_plane is not None:
        return control_plane.refuse(error)
    body = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>"
    if service == "s3":
        return Response(body, error.status, mimetype="text/xml")
    if _protocol(service) in {"query", "rest-xml"}:
        return Response(f"<ErrorResponse>{body}</ErrorResponse>", error.status, mimetype="text/xml")
    body = json.dumps({"__type": error.code, "message": error.message})
    return Response(body, error.status, {"x-amzn-ErrorType": error.code}, content_type="application/x-amz-json-1.1")


_TOO_OFTEN = ServiceError("ThrottlingException", "Rate exceeded", 400)
_ERRORS: dict[type[Fault | None], ServiceError] = {
    Throttle: _TOO_OFTEN,
    RateLimit: _TOO_OFTEN,
    Error: ServiceError("InternalServerException", "Internal server error", 500),
    RegionDown: ServiceError(
        "ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503
    ),
}
_S3_ERRORS: dict[type[Fault | None], ServiceError] = {
    Throttle: ServiceError("SlowDown", "Please reduce your request rate.", 503),
    Error: ServiceError("InternalError", "We encountered an internal error. Please try again.", 500),
    RegionDown: ServiceError("ServiceUnavailable", "Service is unable to handle request.", 503),
}


def _protocol(service: str) -> str | None:
    try:
        protocol: str = get_session().get_service_model(service).metadata["protocol"]
    except UnknownServiceError:
        return None
    return protocol


def _after(answer: WSGIApplication, then: Callable[[WSGIEnvironment], None]) -> WSGIApplication:
    """Return an application that has the effect of `answer`, and sends it once `then` returns."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        done = Response.from_app(answer, environ, buffered=True)
        then(environ)
        return done(environ, start_response)

    return application


def _lose_connection(environ: WSGIEnvironment) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("the answer is lost on purpose")  # werkzeug takes it for a client that has gone


def side_door(request: Request, faults: Faults) -> Response:
    """Arm (POST), list (GET) or disarm (DELETE) faults; only this machine may, wherever the endpoint listens."""
    if not _is_loopback(request.remote_addr):
        return _said(403, "Only programs on the endpoint's own machine may arm faults.")
    if request.method == "POST":
        try:
            faults.arm(fault_of(json.loads(request.get_data())))
        except InvalidFaultError as error:
            return _said(400, str(error))
        except ValueError as error:
            return _said(400, f"The request is not JSON: {error}.")
    elif request.method == "DELETE":
        faults.forget()
    elif request.method != "GET":
        return _said(405, "Arm a fault with POST, list all with GET, disarm all with DELETE.")
    return Response(json.dumps({"faults": faults.armed()}), content_type="application/json")


def _spark_ui(request: Request, spark_ui: SparkUi) -> Response:
    """Lead a browser of this machine to the Spark UI of a job."""
    job = request.path.removeprefix(SPARK_UI).rpartition("/")[2]
    if not _is_loopback(request.remote_addr):
        return _said(403, "Spark UIs are shown on the machine of the endpoint alone")
    try:
        url = spark_ui(job)
    except RuntimeError as error:
        return _said(500, f"{error}")
    if url is None:
        return _said(404, f"There is no Spark UI of {job!r}: Spark has written no event log for it")
    return redirect(url)


def _said(status: int, message: str) -> Response:
    return Response(json.dumps({"message": message}), status, content_type="application/json")


def _is_loopback(address: str | None) -> bool:
    if not address:
        return False
    client = ip_address(address.partition("%")[0])
    return (getattr(client, "ipv4_mapped", None) or client).is_loopback


def moto() -> WSGIApplication:
    """Return moto's server application: S3 (see `local_emr.storage`), STS, IAM, Glue, SQS and the rest."""
    os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")  # any host name may lead here; paths name buckets
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - moto reads the line above
        DomainDispatcherApplication,
        create_backend_app,
    )

    application: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    return application


def bind(host: str, port: int) -> BaseWSGIServer:
    """Return a server that listens on `host` and `port` (0: any free one), one thread per request.

    It serves nothing until its `app` is set. OSError when the address cannot be had.
    """
    from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: PLC0415 - see `moto`

    class Handler(MotoRequestHandler):
        """moto's request handler without a line per request, and without Nagle's delay between header and body."""

        disable_nagle_algorithm = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            """Return the time of an answer, by the clock of the service."""
            now = time.time() if timestamp is None else timestamp
            return super().date_time_string(now + self.environ.get(SKEW, 0))

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing: clients poll, and errors are theirs to see."""

    listener = listen(host, port)
    server = make_server(host, port, Response(status=503), threaded=True, request_handler=Handler, fd=listener.fileno())
    listener.close()
    return server


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; OSError says why there is none (werkzeug itself would end the process)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
