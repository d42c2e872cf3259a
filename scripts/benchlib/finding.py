"""bench find: how fast words are found in mail, beside notmuch and mu."""

import email.utils
import os
import pathlib
import random
import re
import shutil

from .command import (MIB, BenchError, add_nice_argument, add_size_arguments, describe_machine, install, listed, make_maildir,
                      note, positive, run, tool_env, tree_bytes, walk_files)
from .large import write_mbox
from .report import Check, medians, plain_runs, print_setup, print_table, ratio, write_json

SNAPSHOTS = 20
PARTS = ["queries", "index", "imports", "million"]
# What changes between two snapshots.
REMOVED, FLAGGED = 0.002, 0.01
# Queries over the corpora, and over the Maildir that gen-maildir makes: ours, that of notmuch, that of mu.
QUERIES = {
    "corpora": {
        "rare word": ("blackfin",) * 3,
        "common word": ("patch",) * 3,
        "from": ("from:kerrisk",) * 3,
        "phrase": ('"memory leak"',) * 3,
        "two words": ("kernel memory",) * 3,
        "date range": ("date:2020-03..2020-04", "date:2020-03..2020-04", "date:2020-03-01..2020-04-30"),
    },
    "generated": {
        "rare word": ("needle",) * 3,
        "common word": ("meeting",) * 3,
        "from": ("from:palmer",) * 3,
        "phrase": ('"next week"',) * 3,
        "two words": ("invoice project",) * 3,
        "date range": ("date:2020-03..2020-04", "date:2020-03..2020-04", "date:2020-03-01..2020-04-30"),
    },
}
RARE_IN_MILLION = 20


def add_find_arguments(parser):
    add_size_arguments(parser)
    parser.add_argument("--corpora", type=pathlib.Path, metavar="DIR",
                        help="multiply the messages in the Maildirs below DIR, with other words in each copy, instead of "
                             "making a Maildir")
    parser.add_argument("--million", type=positive, default=1_000_000, metavar="MESSAGES",
                        help="messages of the part of that name (default %(default)s)")
    parser.add_argument("--only", type=listed(PARTS), metavar="PART,...",
                        help=f"of {', '.join(PARTS)}: measure these alone")
    add_nice_argument(parser, "where short runs wait for others")


def bench_find(args, work):
    """Find words in an archive of many snapshots, beside notmuch and mu in the newest state as a Maildir.

    The archive holds 20 snapshots; between two of them messages go and get flags. notmuch and mu know the last state
    only. Each query is `find --paths` and `find --count`, beside `notmuch search --output=files`, `notmuch count` and
    `mu find`. `index` is the first `find` of an archive without one, beside `notmuch new` and `mu index`. `imports` are
    first ones and ones with nothing new, with an index and with --no-index. `million` is an archive of very short
    messages, 20 of which have the word.
    """
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    parts = set(args.only or PARTS)
    install({"notmuch": "notmuch", "mu": "maildir-utils"})
    setup = describe_machine(["notmuch", "mu"]) | {"rounds": args.rounds, "vandelay": str(args.vandelay)}
    runs, sizes = {}, {}
    if parts - {"million"}:
        bench = Bench(args, work)
        setup |= bench.setup
        for part in ("index", "queries", "imports"):
            # The other programs' indexes are what queries are asked of.
            if part in parts or part == "index":
                getattr(bench, f"measure_{part}")(args.rounds if part in parts else 1)
        runs, sizes = bench.runs, bench.sizes
    if "million" in parts:
        runs |= measure_million(args, work)
    setup["load_after"] = round(os.getloadavg()[0], 2)
    checks = check_find(runs, sizes)
    report_find(setup, runs, sizes, checks)
    if args.json:
        write_json(args.json, setup | {"sizes": sizes}, plain_runs(runs), checks)


class Bench:
    """The mail, the archive, and the other programs' indexes of it."""

    def __init__(self, args, work):
        self.vandelay, self.work = args.vandelay, work
        self.runs, self.sizes = {}, {}
        self.mail = multiply(args, work) if args.corpora else make_maildir(args, work)
        self.queries = QUERIES["corpora" if args.corpora else "generated"]
        self.env = tool_env(work / "home")
        self.env["NOTMUCH_CONFIG"] = str(work / "notmuch-config")
        (work / "notmuch-config").write_text(
            f"[database]\npath={work / 'notmuch'}\nmail_root={self.mail}\n[user]\nname=x\nprimary_email=x@example.org\n"
            "[new]\ntags=\nignore=\n[maildir]\nsynchronize_flags=false\n")
        (work / "notmuch").mkdir()
        self.archive = work / "mail.sqlite"
        self.fill()
        files = [file for file in walk_files(self.mail) if file.parent.name in ("cur", "new")]
        self.sizes["mail"] = sum(file.stat().st_size for file in files)
        self.setup = {"messages": len(files), "bytes": self.sizes["mail"], "snapshots": SNAPSHOTS}

    def fill(self):
        """Imports the mail as it changes."""
        note(f"importing {SNAPSHOTS} states")
        rng = random.Random(1)
        for number in range(SNAPSHOTS):
            if number > 0:
                files = sorted(file for file in walk_files(self.mail) if file.parent.name == "cur")
                for file in rng.sample(files, int(REMOVED * len(files))):
                    file.unlink()
                for file in rng.sample(files, int(FLAGGED * len(files))):
                    if file.exists() and not file.name.endswith("F"):
                        base = file.name.partition(":2,")[0]
                        file.rename(file.with_name(f"{base}:2,F"))
            self.run_ours(["import", "maildir", "--quiet", "--no-index", "--max-delete", "100%", self.mail, self.archive])

    def run_ours(self, words):
        return run([self.vandelay, *words], self.env)

    def add(self, step, tool, figures):
        self.runs.setdefault(step, {}).setdefault(tool, []).append(figures)
        note(f"{step}: {tool} {figures.wall:.3f} s")

    @property
    def index(self):
        return self.archive.with_name(f"{self.archive.name}.search")

    def measure_index(self, rounds):
        for number in range(rounds):
            def ours():
                self.index.unlink(missing_ok=True)
                return self.run_ours(["find", "--quiet", "--count", self.archive, "nosuchword"])

            def notmuch():
                shutil.rmtree(self.work / "notmuch")
                (self.work / "notmuch").mkdir()
                return run(["notmuch", "new", "--quiet"], self.env)

            def mu():
                run(["mu", "init", "--quiet", f"--maildir={self.mail}", f"--muhome={self.work / 'mu'}"], self.env)
                return run(["mu", "index", "--quiet", f"--muhome={self.work / 'mu'}"], self.env)

            self.in_turn(number, "first index", {"vandelay": ours, "notmuch": notmuch, "mu": mu})
        self.sizes |= {"vandelay": self.index.stat().st_size, "notmuch": tree_bytes(self.work / "notmuch"),
                       "mu": tree_bytes(self.work / "mu")}

    def in_turn(self, number, step, tools):
        """Another one is first in each round."""
        names = list(tools)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            self.add(step, name, tools[name]())

    def measure_queries(self, rounds):
        # It fails where it finds nothing.
        mu = ["sh", "-c", 'mu find "$@" || [ $? = 4 ]', "mu", f"--muhome={self.work / 'mu'}"]
        for title, (ours, theirs, of_mu) in self.queries.items():
            for number in range(5 * rounds):
                self.in_turn(number, f"{title}: files", {
                    "vandelay": lambda: self.run_ours(["find", "--quiet", "--paths", self.archive, ours]),
                    "notmuch": lambda: run(["notmuch", "search", "--output=files", "--exclude=false", theirs], self.env),
                    "mu": lambda: run([*mu, "--fields=l", of_mu], self.env)})
                self.in_turn(number, f"{title}: count", {
                    "vandelay": lambda: self.run_ours(["find", "--quiet", "--count", self.archive, ours]),
                    "notmuch": lambda: run(["notmuch", "count", "--exclude=false", theirs], self.env)})

    def measure_imports(self, rounds):
        for number in range(rounds):
            archives = {name: self.work / f"{name}.sqlite" for name in ("with", "without")}
            flags = {"with": [], "without": ["--no-index"]}

            def import_into(name):
                return self.run_ours(["import", "maildir", "--quiet", *flags[name], self.mail, archives[name]])

            for step in ("first import", "no-op import"):
                self.in_turn(number, step, {name: lambda name=name: import_into(name) for name in archives})
            for archive in archives.values():
                for path in self.work.glob(f"{archive.name}*"):
                    path.unlink()


# --- Mail -------------------------------------------------------------------------------------------------------------


def multiply(args, work):
    """A Maildir of real messages: the copies have other Message-IDs, and other letters in some of their longer words."""
    note("multiplying messages")
    source = sorted(file for file in walk_files(args.corpora) if file.parent.name in ("cur", "new"))
    if not source:
        raise BenchError(f"there is no Maildir in {args.corpora}")
    out = work / "Maildir"
    for part in ("cur", "new", "tmp"):
        (out / part).mkdir(parents=True)
    for number in range(args.messages):
        copy, at = divmod(number, len(source))
        folder = out / f".Folder{number % 20:02}"
        if number < 20:
            for part in ("cur", "new", "tmp"):
                (folder / part).mkdir(parents=True)
        message = source[at].read_bytes()
        # Vandelay goes by the time of arrival, the others by the Date field.
        (folder / "cur" / f"{date_of(message)}.M{number}.bench:2,S").write_bytes(changed(message, copy))
    return out


def date_of(message):
    field = re.search(rb"(?im)^date:([^\r\n]*)", message)
    try:
        return max(int(email.utils.parsedate_to_datetime(field[1].decode("ascii")).timestamp()), 1)
    except (TypeError, ValueError, OverflowError):
        return 1_580_000_000


def changed(message, copy):
    if copy == 0:
        return message
    head, gap, body = message.partition(b"\n\n")
    head = re.sub(rb"(?im)^(message-id:\s*<)", rb"\g<1>copy%d." % copy, head)

    def word(match):
        found = match[0]
        return found[:4] + b"%d" % copy + found[4:] if sum(found) % 16 == copy % 16 else found

    # Encoded lines have no blanks around such words.
    return head + gap + re.sub(rb"(?<= )[a-z]{6,12}(?= )", word, body)


# --- A million --------------------------------------------------------------------------------------------------------


def measure_million(args, work):
    note(f"making an archive of {args.million:,} messages")
    mbox, archive = work / "large.mbox", work / "large.sqlite"
    write_mbox(mbox, args.million)
    step = max(args.million // RARE_IN_MILLION, 1)
    rare = work / "rare.mbox"
    with open(mbox, encoding="ascii") as source, open(rare, "w", encoding="ascii") as out:
        for line in source:
            number = re.match(r"Number (\d+) of", line)
            out.write(line.replace("differ", "zanzibar") if number and int(number[1]) % step == 0 else line)
    mbox.unlink()
    env = tool_env(work / "home-million")
    runs = {"million: import": {"vandelay": [run([args.vandelay, "import", "takeout", "--quiet", "--no-index", rare, archive], env)]}}
    find = [args.vandelay, "find", "--quiet"]
    runs["million: first index"] = {"vandelay": [run([*find, "--count", archive, "nosuchword"], env)]}
    runs["million: 20 hits"] = {"vandelay": [run([*find, archive, "zanzibar"], env) for _ in range(5 * args.rounds)]}
    runs["million: common word counted"] = {"vandelay": [run([*find, "--count", archive, "differ"], env)]}
    for step, tools in runs.items():
        note(f"{step}: {medians(tools['vandelay']).wall:.3f} s, {medians(tools['vandelay']).rss / MIB:.0f} MiB")
    return runs


# --- Judging ----------------------------------------------------------------------------------------------------------


def check_find(runs, sizes):
    checks = []
    for step, tools in runs.items():
        if ": files" in step or ": count" in step:
            others = {"mu": ratio(tools["mu"], tools["notmuch"])} if "mu" in tools else {}
            checks.append(Check(f"{step} / notmuch", ratio(tools["vandelay"], tools["notmuch"]), 1.0, others=others))
    if tools := runs.get("first index"):
        checks.append(Check("first index / notmuch new", ratio(tools["vandelay"], tools["notmuch"]), 0.7,
                            others={"mu": ratio(tools["mu"], tools["notmuch"])}))
    if sizes:
        checks.append(Check("size of the index / notmuch's", sizes["vandelay"] / sizes["notmuch"], 0.5,
                            others={"mu": sizes["mu"] / sizes["notmuch"]}))
        checks.append(Check("size of the index / the mail", sizes["vandelay"] / sizes["mail"], 0.15,
                            others={name: sizes[name] / sizes["mail"] for name in ("notmuch", "mu")}))
    if tools := runs.get("first import"):
        checks.append(Check("import with index / without", ratio(tools["with"], tools["without"]), 1.25))
        tools = runs["no-op import"]
        checks.append(Check("no-op import with index / without", ratio(tools["with"], tools["without"]), 1.05))
    # How a million messages get into the archive is not what is measured here.
    own = [one for step, tools in runs.items() if step != "million: import"
           for name, many in tools.items() if name in ("vandelay", "with") for one in many]
    checks.append(Check("peak memory", max(one.rss for one in own) / MIB, 150, " MiB"))
    if tools := runs.get("million: 20 hits"):
        checks.append(Check("million: 20 hits", 1000 * medians(tools["vandelay"]).wall, 50, " ms"))
    return checks


def report_find(setup, runs, sizes, checks):
    print_setup(setup)
    names = list(dict.fromkeys(name for tools in runs.values() for name in tools))
    rows = [[step, *(f"{medians(tools[name]).wall:.3f}" if name in tools else "-" for name in names)]
            for step, tools in runs.items()]
    print_table(["seconds, median of rounds", *names], rows)
    rows = [[step, *(f"{medians(tools[name]).rss / MIB:.0f}" if name in tools else "-" for name in names)]
            for step, tools in runs.items()]
    print_table(["peak memory, MiB", *names], rows)
    if sizes:
        print_table(["size, MiB", *sizes], [["", *(f"{size / MIB:.1f}" for size in sizes.values())]])
    print_table(["check", "vandelay", "target", "", "notmuch", "mu"],
                [check.row_beside(["notmuch", "mu"]) for check in checks])
