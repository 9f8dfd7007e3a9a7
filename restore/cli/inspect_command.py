"""`restore inspect`: the steps that photos seem to need, and their faces, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import typer

from restore.cli.descriptions import Describer
from restore.cli.inputs import fetch_existing, fetch_masks, masks_of
from restore.cli.messages import error_with_flags
from restore.cli.progress import ProgressBars
from restore.errors import RestoreError
from restore.options import INSPECT_TASK, Request
from restore.options.flags import with_flags
from restore.serving.temporary_files import temporary_folder

if TYPE_CHECKING:
    from restore.restorer import Restorer

Json = dict[str, Any]


def run_inspect(given: Mapping[str, object], values: Mapping[str, Any]) -> int:
    """Inspect the photos of a command one by one; return its exit code.

    Args:
        given: the options that the user gave, by their input names.
        values: the values of all parameters of the command.

    Raises:
        RestoreError: the command is refused; options have the names of their flags.
    """
    sources: list[str] = values["photos"]
    as_json, results, describer = values["json"], list[Json](), Describer()
    with ProgressBars(quiet=as_json) as bars:
        try:
            Request.from_inputs(INSPECT_TASK, given)  # before torch is imported
            from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

            restorer = Restorer(weights=values["weights"], device=values["device"], progress=bars)
            for source, masks in zip(sources, masks_of(sources, values["mask"] or ()), strict=True):
                results.append(_inspect(restorer, source, masks, given))
                if not as_json:
                    fallbacks = restorer.fallback_warnings
                    shown = describer.new_warnings(results[-1].get("warnings", ()), fallbacks)
                    _print({**results[-1], "warnings": list(shown)}, bars)
        except RestoreError as error:
            raise error_with_flags(error) from error
    failures = sum("error" in result for result in results)
    code = 0 if not failures else 2 if failures == len(results) else 1
    if as_json:
        print(json.dumps({"task": INSPECT_TASK, "exit_code": code, "photos": results}, indent=2))
    return code


def _inspect(
    restorer: Restorer, source: str, masks: Sequence[str], given: Mapping[str, object]
) -> Json:
    """Return the inspection of a photo, or its name and the error."""
    try:
        with temporary_folder() as folder:
            photo = fetch_existing(source, folder / "photo")
            files = fetch_masks(masks, folder)
            results = restorer.run(INSPECT_TASK, photo, masks=files, **cast(Any, dict(given)))
    except RestoreError as error:
        failure = {"code": error.code, "message": str(error_with_flags(error))}
        return {"photo": {"name": source}, "error": failure}
    inspection = results.inspections[0]
    return {**inspection.to_dict(), "photo": {**inspection.photo, "name": source}}


def _print(result: Json, bars: ProgressBars) -> None:
    if "error" in result:
        typer.echo(f"error: {result['error']['message']}", err=True)
        return
    bars.print("\n".join(describe_inspection(result)))


def describe_inspection(result: Json) -> list[str]:
    """Return the inspection of a photo as lines: steps, faces, findings, notes and warnings."""
    photo = result["photo"]
    lines = [f"{photo['name']}  {photo['width']}x{photo['height']} {photo['format']}".rstrip()]
    lines += [f"    {_describe_step(step)}" for step in result["steps"]]
    if not result["steps"]:
        lines.append("    no step: the photo seems to need none")
    lines += [f"    face {face['index']}: {_describe_face(face)}" for face in result["faces"]]
    lines += [f"    measured {_describe_finding(finding)}" for finding in result["findings"]]
    lines += [f"    note: {with_flags(note)}" for note in result["notes"]]
    lines += [f"    warning: {with_flags(warning)}" for warning in result["warnings"]]
    return lines


def _describe_step(step: Json) -> str:
    shown = {**step["options"], **({"strength": step["strength"]} if step["strength"] < 1 else {})}
    options = ", ".join(f"{name}={value}" for name, value in shown.items())
    return f"{step['task']}{f' ({options})' if options else ''}: {step['reason']}"


def _describe_finding(finding: Json) -> str:
    value = finding["value"]
    words = "" if value is None else f" {value:.4g}" if isinstance(value, float) else f" {value}"
    has_unit = value is not None and finding["unit"] not in {"", finding["name"]}
    unit = f" {finding['unit']}" if has_unit else ""
    leads_to = f" -> {finding['step']}" if finding["step"] else ""
    return f"{finding['name']}{words}{unit}: {with_flags(finding['reason'])}{leads_to}"


def _describe_face(face: Json) -> str:
    left, top, right, bottom = (round(side) for side in face["box"])
    rotation_deg = face["rotation"]
    turned = f", upright if turned by {rotation_deg} degrees clockwise" if rotation_deg else ""
    refused = "" if face["restorable"] else f"; cannot be restored: {face['reason']}"
    return f"({left}, {top}) to ({right}, {bottom}), score {face['score']:.2f}{turned}{refused}"
