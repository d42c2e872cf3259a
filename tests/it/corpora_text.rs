//! What `format::text` makes of the corpora: it never fails, always says the same, and agrees with Python's email package.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common;
use crate::common::corpora::{Corpus, corpora};
use vandelay::format::text::{attachment, attachments, may_have_attachments, subject, text};

/// Corpora of mail, each with the share of messages, in percent, that Python must agree on. In `mail-edge` most is
/// broken, and each of the two mends it in its own way.
const MAIL: [(&str, usize); 6] = [
    ("mail-edge", 90),
    ("mail-linux-man", 99),
    ("mail-mbox", 99),
    ("mail-spamassassin", 99),
    ("mail-takeout-fixtures", 99),
    ("mail-usrp-users", 99),
];

/// How many messages of a corpus Python is asked about.
const SAMPLE: usize = 600;

/// The messages of a corpus; an mbox is split where a line begins with `From `, which is good enough here.
fn messages(corpus: &Corpus) -> Vec<(String, Vec<u8>)> {
    let mut messages = Vec::new();
    for (name, bytes) in corpus.files() {
        let is_mail =
            ![".json", ".gz", ".bz2", ".xz", ".lz", ".zip", ".ics", ".vcf"].iter().any(|end| name.ends_with(end));
        if !is_mail {
            continue;
        }
        let mut starts: Vec<usize> = memchr::memmem::find_iter(&bytes, b"\nFrom ").map(|at| at + 1).collect();
        let is_mbox = name.ends_with(".mbox") || corpus.name == "mail-mbox";
        if !is_mbox || !bytes.starts_with(b"From ") {
            starts.clear();
        }
        let ends = starts.iter().copied().chain([bytes.len()]);
        let starts = std::iter::once(0).chain(starts.iter().copied());
        messages.extend(starts.zip(ends).map(|(start, end)| (format!("{name}:{start}"), bytes[start..end].to_vec())));
    }
    messages
}

fn check(name: &str, message: &[u8]) {
    let started = Instant::now();
    let shown = text(message);
    assert!(!shown.bytes().any(|byte| byte < b' ' && !b"\n\t".contains(&byte)), "{name}: control characters");
    assert!(shown.is_empty() || shown.ends_with('\n'), "{name}");
    assert!(!shown.starts_with("[vandelay:"), "{name}: too complex");
    assert_eq!(shown, text(message), "{name}: the same twice");
    let subject = subject(message);
    assert!(!subject.chars().any(char::is_control), "{name}: {subject:?}");
    assert!(subject.is_empty() || shown.contains(&format!("Subject: {subject}\n")), "{name}: {subject:?}");
    let files = attachments(message);
    for file in &files {
        let bytes = attachment(message, file.part).unwrap_or_else(|| panic!("{name}: {file:?}"));
        assert_eq!(bytes.len() as u64, file.size, "{name}: {file:?}");
        assert!(!file.name.is_empty() && shown.contains(&file.name), "{name}: {file:?}");
    }
    for head in [1, 100, 1000, 16 << 10, message.len()] {
        let head = message.get(..head).unwrap_or(message);
        assert!(files.is_empty() || may_have_attachments(head, message.len() as u64), "{name}: {} bytes", head.len());
    }
    assert!(started.elapsed().as_secs() < 10, "{name}: {:?}", started.elapsed());
}

#[test]
fn every_message_is_shown() {
    for (name, _) in MAIL {
        for corpus in corpora(name) {
            let messages = messages(&corpus);
            assert!(messages.len() >= 4, "{}", corpus.title());
            for (name, message) in &messages {
                check(name, message);
            }
        }
    }
}

/// What Python says of messages, a line of JSON each.
fn python(messages: &[&(String, Vec<u8>)]) -> Vec<serde_json::Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/text_reference.py");
    let mut child = Command::new("python3")
        .args(["-W", "ignore", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = Vec::new();
    for (_, message) in messages {
        input.extend_from_slice(&u32::try_from(message.len()).expect("small").to_le_bytes());
        input.extend_from_slice(message);
    }
    let mut pipe = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || pipe.write_all(&input).expect("python3 reads"));
    let output = child.wait_with_output().expect("python3 ends");
    writer.join().expect("all is written");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What is not as Python says it.
fn differences(message: &[u8], python: &serde_json::Value) -> Vec<String> {
    let shown = text(message);
    let words = python["words"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
    let missing: BTreeSet<&str> = words.filter(|word| !shown.contains(word)).collect();
    let mut differences = Vec::new();
    if !missing.is_empty() {
        differences.push(format!(
            "{} words are missing: {:?}",
            missing.len(),
            missing.iter().take(5).collect::<Vec<_>>()
        ));
    }
    let mut ours = attachments(message);
    let theirs = python["files"].as_array().map_or(&[][..], Vec::as_slice);
    // Python knows no uuencode: its files stand behind the parts, and what is text to Python is not shown.
    if ours.len() > theirs.len() && message.windows(8).any(|line| line == b"\nbegin 6") {
        ours.truncate(theirs.len());
        differences.clear();
    }
    if !python["error"].is_string() && ours.len() != theirs.len() {
        differences.push(format!("files: {ours:?}, Python: {theirs:?}"));
        return differences;
    }
    for (ours, theirs) in ours.iter().zip(theirs) {
        let name = theirs[1].as_str().filter(|name| !name.is_empty());
        let same_size = theirs[2].as_u64().is_none_or(|size| size == ours.size);
        if ours.media_type != theirs[0].as_str().unwrap_or_default()
            || !same_size
            || name.is_some_and(|n| n != ours.name)
        {
            differences.push(format!("{ours:?}, Python: {theirs}"));
        }
    }
    differences
}

#[test]
fn python_reads_the_same_words_and_files() {
    if !common::has("python3") {
        return;
    }
    for (name, percent) in MAIL {
        for corpus in corpora(name) {
            let all = messages(&corpus);
            let sample: Vec<_> = all.iter().step_by(all.len().div_ceil(SAMPLE)).collect();
            let answers = python(&sample);
            assert_eq!(answers.len(), sample.len());
            let mut wrong = 0;
            for ((name, message), answer) in sample.iter().zip(&answers) {
                let differences = differences(message, answer);
                wrong += usize::from(!differences.is_empty());
                for difference in differences {
                    println!("{name}: {difference}");
                }
            }
            println!("{}: {wrong} of {} messages differ", corpus.title(), sample.len());
            let allowed = sample.len() * (100 - percent) / 100 + 1;
            assert!(wrong <= allowed, "{}: {wrong} of {}, {allowed} are allowed", corpus.title(), sample.len());
        }
    }
}
