"""The command line: parses, builds one request, calls one function."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from . import __version__, errors
from .probes import backend as backends
from .probes import catalogue, needs, service, session
from .probes.backend import Backend
from .probes.sample import Sample
from .views import live
from .views.pace import Pace

_GROUPS = {"lab": ".lab.cli", "model": ".views.model_cli"}


class _Commands(TyperGroup):
    """All commands; a group is imported when it is asked for, or a third of a start would be it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        group = typer.main.get_command(importlib.import_module(_GROUPS[cmd_name], __package__).app)
        group.name = cmd_name
        return group


app = typer.Typer(
    cls=_Commands,
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
Steps = Annotated[
    bool,
    typer.Option(
        "--steps", help="Watch every VMA that walks look at, of use or not: a program for each."
    ),
]

BackendChoice = Annotated[
    Backend,
    typer.Option(
        "--backend", help="What attaches the probes; auto: bcc, or ftrace where that cannot."
    ),
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
    steps: Steps = False,
    backend: BackendChoice = Backend.AUTO,
    or_lab: Annotated[
        bool,
        typer.Option("--or-lab", help="Where this kernel cannot be probed, show one of the lab."),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="Show a recording at its own pace; with --once, at once."),
    ] = None,
) -> None:
    """Show what reverse-map walks and reference checks cost, live."""
    if replay is not None:
        _replay(replay, once, as_json, interval)
        return
    try:
        attached = backends.start(live.request(steps), backend, _say)
    except errors.RmapwatchError as refused:
        if not or_lab:
            raise
        print(f"rmapwatch: not of this kernel: {refused}", file=sys.stderr)
        print("rmapwatch: of a kernel of the lab, under a fork storm:", file=sys.stderr)
        from .lab.cli import top_command

        top_command("fork-storm", once=once, as_json=as_json, interval=interval, backend=backend)
        return
    feed = live.of(attached)
    live.load(as_json or once)
    session.drop_privileges()
    if once:
        live.one_frame(feed.samples(Pace(interval)), as_json)
    else:
        live.watch(feed, interval, as_json)


def _say(text: str) -> None:
    print(f"rmapwatch: {text}", file=sys.stderr)


def _recorded(folder: Path) -> Iterator[Sample]:
    """Return the Samples of a recording; what is missing of it is said on stderr."""
    from .recordings import reader, replay  # these load pyarrow

    recording = reader.Recording(folder)
    for complaint in recording.complaints():
        print(f"rmapwatch: {folder}: {complaint}", file=sys.stderr)
    return replay.samples(recording)


def _replay(folder: Path, once: bool, as_json: bool, interval: float) -> None:
    from .recordings import replay

    samples = _recorded(folder)
    if once:
        live.one_frame(replay.whole(samples), as_json)
    else:
        feed = live.Feed(lambda pace: replay.paced(samples, sleep=pace.sleep), live=False)
        live.watch(feed, interval, as_json)


@app.command()
def record(
    out: Annotated[Path, typer.Option("-o", "--out", help="The new folder for the recording.")],
    duration: Annotated[
        float | None, typer.Option("--duration", "-d", min=0.1, help="Seconds; default: no end.")
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.1, max=3600, help="Seconds between samples.")
    ] = 2.0,
    steps: Steps = False,
    backend: BackendChoice = Backend.AUTO,
    command: Annotated[
        list[str] | None, typer.Argument(help="Record while this runs: -- COMMAND ...")
    ] = None,
) -> None:
    """Record events and samples until COMMAND, the duration or Ctrl-C ends it."""
    from .recordings import recorder  # this loads pyarrow

    request = recorder.Request(out, interval, duration, tuple(command or ()))
    request.check()
    wanted = dataclasses.replace(recorder.SESSION, probes=catalogue.names(steps))
    attached = backends.start(wanted, backend, _say)
    session.drop_privileges()
    print(f"rmapwatch: recording to {out}; Ctrl-C ends it", file=sys.stderr)
    status = recorder.record(attached, request)
    if status:
        raise typer.Exit(status)


@app.command()
def export(
    listen_address: Annotated[
        str,
        typer.Option(
            "--web.listen-address", help="HOST:PORT to serve /metrics on. [default: loopback]"
        ),
    ] = "",
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="Serve a recording, from the first scrape at its own pace."),
    ] = None,
    loader: Annotated[
        Path | None,
        typer.Option("--loader", help="Ask the loader at this socket to attach; needs no root."),
    ] = None,
    steps: Steps = False,
    check: Annotated[
        bool, typer.Option("--check", help="Hold events against the model, 2 s of each minute.")
    ] = False,
    backend: BackendChoice = Backend.AUTO,
    max_overhead: Annotated[
        str,
        typer.Option(
            "--max-overhead",
            metavar="PERCENT|off",
            help="Count VMAs of fewer walks, or none, where the probes take more of the CPUs.",
        ),
    ] = "1%",
) -> None:
    """Serve the figures to Prometheus until SIGTERM or Ctrl-C."""
    from .exporters import live as live_exporter
    from .exporters import web  # these load prometheus_client

    address = listen_address or web.DEFAULT_ADDRESS
    if replay is None:
        asked = live_exporter.Request(
            address, str(loader or ""), steps, check, backend, max_overhead
        )
        live_exporter.become(asked)
        return
    if loader is not None or check:
        raise errors.UsageError(
            "a recording is served as it is",
            "--replay excludes --loader and --check",
            f"rmapwatch check {replay}" if check else "--replay DIR",
        )
    from .exporters.replay import Replayed

    web.run(address, lambda: Replayed(_recorded(replay)))


@app.command()
def check(
    recording: Annotated[Path | None, typer.Argument(help="The folder of a recording.")] = None,
    live_s: Annotated[
        float | None,
        typer.Option("--live", min=0.1, help="Record this kernel for so many seconds instead."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a recording against the reference model; exit 1 on what nothing explains."""
    from .check import command, show  # numpy, pyarrow

    if (recording is None) == (live_s is None):
        raise errors.UsageError(
            "it is not clear what to check",
            "a recording or --live SECONDS is needed, not both",
            "rmapwatch check --live 30",
        )
    kernel, verdict = command.checked(recording) if recording else command.live(live_s or 0.0)
    if as_json:
        live.print_json(show.as_json(verdict, kernel))
    else:
        Console().print(show.screen(verdict, kernel))
    if not verdict.agrees:
        raise typer.Exit(errors.FAILED)


@app.command(hidden=True)
def loader(
    group: Annotated[str, typer.Option(help="Serve root, and members of this group.")],
) -> None:
    """Attach what one client asks for; systemd passes the connection."""
    service.serve_passed(group)


@app.command()
def probes(
    explained: Annotated[
        bool, typer.Option("--explain", help="Say why each resolves as it does.")
    ] = False,
    facts_file: Annotated[
        str, typer.Option("--facts", help="Resolve on a saved KernelFacts file instead of here.")
    ] = "",
    as_json: Json = False,
    backend: BackendChoice = Backend.AUTO,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what --backend ftrace would write to tracefs.")
    ] = False,
) -> None:
    """Show which probe points resolve on this kernel, by which way, and why not."""
    if dry_run and backend != Backend.FTRACE:
        raise errors.UsageError(
            "only ftrace writes anything that can be shown",
            f"the backend is {backend}",
            "rmapwatch probes --backend ftrace --dry-run",
        )
    from .views import explain

    facts = explain.saved_facts(facts_file) if facts_file else explain.facts_here(backend)
    if dry_run:
        print("\n".join(explain.writes(facts)))
        return
    rows = explain.resolved(facts, backend)
    if as_json:
        live.print_json([dataclasses.asdict(row) for row in rows])
    else:
        Console().print(explain.table(rows, explained))


@app.command()
def doctor(
    self_test: Annotated[
        bool,
        typer.Option("--self-test", help="Hold a harmless workload against what it must count."),
    ] = False,
    folder: Annotated[
        Path, typer.Option("--folder", help="On a disk: where the self-test makes its file.")
    ] = Path("/var/tmp"),
    as_json: Json = False,
    backend: BackendChoice = Backend.AUTO,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Remove what killed processes left in tracefs.")
    ] = False,
) -> None:
    """Show what is missing here, and the command that mends it."""
    if sweep:
        _sweep()
        return
    from .doctor import checks, host, show

    rows = checks.checks(host.read_host(), Backend.BCC if self_test else backend)
    code = checks.exit_code(rows)
    tested = None
    if self_test and not code:
        from .doctor import selftest  # numpy

        tested = selftest.run(folder)
    if as_json:
        live.print_json(show.as_json(rows, tested))
    else:
        Console().print(show.screen(rows))
        if tested is not None:
            Console().print("", show.rules(tested), sep="\n")
    if self_test and tested is None:
        print("rmapwatch: no self-test: the probes cannot be attached here", file=sys.stderr)
    if tested is not None and not all(rule.agrees for rule in tested):
        code = errors.FAILED
    if code:
        raise typer.Exit(code)


def _sweep() -> None:
    """Remove what owners that are gone have left in tracefs, and tell whose that was."""
    from .probes.ftrace import tracefs

    needs.require_root("tracefs cannot be swept")
    swept = tracefs.sweep(tracefs.root())
    for owner in swept:
        print(f"removed what process {owner} had left in tracefs")
    if not swept:
        print("nothing was left in tracefs")


def main() -> None:
    """Run the command line."""
    errors.door(app, sys.argv[1:])
