//! Exports of Sieve scripts that are cut off, refused and misled: what a server does not take is named while the rest goes
//! on, and a plan says before what it would not take.

use crate::common::export_target::{Ran, Target};
use crate::common::fake_sieve::FakeSieve;
use std::path::PathBuf;
use std::process::Stdio;

const SCRIPTS: [(&str, &str); 3] = [("a", "keep;\r\n"), ("b", "fileinto \"b\";\r\n"), ("c", "discard;\r\n")];

const VERSION: &str = "\"VERSION\" \"1.0\"\r\n";

/// An empty account, and an archive of three scripts; "a" is the active one.
struct Desk {
    server: FakeSieve,
    target: Target,
    archive: PathBuf,
    _place: tempfile::TempDir,
}

impl Desk {
    fn new(capabilities: &'static str) -> Desk {
        let place = tempfile::tempdir().expect("a folder");
        let archive = place.path().join("scripts.sqlite");
        let source = FakeSieve::start(capabilities, &SCRIPTS);
        source.state().active = "a".to_owned();
        Target::at("managesieve", source.port, "alice", "correct horse").import(&archive);
        let server = FakeSieve::start(capabilities, &[]);
        let target = Target::at("managesieve", server.port, "alice", "correct horse");
        Desk { server, target, archive, _place: place }
    }

    fn export(&self, flags: &[&str], code: i32) -> Ran {
        self.target.export(&self.archive, &[&["--max-retries", "1"], flags].concat(), code)
    }

    /// The names of the scripts, and of the active one.
    fn names(&self) -> (String, String) {
        let state = self.server.state();
        (state.scripts.keys().cloned().collect::<Vec<_>>().join(" "), state.active.clone())
    }
}

fn names(all: &str, active: &str) -> (String, String) {
    (all.to_owned(), active.to_owned())
}

#[test]
fn a_script_that_is_refused_stops_no_other() {
    let long = "line 1: error: unknown command. ".repeat(500);
    let literal = format!("NO {{{}}}\r\n{long}\r\n", long.len());
    for (command, answer, reason, refused) in [
        ("PUTSCRIPT", "NO (QUOTA/MAXSCRIPTS) \"at most 2 scripts\"\r\n", "at most 2 scripts", 0),
        ("PUTSCRIPT", "NO (QUOTA/MAXSIZE) \"too large\"\r\n", "too large", 0),
        ("HAVESPACE", "NO (QUOTA) \"no room\"\r\n", "no room", 0),
        ("HAVESPACE", "NO\r\n", "no reason given", 0),
        ("PUTSCRIPT", "NO \"line 1: parse error\"\r\n", "line 1: parse error", 1),
        ("PUTSCRIPT", &literal, "line 1: error: unknown command.", 1),
    ] {
        let desk = Desk::new("");
        let answer = answer.to_owned();
        desk.server.hook(move |said| said.starts_with(&format!("{command} \"b\"")).then(|| answer.clone()));
        let done = desk.export(&[], 5);
        let counts = ["created", "failed", "refused"].map(|what| done.count("sievescript", what));
        assert_eq!(counts, [2, 1, refused], "{command} {reason}: {}", done.said);
        assert!(done.said.contains(reason) && done.said.len() < 4000, "{}", done.said);
        assert_eq!(desk.names(), names("a c", "a"));
        desk.server.hook(|_| None);
        assert_eq!(desk.export(&[], 0).sum("created"), 1);
        desk.target.is_settled(&desk.archive, 0);
    }
}

#[test]
fn a_line_that_breaks_costs_nothing() {
    // Before the script is stored, and after it.
    for answer in ["CLOSE", "DONE CLOSE", "DONE O"] {
        for word in ["PUTSCRIPT \"b\"", "HAVESPACE \"b\"", "SETACTIVE"] {
            let desk = Desk::new("");
            let mut is_cut = false;
            desk.server.hook(move |said| {
                (said.starts_with(word) && !std::mem::replace(&mut is_cut, true)).then(|| {
                    let end = if answer.ends_with("CLOSE") { "" } else { "CLOSE" };
                    format!("{answer}{end}")
                })
            });
            let done = desk.export(&[], 0);
            assert_eq!(done.count("sievescript", "created"), 3, "{answer} {word}: {}", done.said);
            assert_eq!(desk.names(), names("a b c", "a"), "{answer} {word}: {}", done.said);
            desk.target.is_settled(&desk.archive, 0);
        }
    }
}

#[test]
fn a_hostile_answer_ends_the_run_in_words() {
    let endless = "x".repeat(200_000);
    for answer in [&*endless, "NO {99999999999}\r\nabc", "HELLO\r\n", "\r\n", "\"", "NO {1}"] {
        let desk = Desk::new("");
        let answer = format!("{answer}CLOSE");
        desk.server.hook(move |said| said.starts_with("PUTSCRIPT").then(|| answer.clone()));
        let output = desk.target.command("export", &desk.archive, &["--max-retries", "0"]).output();
        let output = output.expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(2..=5)), "{:?}: {said}", output.status);
        assert!(said.contains("error: ") && !said.contains("panicked") && said.len() < 4000, "{said}");
        assert_eq!(desk.names(), names("", ""));
    }
}

#[test]
fn the_active_script_is_never_removed() {
    let desk = Desk::new("");
    desk.export(&[], 0);
    desk.server.state().scripts.insert("mine".to_owned(), "stop;\r\n".to_owned());
    desk.server.state().scripts.insert("old".to_owned(), "redirect \"x@y\";\r\n".to_owned());
    desk.server.state().active = "mine".to_owned();
    let done = desk.export(&["--prune", "--yes"], 0);
    assert_eq!((done.sum("removed"), desk.names()), (1, names("a b c mine", "mine")), "{}", done.said);
    assert!(done.said.contains("the script \"mine\" is not in the archive and stays"), "{}", done.said);
    // It became the active one only after it was looked at.
    desk.server.state().scripts.insert("old".to_owned(), "redirect \"x@y\";\r\n".to_owned());
    desk.server.hook(|said| said.starts_with("DELETESCRIPT \"old\"").then(|| "NO (ACTIVE) \"it runs\"\r\n".to_owned()));
    let done = desk.export(&["--prune", "--yes"], 5);
    assert_eq!((done.sum("removed"), done.sum("not_removed")), (0, 1), "{}", done.said);
    assert!(done.said.contains("it runs") && done.said.contains("old"), "{}", done.said);
    assert_eq!(desk.names(), names("a b c mine old", "mine"));
}

/// The script that was active goes in the same run, unless the server does not let another one be it.
#[test]
fn another_active_script_is_an_update() {
    for is_refused in [false, true] {
        let desk = Desk::new("");
        desk.export(&[], 0);
        desk.server.state().scripts.insert("mine".to_owned(), "stop;\r\n".to_owned());
        desk.server.state().active = "mine".to_owned();
        assert_eq!(desk.export(&["--dry-run"], 0).sum("updated"), 0);
        let plan = desk.export(&["--update", "--prune", "--dry-run"], 0);
        let counts = (plan.sum("updated"), plan.planned("update"), plan.planned("remove"));
        assert_eq!(counts, (1, 1, 1), "{}", plan.summary);
        assert!(plan.summary.to_string().contains("a (becomes the active script)"), "{}", plan.summary);
        if is_refused {
            desk.server.hook(|said| said.starts_with("SETACTIVE").then(|| "NO \"not now\"\r\n".to_owned()));
        }
        let done = desk.export(&["--update", "--prune", "--yes"], 0);
        let counts = ["updated", "matched", "removed"].map(|what| done.sum(what));
        assert_eq!(counts, if is_refused { [0, 3, 0] } else { [1, 2, 1] }, "{} {}", done.summary, done.said);
        let expected = if is_refused { names("a b c mine", "mine") } else { names("a b c", "a") };
        assert_eq!(desk.names(), expected, "{}", done.said);
    }
    // One that the archive has as a script that is not active, where none is.
    let desk = Desk::new("");
    desk.export(&[], 0);
    desk.server.state().active.clear();
    assert_eq!((desk.export(&["--dry-run"], 0).sum("updated"), desk.export(&[], 0).sum("updated")), (1, 1));
    desk.target.is_settled(&desk.archive, 0);
}

#[test]
fn the_link_to_the_active_script_means_that_script() {
    let desk = Desk::new("");
    assert_eq!(desk.export(&["--path", "sieve/active"], 0).sum("created"), 1);
    assert_eq!(desk.names(), names("a", "a"));
}

#[test]
fn a_plan_skips_what_the_run_skips() {
    let desk = Desk::new("");
    desk.export(&[], 0);
    desk.server.state().scripts.insert("b".to_owned(), "stop;\r\n".to_owned());
    for flags in [&["--dry-run"][..], &[]] {
        let done = desk.export(flags, 0);
        assert_eq!((done.sum("skipped"), done.sum("matched")), (1, 2), "{flags:?}: {}", done.summary);
        assert!(done.said.contains("another script with this name"), "{}", done.said);
    }
}

#[test]
fn two_exports_of_scripts_at_once_leave_each_once() {
    let desk = Desk::new("");
    let start = || {
        let mut command = desk.target.command("export", &desk.archive, &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    for mut child in [start(), start()] {
        assert!(child.wait().expect("a child").success());
    }
    assert_eq!(desk.names(), names("a b c", "a"));
    desk.target.is_settled(&desk.archive, 0);
}

/// A plan says what the server would refuse, and changes nothing.
#[test]
fn a_plan_names_the_scripts_that_the_server_would_refuse() {
    for (capabilities, word, code) in [(VERSION, "CHECKSCRIPT", 5), ("", "CHECKSCRIPT", 0), ("", "HAVESPACE \"b\"", 5)]
    {
        let desk = Desk::new(capabilities);
        desk.server.hook(move |said| {
            (said.starts_with(word) && (word != "CHECKSCRIPT" || said.contains("fileinto")))
                .then(|| "NO \"line 1: no such extension\"\r\n".to_owned())
        });
        let done = desk.export(&["--dry-run"], code);
        assert_eq!(done.said.contains("line 1: no such extension"), code == 5, "{}", done.said);
        let refused = u64::from(code == 5);
        assert_eq!((done.planned("create"), done.sum("failed")), (3 - refused, refused), "{}", done.summary);
        let said = desk.server.said();
        assert_eq!(said.contains("CHECKSCRIPT"), capabilities == VERSION, "{said}");
        assert!(!["PUTSCRIPT", "SETACTIVE", "DELETESCRIPT"].iter().any(|word| said.contains(word)), "{said}");
        assert_eq!(desk.names(), names("", ""));
    }
    let desk = Desk::new(VERSION);
    desk.export(&[], 0);
    desk.server.said();
    assert_eq!(desk.export(&["--dry-run"], 0).sum("matched"), 3);
    assert!(!desk.server.said().contains("CHECKSCRIPT"), "what is there is not asked about");
}
