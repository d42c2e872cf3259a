"""Tables, checks against goals, and the same as JSON."""

import dataclasses
import json
import statistics

from .command import Run, note


def print_setup(setup):
    for name, value in setup.items():
        print(f"{name}: {value}")
    print()


def print_table(head, rows):
    """First column to the left, figures to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
    print()


@dataclasses.dataclass
class Check:
    """One figure and the most that it may be; `others` are the same figure of tools without a target."""

    name: str
    value: float
    target: float
    unit: str = ""
    others: dict = dataclasses.field(default_factory=dict)

    @property
    def verdict(self):
        return "ok" if self.value <= self.target else "MISSED"

    def row(self):
        return [self.name, f"{self.value:.2f}{self.unit}", f"{self.target:.2f}{self.unit}", self.verdict]

    def row_beside(self, names):
        """The row with a column for each of the tools `names`."""
        return self.row() + [f"{self.others[name]:.2f}{self.unit}" if name in self.others else "-" for name in names]


def ratio(ours, theirs):
    """The median of the rounds' ratios: what slows the machine down for a while slows both down."""
    return statistics.median(one.wall / other.wall for one, other in zip(ours, theirs))


def plain_runs(runs):
    """Figures by step and tool, and their medians, as JSON takes them."""
    return {
        "runs": {step: {name: [dataclasses.asdict(each) for each in many] for name, many in tools.items()}
                 for step, tools in runs.items()},
        "medians": {step: {name: dataclasses.asdict(medians(many)) for name, many in tools.items()}
                    for step, tools in runs.items()},
    }


def medians(runs):
    """The median of every figure over the rounds, save for memory: a peak is the highest one."""
    return Run(
        wall=statistics.median(each.wall for each in runs),
        durable=statistics.median(each.durable for each in runs),
        rss=max(each.rss for each in runs),
        output=round(statistics.median(each.output for each in runs)),
        cpu=statistics.median(each.cpu for each in runs),
        server_cpu=statistics.median(each.server_cpu for each in runs),
        requests=round(statistics.median(each.requests for each in runs)),
    )


def write_json(path, setup, figures, checks):
    """`figures` are those that the checks were made of, in whatever form a bench has them."""
    judged = [dataclasses.asdict(check) | {"verdict": check.verdict} for check in checks]
    path.write_text(json.dumps({"setup": setup, **figures, "checks": judged}, indent=2) + "\n")


class Figures:
    """What was measured: seconds by work, state, system and round; bytes of memory by system."""

    def __init__(self):
        self.seconds = {}
        self.memory = {}

    def add(self, work, state, system, seconds):
        self.seconds.setdefault(work, {}).setdefault(state, {}).setdefault(system, []).append(seconds)
        note(f"{work}, {state}: {system} {seconds:.3f} s")

    def median(self, work, state, system):
        return statistics.median(self.seconds[work][state][system])

    def ratio(self, above, below):
        """The median of the rounds' ratios: what slows the machine down for a while slows both down."""
        pairs = zip(self.of(*above), self.of(*below))
        return statistics.median(one / other for one, other in pairs)

    def of(self, work, state, system):
        return self.seconds[work][state][system]

    def plain(self):
        middle = {work: {state: {system: statistics.median(seconds) for system, seconds in systems.items()}
                         for state, systems in states.items()} for work, states in self.seconds.items()}
        return {"runs": self.seconds, "medians": middle, "memory": self.memory}
