//! Which folders of a Maildir the user is subscribed to.

use crate::error::{Error, Result};
use crate::format::maildir::Part;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// More of a `subscriptions` file is not read.
const LARGEST_SUBSCRIPTIONS: u64 = 4 << 20;

/// The list of subscribed folders that Dovecot keeps in the root, as keys of both possible readings.
#[derive(Default)]
pub(super) struct Subscriptions {
    exists: bool,
    dotted: HashSet<String>,
    slashed: HashSet<String>,
}

impl Subscriptions {
    /// Reads the file. Without one, all is subscribed.
    pub(super) fn read(root: &Path) -> Result<Subscriptions> {
        let path = root.join("subscriptions");
        let failed = |cause| Error::io(format!("cannot read {}", path.display()), cause);
        let mut bytes = Vec::new();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let file = fs::File::open(&path).map_err(failed)?;
                file.take(LARGEST_SUBSCRIPTIONS).read_to_end(&mut bytes).map_err(failed)?;
            }
            Ok(_) => return Ok(Subscriptions::default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Subscriptions::default()),
            Err(error) => return Err(failed(error)),
        }
        Ok(Subscriptions::parse(&bytes))
    }

    /// One folder a line: with the store's separator, or (after the head `V<tab>2`) its parts between tabs.
    fn parse(bytes: &[u8]) -> Subscriptions {
        let mut subscriptions = Subscriptions { exists: true, ..Subscriptions::default() };
        let mut lines = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).peekable();
        let by_tabs = lines.next_if(|line| line.starts_with(b"V\t")).is_some();
        for line in lines.filter(|line| !line.is_empty()) {
            if by_tabs {
                let parts = line.split(|&b| b == b'\t').map(|part| Part::read(&tab_unescape(part)).key);
                subscriptions.slashed.insert(join(parts));
            } else {
                subscriptions.slashed.insert(join(line.split(|&b| b == b'/').map(|part| Part::read(part).key)));
                subscriptions.dotted.insert(join(line.split(|&b| b == b'.').map(|part| Part::read(part).key)));
            }
        }
        subscriptions
    }

    /// Whether the folder with this key, in a dotted directory or not, is subscribed. The inbox always is: every client shows it.
    pub(super) fn contain(&self, key: &str, dotted: bool) -> bool {
        !self.exists || key == "INBOX" || self.slashed.contains(key) || (dotted && self.dotted.contains(key))
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    if let Some(first) = parts.first_mut().filter(|first| first.eq_ignore_ascii_case("INBOX")) {
        *first = "INBOX".to_owned();
    }
    parts.join("/")
}

/// Undoes Dovecot's escaping of tabs and line ends with the byte 1.
fn tab_unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            1 => match bytes.next() {
                Some(b'0') => 0,
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b'1') | None => 1,
                Some(other) => other,
            },
            _ => byte,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscription_files() {
        let old = Subscriptions::parse(b"INBOX\nArchive.2024\r\nEntw&APw-rfe\nfs/child\n");
        assert!(old.dotted.contains("Archive/2024") && old.slashed.contains("fs/child"));
        assert!(old.slashed.contains("Entwürfe") && !old.slashed.contains("Archive/2024"));
        let new = Subscriptions::parse(b"V\t2\n\nArchive\t2024\na\x01tb\tv1.0\n");
        assert!(new.slashed.contains("Archive/2024") && new.slashed.contains("a%09b/v1.0"));
        assert!(new.dotted.is_empty());
    }
}
