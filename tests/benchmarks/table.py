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

from benchmarks.targets import verdicts


def render(result: Mapping[str, Any]) -> str:
    """All tables of one result file, a heading above each."""
    facts = result["facts"]
    where = f"{facts['machine']}, {facts['threads']} threads" if facts["device"] == "cpu" else facts["machine"]
    lines = [f"### {where}; {facts['allocator']} allocator; torch {facts['torch']}; {facts['date']}", ""]
    lines += [f"- {row['ceiling']}: {_rate(row)}" for row in result["rows"] if "ceiling" in row]
    lines += [f"- step {step['name']}: {_outcome(step)}" for step in result.get("steps", [])]
    rows = [row for row in result["rows"] if "op" in row]
    for op in dict.fromkeys(row["op"] for row in rows):
        lines += [
            "",
            f"#### {op}",
            "",
            *_table(facts, [r for r in rows if r["op"] == op]),
        ]
    return "\n".join(lines) + "\n"


def missed(result: Mapping[str, Any]) -> int:
    """How many rows miss a target."""
    return sum(
        any(value < target.least for target, value in _judged(result["facts"], row))
        for row in result["rows"]
        if "op" in row
    )


def _judged(facts: Mapping[str, Any], row: Mapping[str, Any]) -> list[tuple[Any, float]]:
    """On a CPU the targets are for the warm allocator: with the default one page faults are what is measured."""
    return [] if facts["allocator"] == "default" or facts.get("tiny") else verdicts(facts["device"], row)


def _table(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [n for n in dict.fromkeys(n for row in rows for n in row["median_ms"]) if n not in ("ours", "floor")]
    head = ["row", "ours ms", *names, "floor", "of copy", "target"]
    cells = [[*_cells(row, names), _verdict(facts, row)] for row in rows]
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]

    def line(values: Iterable[str]) -> str:
        return f"| {' | '.join(v.ljust(w) for v, w in zip(values, widths, strict=True))} |"

    return [line(head), line("-" * w for w in widths), *map(line, cells)]


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    times, ours = row["median_ms"], row["median_ms"]["ours"]
    passes = {"forward": "fwd", "forward+backward": "fwd+bwd"}[row["passes"]]
    cells = [f"{row['case']} {row['dtype']} {row['layout']} {passes}", _ms(ours)]
    for name in names:
        if name in times:
            cells.append(f"{_ms(times[name])} ({times[name] / ours:.1f}×)")
        else:
            cells.append("failed" if name in row["failed"] else "")
    return [*cells, _ms(times["floor"]), f"{times['floor'] / ours:.0%}"]


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def _verdict(facts: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    parts = []
    for target, value in _judged(facts, row):
        shown = f"{value:.0%}" if target.against == ("floor",) else f"{value:.2f}×"
        parts.append(f"{target.says()}: {shown}" + ("" if value >= target.least else " **MISSED**"))
    return "; ".join(parts)


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
