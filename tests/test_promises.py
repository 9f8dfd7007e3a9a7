"""The promises: complete, with existing tests, and equal to the table in SECURITY.md."""

import ast
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from places import PROJECT
from promises import (
    BEGIN,
    END,
    PAGE,
    PROMISES,
    Outcome,
    matches,
    read_outcomes,
    render_table,
    replace_table,
)


def node_names(path: Path) -> set[str]:
    """Return the names of functions, classes and methods of a module, as in node ids."""
    tree = ast.parse(path.read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {
        f"{owner.name}::{node.name}"
        for owner in classes
        for node in owner.body
        if isinstance(node, ast.FunctionDef)
    }
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return functions | methods | {owner.name for owner in classes}


def test_there_are_fourteen_promises() -> None:
    assert list(PROMISES) == list(range(1, 15))


@pytest.mark.parametrize(
    ("number", "test"),
    [(number, test) for number, promise in PROMISES.items() for test in promise.tests],
)
def test_listed_test_exists(number: int, test: str) -> None:
    path, _, node = test.partition("::")
    assert (PROJECT / "tests" / path).exists()
    if node:
        assert node in node_names(PROJECT / "tests" / path)


def test_page_lists_every_promise_with_its_tests() -> None:
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and line[2].isdigit()]
    expected = render_table({number: Outcome() for number in PROMISES}).splitlines()[2:]
    # The last column has the results of the last run.
    assert [row.rpartition(" | ")[0] for row in rows] == [
        row.rpartition(" | ")[0] for row in expected
    ]
    assert "FAILED" not in table
    assert "NOT RUN" not in table


@pytest.mark.parametrize(
    ("name", "test", "expected"),
    [
        ("tests.test_a.test_b", "test_a.py::test_b", True),
        ("tests.test_a.test_b[1]", "test_a.py::test_b", True),
        ("tests.test_a.test_b_more", "test_a.py::test_b", False),
        ("tests.test_a.TestC.test_b", "test_a.py::TestC", True),
        ("tests.test_a.test_b", "test_a.py", True),
        ("tests.hostile.test_a.test_b", "hostile", True),
        ("tests.hostile.test_a.test_b", "test_a.py", False),
    ],
)
def test_cases_match_folders_files_classes_and_functions(
    name: str, test: str, expected: bool
) -> None:
    assert matches(name, test) is expected


def test_outcomes_count_failures_skips_and_figures() -> None:
    module = "tests.runtime.test_output_checks"
    report = ET.fromstring(
        f"""<testsuites><testsuite>
        <testcase classname="{module}" name="test_x"><properties>
            <property name="figure" value="7 of 7"/></properties></testcase>
        <testcase classname="{module}" name="test_y"><failure/></testcase>
        <testcase classname="{module}" name="test_z"><skipped/></testcase>
        <testcase classname="tests.imaging.test_photo" name="test_x"/>
        </testsuite></testsuites>"""
    )
    outcomes = read_outcomes(report)
    assert str(outcomes[12]) == "1 passed, 1 FAILED, 1 skipped; 7 of 7"
    assert str(outcomes[4]) == "1 passed"
    assert str(outcomes[5]) == "NOT RUN"


def test_only_the_table_is_replaced() -> None:
    page = f"a\n{BEGIN}\nold\n{END}\nb"
    assert replace_table(page, "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
