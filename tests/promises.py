"""What Restore promises, the tests that hold it to each, and the table of both in SECURITY.md: `python -m tests.promises` writes it.

The table's figures are those of that run: how many tests of a promise passed, and what tests recorded as `figure`. With `--slow` the
long tests run too. Exit code 1 where a test failed; the table says so.
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
    """One promise.

    Attributes:
        text: what is promised, with its figure.
        tests: node ids or files of the tests that would fail without it, below `tests/`.
    """

    text: str
    tests: tuple[str, ...]


PROMISES: Mapping[int, Promise] = {
    1: Promise(
        "Any file of at most 32 MiB and 50 megapixels is answered or refused with a coded error; no crash, hang or silent pass-through",
        ("hostile", "contract/test_fuzz.py"),
    ),
    2: Promise(
        "Refusal is cheap: over a limit, from the header",
        (
            "hostile/test_hostile_photos.py::test_bomb_is_rejected_from_its_header",
            "hostile/test_hostile_photos.py::test_rejecting_a_bomb_is_cheap",
        ),
    ),
    3: Promise(
        "Output is bounded: at most 100 megapixels, refused before any work",
        (
            "test_restorer.py::test_a_result_that_would_be_too_large_is_refused_before_any_work",
            "test_restorer.py::test_a_result_that_the_format_cannot_hold_is_refused_before_any_work",
            "test_restorer.py::test_a_net_that_works_far_above_the_asked_scale_is_bounded_too",
            "imaging/test_encode.py::test_too_large_output_and_unknown_format_are_rejected",
        ),
    ),
    4: Promise(
        "Formats are known by their content; what is not taken is refused by name",
        ("imaging/test_photo.py", "imaging/test_decode.py", "hostile/test_hostile_photos.py"),
    ),
    5: Promise(
        "Orientation is applied once: all eight tags give the identical upright picture",
        ("imaging/test_photo.py::test_all_orientations_give_the_same_upright_photo",),
    ),
    6: Promise(
        "Colour profiles are honoured; a bad one is a warning, no failure",
        (
            "imaging/test_photo_colour.py::test_wide_gamut_is_converted_to_srgb_and_back",
            "imaging/test_photo_colour.py::test_unusable_profile_is_dropped_with_a_warning",
        ),
    ),
    7: Promise(
        "Alpha is kept, 16 bits are not cut without a warning, GPS goes unless asked for; logs hold neither photos nor places",
        (
            "test_restorer.py::test_grey_stays_grey_and_alpha_stays_beside_the_colour",
            "test_restorer.py::test_sixteen_bits_stay_sixteen_bits",
            "imaging/test_encode.py::test_16_bits_are_rounded_to_8_with_a_warning",
            "imaging/test_exif.py::test_exif_is_kept_and_gps_only_on_request",
            "contract/test_request_security.py::test_log_contains_no_photos_and_no_positions",
        ),
    ),
    8: Promise(
        "The same bytes, options and machine give the identical result, in another process too",
        (
            "test_state.py::test_two_fresh_processes_give_the_same_bits_whatever_they_did_before",
            "imaging/test_encode.py::test_equal_photos_give_equal_bytes",
        ),
    ),
    9: Promise(
        "No state between requests: one that fails leaves the next bit for bit as before",
        (
            "test_state.py::test_a_request_that_fails_leaves_the_next_bit_for_bit_as_before",
            "contract/test_faults.py::test_fault_has_a_code_and_does_not_affect_the_next_request",
            "contract/test_faults.py::test_request_can_be_cancelled_in_every_stage",
            "imaging/test_outputs.py::test_change_of_the_system_time_deletes_no_recent_folder",
        ),
    ),
    10: Promise(
        "Memory is flat: less than 100 MB of growth after warm-up (`python -m benchmarks.soak`)",
        ("benchmarks/test_soak.py",),
    ),
    11: Promise(
        "Memory that runs out means smaller tiles, then a coded error, never a dead worker",
        (
            "runtime/test_memory.py::test_tile_is_halved_until_it_fits",
            "pipelines/test_face_batches.py::test_batch_is_halved_with_a_warning_if_memory_runs_out",
            "contract/test_faults.py::test_retry_with_smaller_tiles_is_a_warning",
            "contract/test_faults.py::test_fault_has_a_code_and_does_not_affect_the_next_request",
        ),
    ),
    12: Promise(
        "A network that fails is an error or a warning, never a photo",
        (
            "runtime/test_output_checks.py",
            "pipelines/test_face_batches.py::test_invalid_output_is_an_error_that_names_the_photo",
        ),
    ),
    13: Promise(
        "Weights are verified by SHA-256; a damaged file fails setup, or the request that needs it, with a code",
        (
            "models/test_store.py",
            "test_state.py::TestWeightsBelowARunningProcess",
            "contract/test_lifecycle.py::test_missing_official_weights_fail_setup_with_a_code",
        ),
    ),
    14: Promise(
        "Ready only after setup; nothing is compiled while a photo waits; nothing outlives the server",
        (
            "optimize/test_compiler.py::test_known_shapes_are_compiled_in_advance_and_others_never",
            "contract/test_requests.py::test_optimized_request_does_not_affect_safe_ones",
            "contract/test_faults.py::test_worker_does_not_outlive_a_server_that_gets_a_signal",
        ),
    ),
}


@dataclass
class Outcome:
    """What became of a promise's tests in a run."""

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


def outcomes(report: ET.Element) -> dict[int, Outcome]:
    """What a JUnit report of pytest says of each promise."""
    found = {number: Outcome() for number in PROMISES}
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        for number, promise in PROMISES.items():
            if not any(belongs(name, test) for test in promise.tests):
                continue
            outcome = found[number]
            if case.find("failure") is not None or case.find("error") is not None:
                outcome.failed += 1
            elif case.find("skipped") is not None:
                outcome.skipped += 1
            else:
                outcome.passed += 1
                outcome.figures += tuple(
                    each.get("value", "")
                    for each in case.iter("property")
                    if each.get("name") == "figure"
                )
    return found


def belongs(name: str, test: str) -> bool:
    """Whether a test case, dotted as JUnit has it, is of this node id, file or folder."""
    path, *inner = test.split("::")
    dotted = ".".join(("tests", *path.removesuffix(".py").split("/"), *inner))
    return name == dotted or name.startswith((f"{dotted}.", f"{dotted}["))


def soak_figure() -> str:
    """What the last recorded soak measured."""
    if not SOAK.exists():
        return "no soak is recorded"
    rows = [json.loads(line) for line in SOAK.read_text().splitlines()]
    row = next((row for row in reversed(rows) if not row["leak"]), None)
    if row is None:
        return "no soak is recorded"
    counts = f"{row['requests']} requests, {row['lost']} lost, {len(row['wrong'])} answered wrongly"
    return f"soak of {row['commit']}: {counts}, {row['resident_growth_mb']:+.1f} MB"


def table(found: Mapping[int, Outcome]) -> str:
    """The promises as Markdown."""
    lines = ["| | promise | tests | in the last run |", "|---|---|---|---|"]
    for number, promise in PROMISES.items():
        outcome = found[number]
        tests = ", ".join(f"`{test.rpartition('/')[2]}`" for test in promise.tests)
        said = f"{outcome}; {soak_figure()}" if number == 10 else str(outcome)
        lines.append(f"| {number} | {promise.text} | {tests} | {said} |")
    return "\n".join(lines)


def written(page: str, content: str) -> str:
    """The page with this between its marks."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert mark, "SECURITY.md has no mark where the table begins"
    assert end, "SECURITY.md has no mark where the table ends"
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slow", action="store_true", help="the long tests too")
    options = parser.parse_args(arguments)
    ids = sorted({f"tests/{test}" for promise in PROMISES.values() for test in promise.tests})
    # A test named by its file and by itself would run, and count, twice.
    ids = [
        one
        for one in ids
        if not any(one != other and one.startswith((f"{other}::", f"{other}/")) for other in ids)
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
        PAGE.write_text(written(PAGE.read_text(), table(outcomes(ET.parse(report).getroot()))))
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
