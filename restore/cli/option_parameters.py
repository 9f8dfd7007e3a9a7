"""Parameters of commands, as Typer reads them, generated from `restore.options`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from restore.cli.values import choice_metavar, choice_option, completion_of, number_metavar
from restore.models.policy import Policy
from restore.options.describe import OptionInfo

PANELS = {"task": "Task options", "run": "Computation", "output": "Output"}


def with_parameters(
    command: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Give a function the signature from which Typer makes the options of a command."""
    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    every = [context, *parameters]
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in every}
    return command


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether the user gave an option."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def option_parameter(option: OptionInfo) -> inspect.Parameter:
    """Return the parameter of an option; its value is text, which `restore.options` validates."""
    flag = "--" + option.name.replace("_", "-")
    is_flag = option.type is bool
    annotation: Any = bool | None if is_flag and option.optional else bool if is_flag else str
    details = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        help=option.description.replace("[", r"\["),  # Typer reads brackets as markup
        metavar=None if is_flag else _metavar(option),
        autocompletion=completion_of(option.choices) if option.choices else None,
        rich_help_panel=PANELS[option.group],
        show_default=option.default is not None,
    )
    default = option.default if is_flag or option.default is None else str(option.default)
    if not is_flag and default is None:
        annotation = str | None
    return keyword(option.name, Annotated[annotation, details], default)


def _metavar(option: OptionInfo) -> str:
    """Return what the help shows as the values of an option, such as `NUMBER 1..8`."""
    if option.choices:
        return choice_metavar(option.choices)
    if option.type is str:
        return "TEXT"
    return number_metavar(option.type, option.minimum, option.maximum)


def alias_parameter(name: str, option: OptionInfo) -> inspect.Parameter:
    """Return a hidden parameter for an older name of an option."""
    flag, annotation = "--" + name.replace("_", "-"), bool if option.type is bool else str
    return keyword(name, Annotated[annotation | None, typer.Option(flag, hidden=True)], None)


def flag_parameter(name: str, short: tuple[str, ...], text: str) -> inspect.Parameter:
    """Return the parameter of a flag about the output, which is off by default."""
    flag = typer.Option(f"--{name}", *short, help=text, rich_help_panel=PANELS["output"])
    return keyword(name, Annotated[bool, flag], default=False)


def computation_parameters() -> list[inspect.Parameter]:
    """Return the parameters `weights` and `device`."""
    weights = weights_option(
        "local uses the official weights that are on this machine, else the embedded ones; "
        "lite uses the embedded ones; official downloads what is missing; auto downloads, and "
        "falls back to the embedded ones. Default: RESTORE_WEIGHTS, or local.",
        rich_help_panel=PANELS["run"],
    )
    device = typer.Option(
        "--device",
        help="cpu, cuda or cuda:N. Default: RESTORE_DEVICE, or CUDA if there is a GPU.",
        rich_help_panel=PANELS["run"],
        show_default=False,
    )
    return [
        keyword("weights", Annotated[str | None, weights], None),
        keyword("device", Annotated[str | None, device], None),
    ]


def weights_option(
    text: str,
    **details: Any,  # noqa: ANN401 - those of Typer
) -> Any:  # noqa: ANN401 - what Typer returns
    """Return the option `--weights` with its help."""
    return choice_option("--weights", text, tuple(Policy), show_default=False, **details)


def weights_policy(given: str | None) -> str:
    """Return the weights policy of a command: its option, else RESTORE_WEIGHTS, else `local`."""
    return given or os.environ.get("RESTORE_WEIGHTS", "").strip() or "local"


def keyword(name: str, annotation: object, default: object) -> inspect.Parameter:
    """Return a parameter that is given by its name."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)
