"""Write the table of inputs in docs/inputs.md from restore.options.

python tools/inputs_table.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.options import TASKS
from restore.serving.inputs import CogInput, cog_inputs

PAGE = Path(__file__).resolve().parents[1] / "docs" / "inputs.md"
BEGIN, END = "<!-- inputs: python tools/inputs_table.py -->", "<!-- end of inputs -->"
TYPES = {
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "photo": "photo",
    "photos": "list of photos",
}


def table() -> str:
    """Return the inputs as a Markdown table."""
    lines = ["| input | tasks | values | default | meaning |", "|---|---|---|---|---|"]
    for each in cog_inputs():
        tasks, meaning = split_description(each.description)
        cells = (f"`{each.name}`", tasks, values_of(each), default_of(each), meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def split_description(description: str) -> tuple[str, str]:
    """Split a description of the Cog schema into the tasks that use the input, and its meaning."""
    tasks, _, meaning = description.partition(": ")
    names = tasks.split(", ")
    if not set(names) <= set(TASKS):
        return "all", description
    return ", ".join(f"`{name}`" for name in names), meaning


def values_of(each: CogInput) -> str:
    """Return the allowed values of an input."""
    if each.choices:
        return ", ".join(f"`{choice}`" for choice in each.choices)
    kind = TYPES[each.kind]
    if each.minimum is None:
        return kind
    return f"{kind}, {each.minimum} {'and up' if each.maximum is None else f'to {each.maximum}'}"


def default_of(each: CogInput) -> str:
    """Return the default value of an input."""
    if each.default is None:
        return "not set"
    return f"`{str(each.default).lower() if each.kind == 'bool' else each.default}`"


def with_table(page: str) -> str:
    """Return the page with the present table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
