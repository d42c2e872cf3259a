//! Which characters of a stranger's text are not let through.

/// True for a character that must reach neither a terminal nor a name: a control character (C0, C1), one that turns the
/// direction of writing, or one that ends a line or a paragraph. What is put in its place is for each use.
///
/// Joiners and spaces without width are none of them: Persian, the scripts of India, Thai and Khmer cannot do without.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// How much alike two names are that one may have been typed for the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// The name that was probably meant by another one; upper and lower case count as one.
pub fn nearest<'n>(typed: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.to_lowercase();
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &typed), name));
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    nearest.filter(|(alike, _)| *alike >= ALIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::is_unsafe;

    #[test]
    fn what_steers_a_terminal_or_a_reader_is_unsafe() {
        for c in ['\0', '\t', '\n', '\r', '\u{1B}', '\u{7F}', '\u{85}', '\u{9B}', '\u{200E}', '\u{200F}'] {
            assert!(is_unsafe(c), "{c:?}");
        }
        for c in ['\u{2028}', '\u{2029}', '\u{202A}', '\u{202E}', '\u{2066}', '\u{2069}'] {
            assert!(is_unsafe(c), "{c:?}");
        }
        for c in [' ', 'a', 'ü', '\u{A0}', '\u{200B}', '\u{200C}', '\u{200D}', '\u{202F}', '\u{FEFF}', '漢', '😀'] {
            assert!(!is_unsafe(c), "{c:?}");
        }
    }
}
