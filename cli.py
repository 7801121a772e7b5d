"""The command line: parses, builds one request, calls one function, and is the one error door."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from . import __version__, errors
from .collectors.frame import Frame, frame
from .kernels.facts import KernelFacts
from .probes import session
from .views import explain, plain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    help="What reverse mapping and page reclaim cost on this kernel.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Interval = Annotated[
    float, typer.Option("--interval", "-i", min=0.5, max=3600, help="Seconds between frames.")
]


def _version(asked: bool) -> None:
    if asked:
        print(f"rmapwatch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options that come before a command."""


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    as_json: Json = False,
    interval: Interval = 2.0,
) -> None:
    """Show what reverse-map walks and reference checks cost, live."""
    live = session.start(session.Request())
    session.drop_privileges()
    if as_json or once:
        _one_frame(live, interval, as_json)
    else:
        _frames(live, interval)


def _one_frame(live: session.Session, interval: float, as_json: bool) -> None:
    before = live.sample()
    time.sleep(interval)
    show(frame(live.sample(), before), as_json)


def _frames(live: session.Session, interval: float) -> None:
    """Show frames until Ctrl-C: on a terminal in place, otherwise one after the other."""
    console = Console()
    before = live.sample()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as screen:
        screen.update(plain.screen(frame(before)), refresh=True)
        while True:
            time.sleep(interval)
            now = live.sample()
            screen.update(plain.screen(frame(now, before)), refresh=True)
            before = now


def show(shown: Frame, as_json: bool) -> None:
    """Print one frame on stdout."""
    if as_json:
        print_json(dataclasses.asdict(shown))
    else:
        Console().print(plain.screen(shown))


def print_json(data: Any) -> None:
    """Print `data` as JSON on stdout; absent is null."""
    json.dump(data, sys.stdout, indent=1)
    print()


@app.command()
def probes(
    explained: Annotated[
        bool, typer.Option("--explain", help="Say why each resolves as it does.")
    ] = False,
    facts_file: Annotated[
        str, typer.Option("--facts", help="Resolve on a saved KernelFacts file instead of here.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show which probe points resolve on this kernel, by which way, and why not."""
    rows = explain.resolved(_facts(facts_file))
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        Console().print(explain.table(rows, explained))


def _facts(path: str) -> KernelFacts:
    if path:
        return explain.saved_facts(path)
    return explain.facts_here()


def main() -> None:
    """Run the command line; the only place that prints an error and chooses an exit code."""
    try:
        app()
    except errors.RmapwatchError as error:
        print(f"rmapwatch: {error.what}: {error.why}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(errors.FAILED)
