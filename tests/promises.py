"""The promises of this project, the tests of each, and their table in SECURITY.md.

`python -m tests.promises` runs the tests and writes the table, with the number of passed tests and
the values that tests recorded as property `figure`. `--slow` also runs the slow tests. The exit
code is 1 if a test failed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "SECURITY.md"
BEGIN, END = "<!-- promises: python -m tests.promises -->", "<!-- end of promises -->"
SOAK = PROJECT / "benchmarks" / "results" / "soak.jsonl"


@dataclass(frozen=True)
class Promise:
    """A promise.

    Attributes:
        text: what is promised.
        tests: folders, files or node ids in `tests/` that would fail without it.
    """

    text: str
    tests: tuple[str, ...]


PROMISES: Mapping[int, Promise] = {
    1: Promise(
        "Every file up to 32 MiB and 50 megapixels gives a photo or an error with a code: no crash,"
        " no hang, and the input is never returned as a result",
        ("hostile", "contract/test_fuzz.py"),
    ),
    2: Promise(
        "Files above a limit are refused from their header, at almost no cost",
        (
            "hostile/test_hostile_photos.py::test_bomb_is_rejected_from_its_header",
            "hostile/test_hostile_photos.py::test_rejecting_a_bomb_is_cheap",
        ),
    ),
    3: Promise(
        "Results have at most 100 megapixels; larger ones are refused before any work",
        (
            "test_restorer.py::test_too_large_result_is_refused_before_any_work",
            "test_restorer.py::test_result_that_the_format_cannot_hold_is_refused_before_any_work",
            "pipelines/test_sizes.py",
            "imaging/test_encode.py::test_too_large_output_and_unknown_format_are_rejected",
        ),
    ),
    4: Promise(
        "Formats are identified by content; unsupported ones are refused by name",
        ("imaging/test_photo.py", "imaging/test_decode.py", "hostile/test_hostile_photos.py"),
    ),
    5: Promise(
        "EXIF orientation is applied once: all eight values give the same upright photo",
        ("imaging/test_photo.py::test_all_orientations_give_the_same_upright_photo",),
    ),
    6: Promise(
        "Colour profiles are applied; an unusable one gives a warning, not an error",
        (
            "imaging/test_photo_colour.py::test_wide_gamut_keeps_its_values_and_its_profile",
            "imaging/test_photo_colour.py::test_unusable_profile_is_dropped_with_a_warning",
        ),
    ),
    7: Promise(
        "Alpha is kept, 16 bits are not reduced without a warning, GPS data are removed unless"
        " requested; logs contain neither photos nor positions",
        (
            "pipelines/test_tiles.py::test_grey_stays_grey",
            "pipelines/test_tiles.py::test_alpha_is_kept",
            "pipelines/test_tiles.py::test_16_bits_are_kept",
            "imaging/test_encode.py::test_16_bits_are_rounded_to_8_with_a_warning",
            "imaging/test_exif.py::test_exif_is_kept_and_gps_only_on_request",
            "contract/test_request_security.py::test_log_contains_no_photos_and_no_positions",
        ),
    ),
    8: Promise(
        "The same bytes, options and machine give the identical result, also in another process",
        (
            "test_state.py::test_new_processes_give_the_same_results_in_any_order",
            "imaging/test_encode.py::test_equal_photos_give_equal_bytes",
        ),
    ),
    9: Promise(
        "Requests leave no state: after a failed request the next result is identical",
        (
            "test_state.py::test_failed_requests_do_not_change_later_results",
            "contract/test_faults.py::test_fault_has_a_code_and_does_not_affect_the_next_request",
            "contract/test_faults.py::test_request_can_be_cancelled_in_every_stage",
            "serving/test_served_results.py"
            "::test_change_of_the_system_time_deletes_no_recent_folder",
        ),
    ),
    10: Promise(
        "Memory is constant: less than 100 MB of growth after warm-up"
        " (`python -m benchmarks.soak`)",
        ("benchmarks/test_soak.py",),
    ),
    11: Promise(
        "If memory runs out, tiles become smaller, then an error has a code; the worker survives",
        (
            "runtime/test_memory.py::test_tile_is_halved_until_it_fits",
            "pipelines/test_face_batches.py"
            "::test_batch_is_halved_with_a_warning_if_memory_runs_out",
            "contract/test_faults.py::test_retry_with_smaller_tiles_is_a_warning",
            "contract/test_faults.py::test_fault_has_a_code_and_does_not_affect_the_next_request",
        ),
    ),
    12: Promise(
        "Invalid output of a network is an error or a warning, never a result",
        (
            "runtime/test_output_checks.py",
            "pipelines/test_face_batches.py::test_invalid_output_is_an_error_that_names_the_photo",
        ),
    ),
    13: Promise(
        "Weights are verified by SHA-256; a damaged file fails setup, or the request that needs it,"
        " with a code",
        (
            "models/test_store.py",
            "test_state.py::TestChangedWeightsFiles",
            "contract/test_lifecycle.py::test_missing_official_weights_fail_setup_with_a_code",
        ),
    ),
    14: Promise(
        "The server is ready only after setup, compiles nothing during requests, and leaves no"
        " process behind",
        (
            "optimize/test_compiler.py::test_known_shapes_are_compiled_in_advance_and_others_never",
            "contract/test_requests.py::test_optimized_request_does_not_affect_safe_ones",
            "contract/test_faults.py::test_worker_does_not_outlive_a_server_that_gets_a_signal",
        ),
    ),
}


@dataclass
class Outcome:
    """The results of the tests of a promise."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    figures: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = [
            f"{count} {name}"
            for name, count in (
                ("passed", self.passed),
                ("FAILED", self.failed),
                ("skipped", self.skipped),
            )
            if count
        ]
        return "; ".join((", ".join(counts) or "NOT RUN", *self.figures))


def read_outcomes(report: ET.Element) -> dict[int, Outcome]:
    """Return the outcome of each promise from a JUnit report of pytest."""
    outcomes = {number: Outcome() for number in PROMISES}
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        for number, promise in PROMISES.items():
            if not any(matches(name, test) for test in promise.tests):
                continue
            outcome = outcomes[number]
            if case.find("failure") is not None or case.find("error") is not None:
                outcome.failed += 1
            elif case.find("skipped") is not None:
                outcome.skipped += 1
            else:
                outcome.passed += 1
                outcome.figures += tuple(
                    item.get("value", "")
                    for item in case.iter("property")
                    if item.get("name") == "figure"
                )
    return outcomes


def matches(name: str, test: str) -> bool:
    """Tell whether a test case with a dotted JUnit name is in a folder, file or node id."""
    path, *inner = test.split("::")
    dotted = ".".join(("tests", *path.removesuffix(".py").split("/"), *inner))
    return name == dotted or name.startswith((f"{dotted}.", f"{dotted}["))


def describe_soak() -> str:
    """Describe the last recorded soak test."""
    if not SOAK.exists():
        return "no soak test is recorded"
    rows = [json.loads(line) for line in SOAK.read_text().splitlines()]
    row = next((row for row in reversed(rows) if not row["leak"]), None)
    if row is None:
        return "no soak test is recorded"
    counts = (
        f"{row['requests']} requests, {row['lost']} lost, {len(row['wrong'])} with a wrong result"
    )
    return f"soak of {row['commit']}: {counts}, {row['resident_growth_mb']:+.1f} MB"


def render_table(outcomes: Mapping[int, Outcome]) -> str:
    """Render the promises as a Markdown table."""
    lines = ["| | promise | tests | in the last run |", "|---|---|---|---|"]
    for number, promise in PROMISES.items():
        outcome = outcomes[number]
        tests = ", ".join(f"`{test.rpartition('/')[2]}`" for test in promise.tests)
        result = f"{outcome}; {describe_soak()}" if number == 10 else str(outcome)
        lines.append(f"| {number} | {promise.text} | {tests} | {result} |")
    return "\n".join(lines)


def replace_table(page: str, table: str) -> str:
    """Replace the table between the marks of the page."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert mark, "SECURITY.md has no mark at the start of the table"
    assert end, "SECURITY.md has no mark at the end of the table"
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slow", action="store_true", help="also run the slow tests")
    options = parser.parse_args(arguments)
    ids = sorted({f"tests/{test}" for promise in PROMISES.values() for test in promise.tests})
    # A test that is listed by its file and by its node id must not run twice.
    ids = [
        test
        for test in ids
        if not any(test.startswith((f"{other}::", f"{other}/")) for other in ids)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            f"--junitxml={report}",
            "-o",
            "junit_family=xunit1",
            *(["--slow"] if options.slow else []),
            *ids,
        ]
        code = subprocess.run(command, cwd=PROJECT, check=False).returncode
        table = render_table(read_outcomes(ET.parse(report).getroot()))
        PAGE.write_text(replace_table(PAGE.read_text(), table))
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
