"""The list of promises: complete, of tests that exist, and the same as the page says."""

import ast
from xml.etree import ElementTree as ET

import pytest
from conftest import PROJECT
from promises import BEGIN, END, PAGE, PROMISES, Outcome, belongs, outcomes, table, written


def names_in(path) -> set[str]:
    tree = ast.parse(path.read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    inner = {
        f"{one.name}::{node.name}"
        for one in classes
        for node in one.body
        if isinstance(node, ast.FunctionDef)
    }
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    } | inner


def test_there_are_fourteen():
    assert list(PROMISES) == list(range(1, 15))


@pytest.mark.parametrize(
    ("number", "test"),
    [(number, test) for number, promise in PROMISES.items() for test in promise.tests],
)
def test_every_test_that_is_named_exists(number, test):
    path, _, inner = test.partition("::")
    assert (PROJECT / "tests" / path).exists()
    if inner:
        assert inner in names_in(PROJECT / "tests" / path)


def test_the_page_has_every_promise_and_its_tests():
    page = PAGE.read_text()
    content = page.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in content.splitlines() if line.startswith("| ") and line[2].isdigit()]
    expected = table({number: Outcome() for number in PROMISES}).splitlines()[2:]
    assert [row.rpartition(" | ")[0] for row in rows] == [
        row.rpartition(" | ")[0] for row in expected
    ]
    assert "FAILED" not in content
    assert "NOT RUN" not in content


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
def test_cases_belong_to_files_classes_and_tests(name, test, expected):
    assert belongs(name, test) is expected


def test_failures_skips_and_figures_are_counted_where_they_belong():
    report = ET.fromstring(
        """<testsuites><testsuite>
        <testcase classname="tests.runtime.test_output_checks" name="test_x"><properties><property name="figure" value="7 of 7"/></properties></testcase>
        <testcase classname="tests.runtime.test_output_checks" name="test_y"><failure/></testcase>
        <testcase classname="tests.runtime.test_output_checks" name="test_z"><skipped/></testcase>
        <testcase classname="tests.imaging.test_photo" name="test_x"/>
        </testsuite></testsuites>"""
    )
    found = outcomes(report)
    assert str(found[12]) == "1 passed, 1 FAILED, 1 skipped; 7 of 7"
    assert str(found[4]) == "1 passed"
    assert str(found[5]) == "NOT RUN"


def test_only_what_is_between_the_marks_is_written():
    assert written(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
