"""
The HTTP side: /metrics in whatever format is negotiated, a landing page, and nothing else.

It speaks plain HTTP and knows no users: where others than this machine are to reach it, a reverse
proxy goes in front of it.
"""

from __future__ import annotations

import gc
import html
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from .. import __version__
from ..collectors.walks import probes
from ..errors import RmapwatchError, UsageError
from ..probes.sample import Sample
from .families import SampleCollector

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PORT = 10435
"""The default port; Prometheus' list of port allocations, 9100 to 9999, is full."""

DEFAULT_ADDRESS = f"127.0.0.1:{PORT}"

SILENCE_S = 10
"""How long a client may say nothing."""

_METRICS = "/metrics"
_METHODS = ("GET", "HEAD")
_ALLOW = ", ".join(_METHODS)
_TEXT, _HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>rmapwatch</title></head><body>
<h1>rmapwatch {version}</h1>
<p>Kernel {kernel}, backend {backend}. <a href="{metrics}">Metrics</a></p>
<table><thead><tr><th>probe<th>attached<th>by<th>reason</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (all addresses)."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 0xFFFF or (":" in host and not host.startswith("[")):
        raise UsageError(
            f"{text} is no address to listen on",
            "it is not HOST:PORT",
            f"--web.listen-address {DEFAULT_ADDRESS}",
        )
    return host.strip("[]") or "::", int(port)


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing of requests that went well."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.address_family = found[0][0]
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind, and look up no name for the address, which could take long."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


def listen(text: str) -> WSGIServer:
    """Return a server bound to the address in `text`; raise `RmapwatchError` where it is taken."""
    host, port = address(text)
    try:
        return _Server(host, port)
    except OSError as error:
        raise RmapwatchError(
            f"{text} cannot be listened on",
            error.strerror or str(error),
            f"--web.listen-address {DEFAULT_ADDRESS.replace(str(PORT), str(PORT + 1))}",
        ) from None


def url(server: WSGIServer) -> str:
    """Return where the metrics are, for a person to open."""
    host = f"[{server.server_name}]" if ":" in server.server_name else server.server_name
    return f"http://{host}:{server.server_port}{_METRICS}"


def run(text: str, start: Callable[[], Callable[[], Sample]]) -> None:
    """Listen on the address in `text`, and serve what the callable that `start` returns returns."""
    server = listen(text)
    latest = start()
    print(f"rmapwatch: {url(server)}", file=sys.stderr)
    serve(server, latest)


def serve(server: WSGIServer, latest: Callable[[], Sample]) -> None:
    """Answer scrapes with what `latest` returns until SIGTERM or SIGINT."""
    server.set_app(application(latest))
    gc.freeze()  # what is there by now stays, and need not be looked at again and again
    with _held_back((signal.SIGTERM, signal.SIGINT)) as ended:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended()
        server.shutdown()
    server.server_close()


@contextmanager
def _held_back(signals: Iterable[signal.Signals]) -> Iterator[Callable[[], object]]:
    """Block `signals` in this thread and those it starts; yield what waits for one of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield lambda: signal.sigwait(signals)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def application(latest: Callable[[], Sample]) -> WSGIApplication:
    """Return the WSGI application that shows what `latest` returns."""
    collector = SampleCollector(latest)
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)

    def answered(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["REQUEST_METHOD"] not in _METHODS:
            answer = Answer("405 Method Not Allowed", _TEXT, b"GET or HEAD\n")
        elif environ["PATH_INFO"] == _METRICS:
            answer = scraped(registry, environ.get("HTTP_ACCEPT", ""))
        elif environ["PATH_INFO"] == "/":
            answer = Answer("200 OK", _HTML, page(collector.sample()).encode())
        else:
            answer = Answer("404 Not Found", _TEXT, f"there is only {_METRICS}\n".encode())
        start_response(answer.status, answer.headers())
        return [answer.body] if environ["REQUEST_METHOD"] != "HEAD" else []

    return answered


class Answer(NamedTuple):
    """What is sent for a request."""

    status: str
    kind: str
    body: bytes

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers, the same for GET and HEAD."""
        length = str(len(self.body))
        return [("Content-Type", self.kind), ("Content-Length", length), ("Allow", _ALLOW)]


def scraped(registry: CollectorRegistry, accepted: str) -> Answer:
    """Return the metrics of now in the best format that the client accepts."""
    encode, kind = choose_encoder(accepted)
    return Answer("200 OK", kind, encode(registry))


def page(sample: Sample) -> str:
    """Return the landing page: what runs here, and which probes are attached."""
    rows = "\n".join(
        f"<tr><td>{row.probe}<td>{row.attached or '-'}<td>{row.mechanism or '-'}"
        f"<td>{html.escape(row.reason)}</tr>"
        for row in probes(sample)
    )
    return _PAGE.format(
        version=__version__,
        kernel=html.escape(sample.release),
        backend=sample.backend,
        metrics=_METRICS,
        rows=rows,
    )
