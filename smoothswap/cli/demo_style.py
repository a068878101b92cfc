"""The looks of the demo's page. Pictures of 64 pixels are shown three times as large, with hard pixel edges."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2230; --soft: #667085; --paper: #f6f5f2; --card: #ffffff; --line: #e3e1db;
  --good: #18794e; --good-paper: #e6f4ec; --bad: #b42318; --bad-paper: #fdecea; --accent: #3b5bdb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --soft: #98a2b3; --paper: #12151c; --card: #1a1f2a;
  --line: #2b3240; --good: #5bd19a; --good-paper: #14301f; --bad: #ff8a80; --bad-paper: #3a1916; --accent: #91a7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 48px 24px 96px; }
.brand { margin: 0; color: var(--accent); font-weight: 700; letter-spacing: .04em; }
h1 { margin: 4px 0 12px; font-size: clamp(28px, 5vw, 42px); line-height: 1.12; letter-spacing: -.02em; }
h2 { margin: 64px 0 8px; font-size: 24px; letter-spacing: -.01em; }
h3 { margin: 32px 0 4px; font-size: 17px; }
.lead { max-width: 68ch; margin: 0; font-size: 18px; }
.note { max-width: 78ch; margin: 0 0 20px; color: var(--soft); font-size: 15px; }
.badge { display: inline-block; margin: 22px 0 0; padding: 6px 16px; border-radius: 99px; font-weight: 650; }
.badge.good { color: var(--good); background: var(--good-paper); }
.badge.bad { color: var(--bad); background: var(--bad-paper); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; margin-top: 26px; }
.card { display: flex; flex-direction: column; padding: 16px 18px; background: var(--card);
  border: 1px solid var(--line); border-top: 4px solid; border-radius: 10px; }
.card.good { border-top-color: var(--good); } .card.bad { border-top-color: var(--bad); }
.card p { margin: 0; } .card .says { flex: 1; font-size: 15px; line-height: 1.35; }
.card .value { margin: 10px 0 2px; font-size: 30px; font-weight: 680; letter-spacing: -.02em; white-space: nowrap; }
.card .limit { color: var(--soft); font-size: 13.5px; }
.card strong { float: right; font-size: 15px; }
.card.good strong { color: var(--good); } .card.bad strong { color: var(--bad); }
.warning { margin: 20px 0 0; padding: 12px 16px; border-left: 4px solid var(--bad); background: var(--bad-paper); }
.grid { display: grid; grid-template-columns: repeat(4, minmax(0, 192px)); gap: 14px 20px;
  justify-content: space-between; }
.head { line-height: 1.3; font-size: 17px; } .head span { display: block; color: var(--soft); font-size: 13px; }
figure { position: relative; margin: 0; }
figure img { display: block; width: 100%; border-radius: 8px; }
.grid img { aspect-ratio: 1; image-rendering: pixelated; }
figcaption { min-height: 2.7em; padding-top: 5px; color: var(--soft); font-size: 12.5px; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
figcaption.good { color: var(--good); } figcaption.bad { color: var(--bad); }
.flip .under { position: absolute; top: 0; opacity: 0; transition: opacity .12s; }
.flip:hover .under { opacity: 1; }
.grid img { transform-origin: top; cursor: zoom-in; }
.grid figure:nth-child(4n+1) img { transform-origin: top left; }
.grid figure:nth-child(4n) img { transform-origin: top right; }
.grid figure:active img:first-child { position: relative; z-index: 1; transform: scale(2.5); }
.grid .flip:active .under { opacity: 0; }
.flip > img:first-child { outline: 3px solid var(--accent); outline-offset: -3px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; background: var(--card); font-size: 15px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 9px 14px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: 13.5px; }
th:first-child, td:first-child { text-align: left; }
.mark { color: var(--accent); font-weight: 680; }
.plain { max-width: 78ch; margin: 0 0 22px; padding: 14px 18px; border-left: 4px solid var(--accent);
  background: var(--card); }
.photos { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 20px; }
.photo { flex: 3 1 240px; } .photo.small { flex: 1 1 130px; max-width: 192px; }
dl { display: grid; grid-template-columns: minmax(90px, max-content) 1fr; gap: 6px 24px; margin: 0 0 20px;
  font-size: 15px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
@media (max-width: 620px) { .grid { gap: 10px 8px; } .head span { display: none; } main { padding: 28px 14px 60px; } }
"""
