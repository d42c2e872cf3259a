//! What the tests share: running the program, temporary Maildirs, and the rule that a skipped test fails in CI.
#![allow(dead_code)]

pub mod account;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The built program.
pub fn vandelay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vandelay"));
    command.env_remove("VANDELAY_MOUNT_STAYS").env("TZ", "UTC");
    command
}

/// Runs the program and gives its output, whatever it is.
pub fn run(arguments: &[&str]) -> Output {
    vandelay().args(arguments).output().expect("the program starts")
}

/// Runs the program, which must succeed, and gives its standard output.
pub fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the program, which must end with this code, and gives its standard error.
pub fn fails(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// The last line of the program's output as JSON.
pub fn json(arguments: &[&str]) -> serde_json::Value {
    let text = ok(arguments);
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

/// Says that a test cannot run here. With VANDELAY_NO_SKIP set, as in CI, that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("VANDELAY_NO_SKIP").is_none(), "must not be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// True if a program is installed; else the test has to be skipped.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// A corpus of ../shared/corpora, unpacked into `into`. `None` if it is not there.
pub fn corpus(name: &str, into: &Path) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let archive = [shared, PathBuf::from("/work/shared/corpora")]
        .into_iter()
        .map(|base| base.join(format!("{name}.tar.zst")))
        .find(|path| path.exists());
    let Some(archive) = archive else {
        skip(&format!("the corpus {name} is not there"));
        return None;
    };
    let status =
        Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(into).status().expect("tar runs");
    assert!(status.success(), "{} unpacks", archive.display());
    Some(into.join(name))
}

/// Writes a message into a Maildir folder, which is made if it is missing. Gives its path.
pub fn deliver(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    let path = folder.join("cur").join(name);
    std::fs::write(&path, bytes).expect("a message");
    path
}

/// A small message with this number.
pub fn message(number: u32) -> Vec<u8> {
    format!(
        "From: a{number}@example.org\r\nTo: b@example.org\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.org>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nbody {number}\r\n"
    )
    .into_bytes()
}

/// A mounted archive; unmounted on drop, whatever happens.
pub struct Mounted {
    pub at: PathBuf,
}

impl Mounted {
    /// Mounts an archive at a new directory `at`.
    pub fn new(archive: &Path, at: &Path, options: &[&str]) -> Option<Mounted> {
        if !Path::new("/dev/fuse").exists() {
            skip("there is no /dev/fuse");
            return None;
        }
        std::fs::create_dir_all(at).expect("a mountpoint");
        let output = vandelay().arg("mount").arg(archive).arg(at).args(options).output().expect("the program starts");
        assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
        Some(Mounted { at: at.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = vandelay().arg("umount").arg("--lazy").arg(&self.at).output();
    }
}
