"""Follows a page as a person does: its commands, one after the other, in one shell, against the local endpoint.

`aws` is the real command line, run in this process so that it starts once. `airflow` is what the test says it does: a whole Airflow
is too slow here, and that it takes these words another test asks its own parser.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import threading
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from awscli.clidriver import create_clidriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Command = Callable[[list[str]], tuple[int, str]]
    """Takes words; returns how it ended, and what it printed."""

BLOCK = re.compile(r"^( *)```(sh|text)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
MARK = "-- the end of a block --"
SECONDS = 120

PRELUDE = """\
set -euo pipefail
ask() { printf '%s\\0' "$@" | curl --silent --show-error --fail-with-body --data-binary @- "$ANSWERS"; }
aws() { ask aws "$@"; }
airflow() { ask airflow "$@"; }
"""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of commands, each with what the page says they print; that may be nothing."""
    found: list[tuple[str, str]] = []
    for indent, language, text in BLOCK.findall(page.read_text()):
        plain = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        if language == "sh":
            found.append((plain, ""))
        else:
            found[-1] = (found[-1][0], plain)
    return found


@cache
def _models() -> object:
    """Return what has read AWS's service models, so that each is read once."""
    return create_clidriver().session.get_component("data_loader")


def run_aws(url: str, words: list[str]) -> tuple[int, str]:
    """Run the aws command line; version 1 has addresses of its own for some services, so the endpoint is named."""
    said = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
        warnings.simplefilter("ignore")  # those of the command line are not ours
        try:
            driver = create_clidriver()
            driver.session.register_component("data_loader", _models())
            code = driver.main([*words, "--endpoint-url", url])
        except SystemExit as exited:
            code = int(exited.code or 0)
    return code, said.getvalue()


@contextmanager
def _answering(commands: Mapping[str, Command]) -> Iterator[str]:
    """Serve commands by name: a request is their words, an answer what they print, and 500 says that they failed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            name, *words = body.split("\0")[:-1]
            code, said = commands[name](words)
            self.send_response(500 if code else 200)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def follow(
    written: list[tuple[str, str]],
    placeholders: Mapping[str, str],
    commands: Mapping[str, Command],
    folder: Path,
    environment: Mapping[str, str],
) -> None:
    """Follow the blocks of a page, and assert that every command succeeds and prints what the page says.

    :param placeholders: what stands for the words in capitals that a person fills in.
    :param commands: what does the work of `aws` and of `airflow`.
    :param folder: where the shell stands.
    """
    script = PRELUDE + f"\necho {shlex.quote(MARK)}\n".join(commands for commands, _ in written)
    for word, value in placeholders.items():
        script, times = re.subn(rf"\b{word}\b", lambda _, value=value: value, script)
        assert times, f"nothing of {script} is to be filled in with {word}"
    with _answering(commands) as answers:
        done = subprocess.run(
            ["bash", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=folder,
            env={"ANSWERS": answers, **environment},
        )
    assert done.returncode == 0, f"{script}\nprinted\n{done.stdout}\n{done.stderr}"
    said = done.stdout.split(f"{MARK}\n")
    for (text, expected), printed in zip(written, said, strict=True):
        assert prints(expected, printed), f"{text}\nprinted\n{printed}\nand not\n{expected}"


def prints(expected: str, printed: str) -> bool:
    """Whether commands printed what a page says, where … stands for what differs."""
    pattern = ".*".join(re.escape(part) for part in re.sub(r"[ \t]+", " ", expected).split("…"))
    return not expected or re.fullmatch(pattern, re.sub(r"[ \t]+", " ", printed), re.DOTALL) is not None
