"""The table for people."""

import goals


def number(value):
    """Three digits where there are fewer, all of them where there are more."""
    if value is None:
        return "-"
    return "%.0f" % value if abs(value) >= 99.5 else "%.3g" % value


def ratio(value, goal):
    """As a fraction where less is better."""
    return "1/%s" % number(1 / value) if value < 0.5 and not goal.more_is_better else number(value)


def beside_goal(outcome):
    """As "12.3 (≥ 10)"."""
    sign = "≥" if outcome.goal.more_is_better else "≤"
    return "%s (%s %s)" % (ratio(outcome.ratio, outcome.goal), sign, ratio(outcome.wanted, outcome.goal))


def _cell(outcome):
    return "%s %s" % (beside_goal(outcome), "met" if outcome.is_met else "MISSED") if outcome else "-"


def lines(runs, workloads, peers):
    """The table: one line for each goal of the WORKLOADS that were run."""
    head = ["", "Steward", "oslo.messaging", "librabbitmq", "× oslo (goal)", "× librabbitmq (goal)"]
    rows = []
    for goal in goals.GOALS:
        if goal.workload in workloads:
            medians = [number(goals.median(runs, goal.workload, peer, goal.figure)) for peer in peers]
            rows.append([goal.title] + medians + [_cell(goals.outcome(runs, goal, peer)) for peer in ("oslo", "raw")])
    widths = [max(len(row[column]) for row in [head] + rows) for column in range(len(head))]

    def line(row):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:4], widths[1:4])]
        return "  ".join(cells + [cell.ljust(width) for cell, width in zip(row[4:], widths[4:])]).rstrip()

    return [line(head), line(["─" * width for width in widths])] + [line(row) for row in rows]
