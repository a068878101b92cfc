"""What `smoothswap demo` prints: the figures of the four answers, the criteria, and what they are worth."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from smoothswap.cli.console import table
from smoothswap.cli.demo_verdicts import kind_heads, kind_rows, verdicts
from smoothswap.evaluation import SwapReport


def print_figures(terminal: Console, report: SwapReport, parts: dict[str, SwapReport]) -> None:
    """Print the report on all pairs.

    Args:
        terminal: where to.
        report: the report on all pairs.
        parts: the reports on the kinds of pairs, by what they are in words.
    """
    figures = table("", "our swap", "copy the target", "copy the source", "true swap")
    for row in report.rows():
        figures.add_row(row.figure, *row.cells)
    terminal.print(f"{len(report)} pairs of people that no training saw. {_judges(report)}", soft_wrap=True)
    terminal.print(figures)
    failed = []
    for kind, criteria in verdicts(report, parts).items():
        asked = table(f"asked of {kind}", "limit", "measured", "")
        for criterion in criteria:
            verdict = Text("holds", "green") if criterion.passed else Text("fails", "bold red")
            asked.add_row(criterion.says, criterion.asked, criterion.measured, verdict)
            failed += [] if criterion.passed else [f"{criterion.says} ({kind})"]
        terminal.print(asked)
    kinds = table(*kind_heads(parts))
    for cells in kind_rows(report, parts):
        kinds.add_row(*cells)
    terminal.print(kinds)
    for warning in report.warnings:
        terminal.print(Text(f"Mind: {warning}.", "yellow"), soft_wrap=True)
    each = 1000 * report.seconds / len(report)
    terminal.print(f"The swaps took {report.seconds:.1f} s, {each:.0f} ms a face.")
    if failed:
        terminal.print(Text(f"Not reached: {'; '.join(failed)}.", "bold red"), soft_wrap=True)


def _judges(report: SwapReport) -> str:
    told = report.protocol
    judge = f"Judge of similarity: {told.judge}, weights_fingerprint {told.judge_weights_fingerprint[:12]}"
    if told.judge_is_independent:
        judge += ", which did not train the generator"
    digests = told.further_judges_weights_fingerprint
    further = (f" Further judge: {name}, weights_fingerprint {digest[:12]}." for name, digest in digests.items())
    return f"{judge}.{''.join(further)}"
