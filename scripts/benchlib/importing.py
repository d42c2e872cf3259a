"""bench import: how fast mail gets into an archive."""

import dataclasses
import hashlib
import pathlib
import shutil
import tempfile

from .command import MIB, describe_machine, install, make_maildir, note, run, tool_env, tree_bytes, walk_files
from .report import Check, medians, print_setup, print_table, write_json


def bench_import(args, work):
    """Import a Maildir into a new archive, and once more with nothing new."""
    install({"restic": "restic", "borg": "borgbackup"})
    machine = describe_machine(["cp", "tar", "restic", "borg"])
    source = make_maildir(args, work)
    distinct = survey(source)
    tools = {"cp": run_cp, "tar": run_tar, "restic": run_restic, "borg": run_borg,
             "vandelay": lambda source, out, env: run_vandelay(args.vandelay, source, out, env)}
    runs = run_rounds(tools, source, work, args.rounds)
    setup = machine | {"messages": count_messages(source), "source_bytes": tree_bytes(source),
                       "distinct_bytes": distinct, "rounds": args.rounds, "vandelay": str(args.vandelay)}
    checks = check_import({name: medians(many) for name, many in runs.items()}, distinct)
    report_import(setup, runs, checks)
    if args.json:
        write_json(args.json, setup, {
            "runs": {name: [dataclasses.asdict(each) for each in many] for name, many in runs.items()},
            "medians": {name: dataclasses.asdict(medians(many)) for name, many in runs.items()},
        }, checks)


def is_message(file):
    return file.parent.name in ("cur", "new")


def count_messages(source):
    return sum(map(is_message, walk_files(source)))


def survey(source):
    """Sum the bytes of distinct messages; reading them all also warms the page cache."""
    sizes = {}
    for path in filter(is_message, walk_files(source)):
        with open(path, "rb") as file:
            sizes[hashlib.file_digest(file, "sha256").digest()] = path.stat().st_size
    return sum(sizes.values())


# For some minutes after many files were deleted, ext4 takes three times as long to
# make new ones: deleting one round's copy would spoil the next round's cp.
KEPT = {"cp"}


def run_rounds(tools, source, work, rounds):
    """Every round runs every tool once, each time another one first: a machine
    that slows down or speeds up meanwhile then favours none."""
    runs = {}
    names = list(tools)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            scratch = pathlib.Path(tempfile.mkdtemp(dir=work, prefix=f"{name}-"))
            (scratch / "out").mkdir()
            done = tools[name](source, scratch / "out", tool_env(scratch / "home"))
            if name not in KEPT:
                shutil.rmtree(scratch)
            for step, figures in done.items():
                note(f"round {number + 1}/{rounds}: {step}: {figures.wall:.2f} s, durable {figures.durable:.2f} s")
                runs.setdefault(step, []).append(figures)
    return runs


def run_cp(source, out, env):
    return {"cp": with_output(run(["cp", "-a", source, out], env), out)}


def run_tar(source, out, env):
    return {"tar": with_output(run(["tar", "cf", out / "mail.tar", "-C", source.parent, source.name], env), out)}


def run_restic(source, out, env):
    run(["restic", "-r", out, "init"], env)
    return {"restic": with_output(run(["restic", "-r", out, "backup", source], env), out)}


def run_borg(source, out, env):
    run(["borg", "init", "--encryption=none", out], env)
    return {"borg": with_output(run(["borg", "create", f"{out}::bench", source], env), out)}


def run_vandelay(vandelay, source, out, env):
    """`find` reads what an import with nothing new has to read at the least."""
    argv = [vandelay, "import", "maildir", source, out / "archive.vandelay"]
    first = with_output(run(argv, env), out)
    find = run(["find", source, "-type", "f", "-printf", "%s %T@\n"], env)
    return {"import": first, "find": find, "no-op import": with_output(run(argv, env), out)}


def with_output(figures, out):
    return dataclasses.replace(figures, output=tree_bytes(out))


def check_import(median, distinct):
    first, again = median["import"], median["no-op import"]
    return [
        Check("import / restic", first.wall / median["restic"].wall, 0.5),
        Check("import / borg", first.wall / median["borg"].wall, 0.5),
        Check("import / cp -a", first.wall / median["cp"].wall, 2.0),
        Check("no-op import, to 1.5 find + 0.3 s", again.wall, 1.5 * median["find"].wall + 0.3, " s"),
        Check("archive / distinct message bytes", first.output / distinct, 1.06),
        Check("peak RSS of import", first.rss / MIB, 150, " MiB"),
    ]


def report_import(setup, runs, checks):
    print_setup(setup)
    rows = []
    for name, many in runs.items():
        middle = medians(many)
        on_disk = [f"{middle.output / MIB:.1f}", f"{middle.output / setup['distinct_bytes']:.3f}"]
        rows.append([name, f"{middle.wall:.2f}", f"{middle.durable:.2f}", f"{middle.rss / MIB:.0f}",
                     *(on_disk if middle.output else ["-", "-"])])
    print_table(["median of rounds", "wall s", "durable s", "peak RSS MiB", "on disk MiB", "/ distinct"], rows)
    print_table(["check", "value", "target", ""], [check.row() for check in checks])
