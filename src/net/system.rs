//! What the system says of a connection that failed, in words for the user.

use crate::error::{Error, ErrorKind};
use std::io;

/// True if a resolver's words say that there is no such name, as the C libraries have them: asking again does not help.
/// The standard library hands over nothing but the words.
pub(crate) fn is_unknown_host(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    // glibc (EAI_NONAME, EAI_NODATA), musl, BSD.
    [
        "name or service not known",
        "no address associated with hostname",
        "name does not resolve",
        "nodename nor servname",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// The error for a name that no host has.
pub(crate) fn unknown_host(host: &str) -> Error {
    Error::new(ErrorKind::Connection, format!("there is no host named {host}")).hint("check the name in --url")
}

/// An error of the system without links to a library's documentation.
pub(crate) fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the server closed the connection"),
        kind => match error.to_string() {
            text if text.contains("https://") => {
                let words = text.split(" https://").next().unwrap_or_default().trim_end_matches(':').to_owned();
                io::Error::new(kind, words)
            }
            _ => error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_final_and_a_resolver_that_is_away_is_not() {
        for (words, is_final) in [
            ("failed to lookup address information: Name or service not known", true),
            ("failed to lookup address information: No address associated with hostname", true),
            ("failed to lookup address information: Name does not resolve", true),
            ("failed to lookup address information: Temporary failure in name resolution", false),
            ("failed to lookup address information: Try again", false),
        ] {
            assert_eq!(is_unknown_host(words), is_final, "{words}");
        }
        assert!(!unknown_host("x.example").is_transient());
    }

    #[test]
    fn no_message_has_a_link_to_a_library() {
        let text = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/";
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::Other] {
            let words = plain(io::Error::new(kind, text)).to_string();
            assert!(!words.contains("https:") && words.contains("close"), "{words}");
        }
    }
}
