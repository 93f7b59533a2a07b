"""The table as a picture: a bar for each row, how much the first column needs of what the best
of the others does."""

from html import escape

from report import figure

LABEL, BAR, VALUES = 285, 400, 290  # widths
HEIGHT, TOP, BOTTOM = 26, 64, 46
SHOWN = 2.0  # ratios beyond are cut off
GOOD, FAIR, POOR, INK, FAINT = "#2f7d4f", "#c9a227", "#b5423a", "#222222", "#8a8a8a"


def needs(results, row, name, other):
    """The ratio, turned so that less is better."""
    ratio = results.ratio(row, name, other)
    if ratio is None or ratio == 0:
        return None
    return 1 / ratio if row.more_is_better else ratio


def _text(x, y, words, size=12, anchor="start", fill=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}" font-weight="{weight}">{escape(words)}</text>\n')


def _x(ratio):
    return LABEL + BAR * min(ratio, SHOWN) / SHOWN


def _against(results, row):
    """What the bar is compared with: the row's reference, else the best peer."""
    return results.reference(row) or results.best_peer(row)


def _mark(peer, x, y):
    """Where a peer is: a circle, or a line for what is a floor."""
    title = f"<title>{escape(peer.name)}</title>"
    if peer.floor:
        return (f'<path d="M{x:.1f} {y + 2}v20" stroke="{INK}" stroke-width="2">{title}'
                "</path>\n")
    return (f'<circle cx="{x:.1f}" cy="{y + 12}" r="3" fill="none" stroke="{INK}">{title}'
            "</circle>\n")


def _bar(results, row, first, y):
    """A row with something to compare with, or the value alone."""
    svg = _text(LABEL - 8, y + 16, row.title, anchor="end")
    value = results.value(row, first.name)
    if value is None:
        return svg + _text(LABEL + 6, y + 16, "not measured", fill=FAINT)
    colour = GOOD if results.reached(row, first.name, row.goal) else (
        FAIR if results.reached(row, first.name, row.must) else POOR)
    if row.unit == "x":  # is a ratio already
        other, ratio = None, value
    else:
        other = _against(results, row)
        ratio = needs(results, row, first.name, other)
    words = f"{figure(value)} {row.unit}"
    if ratio is None:
        svg += f'<circle cx="{LABEL + 8}" cy="{y + 12}" r="5" fill="{colour}"/>\n'
        return svg + _text(LABEL + 20, y + 16, words + f" (goal {figure(row.goal)})")
    svg += (f'<rect x="{LABEL}" y="{y + 4}" width="{_x(ratio) - LABEL:.1f}" height="16" '
            f'fill="{colour}"/>\n')
    for peer in results.systems:
        theirs = needs(results, row, peer.name, other) if peer.peer else None
        if theirs is not None and theirs <= SHOWN:
            svg += _mark(peer, _x(theirs), y)
    words += f"; {other} {figure(results.value(row, other))}" if other else (
        f"; goal {figure(row.goal)}")
    return svg + _text(LABEL + BAR + 12, y + 16, words, size=11)


def _scale(bottom):
    svg = ""
    for ratio in (0, 0.5, 1.0, 1.5, 2.0):
        x = _x(ratio)
        stroke = INK if ratio == 1.0 else "#d8d8d8"
        svg += (f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" '
                f'stroke="{stroke}"/>\n')
        svg += _text(x, TOP - 12, f"{ratio:g}", size=11, anchor="middle", fill=FAINT)
    return svg


def draw(results):
    """The SVG document."""
    first = next((s for s in results.systems if not s.peer and s.name != "direct"), None)
    rows = [row for row in results.rows
            if any(results.samples(row, s.name) for s in results.systems)]
    bottom = TOP + HEIGHT * len(rows)
    width, height = LABEL + BAR + VALUES, bottom + BOTTOM
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n')
    name = first.name if first else "nothing"
    svg += _text(16, 22, f"What {name} needs of what the best peer needs", 15, weight="bold")
    svg += _scale(bottom)
    if first:
        for i, row in enumerate(rows):
            svg += _bar(results, row, first, TOP + HEIGHT * i)
    svg += _text(16, bottom + 20, "shorter is better; circles: each peer; small line: the floor; line "
                 "at 1: the best peer, or a plain connection; green: goal reached, yellow: what "
                 "must be, red: not", 11, fill=FAINT)
    meta = results.meta
    svg += _text(16, bottom + 36, f"{meta['cpus']} processors, {meta['cpu']}, Linux "
                 f"{meta['kernel']}, medians of {meta['rounds']} rounds", 11, fill=FAINT)
    return svg + "</svg>\n"
