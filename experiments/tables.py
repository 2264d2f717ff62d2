"""Keep the result of an experiment: a table as CSV, and beside it what it was made with."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from literategpt.files import replace_file
from literategpt.records import describe_machine, write_record

LOGS = Path(__file__).parent / "logs"

Row = dict[str, Any]


def read_value(text: str) -> Any:
    """Turn a cell into a whole number, a number, or the text it is; an empty cell is `None`."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def read_table(name: str, directory: Path = LOGS) -> list[Row]:
    """Read the rows of a recorded experiment.

    Args:
        name: Of the table.
        directory: Where it lies.
    """
    with (directory / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [
            {key: read_value(cell) for key, cell in row.items()} for row in csv.DictReader(file)
        ]


def read_about(name: str, directory: Path = LOGS) -> dict[str, Any]:
    """Read what a recorded experiment was made with: command, settings, machine."""
    return dict(json.loads((directory / f"{name}.json").read_text(encoding="utf-8")))


def write_table(
    name: str,
    rows: list[Row],
    *,
    command: str,
    settings: dict[str, Any],
    directory: Path = LOGS,
) -> None:
    """Write the rows of an experiment, and what it was made with.

    Args:
        name: Of the table; `NAME.csv` and `NAME.json` are written.
        rows: All with the same keys; a number is kept to six digits, `None` is an empty cell.
        command: What repeats it.
        settings: What all rows have in common: model, data, steps, learning rate.
        directory: Where to.

    Raises:
        ValueError: The rows do not have the same keys, or there are none.
    """
    columns = list(rows[0]) if rows else []
    if not rows or any(list(row) != columns for row in rows):
        raise ValueError(f"expected rows with the same keys, got {[list(row) for row in rows[:3]]}")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()}
        writer.writerow(values)
    with replace_file(directory / f"{name}.csv") as file:
        file.write(text.getvalue().encode("utf-8"))
    about = {"command": command, "settings": settings, "machine": describe_machine()}
    write_record(directory / f"{name}.json", about)
