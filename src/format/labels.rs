//! Gmail's labels as Google Takeout writes them: one header field, `X-Gmail-Labels`, in the language of the account.
//!
//! A label is a mailbox, a keyword or nothing. Gmail's own labels are known by their names in some twenty languages
//! (`labels/names.rs`); they stand for the same thing whatever the language: `Posteingang` is the mailbox `Inbox`,
//! `Markiert` the keyword `$flagged`. Everything else is a mailbox of the user, with `/` for the hierarchy.

use super::fields;
use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use names::Meaning;
use unicode_normalization::UnicodeNormalization;

mod names;

/// The longest label kept, in bytes. Gmail allows 225 characters.
const MAX_LABEL: usize = 1024;
/// The most labels of a message that are looked at. Gmail allows 5,000 in an account.
const MAX_LABELS: usize = 5000;
/// Mailboxes are not nested deeper; what is left of a label then is one name.
const MAX_DEPTH: usize = 32;

/// What the labels of a message say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Slash-separated paths of mailboxes, sorted, without duplicates. Empty when no label is a mailbox.
    pub mailboxes: Vec<String>,
    /// JMAP keywords, sorted, without duplicates.
    pub keywords: Vec<String>,
}

/// The values of all X-Gmail-Labels fields of a header block, each with its folding and without its name. Messages with
/// the same labels have the same bytes here.
pub fn fields(head: &[u8]) -> Vec<&[u8]> {
    fields::fields(head).filter(|field| field.is("X-Gmail-Labels")).map(|field| field.value).collect()
}

/// What the labels in these values ([`fields()`]) mean. With `automap` Gmail's own labels become mailboxes with their
/// canonical English names; without, they keep theirs.
pub fn parse(fields: &[&[u8]], automap: bool) -> Labels {
    let mut labels = Labels::default();
    for value in fields {
        for label in split(&decode(value)).into_iter().take(MAX_LABELS) {
            match meaning(&label) {
                Some(Meaning::Nothing) => {}
                Some(Meaning::Keyword(keyword)) => labels.keywords.push(keyword.to_owned()),
                _ => labels.mailboxes.extend(mailbox(&label, automap)),
            }
        }
    }
    for list in [&mut labels.mailboxes, &mut labels.keywords] {
        list.sort();
        list.dedup();
        list.shrink_to_fit();
    }
    labels
}

/// The path of the mailbox that a label names, whatever else it may mean. `None` if it has no name at all.
pub fn mailbox(label: &str, automap: bool) -> Option<String> {
    if automap && let Some(Meaning::Mailbox(canonical)) = meaning(label) {
        return Some(canonical.to_owned());
    }
    let end = label.floor_char_boundary(MAX_LABEL.min(label.len()));
    let names: Vec<&str> = label[..end].split('/').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { None } else { Some(names.join("/")) }
}

/// The mailbox that the one at `path` lies in.
pub fn parent(path: &str) -> Option<&str> {
    path.match_indices('/').take(MAX_DEPTH - 1).last().map(|(at, _)| &path[..at])
}

/// The paths of the mailboxes on the way to the one at `path`, that one last.
pub fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').map(|(at, _)| at).take(MAX_DEPTH - 1);
    inner.chain([path.len()]).map(|end| &path[..end])
}

/// The JMAP role of the mailbox at `path` when roles are mapped: that of its canonical English name.
pub fn role(path: &str) -> Option<&'static str> {
    Some(match path {
        "Inbox" => "inbox",
        "Sent" => "sent",
        "Drafts" => "drafts",
        "Trash" => "trash",
        "Spam" => "junk",
        "Archive" => "archive",
        _ => return None,
    })
}

/// Unfolds and decodes (RFC 2047) a field value.
fn decode(value: &[u8]) -> String {
    // The parser wants the line break that the end of a cut header block may lack.
    let mut line = value.to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// The labels of a list: separated by commas, in quotes where a name has a comma of its own.
fn split(list: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.trim_start();
        if let Some((label, behind)) = quoted(rest) {
            labels.push(label);
            rest = behind;
        } else {
            let (label, behind) = rest.split_once(',').unwrap_or((rest, ""));
            labels.push(label.trim().to_owned());
            rest = behind;
        }
        if rest.is_empty() {
            break;
        }
    }
    labels.retain(|label| !label.is_empty());
    labels
}

/// A quoted label at the start of `text`, and what stands behind the comma that follows it. `None` if the quotes do not
/// close before a comma or the end.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut label = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            // Bounded: a list of lone quotes would be read to its end for each of them.
            _ if at > 2 * MAX_LABEL => return None,
            '\\' => label.extend(chars.next().map(|(_, escaped)| escaped)),
            '"' if matches!(chars.peek(), Some((_, '"'))) => {
                chars.next();
                label.push('"');
            }
            '"' => {
                let behind = inner[at + 1..].trim_start();
                let behind = if behind.is_empty() { behind } else { behind.strip_prefix(',')? };
                return Some((label, behind));
            }
            _ => label.push(char),
        }
    }
    None
}

/// What a label of Gmail's own means. `None` for one of the user.
fn meaning(label: &str) -> Option<Meaning> {
    if label.len() > MAX_LABEL || label.contains('/') {
        return None;
    }
    let folded: String = label.trim().nfc().flat_map(char::to_lowercase).collect();
    names::system(&folded).or_else(|| names::is_category(&folded).then_some(Meaning::Nothing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(head: &str, automap: bool) -> (Vec<String>, Vec<String>) {
        let labels = parse(&fields(head.as_bytes()), automap);
        (labels.mailboxes, labels.keywords)
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn english() {
        let head = "From: x\r\nX-Gmail-Labels: Inbox,Starred, Important,Opened,\r\n Work/Projects ,Category Updates\r\n\
                    Subject: X-Gmail-Labels: no\r\nx-gmail-labels: Unread,Archived,,Work\r\n";
        let keywords = strings(&["$flagged", "$important", "$seen"]);
        assert_eq!(labels(head, true), (strings(&["Archive", "Inbox", "Work", "Work/Projects"]), keywords.clone()));
        assert_eq!(labels(head, false), (strings(&["Archived", "Inbox", "Work", "Work/Projects"]), keywords));
        assert_eq!(labels("X-Gmail-Labels: Unread,Category Travel Plans", true).0, ["Category Travel Plans"]);
        assert_eq!(labels("X-Gmail-Labels-Not: a\nX-Gmail-Labels:\n", true), Default::default());
    }

    #[test]
    fn other_languages() {
        let german = "X-Gmail-Labels: =?UTF-8?Q?Posteingang,Wichtig,Ge=C3=B6ffnet,Entw=C3=BCrfe,?=\r\n \
                      =?UTF-8?Q?Kategorie_=E2=80=9ESoziale_Netzwerke=E2=80=9C,Kategorie_Haus,M=C3=BCll/A?=\r\n";
        assert_eq!(
            labels(german, true),
            (strings(&["Drafts", "Inbox", "Kategorie Haus", "Müll/A"]), strings(&["$important", "$seen"]))
        );
        assert_eq!(labels(german, false).0, ["Entwürfe", "Kategorie Haus", "Müll/A", "Posteingang"]);
        for (value, mailboxes, keywords) in [
            ("=?UTF-8?B?5Y+X5L+h44OI44Os44KkLOmWi+WwgeOBquOBlw==?=", vec!["Inbox", "開封なし"], vec![]),
            ("Boîte de réception,Suivis,Messages archivés,Non lus", vec!["Archive", "Inbox"], vec!["$flagged"]),
            ("Boi\u{302}te de re\u{301}ception", vec!["Inbox"], vec![]),
            ("Recibidos,Abierto,Categoría: Promociones", vec!["Inbox"], vec!["$seen"]),
            ("Posta in arrivo,Speciali", vec!["Inbox"], vec!["$flagged"]),
            ("Caixa de entrada,Com estrela,Lixeira", vec!["Inbox", "Trash"], vec!["$flagged"]),
            ("Postvak IN,Belangrijk", vec!["Inbox"], vec!["$important"]),
            ("Odebrane,Ważne,Nieprzeczytane", vec!["Inbox"], vec!["$important"]),
            ("Входящие,Важное,Непрочитанные,Спам", vec!["Inbox", "Spam"], vec!["$important"]),
            ("受信トレイ,スター付き,迷惑メール", vec!["Inbox", "Spam"], vec!["$flagged"]),
            ("Skickat,Skräppost", vec!["Sent", "Spam"], vec![]),
            ("Indbakke,Ulæste", vec!["Inbox"], vec![]),
            ("Doručená pošta,Koš", vec!["Inbox", "Trash"], vec![]),
            ("Gelen Kutusu,Önemli", vec!["Inbox"], vec!["$important"]),
            ("收件箱,已加星标,垃圾邮件", vec!["Inbox", "Spam"], vec!["$flagged"]),
        ] {
            let found = labels(&format!("X-Gmail-Labels: {value}\n"), true);
            assert_eq!(found, (strings(&mailboxes), strings(&keywords)), "{value}");
        }
    }

    #[test]
    fn commas_and_slashes() {
        let quoted = r#"X-Gmail-Labels: "a,b",c "d" e,"x""y\"z" ,"lone,"#;
        assert_eq!(labels(quoted, true).0, strings(&["\"lone", "a,b", "c \"d\" e", "x\"y\"z"]));
        assert_eq!(labels("X-Gmail-Labels: /a//b/ , // ,Inbox/Sub", true).0, ["Inbox/Sub", "a/b"]);
        assert_eq!(ancestry("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
        assert_eq!((parent("a"), parent("a/b/c")), (None, Some("a/b")));
        let deep = vec!["x"; 100].join("/");
        assert_eq!(ancestry(&deep).count(), MAX_DEPTH);
        assert_eq!(ancestry(&deep).nth(MAX_DEPTH - 2), parent(&deep));
    }

    #[test]
    fn names_have_one_meaning() {
        names::check();
    }

    proptest! {
        #[test]
        fn anything(bytes in any::<Vec<u8>>(), tail in "[\"\\\\,=?/ a-zé]{0,60}") {
            parse(&fields(&bytes), true);
            let mut head = b"X-Gmail-Labels:".to_vec();
            head.extend_from_slice(&bytes);
            parse(&fields(&head), true);
            let labels = parse(&[tail.as_bytes()], false);
            for path in labels.mailboxes {
                prop_assert_eq!(ancestry(&path).last(), Some(&*path));
            }
        }
    }
}
