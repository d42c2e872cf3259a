//! A message: the names that it has in its mailboxes, and its bytes.

use super::finding::Checked;
use super::read_back::ReadBack;
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::format::looks;
use crate::format::mail::{HEAD_MAX, Summary, summary};
use crate::format::maildir::{FileName, Keywords, has_flag};
use crate::tree::{Node, Stat, Tree};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// No table of letters is larger.
const LETTERS_MAX: usize = 1 << 20;

/// The letters of each mailbox, as its `dovecot-keywords` says them, by its path.
#[derive(Default)]
pub(super) struct Letters(Mutex<HashMap<String, Arc<Keywords>>>);

impl Letters {
    fn of(&self, tree: &Tree, mailbox: &str) -> Result<Arc<Keywords>> {
        if let Some(known) = self.0.lock().get(mailbox) {
            return Ok(Arc::clone(known));
        }
        let file = match tree.resolve(&format!("{mailbox}/dovecot-keywords")) {
            Ok(node) => tree.read_whole(node, LETTERS_MAX)?,
            Err(error) if error.kind == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let table = Arc::new(Keywords::parse(&file));
        self.0.lock().insert(mailbox.to_owned(), Arc::clone(&table));
        Ok(table)
    }
}

/// What was read of the bytes of a message.
struct Content {
    size: u64,
    summary: Summary,
}

/// A message with each of its names.
pub(super) fn check(back: &ReadBack<'_>, letters: &Letters, record: &Record, checked: &mut Checked) -> Result<()> {
    let nodes = back.nodes(record, checked)?;
    let expected = record.mailbox_ids().len().max(1);
    if nodes.len() < expected && checked.findings.is_empty() {
        let what = format!("is in {} of its {expected} mailboxes only", nodes.len());
        checked.damage(nodes.first().map(|(path, _)| path.as_str()), what);
    }
    let Some((first, node)) = nodes.first() else { return Ok(()) };
    let Some(content) = content(back, record, (first, *node), checked)? else { return Ok(()) };
    for (path, node) in &nodes {
        name((back, letters), record, (path, *node), &content, checked)?;
    }
    Ok(())
}

/// Reads the bytes, and compares them with the blob and with what the row says of them.
fn content(
    back: &ReadBack<'_>,
    record: &Record,
    (path, node): (&str, Node),
    checked: &mut Checked,
) -> Result<Option<Content>> {
    let mut head = Vec::new();
    let mut each = |piece: &[u8]| head.extend_from_slice(&piece[..piece.len().min(HEAD_MAX - head.len())]);
    let Some(size) = back.bytes((path, node), record, &mut each, checked)? else { return Ok(None) };
    let summary = summary(&head);
    checked.headless = summary.headless(&head[..head.len().min(looks::HEAD)]);
    let email = record.email();
    // A row of 1.x may say nothing.
    if email.message_match != "{}" && email.message_match != summary.message_match {
        checked.damage(Some(path), "its row says another Message-ID, sender, subject or date than its header");
    }
    Ok(Some(Content { size, summary }))
}

/// Reads a name as an import of a Maildir would, and compares it with the row.
fn name(
    (back, letters): (&ReadBack<'_>, &Letters),
    record: &Record,
    (path, node): (&str, Node),
    content: &Content,
    checked: &mut Checked,
) -> Result<()> {
    let mut parts = path.rsplitn(3, '/');
    let (file, mailbox) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    let name = FileName::parse(file.as_bytes());
    if name.size() != Some(content.size) {
        checked.damage(Some(path), format!("has {} bytes, and its name says another size", content.size));
    }
    let table = letters.of(back.tree, mailbox)?;
    flags(record, path, name, &table, checked);
    let stat = back.tree.stat(node)?;
    if stat.size != content.size {
        checked.damage(Some(path), format!("has {} bytes, and stat says {}", content.size, stat.size));
    }
    date(record, path, name, &stat, content, checked);
    Ok(())
}

fn flags(record: &Record, path: &str, name: FileName<'_>, table: &Keywords, checked: &mut Checked) {
    let lower = |words: Vec<String>| words.into_iter().map(|word| word.to_lowercase()).collect::<BTreeSet<String>>();
    let (ours, shown) = (lower(record.email().keywords), lower(name.flags().keywords(table)));
    let (lost, wrong): (Vec<&str>, Vec<&str>) =
        ours.difference(&shown).map(String::as_str).partition(|word| !has_flag(word) && table.letter(word).is_none());
    let more: Vec<&str> = shown.difference(&ours).map(String::as_str).collect();
    if !wrong.is_empty() {
        checked.damage(Some(path), format!("its name has no flag for the keywords {}", wrong.join(" ")));
    }
    if !more.is_empty() {
        checked.damage(Some(path), format!("its name has flags for other keywords: {}", more.join(" ")));
    }
    if !lost.is_empty() {
        let what = format!("the keywords {} have no letter in a Maildir (it has 26)", lost.join(" "));
        checked.loss(Some(path), what);
    }
}

fn date(record: &Record, path: &str, name: FileName<'_>, stat: &Stat, content: &Content, checked: &mut Checked) {
    let row = record.received();
    let digits: Vec<u8> = name.unique.iter().copied().take_while(u8::is_ascii_digit).collect();
    let shown = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse::<i64>().ok());
    if shown != Some(row.max(0)) || stat.mtime != row {
        checked.damage(Some(path), "its name or its time is another date of arrival than that of its row");
        return;
    }
    let now = jiff::Timestamp::now().as_second();
    let read = name.received(now.max(stat.mtime)).or(content.summary.date).unwrap_or(stat.mtime);
    if read != row {
        checked.loss(Some(path), "an import of a Maildir would take its Date header for its date of arrival");
    }
}
