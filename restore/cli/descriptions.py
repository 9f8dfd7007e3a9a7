"""What was done to the photos of a command, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.report import Report


class Describer:
    """Describes the results of one command, photo by photo.

    A warning about weights that are used instead of others holds for all photos of a command, so it
    is shown once. The report of each photo has it.
    """

    def __init__(self) -> None:
        self._shown = set[str]()

    def describe(self, report: Report, size: str, fallback_warnings: Collection[str] = ()) -> str:
        """Return what was done to a photo: a summary line, then its steps and warnings, indented.

        Args:
            report: the report of the photo.
            size: size of the result, for the summary.
            fallback_warnings: those of the restorer.
        """
        steps = report.steps
        seconds = sum(sum(one.stages_ms.values()) for one in (report, *steps)) / 1000.0
        variants = {step.variant for step in steps} or {report.variant}
        common = variants.pop() if len(variants) == 1 else ""
        summary = f"{report.task}{_weights(common)} on {report.device or 'cpu'}"
        lines = [f"{size}  {summary}, {seconds:.1f} s"]
        for step in steps:
            reason = f": {step.why}" if step.why else ""
            lines.append(f"    {step.task}{'' if common else _weights(step.variant)}{reason}")
        lines += [f"    note: {note}" for note in (*report.notes, *report.profile_effects)]
        lines += [
            f"    warning: {warning}"
            for warning in self.new_warnings(
                report.warnings, fallback_warnings, [step.task for step in steps]
            )
        ]
        return "\n".join(lines)

    def new_warnings(
        self,
        warnings: Iterable[str],
        fallback_warnings: Collection[str],
        steps: Iterable[str] = (),
    ) -> Iterator[str]:
        """Yield the warnings of a photo, without those about weights that were shown before.

        Args:
            warnings: of the photo.
            fallback_warnings: those of the restorer.
            steps: names of the steps of a pipeline, which begin its warnings.
        """
        prefixes = ("", *(f"{step}: " for step in steps))
        about_weights = {
            f"{prefix}{warning}": warning for prefix in prefixes for warning in fallback_warnings
        }
        for warning in warnings:
            fallback = about_weights.get(warning)
            if fallback is None:
                yield warning
            elif fallback not in self._shown:
                self._shown.add(fallback)
                yield fallback


def _weights(variant: str) -> str:
    return f" ({variant} weights)" if variant else ""
