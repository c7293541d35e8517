"""How numbers and tables are written in the results."""

from statistics import median

TIMES = " \N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"


def number(value: float) -> str:
    """Three digits that count; thousands apart."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}" if abs(value) >= 0.01 else "0"


def cell(values: list[float]) -> str:
    """The median, and the smallest and largest where there are several."""
    if not values:
        return DASH
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))}{DASH}{number(max(values))})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Nothing where there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plain(label: str) -> str:
    """A label without its emphasis."""
    return label.replace("*", "")
