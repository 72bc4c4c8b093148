"""The picture: for each goal a bar from "just met" to what was reached, on a logarithmic axis."""

import math
import xml.sax.saxutils

import report

# Where the goal is met, and where it is missed.
_COLORS = {"oslo": ("#2a6f97", "#94b7cb"), "raw": ("#e07a1f", "#f0bd8f")}
_NAMES = {"oslo": "beside oslo.messaging", "raw": "beside librabbitmq"}
_LEFT, _CHART, _RIGHT, _TOP, _BOTTOM = 290, 520, 40, 92, 46
_BAR, _GAP, _GROUP_GAP = 13, 2, 11
_SPAN = (1 / 16, 16)  # what the axis shows at least, of the factor by which a goal is met or missed


def _text(x, y, text, anchor="start", size=12, color="#222", weight="normal"):
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s" font-weight="%s">%s</text>' % (
        x, y, anchor, size, color, weight, xml.sax.saxutils.escape(text),
    )  # fmt: skip


def _line(x1, y1, x2, y2, color, width=1.0):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>' % (
        x1, y1, x2, y2, color, width,
    )  # fmt: skip


def _by_goal(outcomes):
    groups = {}
    for outcome in outcomes:
        groups.setdefault(outcome.goal, []).append(outcome)
    return groups


class _Axis:
    """Where a factor is, from left to right."""

    def __init__(self, factors):
        low, high = min([*factors, 1 / 2]), max([*factors, 2])
        self.low = max(_SPAN[0], 2 ** math.floor(math.log2(low)))
        self.high = min(_SPAN[1], 2 ** math.ceil(math.log2(high)))

    def place(self, factor):
        factor = min(max(factor, self.low), self.high)
        return _LEFT + _CHART * math.log(factor / self.low) / math.log(self.high / self.low)

    def ticks(self):
        exponents = range(round(math.log2(self.low)), round(math.log2(self.high)) + 1)
        return [2.0**exponent for exponent in exponents]


def _bar(axis, outcome, y):
    """The bar, and the ratio beside the goal's line on the side without the bar: there is always room."""
    start, end = sorted((axis.place(1), axis.place(outcome.factor)))
    parts = [
        '<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>'
        % (start, y, max(end - start, 1.5), _BAR, _COLORS[outcome.peer][0 if outcome.is_met else 1])
    ]
    label = report.beside_goal(outcome)
    if outcome.is_met:
        parts.append(_text(axis.place(1) - 6, y + _BAR - 3, label, "end", 10, "#444"))
    else:
        parts.append(_text(axis.place(1) + 6, y + _BAR - 3, label, "start", 10, "#b3261e", "bold"))
    return parts


def draw(outcomes):
    """The SVG document."""
    groups = _by_goal(outcomes)
    axis = _Axis([outcome.factor for outcome in outcomes])
    heights = [len(group) * (_BAR + _GAP) + _GROUP_GAP for group in groups.values()]
    bottom = _TOP + sum(heights)
    width, height = _LEFT + _CHART + _RIGHT, bottom + _BOTTOM
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">' % (width, height, width, height),
        '<rect width="100%" height="100%" fill="white"/>',
        _text(16, 28, "How far the goals are met", size=18, weight="bold"),
        _text(16, 48, "Bars to the right: better than the goal. Bars to the left, pale: missed.", color="#555"),
    ]
    x = 16
    for peer, name in _NAMES.items():
        parts.append('<rect x="%d" y="62" width="12" height="12" fill="%s"/>' % (x, _COLORS[peer][0]))
        parts.append(_text(x + 18, 72, name))
        x += 190
    for factor in axis.ticks():
        place = axis.place(factor)
        parts.append(_line(place, _TOP, place, bottom, "#ddd"))
        tick = "the goal" if factor == 1 else "%d ×" % factor if factor > 1 else "1/%d" % round(1 / factor)
        parts.append(_text(place, bottom + 16, tick, "middle", 11, "#555"))
    y = _TOP + _GROUP_GAP / 2
    for (goal, group), group_height in zip(groups.items(), heights):
        bars = group_height - _GROUP_GAP
        parts.append(_text(_LEFT - 12, y + bars / 2 + 3, goal.title, "end"))
        for outcome in group:
            parts += _bar(axis, outcome, y)
            y += _BAR + _GAP
        y += _GROUP_GAP
    parts.append(_line(axis.place(1), _TOP, axis.place(1), bottom, "#222", 1.5))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
