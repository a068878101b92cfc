"""The page that `smoothswap demo` writes: plain HTML and CSS, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from smoothswap.cli.demo_style import STYLE
from smoothswap.cli.demo_verdicts import ALIKE, ALL, kind_heads, kind_rows, verdicts
from smoothswap.evaluation import Criterion, SwapReport, number
from smoothswap.modules.cosines import TIE

COLUMNS = ("source", "target", "swap", "truth")
_HEADINGS = (
    ("Source", "the person to put in"),
    ("Target", "expression, pose, light and background to keep"),
    ("Our swap", "point at it to see the target again"),
    ("True swap", "drawn, not predicted"),
)


@dataclass(frozen=True)
class Shown:
    """One pair as the page shows it: where its pictures lie and what was measured on it.

    Attributes:
        number: its place among the pairs as drawn, from 1.
        kinds: what kind of pair it is, in words.
        files: paths of source, target, swap and true swap, relative to the page.
        to_source: cosine of the swap to the source by the judge.
        to_target: cosine of the swap to the target by the judge.
        gain_face: gain over copying the target in the face, dB.
    """

    number: int
    kinds: tuple[str, ...]
    files: tuple[str, str, str, str]
    to_source: float
    to_target: float
    gain_face: float


@dataclass(frozen=True)
class Photograph:
    """A swap onto a photograph: paths relative to the page, and the seconds it took from file to file."""

    source: str
    target: str
    swap: str
    seconds: float


@dataclass(frozen=True)
class Page:
    """Everything that the page tells.

    Attributes:
        report: the report on all pairs.
        parts: the reports on the kinds of pairs, by what they are in words.
        first: the first pairs, as drawn.
        worst: the pairs with the smallest gain in the face.
        photograph: the swap onto a photograph, None where there was none.
        facts: how it was made, label and value.
    """

    report: SwapReport
    parts: dict[str, SwapReport]
    first: Sequence[Shown]
    worst: Sequence[Shown]
    photograph: Photograph | None
    facts: Sequence[tuple[str, str]]


def render_page(page: Page) -> str:
    """The page as HTML."""
    parts = (
        _header(page),
        _verdicts(page),
        *(f'<p class="warning"><strong>Mind:</strong> {escape(text)}.</p>' for text in page.report.warnings),
        _gallery(page),
        _figures(page),
        _photograph(page.photograph),
        _facts(page.facts),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>smoothswap demo</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(page: Page) -> str:
    criteria = [criterion for some in verdicts(page.report, page.parts).values() for criterion in some]
    held = sum(criterion.passed for criterion in criteria)
    good = held == len(criteria)
    verdict = f"all {held} criteria hold" if good else f"{held} of {len(criteria)} criteria hold"
    return f"""<header>
<p class="brand">smoothswap</p>
<h1>Swapping people it has never seen</h1>
<p class="lead">{len(page.report)} pairs of rendered faces, none of whose people the model met in training. For rendered
faces the right answer is known: the <em>true swap</em>, the source’s head drawn with the target’s expression, pose,
light and background. So a swap is not only judged by likeness, it is compared with the answer.</p>
<p class="badge {"good" if good else "bad"}">{verdict}</p>
</header>"""


def _verdicts(page: Page) -> str:
    found = verdicts(page.report, page.parts)
    cards = {kind: "".join(_card(criterion) for criterion in criteria) for kind, criteria in found.items()}
    return (
        f'<section class="cards">{cards[ALL]}</section>'
        f'<section><h3>Further pairs: {ALIKE}</h3><p class="note">{len(page.parts[ALIKE])} pairs. Only the shape of '
        f'the head tells such people apart.</p><div class="cards">{cards[ALIKE]}</div></section>'
    )


def _card(criterion: Criterion) -> str:
    css, verdict = ("good", "holds") if criterion.passed else ("bad", "fails")
    return (
        f'<div class="card {css}"><p class="says">{escape(criterion.says)}</p>'
        f'<p class="value">{number(criterion.value, criterion.unit)}</p>'
        f'<p class="limit">± {criterion.spread} (standard error)<br>asked: {escape(criterion.asked)} '
        f"<strong>{verdict}</strong></p></div>"
    )


def _gallery(page: Page) -> str:
    worst = ""
    if page.worst:
        worst = (
            f"<h2>The {len(page.worst)} that went worst</h2>"
            '<p class="note">Smallest gain over copying the target in the face, of all pairs.</p>' + _rows(page.worst)
        )
    return (
        "<section><h2>The first pairs, as drawn</h2>"
        '<p class="note">None left out, none chosen. Under each swap: its cosine to the source and to the target by '
        "the judge, and how much nearer to the true swap its face is than the target’s was. Press a picture and hold "
        "it to see it larger.</p>"
        f"{_rows(page.first)}{worst}</section>"
    )


def _rows(shown: Sequence[Shown]) -> str:
    heads = "".join(f'<div class="head"><strong>{name}</strong><span>{says}</span></div>' for name, says in _HEADINGS)
    return f'<div class="grid">{heads}{"".join(_row(pair) for pair in shown)}</div>'


def _row(pair: Shown) -> str:
    source, target, swap, truth = (escape(name, quote=True) for name in pair.files)
    nearer = pair.to_source > pair.to_target + TIE
    kinds = f"pair {pair.number}: {', '.join(pair.kinds)}"
    return (
        f"{_figure(source, f'source of pair {pair.number}', kinds)}"
        f"{_figure(target, f'target of pair {pair.number}')}"
        f'<figure class="flip"><img src="{swap}" alt="our swap of pair {pair.number}">'
        f'<img class="under" src="{target}" alt="">'
        f'<figcaption class="{"good" if nearer else "bad"}">source {pair.to_source:.2f} · target {pair.to_target:.2f}'
        f"<br>face {pair.gain_face:+.1f} dB</figcaption></figure>"
        f"{_figure(truth, f'true swap of pair {pair.number}')}"
    )


def _figure(file: str, says: str, caption: str = "") -> str:
    return f'<figure><img src="{file}" alt="{escape(says)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _figures(page: Page) -> str:
    heads = ("", "our swap", "copy the target", "copy the source", "true swap")
    table = _table(heads, [(row.figure, *row.cells) for row in page.report.rows()], mark=1)
    kinds = _table(kind_heads(page.parts), kind_rows(page.report, page.parts), mark=1)
    return f"""<section><h2>The figures</h2>
<p class="note">The same measurements for four answers. The other three show what each figure is worth: copying the
target keeps the background perfectly and swaps nobody; copying the source is the right person in the wrong picture.
<em>Exact</em>: no difference that a picture file could show. The share of the true change is 0 for a copied target and
100 % for the true swap. Outline pixels are head in only one of target and true swap: what changes there is the shape of
the head and its hair. Sharpness is the fine detail in the head, as a share of the true swap’s: less is blurred, more is
noisy.</p>
{table}
<h3>By kind of pair</h3>
<p class="note">Held-out people share their colouring (skin, hair, eyes) with people of the training set, held-out
groups do not. The last column is of further pairs, whose source and target share colouring and hair: only the shape of
the head can tell them apart, and <em>true swap nearer</em> says how far a judge itself can.</p>
{kinds}</section>"""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], mark: int | None = None) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        marked = (f"<{tag}{' class=mark' if place == mark else ''}>" for place in range(len(row)))
        return (
            "<tr>"
            + "".join(f"{open_}{escape(cell)}</{tag}>" for open_, cell in zip(marked, row, strict=True))
            + "</tr>"
        )

    body = "".join(cells("td", row) for row in rows)
    return f'<div class="scroll"><table><thead>{cells("th", heads)}</thead><tbody>{body}</tbody></table></div>'


def _photograph(photograph: Photograph | None) -> str:
    if photograph is None:
        return ""
    pictures = (
        (photograph.source, "Source", "a rendered face", "photo small"),
        (photograph.target, "Target", "a photograph", "photo"),
        (photograph.swap, "Result", f"written in {photograph.seconds:.1f} s", "photo"),
    )
    shown = "".join(
        f'<figure class="{css}"><img src="{escape(file, quote=True)}" alt="{name}">'
        f"<figcaption><strong>{name}</strong>, {says}</figcaption></figure>"
        for file, name, says, css in pictures
    )
    return f"""<section><h2>From file to file, on a photograph</h2>
<p class="plain"><strong>What this shows, and what not.</strong> It shows the pipeline: find the face, crop it, swap it,
paste it back with a soft edge, mark the file as made with a model. It does not show the quality of a model for
photographs: this one, trained on FaceWorld, has only ever seen small rendered faces, so what it puts into a photograph
looks rendered and coarse. A model trained on photographs goes through the very same steps.</p>
<div class="photos">{shown}</div></section>"""


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return (
        f"<section><h2>How this was made</h2><dl>{rows}</dl>"
        '<p class="note">Every figure, each pair’s own and the whole protocol: <a href="report.json">report.json</a>. '
        "All pictures of faces but the photograph’s are of people who do not exist.</p></section>"
    )
