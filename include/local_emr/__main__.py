"""`python -m local_emr`: serve the endpoint in the foreground until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import errno
import logging
import math
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from local_emr import __version__

WRONG_USE = 2
"""Exit code when the command line asks for what cannot be."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    from local_emr.endpoint import DataInUseError, running  # noqa: PLC0415 - help and refusals need not wait for moto
    from local_emr.engine import Engine  # noqa: PLC0415 - as above

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("local_emr").setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running(
            options.data,
            partial(Engine, cache=options.cache),
            host=options.host,
            port=options.port,
            boot_seconds=options.boot_seconds,
        ) as url:
            print(f"local_emr {__version__} listens on {url}")  # noqa: T201 - the command's answer
            print(  # noqa: T201 - the command's answer
                f"Clients need AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION=us-east-1 "
                "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
                flush=True,
            )
            stop.wait()
    except DataInUseError as error:
        return _refuse(f"the data folder {error} is in use by another endpoint; end that one, or choose another --data")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _refuse(f"port {options.port} is in use; try --port {_free_port(options.host)}")
        return _refuse(f"cannot serve on {options.host} port {options.port} from {options.data}: {error}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_emr",
        description="Serve an AWS endpoint on this machine that really runs the steps of EMR clusters.",
        epilog="It runs arbitrary code for whoever can reach it: keep it on the loopback address.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=4566, help="port to listen on; 0 picks a free one")
    parser.add_argument("--data", type=Path, default=Path(".local/emr"), help="folder of all data: buckets, clusters")
    parser.add_argument(
        "--cache", type=Path, help="folder of what Spark starts faster with (default: cache/ in --data)"
    )
    parser.add_argument("--boot-seconds", type=_seconds, default=2.0, help="how long a cluster takes to boot")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:  # noqa: PLR2004 - the greatest port
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: give seconds, 0 or more")
    return seconds


def _refuse(message: str) -> int:
    print(f"local_emr: {message}", file=sys.stderr)  # noqa: T201 - the command's answer
    return WRONG_USE


def _free_port(host: str) -> int:
    from local_emr.server import listen  # noqa: PLC0415 - as above

    with listen(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
