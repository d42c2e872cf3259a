//! docs/nightly.md: the script for several sources runs all of them, and says so if one fails.

use clap::Parser;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The script of the page.
fn script() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nightly.md")).expect("a page");
    let (_, script) = page.split_once("```sh\n#!/bin/sh\n").expect("a script");
    script.split("```").next().expect("its end").to_owned()
}

/// Runs it with a program that notes its command lines and ends with the code that `codes` has for a protocol. Gives the
/// code of the script and the command lines.
fn run(codes: &str) -> (Option<i32>, Vec<String>) {
    let home = tempfile::tempdir().expect("a directory");
    let bin = home.path().join(".cargo/bin");
    fs::create_dir_all(&bin).expect("a directory");
    fs::write(home.path().join(".mail-password"), "secret\n").expect("a password");
    let program = format!(
        "#!/bin/sh\n[ \"$VANDELAY_PASSWORD\" = secret ] || exit 99\necho \"vandelay $*\" >> ~/calls\ncase \"$3\" in\n{codes}\nesac\n"
    );
    let path = bin.join("vandelay");
    fs::write(&path, program).expect("a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    let status = Command::new("sh").args(["-c", &script()]).env("HOME", home.path()).status().expect("sh");
    let calls = fs::read_to_string(home.path().join("calls")).expect("calls");
    (status.code(), calls.lines().map(str::to_owned).collect())
}

#[test]
fn the_script_imports_all_sources_into_one_archive() {
    let (code, calls) = run("");
    assert_eq!((code, calls.len()), (Some(0), 5), "{calls:?}");
    for (call, command) in calls.iter().zip(["imap", "caldav", "carddav", "managesieve", "forget"]) {
        assert!(call.contains(&format!(" {command} ")) && call.contains("/backup/alice.sqlite"), "{call}");
        let parsed = vandelay::cli::Cli::try_parse_from(call.split(' '));
        assert!(parsed.is_ok(), "{call}: {:?}", parsed.err());
    }
}

#[test]
fn one_that_fails_stops_no_other_and_is_the_end_of_the_script() {
    let (code, calls) = run("caldav) exit 5;; carddav) exit 2;;");
    assert_eq!(code, Some(5), "the first that failed");
    assert_eq!(calls.len(), 4, "nothing is forgotten then: {calls:?}");
}
