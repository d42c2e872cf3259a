//! Which mailbox plays which role (RFC 8621 section 2, `role`): by special-use attribute (RFC 6154), else by name.
//!
//! An account has at most one mailbox of each role, so roles are given over the whole list at once ([`assign`]).

use unicode_normalization::UnicodeNormalization;

/// A mailbox that may get a role.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its decoded path without the namespace's prefix, `/` between the parts. `INBOX` (any case) is the inbox.
    pub path: &'a str,
    /// Its attributes as the server says them (`\Sent`); others than those of special use do no harm.
    pub attributes: &'a [&'a str],
}

/// The role of each mailbox, in the order given. Attributes count before names; among mailboxes that claim the same
/// role, one whose whole path is the name counts before one whose last part is, then the less deep one, then the one
/// that stands earlier in the table, then the first. With `by_names` false (`--noautomap`) names other than `INBOX`
/// count for nothing.
pub fn assign(mailboxes: &[Candidate<'_>], by_names: bool) -> Vec<Option<&'static str>> {
    let mut claims: Vec<(Rank, usize, &'static str)> = Vec::new();
    for (at, mailbox) in mailboxes.iter().enumerate() {
        if mailbox.path.eq_ignore_ascii_case("INBOX") {
            claims.push((Rank::Inbox, at, "inbox"));
        } else if let Some(role) = mailbox.attributes.iter().find_map(|attribute| by_attribute(attribute)) {
            claims.push((Rank::Attribute, at, role));
        } else if let Some((role, rank)) = by_names.then(|| claim_by_name(mailbox.path)).flatten() {
            claims.push((rank, at, role));
        }
    }
    claims.sort_unstable_by_key(|&(rank, at, _)| (rank, at));
    let mut roles = vec![None; mailboxes.len()];
    for (_, at, role) in claims {
        if !roles.contains(&Some(role)) {
            roles[at] = Some(role);
        }
    }
    roles
}

/// The role that a special-use attribute names.
pub fn by_attribute(attribute: &str) -> Option<&'static str> {
    const ROLES: [&str; 8] = ["all", "archive", "drafts", "flagged", "important", "junk", "sent", "trash"];
    let name = attribute.strip_prefix('\\')?;
    ROLES.into_iter().find(|role| role.eq_ignore_ascii_case(name))
}

/// The role that a mailbox with this path has by its name alone, `/` between the parts.
pub fn by_name(path: &str) -> Option<&'static str> {
    claim_by_name(path).map(|(role, _)| role)
}

/// How good a claim is; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Inbox,
    Attribute,
    Name { is_part: bool, depth: usize, row: usize },
}

/// Names in folded form. The English ones (and `Brouillons`) are those of Vandelay 1.x in its order; then what the
/// web mail and mail programs of other languages create. A name that means two things somewhere (`Lixo`, `Archivo`,
/// `Важное`) is not here.
#[rustfmt::skip]
const NAMES: &[(&str, &str)] = &[
    ("sent", "sent"), ("sent mail", "sent"), ("sent items", "sent"), ("sent messages", "sent"),
    ("sent-mail", "sent"), ("[gmail]/sent mail", "sent"), ("[gmail]/sent", "sent"),
    ("drafts", "drafts"), ("draft", "drafts"), ("brouillons", "drafts"), ("[gmail]/drafts", "drafts"),
    ("trash", "trash"), ("deleted", "trash"), ("deleted items", "trash"), ("deleted messages", "trash"),
    ("[gmail]/trash", "trash"), ("[gmail]/bin", "trash"),
    ("junk", "junk"), ("spam", "junk"), ("junk e-mail", "junk"), ("junk email", "junk"), ("[gmail]/spam", "junk"),
    ("[gmail]/all mail", "all"),
    ("archive", "archive"), ("archives", "archive"),
    // German
    ("gesendet", "sent"), ("gesendete elemente", "sent"), ("gesendete objekte", "sent"),
    ("gesendete nachrichten", "sent"), ("entwürfe", "drafts"), ("papierkorb", "trash"),
    ("gelöschte elemente", "trash"), ("gelöschte objekte", "trash"), ("junk-e-mail", "junk"),
    ("spamverdacht", "junk"), ("[gmail]/alle nachrichten", "all"), ("archiv", "archive"),
    // French
    ("envoyés", "sent"), ("éléments envoyés", "sent"), ("messages envoyés", "sent"), ("objets envoyés", "sent"),
    ("corbeille", "trash"), ("éléments supprimés", "trash"), ("messages supprimés", "trash"),
    ("courrier indésirable", "junk"), ("indésirables", "junk"), ("pourriel", "junk"),
    ("[gmail]/tous les messages", "all"),
    // Spanish
    ("enviados", "sent"), ("elementos enviados", "sent"), ("mensajes enviados", "sent"), ("borradores", "drafts"),
    ("papelera", "trash"), ("elementos eliminados", "trash"), ("correo no deseado", "junk"),
    ("correo basura", "junk"), ("[gmail]/todos", "all"),
    // Portuguese
    ("itens enviados", "sent"), ("mensagens enviadas", "sent"), ("[gmail]/e-mails enviados", "sent"),
    ("rascunhos", "drafts"), ("lixeira", "trash"), ("itens excluídos", "trash"), ("itens eliminados", "trash"),
    ("lixo eletrônico", "junk"), ("lixo eletrónico", "junk"), ("[gmail]/todos os e-mails", "all"),
    // Italian
    ("inviati", "sent"), ("posta inviata", "sent"), ("messaggi inviati", "sent"), ("bozze", "drafts"),
    ("cestino", "trash"), ("posta eliminata", "trash"), ("posta indesiderata", "junk"),
    ("[gmail]/tutti i messaggi", "all"), ("archivio", "archive"),
    // Dutch
    ("verzonden", "sent"), ("verzonden items", "sent"), ("verzonden berichten", "sent"), ("concepten", "drafts"),
    ("prullenbak", "trash"), ("prullenmand", "trash"), ("verwijderde items", "trash"),
    ("ongewenste e-mail", "junk"), ("[gmail]/alle berichten", "all"), ("archief", "archive"),
    // Swedish, Norwegian, Danish, Finnish
    ("skickat", "sent"), ("skickade objekt", "sent"), ("sendt", "sent"), ("sendt post", "sent"),
    ("sendte elementer", "sent"), ("lähetetyt", "sent"), ("utkast", "drafts"), ("kladder", "drafts"),
    ("luonnokset", "drafts"), ("papperskorgen", "trash"), ("borttagna objekt", "trash"), ("papirkurv", "trash"),
    ("slettede elementer", "trash"), ("slettet post", "trash"), ("roskakori", "trash"), ("poistetut", "trash"),
    ("skräppost", "junk"), ("søppelpost", "junk"), ("uønsket e-post", "junk"), ("uønsket mail", "junk"),
    ("roskaposti", "junk"), ("arkiv", "archive"), ("arkisto", "archive"),
    // Polish, Czech, Hungarian, Turkish
    ("wysłane", "sent"), ("elementy wysłane", "sent"), ("odeslaná pošta", "sent"), ("odeslané", "sent"),
    ("elküldött elemek", "sent"), ("elküldött", "sent"), ("gönderilmiş öğeler", "sent"), ("gönderilenler", "sent"),
    ("wersje robocze", "drafts"), ("szkice", "drafts"), ("koncepty", "drafts"), ("piszkozatok", "drafts"),
    ("taslaklar", "drafts"), ("kosz", "trash"), ("elementy usunięte", "trash"), ("koš", "trash"),
    ("odstraněná pošta", "trash"), ("törölt elemek", "trash"), ("çöp kutusu", "trash"), ("silinmiş öğeler", "trash"),
    ("wiadomości-śmieci", "junk"), ("nevyžádaná pošta", "junk"), ("levélszemét", "junk"),
    ("gereksiz e-posta", "junk"), ("archiwum", "archive"), ("archív", "archive"), ("arşiv", "archive"),
    // Russian, Ukrainian
    ("отправленные", "sent"), ("надіслані", "sent"), ("черновики", "drafts"), ("чернетки", "drafts"),
    ("корзина", "trash"), ("удаленные", "trash"), ("удалённые", "trash"), ("кошик", "trash"), ("спам", "junk"),
    ("нежелательная почта", "junk"), ("[gmail]/вся почта", "all"), ("архив", "archive"), ("архів", "archive"),
    // Japanese, Chinese, Korean
    ("送信済み", "sent"), ("送信済みアイテム", "sent"), ("送信済みメール", "sent"), ("已发送", "sent"),
    ("已发送邮件", "sent"), ("寄件備份", "sent"), ("보낸편지함", "sent"), ("下書き", "drafts"), ("草稿", "drafts"),
    ("草稿箱", "drafts"), ("임시보관함", "drafts"), ("ゴミ箱", "trash"), ("削除済みアイテム", "trash"),
    ("已删除", "trash"), ("已删除邮件", "trash"), ("휴지통", "trash"), ("迷惑メール", "junk"), ("垃圾邮件", "junk"),
    ("垃圾郵件", "junk"), ("스팸", "junk"), ("스팸메일함", "junk"), ("[gmail]/すべてのメール", "all"),
    ("アーカイブ", "archive"),
];

fn claim_by_name(path: &str) -> Option<(&'static str, Rank)> {
    let path = fold(path);
    let depth = path.matches('/').count();
    let last = path.rsplit(['/', '.']).next().unwrap_or_default();
    let row_of = |name: &str| NAMES.iter().position(|&(known, _)| known == name);
    let (row, is_part) = row_of(&path).map(|row| (row, false)).or_else(|| row_of(last).map(|row| (row, true)))?;
    Some((NAMES[row].1, Rank::Name { is_part, depth, row }))
}

/// One form for all spellings of a name: composed, in lower case, and Gmail's folder under one name.
fn fold(path: &str) -> String {
    let folded: String = path.nfc().flat_map(char::to_lowercase).nfc().collect();
    match folded.strip_prefix("[google mail]/") {
        Some(rest) => format!("[gmail]/{rest}"),
        None => folded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(paths: &[&str]) -> Vec<Option<&'static str>> {
        let mailboxes: Vec<Candidate> = paths.iter().map(|path| Candidate { path, attributes: &[] }).collect();
        assign(&mailboxes, true)
    }

    #[test]
    fn the_table_is_folded_and_free_of_doubles() {
        for (at, (name, _)) in NAMES.iter().enumerate() {
            assert_eq!(fold(name), *name);
            assert!(NAMES[at + 1..].iter().all(|(other, _)| other != name), "{name} twice");
        }
    }

    #[test]
    fn names() {
        for (path, role) in [
            ("SENT MAIL", "sent"),
            ("INBOX/Trash", "trash"),
            ("INBOX.Spam", "junk"),
            ("Entwu\u{308}rfe", "drafts"),
            ("ENTWÜRFE", "drafts"),
            ("[Google Mail]/All Mail", "all"),
            ("[Gmail]/Papierkorb", "trash"),
            ("Éléments envoyés", "sent"),
        ] {
            assert_eq!(by_name(path), Some(role), "{path}");
        }
        for path in ["All Mail", "Work", "", "/", "Sent/", "sent items 2"] {
            assert_eq!(by_name(path), None, "{path}");
        }
    }

    #[test]
    fn one_mailbox_a_role() {
        assert_eq!(roles(&["inbox", "Sent Items", "Sent"]), [Some("inbox"), None, Some("sent")]);
        assert_eq!(roles(&["Old/Sent", "Sent Items"]), [None, Some("sent")]);
        assert_eq!(roles(&["INBOX/Junk", "a.Junk"]), [None, Some("junk")]);
        assert_eq!(roles(&["A/Trash", "B/Trash"]), [Some("trash"), None]);
        assert_eq!(roles(&["INBOX", "Inbox"]), [Some("inbox"), None]);
    }

    #[test]
    fn attributes_before_names() {
        let mailboxes = [
            Candidate { path: "Sent", attributes: &[] },
            Candidate { path: "Post/Raus", attributes: &["\\HasNoChildren", "\\SENT"] },
            Candidate { path: "Archive", attributes: &["\\Trash"] },
        ];
        assert_eq!(assign(&mailboxes, true), [None, Some("sent"), Some("trash")]);
        assert_eq!(assign(&mailboxes[..1], false), [None]);
        assert_eq!(by_attribute("Sent"), None);
    }
}
