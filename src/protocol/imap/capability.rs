//! What a server can do (RFC 9051 section 7.2.2).

/// The capabilities of a server, in upper case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    words: Vec<String>,
}

/// What IMAP4rev2 includes (RFC 9051 appendix E), where a server does not say each of them.
const IN_REV2: [&str; 14] = [
    "NAMESPACE",
    "UNSELECT",
    "UIDPLUS",
    "ESEARCH",
    "SEARCHRES",
    "ENABLE",
    "IDLE",
    "SASL-IR",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "MOVE",
    "LITERAL-",
    "SPECIAL-USE",
    "BINARY",
];

impl Capabilities {
    /// The capabilities that a server named.
    pub fn new(words: impl IntoIterator<Item = String>) -> Capabilities {
        Capabilities { words: words.into_iter().map(|word| word.to_ascii_uppercase()).collect() }
    }

    /// True if the server named it, or named IMAP4rev2 alone, which includes it. `name` is in upper case.
    pub fn has(&self, name: &str) -> bool {
        self.says(name) || (IN_REV2.contains(&name) && self.says("IMAP4REV2") && !self.says("IMAP4REV1"))
    }

    /// The mechanisms of SASL that the server offers, in its order.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|word| word.strip_prefix("AUTH="))
    }

    /// All of them.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// True if a literal of this size may follow at once (RFC 7888).
    pub fn takes_literal_at_once(&self, size: usize) -> bool {
        self.has("LITERAL+") || (self.has("LITERAL-") && size <= 4096)
    }

    /// CONDSTORE, which QRESYNC includes (RFC 7162 section 3.2.3).
    pub fn has_condstore(&self) -> bool {
        self.has("CONDSTORE") || self.has("QRESYNC")
    }

    fn says(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rev2_includes() {
        let of = |words: &[&str]| Capabilities::new(words.iter().map(|word| (*word).to_owned()));
        assert!(of(&["imap4rev2"]).has("NAMESPACE"));
        assert!(!of(&["IMAP4rev1", "IMAP4rev2"]).has("NAMESPACE"));
        assert!(of(&["literal-"]).takes_literal_at_once(4096));
        assert!(!of(&["literal-"]).takes_literal_at_once(4097));
        assert_eq!(of(&["AUTH=PLAIN", "X", "auth=xoauth2"]).mechanisms().collect::<Vec<_>>(), ["PLAIN", "XOAUTH2"]);
    }
}
