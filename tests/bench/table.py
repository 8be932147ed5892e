"""The rows of the comparison with their goals, and the Markdown that shows them."""
from collections import namedtuple
from statistics import median

# Goals: `times` as fast as Postfix at least; `most` at most this; `loss` none lost or damaged, and so many repeated a death,
# half of which are while the smarthost answers.
Row = namedtuple("Row", "key text unit places goal amount")
ROWS = [
    Row("accept-1", "2 KiB, 1 session", "messages/s", 0, "times", 3),
    Row("accept-10", "2 KiB, 10 sessions", "messages/s", 0, "times", 6),
    Row("accept-50", "2 KiB, 50 sessions", "messages/s", 0, "times", 7),
    Row("accept-large", "64 KiB, 10 sessions", "messages/s", 0, "times", 2.5),
    Row("through-10", "2 KiB, 10 sessions, until the last has arrived", "messages/s", 0, "times", 5),
    Row("deliver-one", "4,000 that have waited, to one host", "messages/s", 0, "times", 3),
    Row("deliver-many", "4,000 that have waited, to a hundred hosts", "messages/s", 0, "times", 3),
    Row("limit-small", "2 KiB, 10 sessions, without a relay: this bench's own limit", "messages/s", 0, None, 0),
    Row("limit-one", "2 KiB, 1 session: this bench's own limit and one flush", "messages/s", 0, None, 0),
    Row("limit-large", "64 KiB, 10 sessions, without a relay: this bench's own limit", "messages/s", 0, None, 0),
    Row("slow-1", "each sync 5 ms slower, 1 session", "messages/s", 0, "times", 1.2),
    Row("slow-10", "each sync 5 ms slower, 10 sessions", "messages/s", 0, "times", 1.5),
    Row("slow-50", "each sync 5 ms slower, 50 sessions", "messages/s", 0, "times", 5),
    Row("cpu-1", "processor, 1 session", "ms/message", 2, None, 0),
    Row("cpu-10", "processor, 10 sessions", "ms/message", 2, "most", 0.25),
    Row("octets-1", "written to the device, 1 session", "bytes/message", 0, "most", 8000),
    Row("octets-10", "written to the device, 10 sessions", "bytes/message", 0, "most", 4000),
    Row("flushes-1", "flushes of the device, 1 session", "per message", 2, "most", 1.1),
    Row("flushes-10", "flushes of the device, 10 sessions", "per message", 2, "most", 0.2),
    Row("idle", "memory (PSS), idle", "MB", 1, "most", 5),
    Row("sessions", "memory (PSS), 500 sessions", "MB", 1, "most", 12),
    Row("deferred", "memory (PSS), 5,000 deferred", "MB", 1, "most", 10),
    Row("peak", "peak memory (RSS), 64 KiB messages", "MB", 1, None, 0),
    Row("peak-growth", "… and with 25 MB messages, so much more", "MB", 1, "most", 1),
    Row("hundred", "peak memory (RSS), a message of 64 KiB to a hundred hosts at once", "MB", 1, None, 0),
    Row("hundred-growth", "… and with one of 25 MB, so much more", "MB", 1, "most", 4),
    Row("start", "start to banner, nothing queued", "ms", 1, "most", 10),
    Row("start-full", "start to banner, 10,000 queued", "ms", 0, "most", 300),
    Row("drain", "5,000 deferred, until all are delivered once the smarthost is back", "s", 2, "most", 1.5),
    Row("wakeups", "wake-ups when idle, nothing queued", "per second", 2, "most", 0.1),
    Row("wakeups-deferred", "wake-ups when idle, 1,000 deferred", "per second", 2, "most", 0.1),
    Row("power", "power cut", "", 0, "loss", 0.5),
    Row("kill", "kill -9", "", 0, "loss", 0.5),
    Row("power-maildir", "power cut, into a Maildir", "", 0, "loss", 0),
    Row("kill-maildir", "kill -9, into a Maildir", "", 0, "loss", 0),
]
HEAD = "| what | | Postfix | Waypost | better by | goal |\n|---|---|--:|--:|--:|---|\n"


def table(results):
    """Markdown of all rows that have a result; `results` is a list of (key, relay, value)."""
    lines = []
    for row in ROWS:
        postfix, waypost, both = (of(row, results, name) for name in ("postfix", "waypost", ""))
        if postfix is not None or waypost is not None:
            lines.append(line(row, postfix, waypost, ratio(row, postfix, waypost)))
        elif both is not None:
            lines.append("| %s | %s | %s | %s | | |\n" % (row.text, row.unit, shown(row, both), shown(row, both)))
    return HEAD + "".join(lines)


def of(row, results, relay):
    """Median of a row's values, or their sums where they tell what was lost."""
    values = [value for key, name, value in results if (key, name) == (row.key, relay)]
    if not values:
        return None
    if row.goal == "loss":
        return dict({k: sum(v[k] for v in values) for k in values[0]}, deaths=len(values))
    return median(values)


def line(row, postfix, waypost, times):
    goal = {"times": "≥ %g ×", "most": "≤ %g", "loss": "none lost, ≤ %g repeated", None: ""}[row.goal]
    if row.goal:
        goal %= row.amount * waypost["deaths"] if row.goal == "loss" and waypost else row.amount
    if reached(row, waypost, times) is False:
        goal += " **missed**"
    text = row.text
    if row.goal == "loss":
        text += " (lost, damaged, repeated in %d)" % (waypost or postfix)["deaths"]
    ratio_shown = "" if times is None else "%.1f ×" % times
    return "| %s | %s | %s | %s | %s | %s |\n" % (text, row.unit, shown(row, postfix), shown(row, waypost), ratio_shown, goal)


def shown(row, value):
    if value is None:
        return "–"
    if row.goal == "loss":
        return "%(lost)d, %(damaged)d, %(repeated)d" % value
    return "{:,.{}f}".format(value, row.places)


def ratio(row, postfix, waypost):
    """How many times as much mail, or how many times less of what mail costs."""
    if row.goal == "loss" or postfix is None or waypost is None:
        return None
    above, below = (waypost, postfix) if row.unit == "messages/s" else (postfix, waypost)
    return above / below if above > 0 and below > 0 else None


def reached(row, waypost, times):
    """Whether the goal is; None where there is none, or nothing to tell it by."""
    if row.goal is None or waypost is None:
        return None
    if row.goal == "times":
        return None if times is None else times >= row.amount
    if row.goal == "most":
        return waypost <= row.amount
    return waypost["lost"] + waypost["damaged"] == 0 and waypost["repeated"] <= row.amount * waypost["deaths"]
