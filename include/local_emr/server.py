"""The HTTP server: sends each request to the control plane of the service that it is signed for, or to moto.

A request names its service in the SigV4 credential scope, `<key>/<date>/<region>/<service>/aws4_request` (AWS General
Reference, "Create a signed AWS API request"), in its Authorization header or, when presigned, in its query.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from local_emr import __version__
from local_emr.protocol import Caller, ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HEALTH = "/_local_emr/health"

_SCOPE = re.compile(r"[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class Scope(NamedTuple):
    """What a request is signed for."""

    service: str
    region: str


def credential_scope(authorization: str, presigned: str) -> Scope | None:
    """Read the scope from an Authorization header or from X-Amz-Credential of a query; None when neither has one."""
    match = _SCOPE.search(authorization.partition("Credential=")[2]) or _SCOPE.fullmatch(presigned)
    return Scope(match["service"], match["region"]) if match else None


class Router:
    """The WSGI application of the endpoint."""

    def __init__(self, control_planes: Mapping[str, ControlPlane], fallback: WSGIApplication) -> None:
        self.control_planes = control_planes
        self.fallback = fallback

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        if "Origin" in request.headers:
            # Only browsers send it: no web page may run code on the machine of the one who visits it.
            refusal = Response("This endpoint answers no web pages; call it from a program.", 403)
            return refusal(environ, start_response)
        if request.path == HEALTH:
            health = Response(f'{{"status": "ok", "version": "{__version__}"}}', content_type="application/json")
            return health(environ, start_response)
        scope = credential_scope(request.headers.get("Authorization", ""), request.args.get("X-Amz-Credential", ""))
        if scope is None or scope.service not in self.control_planes:
            return self.fallback(environ, start_response)
        response = self.control_planes[scope.service].respond(request, Caller(scope.region))
        return response(environ, start_response)

    def close(self) -> None:
        """End what the control planes run."""
        for control_plane in self.control_planes.values():
            control_plane.close()


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
