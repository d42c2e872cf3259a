//! Text of strangers, fit for a message.

/// What a server said, fit for a message: one line of bounded length, without control characters and without the secrets
/// of this run. Whoever prints it still treats it as text from a stranger.
pub fn said(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    let shown = crate::net::mask::hide(&bytes[..bytes.len().min(4 * MAX)]);
    let text = String::from_utf8_lossy(&shown);
    let line: String = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).fold(
        String::new(),
        |mut line, word| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            line
        },
    );
    if line.chars().count() > MAX { line.chars().take(MAX).chain(['…']).collect() } else { line }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_servers_say_is_one_short_line() {
        assert_eq!(super::said(b"a\r\n\x1b[31mb\xff c"), "a [31mb\u{FFFD} c");
        assert_eq!(super::said(&[b'x'; 10_000]).chars().count(), 201);
        assert_eq!(super::said(b""), "");
    }
}
