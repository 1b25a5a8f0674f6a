"""Bars as SVG, without a library."""

import math
from xml.sax.saxutils import escape

COLOURS = {
    "bare proxy_pass": "#9aa5b1",
    "nginx's own directives": "#52606d",
    "Lua module": "#d97706",
    "Tollgate, the same checks": "#2f7ed8",
    "Tollgate, metered": "#1d4e89",
}
OTHER = "#a23b72"
LABELS, WIDTH, NUMBERS = 190, 460, 90
BAR, GAP = 16, 4


class Bar:
    """One bar: `low` and `high` are the ends of its whisker, if it has one."""

    def __init__(self, name, value, text, low=None, high=None):
        self.name, self.value, self.text, self.low, self.high = name, value, text, low, high


def bars(title, groups, axis, logarithmic=False):
    """SVG of groups of bars: a list of headings with their bars each."""
    most = max(bar.high or bar.value for _, of_group in groups for bar in of_group)
    least = min(bar.value for _, of_group in groups for bar in of_group)

    def place(value):
        if logarithmic:
            floor = 10 ** math.floor(math.log10(least))
            return WIDTH * math.log(value / floor) / math.log(most / floor)
        return WIDTH * value / most

    body, y = [], 44
    for heading, of_group in groups:
        if heading:
            body.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(heading)}</text>')
            y += 20
        for bar in of_group:
            colour = COLOURS.get(bar.name, OTHER)
            middle = y + BAR / 2
            body.append(f'<text x="{LABELS - 6}" y="{y + 12}" text-anchor="end">{escape(bar.name)}</text>')
            body.append(
                f'<rect x="{LABELS}" y="{y}" width="{place(bar.value):.1f}" height="{BAR}" fill="{colour}"/>'
            )
            if bar.low is not None:
                body.append(
                    f'<line x1="{LABELS + place(bar.low):.1f}" x2="{LABELS + place(bar.high):.1f}" '
                    f'y1="{middle}" y2="{middle}" stroke="#111" stroke-width="1.5"/>'
                )
            end = LABELS + place(bar.high or bar.value) + 6
            body.append(f'<text x="{end:.1f}" y="{y + 12}">{escape(bar.text)}</text>')
            y += BAR + GAP
        y += 8
    body.append(f'<text x="{LABELS}" y="{y + 8}" fill="#555">{escape(axis)}</text>')
    height, width = y + 20, LABELS + WIDTH + NUMBERS
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        f'<text x="8" y="24" font-size="15" font-weight="bold">{escape(title)}</text>\n'
        + "\n".join(body) + "\n</svg>\n"
    )
