"""What `smoothswap demo` asks of a model: criteria on all pairs, and others on pairs of one colouring."""

from __future__ import annotations

from smoothswap.evaluation import AlikeThresholds, Criterion, SwapReport, Thresholds, number

ALL = "the pairs above"
ALIKE = "source and target of one colouring"


def limits(kind: str) -> Thresholds | AlikeThresholds:
    """The limits of a kind of pairs."""
    return AlikeThresholds() if kind == ALIKE else Thresholds()


def verdicts(report: SwapReport, parts: dict[str, SwapReport]) -> dict[str, tuple[Criterion, ...]]:
    """The criteria that decide, by the kind of pairs that they are of."""
    return {kind: part.criteria(limits(kind)) for kind, part in ((ALL, report), (ALIKE, parts[ALIKE]))}


def reached(report: SwapReport, parts: dict[str, SwapReport]) -> bool:
    """Whether every criterion holds."""
    return all(criterion.passed for criteria in verdicts(report, parts).values() for criterion in criteria)


def kind_heads(parts: dict[str, SwapReport]) -> tuple[str, ...]:
    """The heads of `kind_rows`."""
    return ("", ALL, *parts)


def kind_rows(report: SwapReport, parts: dict[str, SwapReport]) -> list[tuple[str, ...]]:
    """What the swap reached on all pairs and on each kind of them, a row for each figure, to be read."""
    columns = [_column(part) for part in (report, *parts.values())]
    return [(figure, *(column[figure] for column in columns)) for figure in columns[0]]


def _column(part: SwapReport) -> dict[str, str]:
    criteria = {criterion.name: criterion for criterion in part.criteria()}
    truth = part.true_swap
    judges = {"": truth.likeness, **{f", by {name}": by for name, by in truth.further.items()}}
    names = ("nearest_rate", *(f"nearest_rate_{name}" for name in truth.further))
    column = {"pairs": str(len(part))}
    for name, (by, likeness) in zip(names, judges.items(), strict=True):
        column[f"nearer to the source{by}"] = _value(criteria.pop(name))
        column[f"true swap nearer{by}"] = number(float(likeness.nearer.mean()), "%")
    return column | {criterion.says: _value(criterion) for criterion in criteria.values()}


def _value(criterion: Criterion) -> str:
    return number(criterion.value, criterion.unit)
