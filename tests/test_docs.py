"""The documentation: links, commands, the table of inputs and the length of the README."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from places import PROJECT

from restore.cli.main import app
from restore.errors import Code
from tools.inputs_table import BEGIN, PAGE, with_table

PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")])
MAX_README_LINES = 180
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield page name and words of each command of this project in the shell examples."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text()):
            if language != "sh":
                continue
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] in {"restore", "python", "make"}:
                    yield page.name, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors_of(path), f"{page.name}: {link}"


def test_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize(
    ("page", "words"),
    list(command_lines()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_commands_exist(page: str, words: list[str]) -> None:
    program, first = words[0], next((word for word in words[1:] if word[0] != "-"), "")
    if program == "make":
        assert re.search(rf"^{first}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    elif program == "restore":
        is_photo = "." in first or "--weights" in words
        assert first in COMMANDS or is_photo, f"{page}: restore has no command '{first}'"
    elif words[1] == "-m":
        path = PROJECT / words[2].replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), words[2]
    else:
        assert (PROJECT / words[1]).is_file(), f"{page}: {words[1]} does not exist"


def test_options_in_the_documentation_exist() -> None:
    checked = 0
    for page, words in command_lines():
        if words[0] != "restore" or words[1] not in COMMANDS:
            continue
        command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
        is_group = hasattr(command, "commands")  # such as `restore weights`
        if is_group and len(words) > 2 and words[2][0] != "-":
            assert words[2] in command.commands, f"{page}: {' '.join(words)}"
            continue
        known = {name for parameter in command.params for name in parameter.opts}
        for word in words[2:]:
            if re.match(r"--?[a-z]", word):
                assert word in known, f"{page}: {' '.join(words)}"
                checked += 1
    assert checked > 5


def test_error_codes_are_documented_in_order() -> None:
    page = (PROJECT / "docs" / "photos-and-limits.md").read_text()
    assert re.findall(r"^\| (E\d+) \|", page, re.MULTILINE) == list(Code)


def test_table_of_inputs_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert BEGIN in page
    assert page == with_table(page), "run `python tools/inputs_table.py`"
