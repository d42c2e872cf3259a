"""Tables, checks against goals, and the same as JSON."""

import dataclasses
import json
import statistics

from .command import Run


def print_table(head, rows):
    """First column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
    print()


@dataclasses.dataclass
class Check:
    """One figure and the most that it may be."""

    name: str
    value: float
    target: float
    unit: str = ""

    @property
    def verdict(self):
        return "ok" if self.value <= self.target else "MISSED"

    def row(self):
        return [self.name, f"{self.value:.2f}{self.unit}", f"{self.target:.2f}{self.unit}", self.verdict]


def medians(runs):
    """The median of every figure over the rounds, save for memory: a peak is the highest one."""
    return Run(
        wall=statistics.median(each.wall for each in runs),
        durable=statistics.median(each.durable for each in runs),
        rss=max(each.rss for each in runs),
        output=round(statistics.median(each.output for each in runs)),
    )


def write_json(path, setup, runs, checks):
    plain = {
        "setup": setup,
        "runs": {name: [dataclasses.asdict(each) for each in many] for name, many in runs.items()},
        "medians": {name: dataclasses.asdict(medians(many)) for name, many in runs.items()},
        "checks": [dataclasses.asdict(check) | {"verdict": check.verdict} for check in checks],
    }
    path.write_text(json.dumps(plain, indent=2) + "\n")
