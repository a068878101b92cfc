"""Renders benchmark JSON as Markdown that also reads well in a terminal: python tests/benchmarks/table.py FILE…

One table per op; a line is one row, a column one contestant: median ms and, in brackets, how many times ours that is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.targets import Verdict, verdicts


def render(result: Mapping[str, Any]) -> str:
    """All tables of one result file, a heading above each."""
    facts = result["facts"]
    where = f"{facts['machine']}, {facts['threads']} threads" if facts["device"] == "cpu" else facts["machine"]
    lines = [f"### {where}; {facts['allocator']} allocator; torch {facts['torch']}; {facts['date']}", ""]
    lines += [f"- {row['ceiling']}: {_rate(row)}" for row in result["rows"] if "ceiling" in row]
    lines += [f"- step {step['name']}: {_outcome(step)}" for step in result.get("steps", [])]
    rows = [row for row in result["rows"] if "op" in row]
    for op in dict.fromkeys(row["op"] for row in rows):
        of_op = [row for row in rows if row["op"] == op]
        lines += ["", f"#### {op}", "", *_table(facts, of_op)]
        if with_memory := [row for row in of_op if "peak_bytes" in row]:
            lines += ["", *_memory_table(with_memory)]
    return "\n".join(lines) + "\n"


def missed(result: Mapping[str, Any]) -> int:
    """How many rows miss a target."""
    rows = [row for row in result["rows"] if "op" in row]
    return sum(any(not verdict.met for verdict in _judged(result["facts"], row)) for row in rows)


def _judged(facts: Mapping[str, Any], row: Mapping[str, Any]) -> list[Verdict]:
    """Sizes that only try the code are not judged."""
    return [] if facts.get("tiny") else verdicts(facts, row)


def _table(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [n for n in _contestants(rows, "median_ms") if n not in ("ours", "floor")]
    head = ["row", "ours ms", *names, "floor", f"of {rows[0].get('floor_is', 'copy')}", "target"]
    return _lines(head, [[*_cells(row, names), _verdict(facts, row)] for row in rows])


def _memory_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Peak memory and errors of the rows that have them."""
    names = _contestants(rows, "peak_bytes")
    head = ["row, MiB at the peak above the inputs; error", *names]
    return _lines(head, [[_name(row), *(_peak(row, name) for name in names)] for row in rows])


def _contestants(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[key]))


def _lines(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]

    def line(values: Iterable[str]) -> str:
        return f"| {' | '.join(v.ljust(w) for v, w in zip(values, widths, strict=True))} |"

    return [line(head), line("-" * w for w in widths), *map(line, cells)]


def _name(row: Mapping[str, Any]) -> str:
    passes = {"forward": "fwd", "forward+backward": "fwd+bwd"}[row["passes"]]
    return " ".join(part for part in (row["case"], row["dtype"], row["layout"], passes) if part)


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    times, ours = row["median_ms"], row["median_ms"]["ours"]
    cells = [_name(row), _ms(ours)]
    for name in names:
        if name in times:
            cells.append(f"{_ms(times[name])} ({times[name] / ours:.1f}×)")
        else:
            cells.append("failed" if name in row["failed"] else "")
    return [*cells, _ms(times["floor"]), f"{times['floor'] / ours:.0%}"]


def _peak(row: Mapping[str, Any], name: str) -> str:
    if name not in row["peak_bytes"]:
        return ""
    return f"{row['peak_bytes'][name] / 2**20:.0f}; {max(row['error_to_fp64'][name]):.0e}"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def _verdict(facts: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    found = _judged(facts, row)
    return "; ".join(f"{verdict.says}: {verdict.shown}" + ("" if verdict.met else " **MISSED**") for verdict in found)


def _rate(row: Mapping[str, Any]) -> str:
    unit = next(key for key in row if "/s" in key)
    return f"{row[unit]:.1f} {unit}"


def _outcome(step: Mapping[str, Any]) -> str:
    if step.get("skipped"):
        return f"skipped, {step['skipped']}"
    return f"{'passed' if step['exit_code'] == 0 else 'FAILED'} in {step['seconds']:.0f} s" + (
        "" if step["exit_code"] == 0 else f", exit code {step['exit_code']}"
    )


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(render(json.loads(Path(path).read_text(encoding="utf-8"))))
