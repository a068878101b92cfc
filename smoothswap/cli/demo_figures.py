"""What `smoothswap demo` prints: the figures of the four answers, the criteria, and what they are worth."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from smoothswap.cli.console import table
from smoothswap.evaluation import SwapReport, number


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
    judge = f"{report.protocol.judge}, weights {report.protocol.judge_sha256[:12]}"
    if report.protocol.judge_is_independent:
        judge += ", which did not train the generator"
    terminal.print(f"{len(report)} pairs of people that no training saw. Judge of similarity: {judge}.", soft_wrap=True)
    terminal.print(figures)
    verdicts = table("asked of the swap", "limit", "measured", "")
    for criterion in report.criteria():
        verdict = Text("holds", "green") if criterion.passed else Text("fails", "bold red")
        verdicts.add_row(criterion.says, criterion.asked, criterion.measured, verdict)
    terminal.print(verdicts)
    kinds = table(*kind_heads())
    for cells in kind_rows(report, parts):
        kinds.add_row(*cells)
    terminal.print(kinds)
    for warning in report.warnings:
        terminal.print(Text(f"Mind: {warning}.", "yellow"), soft_wrap=True)
    each = 1000 * report.seconds / len(report)
    terminal.print(f"The swaps took {report.seconds:.1f} s, {each:.0f} ms a face.")
    failed = [criterion.says for criterion in report.criteria() if not criterion.passed]
    if failed:
        terminal.print(Text(f"Not reached: {'; '.join(failed)}.", "bold red"), soft_wrap=True)


def kind_heads() -> tuple[str, ...]:
    """The heads of `kind_rows`."""
    return (
        "kind of pair",
        "pairs",
        "nearer to source",
        "true swap nearer",
        "gain, face",
        "gain, whole",
        "background",
        "outline made",
    )


def kind_rows(report: SwapReport, parts: dict[str, SwapReport]) -> list[tuple[str, ...]]:
    """What the swap reached on each kind of pair, and on all, to be read."""
    return [
        (
            kind,
            str(len(part)),
            number(part.criteria()[0].value, "%"),
            number(float(part.true_swap.nearer.mean()), "%"),
            *(number(criterion.value, criterion.unit) for criterion in part.criteria()[1:]),
            number(part.swap.share_outline, "%"),
        )
        for kind, part in [("the pairs above", report), *parts.items()]
    ]
