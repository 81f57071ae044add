#!/usr/bin/env python3
"""Turns a recording of the demo (asciicast v2) into an animated SVG: docs/demo.py demo.cast docs/demo.svg

What stays on the screen is written once, with the times at which it shows. Needs pyte, which plays the terminal.
"""

import html
import json
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

import pyte

FRAME = 1.0  # seconds
HOLD = 5.0  # seconds that the end is shown for, before it begins anew
CELL_WIDTH, LINE, PAD, BAR = 8.4, 18, 14, 30
COLOURS = {"red": "r", "green": "g", "brown": "y"}
BLOCKS = {"█": 1, "▒": 0.45, "░": 0.6}  # opacity: fonts draw them with gaps
DIM, ITALICS = "\x1b[2m", "\x1b[3m"  # pyte knows no dim text; the demo prints none in italics
STYLE = (
    'text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}'
    ".f{fill:#d6dbe3}.r{fill:#ff7b72}.g{fill:#56d364}.y{fill:#e3b341}.b{font-weight:700}.d{fill:#9aa4b2}"
    "@media(prefers-reduced-motion:reduce){g{animation:none!important}}"
)


def runs(row, columns):
    """Neighbours in a row that look alike: column, text and classes. Where it is empty, there is none."""

    def look(column):
        cell, before, after = row[column], row[column - 1], row[column + 1]
        if cell.data == " " and not {before.data, after.data} & {" ", *BLOCKS}:
            cell = before  # one space within a text is no end of it
        names = [COLOURS.get(cell.fg, "f"), "b" * cell.bold, "d" * cell.italics]
        return cell.data == " ", BLOCKS.get(cell.data), " ".join(filter(None, names))

    for (empty, _, classes), alike in groupby(range(columns), look):
        column, *others = alike
        if not empty:
            yield column, "".join(row[it].data for it in (column, *others)), classes


def draw(row):
    """A row as SVG, the length of each text fixed: no font's width is known."""
    for column, text, classes in row:
        x, width = f"{column * CELL_WIDTH:.1f}", f"{len(text) * CELL_WIDTH:.1f}"
        if opacity := BLOCKS.get(text[0]):
            yield f'<rect class="{classes}" x="{x}" y="3" width="{width}" height="12" opacity="{opacity}"/>'
        else:
            yield f'<text class="{classes}" x="{x}" y="13" textLength="{width}">{html.escape(text)}</text>'


def play(lines):
    """The screen, when it changes and its rows from then on, and when all is over."""
    head, *events = map(json.loads, lines)
    screen = pyte.Screen(head["width"], head["height"])
    stream, frames, due = pyte.Stream(screen), [], FRAME

    def look(at):
        rows = [tuple(runs(screen.buffer[y], screen.columns)) for y in range(screen.lines)]
        if not frames or frames[-1][1] != rows:
            frames.append((at, rows))

    for at, kind, data in events:
        while at >= due:
            look(due - FRAME)
            due += FRAME
        if kind == "o":
            stream.feed(data.replace(DIM, ITALICS))
    look(due - FRAME)
    return screen, frames, due - FRAME + HOLD


def lives(frames, end):
    """Each row that is ever shown, by its height and content: from when to when."""
    spans = {}
    for (start, rows), (stop, _) in zip(frames, [*frames[1:], (end, None)]):
        for shown in enumerate(rows):
            before = spans.get(shown, ())
            if before and before[-1][1] == start:
                *before, (start_before, _) = before
                spans[shown] = (*before, (start_before, stop))
            elif shown[1]:
                spans[shown] = (*before, (start, stop))
    return spans


def keyframes(name, spans, end):
    """Shows what is of this class in these spans; without motion, as it is in the end."""
    stops = {0: 0} | {at: shown for span in spans for at, shown in zip(span, (1, 0)) if at < end}
    steps = "".join(f"{at / end:.2%}{{opacity:{shown}}}" for at, shown in stops.items())
    return f"@keyframes {name}{{{steps}}}.{name}{{opacity:{int(spans[-1][1] == end)};animation:{name} {end:.1f}s step-end infinite}}"


def svg(lines):
    screen, frames, end = play(lines)
    shown = lives(frames, end)
    heights = Counter(row for _, row in shown)
    again = {row: f"k{i}" for i, row in enumerate(row for row, count in heights.items() if count > 1)}
    defs = "".join(f'<g id="{key}">{"".join(draw(row))}</g>' for row, key in again.items())
    timings = {spans: f"a{i}" for i, spans in enumerate(dict.fromkeys(shown.values()))}
    css = STYLE + "".join(keyframes(name, spans, end) for spans, name in timings.items())
    body = "".join(
        f'<g class="{timings[spans]}" transform="translate(0 {y * LINE})">'
        + (f'<use href="#{again[row]}"/>' if row in again else "".join(draw(row)))
        + "</g>"
        for (y, row), spans in shown.items()
    )
    width, height = round(screen.columns * CELL_WIDTH + 2 * PAD), screen.lines * LINE + PAD + BAR
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="lookback demo"><title>lookback demo</title><style>{css}</style>'
        f'<rect width="{width}" height="{height}" rx="8" fill="#161b22" stroke="#3d444d"/>'
        f'<text x="{PAD}" y="20" class="d">$ lookback demo</text><defs>{defs}</defs>'
        f'<g transform="translate({PAD} {BAR})">{body}</g></svg>\n'
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(svg(source.read_text().splitlines()))
