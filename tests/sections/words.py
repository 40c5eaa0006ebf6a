# SPDX-License-Identifier: MIT
"""Figures as a report words them, and sentences searched for them."""


def of_three_digits(value, unit):
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


def in_bytes(count):
    count = int(count)
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1023.5:
        value, units = value / 1024, units[1:]
    return of_three_digits(value, units[0])


def in_mean_bytes(mean):
    return in_bytes(mean + 0.5)


def in_time(ns):
    ns = int(ns)
    if ns < 1000:
        return f"{ns} ns"
    minutes, seconds = divmod(ns // 10**9, 60)
    if minutes:
        return f"{minutes} min {seconds:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
    power, units = 3, ["us", "ms", "s"]
    while ns / 10**power >= 999.5:
        power, units = power + 3, units[1:]
    return of_three_digits(ns / 10**power, units[0])


def in_percent(share):
    return "<0.1 %" if 0 < share * 100 < 0.05 else f"{share * 100:.1f} %"


def in_rate(rate):
    return f"{rate:.2g}" if 0 < rate < 0.0995 else f"{rate:.1f}"


def counted(count):
    return f"{count:,}"


def without_thread(sentence):
    """Thread 0 is a name, not a figure."""
    return sentence.replace("thread 0", "thread .").replace("Thread 0", "Thread .")


def misworded(sentence, fragments):
    """What is wrong with it: fragments that do not follow each other in it, digits that are in none. None: nothing."""
    sentence, rest, at = without_thread(sentence), "", 0
    for fragment in fragments:
        found = sentence.find(fragment, at)
        if found < 0:
            return f"'{fragment}' is not (there) in: {sentence}"
        rest += sentence[at:found] + " "
        at = found + len(fragment)
    rest += sentence[at:]
    unknown = "".join(c for c in rest if c.isdigit())
    return f"the digits {unknown} were not recounted in: {sentence}" if unknown else None
