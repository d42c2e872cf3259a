//! The messages of a scope on their way to a listing: which are one, which are left out, in which mailboxes they lie.

use super::listed::rev_of;
use super::root::Root;
use super::spool::Stretch;
use crate::format::mbox::Status;
use crate::format::{labels, maildir};
use crate::model::container::Container;
use crate::model::{Attrs, Digest, Entry, ObjectType, SkipKind, SkippedItem};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The mailbox of messages without label in a file without name.
pub(super) const IMPORTED: &str = "Imported";
/// Sets of labels that are remembered at a time, and the longest such set in bytes.
const KNOWN_LABELS: usize = 4096;
const KNOWN_LENGTH: usize = 1024;

/// How mail is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct MailOptions {
    /// Mailboxes with the names of Gmail's own labels get canonical names and roles.
    pub(super) automap: bool,
    /// Messages marked as deleted are taken, too.
    pub(super) include_deleted: bool,
}

impl MailOptions {
    /// The head of a cursor: it changes with these options and with the rules that list a scope.
    pub(super) fn cursor(&self) -> String {
        let automap = if self.automap { "" } else { "-noautomap" };
        let deleted = if self.include_deleted { "-deleted" } else { "" };
        format!("m2{automap}{deleted}")
    }
}

/// Where the bytes of a message are. Its text is `offset,length,quoting,date,file`: an unknown date is empty, and so is
/// the file where the scope is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locator {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) unquote: bool,
    /// When the message came, as far as the file and the header tell.
    pub(super) received: Option<i64>,
    pub(super) file: String,
}

impl Locator {
    /// Reads what [`Locator::text`] wrote.
    pub(super) fn parse(text: &str) -> Option<Locator> {
        let mut fields = text.splitn(5, ',');
        let offset = fields.next()?.parse().ok()?;
        let len = fields.next()?.parse().ok()?;
        let unquote = fields.next()? == "rd";
        let received = match fields.next()? {
            "" => None,
            date => Some(date.parse().ok()?),
        };
        Some(Locator { offset, len, unquote, received, file: fields.next()?.to_owned() })
    }

    /// The text that stands in an entry.
    pub(super) fn text(&self) -> Box<str> {
        let quoting = if self.unquote { "rd" } else { "" };
        let received = self.received.map(|date| date.to_string()).unwrap_or_default();
        format!("{},{},{quoting},{received},{}", self.offset, self.len, self.file).into()
    }

    /// The bytes that the message is.
    pub(super) fn stretch(&self) -> Stretch {
        Stretch { range: self.offset..self.offset.saturating_add(self.len), unquote: self.unquote, is_message: true }
    }
}

/// What is said of a message beside its labels of Gmail.
#[derive(Default)]
pub(super) struct Said {
    pub(super) status: Status,
    /// Paths of mailboxes.
    pub(super) mailboxes: Vec<String>,
}

/// Gathers the messages of a scope.
pub(super) struct Gatherer {
    options: MailOptions,
    root: Arc<Root>,
    /// What labels and flags of a message say, by their bytes.
    known: HashMap<Vec<u8>, Arc<Attrs>>,
    pub(super) entries: Vec<Entry>,
    /// Which entry has this digest.
    places: HashMap<Digest, usize>,
    pub(super) omissions: Vec<SkippedItem>,
}

impl Gatherer {
    /// A gatherer of none yet.
    pub(super) fn new(options: MailOptions, root: &Arc<Root>) -> Gatherer {
        let (known, places) = (HashMap::new(), HashMap::new());
        Gatherer { options, root: Arc::clone(root), known, entries: Vec::new(), places, omissions: Vec::new() }
    }

    /// What the header of a message and its flags say of it, and what is to be listed. `None` for a message that is left out: then that
    /// is noted. `position` says where it is.
    pub(super) fn judge(
        &mut self,
        head: &[u8],
        Said { mut status, mailboxes }: Said,
        position: impl FnOnce() -> String,
    ) -> Option<Arc<Attrs>> {
        if status.is_internal {
            self.omit("internal data of a mail program", position(), SkipKind::ByProduct);
            return None;
        }
        if status.is_deleted {
            if !self.options.include_deleted {
                self.omit("deleted flag", position(), SkipKind::Skipped);
                return None;
            }
            status.keywords.push(maildir::DELETED.to_owned());
        }
        let fields = labels::fields(head);
        let beside = [mailboxes.join("\n"), status.keywords.join(" ")].join("\0");
        let raw = [fields.join(&b'\n'), beside.into_bytes()].join(&0);
        if let Some(known) = self.known.get(&raw) {
            return Some(known.clone());
        }
        let labels = labels::parse(&fields, self.options.automap);
        let keywords: BTreeSet<String> = labels.keywords.into_iter().chain(status.keywords).collect();
        let mailboxes = mailboxes.iter().filter_map(|name| labels::mailbox(name, false));
        let parents: BTreeSet<String> = labels.mailboxes.into_iter().chain(mailboxes).collect();
        let attrs = Arc::new(Attrs {
            of: ObjectType::Mailbox,
            keywords: keywords.into_iter().collect(),
            parents: parents.into_iter().map(|mailbox| self.root.below(mailbox)).collect(),
        });
        if self.known.len() >= KNOWN_LABELS {
            self.known.clear();
        }
        if raw.len() <= KNOWN_LENGTH {
            self.known.insert(raw, attrs.clone());
        }
        Some(attrs)
    }

    /// Makes an entry of a message, or joins its labels to those of the entry with the same digest.
    pub(super) fn add(
        &mut self,
        digest: Digest,
        locator: &Locator,
        attrs: Arc<Attrs>,
        position: impl FnOnce() -> String,
    ) {
        if let Some(entry) = self.places.get(&digest).and_then(|&place| self.entries.get_mut(place)) {
            entry.attrs = union(&entry.attrs, &attrs);
            return self.omit("same message twice in a file", position(), SkipKind::Duplicate);
        }
        self.places.insert(digest, self.entries.len());
        let key = digest.hex();
        self.entries.push(Entry { rev: rev_of(&key).into(), key: key.into(), locator: locator.text(), attrs });
    }

    /// Notes a message that is left out.
    pub(super) fn omit(&mut self, reason: &str, position: String, outcome: SkipKind) {
        self.omissions.push(SkippedItem { kind: ObjectType::Email, reason: reason.to_owned(), position, outcome });
    }

    /// The entries, those without a label in the mailbox `unlabelled`; the mailboxes that they lie in and those above
    /// them, parents first; and what is left out.
    pub(super) fn finish(mut self, unlabelled: &str) -> (Vec<Entry>, Vec<Container>, Vec<SkippedItem>) {
        let automap = self.options.automap;
        // A name that the user gives is the one that it gets.
        let is_mapped = automap && self.root.mailbox().is_none();
        let mailbox = labels::mailbox(unlabelled, is_mapped).unwrap_or_else(|| IMPORTED.to_owned());
        let mut filed: HashMap<Vec<String>, Arc<Attrs>> = HashMap::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.attrs.parents.is_empty()) {
            let keywords = &entry.attrs.keywords;
            entry.attrs = match filed.get(keywords) {
                Some(attrs) => attrs.clone(),
                None => {
                    let parents = vec![mailbox.clone()];
                    let attrs = Arc::new(Attrs { of: ObjectType::Mailbox, keywords: keywords.clone(), parents });
                    filed.insert(keywords.clone(), attrs.clone());
                    attrs
                }
            };
        }
        let containers = containers(&self.entries, automap);
        (self.entries, containers, self.omissions)
    }
}

fn union(one: &Arc<Attrs>, other: &Arc<Attrs>) -> Arc<Attrs> {
    if one == other {
        return one.clone();
    }
    let all = |one: &[String], other: &[String]| {
        one.iter().chain(other).cloned().collect::<BTreeSet<String>>().into_iter().collect()
    };
    Arc::new(Attrs {
        of: one.of,
        keywords: all(&one.keywords, &other.keywords),
        parents: all(&one.parents, &other.parents),
    })
}

/// The mailboxes that the entries lie in and those above them, parents first.
fn containers(entries: &[Entry], automap: bool) -> Vec<Container> {
    let mut paths = BTreeSet::new();
    let mut last = None;
    for entry in entries {
        if last.is_some_and(|last| Arc::ptr_eq(last, &entry.attrs)) {
            continue;
        }
        last = Some(&entry.attrs);
        for parent in &entry.attrs.parents {
            if !paths.contains(parent.as_str()) {
                paths.extend(labels::ancestry(parent));
            }
        }
    }
    // A path sorts behind those that it begins with.
    let container = |path: &str| {
        let parent = labels::parent(path);
        let name = parent.map_or(path, |parent| &path[parent.len() + 1..]);
        let mut container = Container::new(ObjectType::Mailbox, path, parent.map(str::to_owned), name);
        let inbox = path.eq_ignore_ascii_case("inbox").then_some("inbox");
        container.role = labels::role(path).or(inbox).filter(|_| automap).map(str::to_owned);
        container
    };
    paths.into_iter().map(container).collect()
}

#[cfg(test)]
mod tests {
    use super::Locator;

    #[test]
    fn locators() {
        for (unquote, received, file) in [(true, Some(-5), ""), (false, None, "a,b.eml"), (true, None, ",")] {
            let locator = Locator { offset: u64::MAX, len: 0, unquote, received, file: file.to_owned() };
            assert_eq!(Locator::parse(&locator.text()), Some(locator));
        }
        for text in ["", "1", "1,2", "1,2,rd", "-1,2,,,", "1,2,,x,", "1,2,rd,5"] {
            assert_eq!(Locator::parse(text), None, "{text}");
        }
    }
}
