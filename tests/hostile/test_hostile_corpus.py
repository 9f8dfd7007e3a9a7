"""A sample of the generated corpus, and the detection of every kind of failure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpus import corpus
from places import PROJECT

# Each control does something that a decoder must not do, which must be detected. The last two
# behave correctly.
CONTROLS = """
import ctypes, json, os, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests", sys.argv[1] + "/tests/hostile"]
from originals import VALID
from trials import Bounds, Trials, reencode
from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, decode

def leave(name):
    def control(source, folder):
        (folder / name).write_bytes(b"")
        raise RestoreError(Code.PHOTO_DAMAGED, "no", "No.")
    return control

def spin(source, folder):
    while True:
        pass

def darken(source, folder):
    photo = reencode(source, folder)
    return photo.with_pixels(photo.pixels // 2)

source = Path(sys.argv[2])
source.write_bytes(VALID["jpeg"])
cut = source.with_name("cut.jpg")
cut.write_bytes(VALID["jpeg"][:500])
verdicts = {
    "raises": Trials(lambda source, folder: {}["key"]).run(source, "x"),
    "crashes": Trials(lambda source, folder: ctypes.string_at(0)).run(source, "x"),
    "exits": Trials(lambda source, folder: os._exit(0)).run(source, "x"),
    "spins": Trials(spin, Bounds(cpu_s=1)).run(source, "x"),
    "waits": Trials(lambda source, folder: time.sleep(60), Bounds(idle_s=2)).run(source, "x"),
    "hoards": Trials(lambda source, folder: bytes(4 * 2**30)).run(source, "x"),
    "leaves a result": Trials(leave("1.jpg")).run(source, "x"),
    "leaves a temporary file": Trials(leave("../tmp/a")).run(source, "x"),
    "leaves a file in the working folder": Trials(leave("../a")).run(source, "x"),
    "writes no result": Trials(lambda source, folder: decode(VALID["png"], "a")).run(source, "x"),
    "accepts what must be rejected": Trials().run(source, "x", ("rejected",)),
    "rejects what must be accepted": Trials().run(cut, "x", ("accepted",)),
    "rejects for another reason": Trials().run(cut, "x", ("E203",)),
    "returns other pixels": Trials(darken).run(source, "x", intact=VALID["jpeg"]),
    "is correct": Trials().run(source, "x", ("accepted",), VALID["jpeg"]),
    "is rejected": Trials().run(cut, "x", ("E206",)),
}
print(json.dumps({name: [each.verdict, each.reason] for name, each in verdicts.items()}))
"""
EXPECTED_REASONS = {
    "raises": "KeyError",
    "crashes": "killed by SIGSEGV",
    "exits": "exited without an outcome",
    "spins": "still busy after 1 s",
    "waits": "still waiting after 2 s",
    "hoards": "MemoryError",
    "leaves a result": "left behind: out/1.jpg",
    "leaves a temporary file": "left behind: tmp/a",
    "leaves a file in the working folder": "left behind: a",
    "writes no result": "accepted with 0 results",
    "accepts what must be rejected": "accepted, expected rejected",
    "rejects what must be accepted": "expected accepted, but [E206]",
    "rejects for another reason": "expected E203, but [E206]",
    "returns other pixels": "without a warning",
}


def test_every_failure_is_detected(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTROLS, str(PROJECT), str(tmp_path / "a.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    verdicts = json.loads(done.stdout)
    assert verdicts.pop("is correct") == ["accepted", ""]
    assert verdicts.pop("is rejected") == ["rejected", "E206"]
    failed = {name for name, (verdict, _) in verdicts.items() if verdict == "failed"}
    assert failed == set(EXPECTED_REASONS)
    for name, reason in EXPECTED_REASONS.items():
        assert reason in verdicts[name][1]


@pytest.mark.timeout(900)  # on a busy machine
def test_sample_of_the_corpus_has_no_failures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.hostile"]
    command += ["--generated", "200", "--seed", "7", "--json", str(figures)]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    verdicts = json.loads(figures.read_text())
    assert len(verdicts) == 200
    assert {verdict["verdict"] for verdict in verdicts} == {"accepted", "rejected"}
    assert "failed" in run.stdout.splitlines()[0]


def test_exit_code_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no photo, and no harm")
    command = [sys.executable, "-m", "tests.hostile", str(tmp_path)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode == 0
    without_memory = subprocess.run(
        [*command, "--gigabytes", "0.01"],
        cwd=PROJECT,
        # Otherwise the buffer of the file may fit into address space that threads have reserved.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert without_memory.returncode == 1
    assert "FAILED a.txt" in without_memory.stdout
    (tmp_path / "a.txt").unlink()
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("count", [50, 3500])
def test_corpus_has_the_requested_number_of_files(count: int) -> None:
    specimens = corpus(count, 1)
    assert len({specimen.name for specimen in specimens}) == len(specimens) == count
    assert len({specimen.kind for specimen in specimens}) >= 17
    if count < 1000:
        assert not any(specimen.is_expensive for specimen in specimens)
        again = corpus(count, 1)
        assert [specimen.build() for specimen in again[:50]] == [
            specimen.build() for specimen in specimens[:50]
        ]
        assert [specimen.name for specimen in corpus(count, 2)] != [
            specimen.name for specimen in specimens
        ]
