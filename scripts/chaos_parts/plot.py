"""Lines over time as SVG, without a library."""

from xml.sax.saxutils import escape

COLOURS = ("#1d4e89", "#d97706", "#2f7ed8", "#a23b72")
LEFT, WIDTH, RIGHT, PANEL, GAP, TOP = 90, 640, 120, 110, 34, 40


def number(value):
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def panel(y, heading, times, lines):
    """One drawing: `lines` has the values of each name, one for each time."""
    most = max((value for values in lines.values() for value in values), default=0) or 1
    span = (times[-1] - times[0]) or 1
    body = [
        f'<text x="{LEFT}" y="{y - 8}" font-weight="bold">{escape(heading)}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{PANEL}" fill="none" stroke="#9aa5b1"/>',
        f'<text x="{LEFT - 6}" y="{y + 10}" text-anchor="end">{number(most)}</text>',
        f'<text x="{LEFT - 6}" y="{y + PANEL}" text-anchor="end">0</text>',
    ]
    for index, (name, values) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(
            f"{LEFT + WIDTH * (moment - times[0]) / span:.1f},{y + PANEL - PANEL * value / most:.1f}"
            for moment, value in zip(times, values)
        )
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        body.append(
            f'<text x="{LEFT + WIDTH + 8}" y="{y + 14 + 16 * index}" fill="{colour}">{escape(name)}</text>'
        )
    return body


def plot(title, times, panels):
    """SVG of drawings below each other: a list of headings, each with its lines. The times are in seconds."""
    body, y = [], TOP + GAP
    for heading, lines in panels:
        body += panel(y, heading, times, lines)
        y += PANEL + GAP
    body.append(f'<text x="{LEFT}" y="{y - 12}">0</text>')
    body.append(
        f'<text x="{LEFT + WIDTH}" y="{y - 12}" text-anchor="end">{number(times[-1] - times[0])} s</text>'
    )
    width = LEFT + WIDTH + RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{y}" fill="#fff"/>\n'
        f'<text x="8" y="24" font-size="15" font-weight="bold">{escape(title)}</text>\n'
        + "\n".join(body) + "\n</svg>\n"
    )
