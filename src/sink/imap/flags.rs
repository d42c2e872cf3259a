//! Keywords of JMAP as flags of IMAP (RFC 8621 section 4.1.1), and back.

use crate::format::jmap;

const SYSTEM: [(&str, &str); 4] =
    [("$seen", "\\Seen"), ("$flagged", "\\Flagged"), ("$answered", "\\Answered"), ("$draft", "\\Draft")];

/// The flag for a keyword; `None` for one that IMAP has no word for. `\Deleted` is never set: some servers and programs
/// remove what has it.
pub(super) fn flag(keyword: &str) -> Option<String> {
    if let Some((_, flag)) = SYSTEM.iter().find(|(name, _)| name.eq_ignore_ascii_case(keyword)) {
        return Some((*flag).to_owned());
    }
    if keyword.eq_ignore_ascii_case("$deleted") {
        return None;
    }
    jmap::keyword(keyword).filter(|keyword| is_atom(keyword))
}

/// The keyword of a flag, in lower case: servers see no difference.
pub(super) fn keyword(flag: &str) -> String {
    let system = SYSTEM.iter().find(|(_, known)| known.eq_ignore_ascii_case(flag));
    system.map_or_else(|| flag.to_ascii_lowercase(), |(keyword, _)| (*keyword).to_owned())
}

/// True if a mailbox with these PERMANENTFLAGS keeps a flag (RFC 9051 section 7.1); one that does not say it is believed to
/// keep all.
pub(super) fn is_kept(flag: &str, permanent: &[String]) -> bool {
    let takes_new = !flag.starts_with('\\') && permanent.iter().any(|known| known == "\\*");
    permanent.is_empty() || takes_new || permanent.iter().any(|known| known.eq_ignore_ascii_case(flag))
}

/// The keywords of a message. That it is marked as deleted is none.
pub(super) fn keywords(flags: &[String]) -> Vec<String> {
    let is_meant = |flag: &&String| !["\\Recent", "\\Deleted"].iter().any(|name| name.eq_ignore_ascii_case(flag));
    let mut keywords: Vec<String> = flags.iter().filter(is_meant).map(|flag| keyword(flag)).collect();
    keywords.sort_unstable();
    keywords.dedup();
    keywords
}

/// True for a keyword that can be sent (RFC 9051 section 9, `flag-keyword`).
fn is_atom(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_flags_and_nothing_is_marked_as_deleted() {
        assert_eq!(flag("$Seen").as_deref(), Some("\\Seen"));
        assert_eq!(flag("Work").as_deref(), Some("work"));
        assert_eq!((flag("$deleted"), flag("")), (None, None));
        let flags: Vec<String> = ["\\Recent", "\\SEEN", "Work", "work", "\\Deleted"].map(str::to_owned).to_vec();
        assert_eq!(keywords(&flags), ["$seen", "work"]);
        let permanent: Vec<String> = ["\\Seen", "Work"].map(str::to_owned).to_vec();
        let kept = ["\\seen", "work", "other"].map(|flag| is_kept(flag, &permanent));
        assert_eq!((kept, is_kept("other", &["\\*".to_owned()])), ([true, true, false], true));
        assert!(is_kept("other", &[]) && !is_kept("\\Draft", &["\\*".to_owned()]));
        assert_eq!(keyword(&flag("$seen").expect("a flag")), "$seen");
    }
}
