"""The generated corpus: a sample of it comes to no harm, and the machinery that says so notices every harm there is."""

import json
import subprocess
import sys

import pytest
from conftest import PROJECT
from corpus import corpus

# Each control does to its process what a decoder must not do, and is to be found out; the last one does what it should.
CONTROLS = """
import ctypes, json, os, sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests", sys.argv[1] + "/tests/hostile"]
from originals import VALID
from trials import Bounds, Trials, reencoded
from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, decode

def leaves(name):
    def control(source, folder):
        (folder / name).write_bytes(b"")
        raise RestoreError(Code.PHOTO_DAMAGED, "no", "No.")
    return control

def spins(source, folder):
    while True:
        pass

def dark(source, folder):
    photo = reencoded(source, folder)
    return photo.with_pixels(photo.pixels // 2)

source = Path(sys.argv[2])
source.write_bytes(VALID["jpeg"])
cut = source.with_name("cut.jpg")
cut.write_bytes(VALID["jpeg"][:500])
said = {
    "raises": Trials(lambda source, folder: {}["key"]).of(source, "x"),
    "crashes": Trials(lambda source, folder: ctypes.string_at(0)).of(source, "x"),
    "exits": Trials(lambda source, folder: os._exit(0)).of(source, "x"),
    "spins": Trials(spins, Bounds(seconds=1)).of(source, "x"),
    "waits": Trials(lambda source, folder: time.sleep(60), Bounds(waiting_s=2)).of(source, "x"),
    "hoards": Trials(lambda source, folder: bytes(4 * 2**30)).of(source, "x"),
    "leaves a result": Trials(leaves("1.jpg")).of(source, "x"),
    "leaves a temporary file": Trials(leaves("../tmp/a")).of(source, "x"),
    "leaves a file in the working folder": Trials(leaves("../a")).of(source, "x"),
    "answers with nothing": Trials(lambda source, folder: decode(VALID["png"], "a")).of(source, "x"),
    "answers what must be refused": Trials().of(source, "x", ("refused",)),
    "refuses what must be answered": Trials().of(cut, "x", ("answered",)),
    "refuses for another reason": Trials().of(cut, "x", ("E203",)),
    "answers other pixels": Trials(dark).of(source, "x", whole=VALID["jpeg"]),
    "is sound": Trials().of(source, "x", ("answered",), VALID["jpeg"]),
    "is refused": Trials().of(cut, "x", ("E206",)),
}
print(json.dumps({name: [verdict.verdict, verdict.said] for name, verdict in said.items()}))
"""
FOUND_OUT = {
    "raises": "KeyError",
    "crashes": "killed by SIGSEGV",
    "exits": "ended without a word",
    "spins": "still busy after 1 s",
    "waits": "still waiting after 2 s",
    "hoards": "MemoryError",
    "leaves a result": "left behind: out/1.jpg",
    "leaves a temporary file": "left behind: tmp/a",
    "leaves a file in the working folder": "left behind: a",
    "answers with nothing": "answered with 0 files",
    "answers what must be refused": "answered, not refused",
    "refuses what must be answered": "not answered but [E206]",
    "refuses for another reason": "not E203 but [E206]",
    "answers other pixels": "in silence",
}


def test_every_harm_is_noticed(tmp_path):
    command = [sys.executable, "-c", CONTROLS, str(PROJECT), str(tmp_path / "a.jpg")]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said.pop("is sound") == ["answered", ""]
    assert said.pop("is refused") == ["refused", "E206"]
    assert {name for name, (verdict, _) in said.items() if verdict == "failed"} == set(FOUND_OUT)
    for name, text in FOUND_OUT.items():
        assert text in said[name][1]


@pytest.mark.timeout(900)  # on a busy machine
def test_a_sample_of_the_corpus_comes_to_no_harm(tmp_path):
    figures = tmp_path / "figures.json"
    command = [
        sys.executable,
        "-m",
        "tests.hostile",
        "--generated",
        "400",
        "--seed",
        "7",
        "--json",
        str(figures),
    ]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    verdicts = json.loads(figures.read_text())
    assert len(verdicts) == 400
    assert {verdict["verdict"] for verdict in verdicts} == {"answered", "refused"}
    assert "failed" in run.stdout.splitlines()[0]


def test_a_folder_with_a_file_that_fails_is_said_to_fail(tmp_path):
    (tmp_path / "a.txt").write_text("no photo, and no harm")
    command = [sys.executable, "-m", "tests.hostile", str(tmp_path)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode == 0
    starved = subprocess.run(
        [*command, "--gigabytes", "0.01"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert starved.returncode == 1
    assert "FAILED a.txt" in starved.stdout
    (tmp_path / "a.txt").unlink()
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("count", [50, 400, 3500])
def test_the_corpus_has_as_many_different_files_as_asked_for(count):
    specimens = corpus(count, 1)
    assert len({specimen.name for specimen in specimens}) == len(specimens) == count
    assert len({specimen.kind for specimen in specimens}) >= 17
    if count < 1000:
        assert not any(specimen.costly for specimen in specimens)
        again = corpus(count, 1)
        assert [specimen.build() for specimen in again[:50]] == [
            specimen.build() for specimen in specimens[:50]
        ]
        assert [specimen.name for specimen in corpus(count, 2)] != [
            specimen.name for specimen in specimens
        ]
