//! The program against the JMAP server of the tests.

use super::cyrus::Cyrus;
use super::jmap::{ALL, AccountOptions, BLOB, FILENODE, Options, Server};
use serde_json::Value;
use std::process::{Command, Output};

/// `vandelay import jmap` or `vandelay export` from or to a server; login, account and archive are still to be named.
pub(crate) fn begin(what: &str, url: &str) -> Command {
    let mut command = super::vandelay();
    command.arg(what);
    if what == "import" {
        command.arg("jmap");
    }
    command.args(["--json", "--allow-cleartext", "--url", url]);
    command
}

/// The same with alice's account.
pub(crate) fn command(server: &Server, what: &str) -> Command {
    let mut command = begin(what, &server.url());
    command.env("VANDELAY_PASSWORD", "secret").args(["--auth-basic", "alice", "--account-id", "A1"]);
    command
}

/// The same with an account of Cyrus.
pub(crate) fn at_cyrus(cyrus: &Cyrus, what: &str, user: &str) -> Command {
    let mut command = begin(what, &format!("http://127.0.0.1:{}", cyrus.http));
    command.env("VANDELAY_PASSWORD", "x").args(["--auth-basic", user, "--account-name", user]);
    command
}

/// A run must have ended with this code, and must not have told a secret; gives its summary and what was said.
pub(crate) fn judge(output: &Output, code: i32) -> (Value, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.replace("nothing secret", "").contains("secret") && !said.contains("YWxpY2U6"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    (lines.rfind(|line| line["message_type"] == "summary").unwrap_or_default(), said)
}

/// How many objects of a type are new, changed and unchanged, as the summary of an import says.
pub(crate) fn stored(summary: &Value, kind: &str) -> [u64; 3] {
    ["new", "changed", "unchanged"].map(|what| summary["types"][kind][what].as_u64().unwrap_or_default())
}

/// A server without files.
pub(crate) fn without_files() -> Options {
    let capabilities: Vec<&'static str> = ALL.into_iter().filter(|name| *name != FILENODE).collect();
    Options { accounts: vec![AccountOptions::with("A1", &capabilities)], ..Options::default() }
}

/// A server without `Blob/get`: each blob is a download.
pub(crate) fn without_small_blobs() -> Options {
    let capabilities: Vec<&'static str> = ALL.into_iter().filter(|name| *name != BLOB).collect();
    Options { accounts: vec![AccountOptions::with("A1", &capabilities)], ..Options::default() }
}
