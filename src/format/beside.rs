//! What programs write beside their files of one message: Proton Mail's export tool and Gmvault a JSON file for each, MH one list
//! of numbers for a folder, Claws Mail and Sylpheed one table.

use super::mbox::Status;
use super::mutf7;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// More bytes of such a file are not read. Proton Mail's of a message with a thousand recipients has 200 KiB.
pub const BESIDE_MAX: usize = 16 << 20;
/// Parents of a label of Proton Mail. Its folders are nested three times.
const MAX_DEPTH: usize = 16;
/// The most labels of a message that are looked at.
const MAX_LABELS: usize = 5000;
/// Runs of numbers in a list of MH.
const MAX_RUNS: usize = 1 << 20;

/// What stands beside a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// Paths of mailboxes, with `/`.
    pub mailboxes: Vec<String>,
    /// Flags.
    pub status: Status,
    /// When it came, in seconds since 1970.
    pub received: Option<i64>,
    /// Labels whose names are not known.
    pub unknown: Vec<String>,
}

/// The names of Proton Mail's labels and folders, by id: `labels.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProtonLabels(HashMap<String, String>);

impl ProtonLabels {
    /// Reads `labels.json`. `None` if it is not understood.
    pub fn parse(bytes: &[u8]) -> Option<ProtonLabels> {
        let file: Value = serde_json::from_slice(bytes).ok()?;
        let text = |label: &Value, name: &str| label.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = file.get("Payload")?.as_array()?;
        let known: HashMap<String, (String, String)> =
            list.iter().map(|label| (text(label, "ID"), (text(label, "Name"), text(label, "ParentID")))).collect();
        let path = |id: &str| {
            let (mut names, mut next) = (Vec::new(), id);
            while let Some((name, parent)) = known.get(next).filter(|_| names.len() < MAX_DEPTH) {
                names.push(name.trim());
                next = parent;
            }
            names.reverse();
            names.retain(|name| !name.is_empty());
            names.join("/")
        };
        let paths = known.keys().map(|id| (id.clone(), path(id)));
        Some(ProtonLabels(paths.filter(|(id, path)| !id.is_empty() && !path.is_empty()).collect()))
    }
}

/// Reads `ID.metadata.json` of Proton Mail's export. `None` if it is not understood.
///
/// Its labels have ids; those of the system are the same in all accounts. A message is in one folder and has any labels.
pub fn proton(bytes: &[u8], labels: &ProtonLabels) -> Option<Beside> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    let message = file.get("Payload")?;
    let mut found = Beside::default();
    let is_set =
        |name: &str| message.get(name).is_some_and(|value| value.as_bool() == Some(true) || value.as_i64() == Some(1));
    let bits = message.get("Flags").and_then(Value::as_u64).unwrap_or_default();
    let keywords = &mut found.status.keywords;
    // A message that was not read has `Unread`; where the field is missing nothing is known.
    if message.get("Unread").is_some() && !is_set("Unread") {
        keywords.push("$seen".to_owned());
    }
    if is_set("IsReplied") || is_set("IsRepliedAll") || bits & (1 << 5 | 1 << 6) != 0 {
        keywords.push("$answered".to_owned());
    }
    if is_set("IsForwarded") || bits & 1 << 7 != 0 {
        keywords.push("$forwarded".to_owned());
    }
    for label in message.get("LabelIDs")?.as_array()?.iter().filter_map(Value::as_str).take(MAX_LABELS) {
        match label {
            "0" => found.mailboxes.push("Inbox".to_owned()),
            "3" => found.mailboxes.push("Trash".to_owned()),
            "4" => found.mailboxes.push("Spam".to_owned()),
            "6" => found.mailboxes.push("Archive".to_owned()),
            "7" => found.mailboxes.push("Sent".to_owned()),
            "8" => {
                found.mailboxes.push("Drafts".to_owned());
                keywords.push("$draft".to_owned());
            }
            "9" => found.mailboxes.push("Outbox".to_owned()),
            "10" => keywords.push("$flagged".to_owned()),
            "12" => found.mailboxes.push("Scheduled".to_owned()),
            "16" => found.mailboxes.push("Snoozed".to_owned()),
            // Views of all drafts, all sent mail, all mail: what lies in them lies elsewhere, too.
            "1" | "2" | "5" | "15" => {}
            id => match labels.0.get(id) {
                Some(path) => found.mailboxes.push(path.clone()),
                None => found.unknown.push(id.to_owned()),
            },
        }
    }
    found.received = message.get("Time").and_then(Value::as_i64).filter(|time| *time > 0);
    Some(found.arranged())
}

/// Reads `ID.meta` of Gmvault. `None` if it is not understood. Its labels are those of Gmail's IMAP.
pub fn gmvault(bytes: &[u8]) -> Option<Beside> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    let list = |name: &str| -> Option<Vec<String>> {
        let all = file.get(name)?.as_array()?.iter().take(MAX_LABELS);
        Some(all.map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect())
    };
    let mut found = Beside::default();
    for label in list("labels")? {
        match label.as_str() {
            "\\Inbox" => found.mailboxes.push("Inbox".to_owned()),
            "\\Sent" => found.mailboxes.push("Sent".to_owned()),
            "\\Draft" | "\\Drafts" => found.mailboxes.push("Drafts".to_owned()),
            "\\Trash" => found.mailboxes.push("Trash".to_owned()),
            "\\Junk" | "\\Spam" => found.mailboxes.push("Spam".to_owned()),
            "\\Starred" | "\\Flagged" => found.status.keywords.push("$flagged".to_owned()),
            "\\Important" => found.status.keywords.push("$important".to_owned()),
            "\\Muted" => found.status.keywords.push("$muted".to_owned()),
            // Old versions kept them as the server says them.
            label => found.mailboxes.push(mutf7::decode(label).unwrap_or_else(|| label.to_owned()).trim().to_owned()),
        }
    }
    for flag in list("flags")? {
        match flag.as_str() {
            "\\Seen" => found.status.keywords.push("$seen".to_owned()),
            "\\Answered" => found.status.keywords.push("$answered".to_owned()),
            "\\Flagged" => found.status.keywords.push("$flagged".to_owned()),
            "\\Draft" => found.status.keywords.push("$draft".to_owned()),
            "\\Deleted" => found.status.is_deleted = true,
            _ => {}
        }
    }
    if found.mailboxes.is_empty() {
        // What has no label was archived: it lies in All Mail only.
        found.mailboxes.push("Archive".to_owned());
    }
    found.received =
        file.get("internal_date").and_then(Value::as_f64).filter(|time| *time > 0.0).map(|time| time as i64);
    Some(found.arranged())
}

impl Beside {
    fn arranged(mut self) -> Beside {
        self.mailboxes.retain(|name| !name.is_empty());
        self.mailboxes.sort();
        self.mailboxes.dedup();
        self.status.merge(Status::default());
        self
    }
}

/// The flags of the messages of an MH folder, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequences(Vec<(&'static str, Vec<RangeInclusive<u64>>)>);

impl Sequences {
    /// Reads `.mh_sequences`: lines of a name and of numbers, `unseen: 1 5-9`. Other names are the user's own. `None` if it is
    /// something else, or has more numbers than any folder: what is not unseen would be taken for seen.
    pub fn parse(bytes: &[u8]) -> Option<Sequences> {
        let mut all = Vec::new();
        let (mut current, mut left) = (None, MAX_RUNS);
        for line in std::str::from_utf8(bytes).ok()?.lines().filter(|line| !line.trim().is_empty()) {
            let numbers = match line.split_once(':') {
                Some((name, numbers)) if !line.starts_with([' ', '\t']) => {
                    current = match name.trim() {
                        "unseen" => Some("unseen"),
                        "flagged" => Some("$flagged"),
                        "replied" | "answered" => Some("$answered"),
                        "forwarded" => Some("$forwarded"),
                        _ => None,
                    };
                    numbers
                }
                None if !line.starts_with([' ', '\t']) => return None,
                _ => line,
            };
            let Some(current) = current else { continue };
            let run = |word: &str| {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                Some(first.parse().ok()?..=last.parse().ok()?)
            };
            let runs: Vec<_> = numbers.split_whitespace().map(run).collect::<Option<_>>()?;
            left = left.checked_sub(runs.len())?;
            all.push((current, runs));
        }
        Some(Sequences(all))
    }

    /// The flags of a message. A folder with such a list has all messages but the unseen ones as seen.
    pub fn status(&self, number: u64) -> Status {
        let is_in = |name: &str| {
            self.0.iter().any(|(known, runs)| *known == name && runs.iter().any(|run| run.contains(&number)))
        };
        let seen = (!is_in("unseen")).then_some("$seen");
        let others = ["$flagged", "$answered", "$forwarded"].into_iter().filter(|keyword| is_in(keyword));
        let keywords = others.chain(seen).map(str::to_owned).collect();
        let mut status = Status { keywords, ..Status::default() };
        status.merge(Status::default());
        status
    }
}

/// The flags of the messages of a folder of Claws Mail or Sylpheed, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks(HashMap<u32, u32>);

impl Marks {
    /// Reads `.claws_mark` or `.sylpheed_mark`: the version 2, then pairs of a number and of flags, all of 32 bits and in the
    /// order of the machine that wrote them. `None` if it is not understood.
    pub fn parse(bytes: &[u8]) -> Option<Marks> {
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        let version = number(bytes.get(..4)?)?;
        let is_swapped = version == 2_u32.swap_bytes();
        if version != 2 && !is_swapped || bytes.len() % 8 != 4 {
            return None;
        }
        let number = |bytes: &[u8]| number(bytes).map(|number| if is_swapped { number.swap_bytes() } else { number });
        let pairs = bytes[4..].chunks_exact(8).filter_map(|pair| Some((number(&pair[..4])?, number(&pair[4..])?)));
        Some(Marks(pairs.collect()))
    }

    /// The flags of a message. One that is not in the table is new.
    pub fn status(&self, number: u64) -> Status {
        let mut status = Status::default();
        let Some(bits) = u32::try_from(number).ok().and_then(|number| self.0.get(&number)) else { return status };
        let unread = bits & 0b11;
        let set = [(2, "$flagged"), (4, "$answered"), (5, "$forwarded")];
        let set = set.into_iter().filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, keyword)| keyword);
        status.keywords = set.chain((unread == 0).then_some("$seen")).map(str::to_owned).collect();
        status.is_deleted = bits & 1 << 3 != 0;
        status.merge(Status::default());
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LABELS: &str = r##"{"Version":1,"Payload":[
        {"ID":"a==","ParentID":"","Name":"Work","Path":"Work","Color":"#f00","Type":3},
        {"ID":"b==","ParentID":"a==","Name":"Ideas","Path":"Work/Ideas","Type":3},
        {"ID":"c==","ParentID":"d==","Name":"One","Type":1},{"ID":"d==","ParentID":"c==","Name":"Two","Type":1}]}"##;

    #[test]
    fn protons_labels_are_mailboxes_and_keywords() {
        let labels = ProtonLabels::parse(LABELS.as_bytes()).unwrap();
        assert_eq!((labels.0.len(), labels.0["b=="].as_str()), (4, "Work/Ideas"));
        let message = |text: &str| proton(format!(r#"{{"Version":1,"Payload":{text}}}"#).as_bytes(), &labels);
        let found = message(
            r#"{"ID":"x","LabelIDs":["0","5","15","10","b==","zz"],"Unread":0,"Flags":9227,"IsReplied":1,"Time":1600000000}"#,
        );
        let Beside { mailboxes, status, received, unknown } = found.unwrap();
        assert_eq!(mailboxes, ["Inbox", "Work/Ideas"]);
        assert_eq!(status.keywords, ["$answered", "$flagged", "$seen"]);
        assert_eq!((received, unknown), (Some(1_600_000_000), vec!["zz".to_owned()]));
        let draft = message(r#"{"LabelIDs":["1","8"],"Unread":true,"Flags":128,"Time":0}"#).unwrap();
        assert_eq!(
            (draft.mailboxes, draft.status.keywords),
            (vec!["Drafts".to_owned()], vec!["$draft".to_owned(), "$forwarded".to_owned()])
        );
        assert_eq!((message("{}"), message("[]"), proton(b"{}", &labels)), (None, None, None));
    }

    #[test]
    fn gmvaults_labels_are_those_of_gmail() {
        let found = gmvault(br#"{"gm_id": 1, "labels": ["\\Inbox", "\\Starred", "Entw&APw-rfe/x", 2024], "flags": ["\\Seen"], "internal_date": 1600000000}"#);
        let Beside { mailboxes, status, received, .. } = found.unwrap();
        assert_eq!(mailboxes, ["2024", "Entwürfe/x", "Inbox"]);
        assert_eq!((status.keywords, received), (vec!["$flagged".to_owned(), "$seen".to_owned()], Some(1_600_000_000)));
        let archived = gmvault(br#"{"labels": [], "flags": ["\\Deleted"], "id": 1}"#).unwrap();
        assert!(archived.status.is_deleted && archived.mailboxes == ["Archive"] && archived.received.is_none());
        assert_eq!(gmvault(br#"{"labels": 1}"#), None);
    }

    #[test]
    fn lists_of_mh() {
        let list = Sequences::parse(b"cur: 9\nunseen: 1 5-7\nreplied: 2\n 3\nflagged: 3\nother: x\n\n").unwrap();
        for strange in [&b"unseen: 3 x"[..], b"unseen: 9-", b"no list", b"unseen: 1\n\xff"] {
            assert_eq!(Sequences::parse(strange), None, "{strange:?}");
        }
        let of = |number| list.status(number).keywords.join(" ");
        assert_eq!(
            [1, 2, 3, 4, 6, 8].map(of),
            ["", "$answered $seen", "$answered $flagged $seen", "$seen", "", "$seen"]
        );
    }

    #[test]
    fn tables_of_claws_mail() {
        for swap in [u32::to_le_bytes, u32::to_be_bytes] {
            let table: Vec<u8> = [2, 1, 0b11, 2, 0b11_0100, 3, 0b1000].into_iter().flat_map(swap).collect();
            let marks = Marks::parse(&table).unwrap();
            let of = |number| marks.status(number).keywords.join(" ");
            assert_eq!([1, 2, 3, 4].map(of), ["", "$answered $flagged $forwarded $seen", "$seen", ""]);
            assert!(marks.status(3).is_deleted);
            assert_eq!(Marks::parse(&table[..9]), None);
        }
        assert_eq!(Marks::parse(b"text"), None);
    }

    proptest! {
        #[test]
        fn anything(bytes in any::<Vec<u8>>(), text in "[\\[\\]{}:,\"a-z0-9 -]{0,60}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                ProtonLabels::parse(bytes);
                proton(bytes, &ProtonLabels::default());
                gmvault(bytes);
                Sequences::parse(bytes).map(|list| list.status(1));
                Marks::parse(bytes);
            }
        }
    }
}
