//! What goes over the line (RFC 5804 section 4): lines of atoms, quoted strings, literals and parentheses.

use crate::net::pace::{self, Pace};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest line, without its literals. Names may have 512 characters (section 1.7); capabilities are longer.
pub(super) const LINE_MAX: usize = 64 << 10;

/// The most parts of one line: a response code has two or three.
const TOKENS_MAX: usize = 256;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    Open,
    Close,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Trouble {
    Io(std::io::Error),
    /// What came is no ManageSieve, or is more than is accepted.
    Violation(String),
    /// A literal of this many bytes is larger than the caller takes. The line cannot be used any more.
    TooLarge(u64),
    /// The server sends so slowly that the answer may never end.
    Slow(String),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

/// A connection with the bytes read ahead.
pub(super) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    /// The part of the buffer that was taken already.
    taken: usize,
    pace: Pace,
    /// In which time something that has begun must come on.
    window: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, window: Duration) -> Wire<S> {
        Wire { stream, buffer: Vec::new(), taken: 0, pace: Pace::default(), window }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// The connection, and what was read of it and not taken.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer[self.taken..].to_vec())
    }

    /// Sends a command, complete with its line end.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// One line with its literals, which may have `literal_max` bytes each.
    pub(super) async fn line(&mut self, literal_max: u64) -> Result<Vec<Token>, Trouble> {
        let mut tokens = Vec::new();
        let mut length = 0;
        loop {
            let line = self.physical_line(LINE_MAX - length).await?;
            length += line.len();
            let literal = tokenize(&line, &mut tokens)?;
            if tokens.len() > TOKENS_MAX {
                return Err(Trouble::Violation("a line has too many parts".to_owned()));
            }
            match literal {
                None => return Ok(tokens),
                Some(size) if size > literal_max => return Err(Trouble::TooLarge(size)),
                Some(size) => tokens.push(Token::Text(self.literal(size).await?)),
            }
        }
    }

    async fn physical_line(&mut self, max: usize) -> Result<Vec<u8>, Trouble> {
        let mut searched = self.taken;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let end = searched + at;
                let line = self.buffer[self.taken..end].strip_suffix(b"\r").unwrap_or(&self.buffer[self.taken..end]);
                let line = line.to_vec();
                self.taken = end + 1;
                return Ok(line);
            }
            searched = self.buffer.len();
            if searched - self.taken > max {
                return Err(Trouble::Violation("a line does not end".to_owned()));
            }
            searched -= self.fill(false).await?;
        }
    }

    /// Reads on, perhaps inside of a literal; gives how many bytes at the front of the buffer went.
    async fn fill(&mut self, is_inside: bool) -> Result<usize, Trouble> {
        const CHUNK: usize = 16 << 10;
        let gone = std::mem::take(&mut self.taken);
        self.buffer.drain(..gone);
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let begun = Instant::now();
        let read = self.stream.read(&mut self.buffer[before..]).await;
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        let count = read?;
        if count == 0 {
            return Err(Trouble::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        // As long as nothing of a line is there, a server may think.
        let floor = if before > 0 || is_inside { pace::LINE } else { 0 };
        match self.pace.add(begun.elapsed(), count, floor, self.window) {
            Some(received) => Err(Trouble::Slow(Pace::words(received, self.window))),
            None => Ok(gone),
        }
    }

    /// Memory grows with what comes, and not with what was announced.
    async fn literal(&mut self, size: u64) -> Result<Vec<u8>, Trouble> {
        let size = usize::try_from(size).map_err(|_| Trouble::TooLarge(size))?;
        let mut bytes = Vec::new();
        loop {
            let here = (self.buffer.len() - self.taken).min(size - bytes.len());
            bytes.extend_from_slice(&self.buffer[self.taken..self.taken + here]);
            self.taken += here;
            if bytes.len() == size {
                return Ok(bytes);
            }
            self.fill(true).await?;
        }
    }
}

/// The parts of a line without its end. Gives the size of the literal that it ends with.
fn tokenize(line: &[u8], tokens: &mut Vec<Token>) -> Result<Option<u64>, Trouble> {
    let wrong = |what: &str| Err(Trouble::Violation(what.to_owned()));
    let mut rest = line;
    while let Some((&first, tail)) = rest.split_first() {
        match first {
            b' ' | b'\t' => rest = tail,
            b'(' | b')' => {
                tokens.push(if first == b'(' { Token::Open } else { Token::Close });
                rest = tail;
            }
            b'"' => {
                let mut text = Vec::new();
                let mut bytes = tail.iter().enumerate();
                let end = loop {
                    match bytes.next() {
                        Some((at, b'"')) => break at,
                        Some((_, b'\\')) => match bytes.next() {
                            Some((_, byte)) => text.push(*byte),
                            None => return wrong("a quoted string does not end"),
                        },
                        Some((_, byte)) => text.push(*byte),
                        None => return wrong("a quoted string does not end"),
                    }
                };
                tokens.push(Token::Text(text));
                rest = &tail[end + 1..];
            }
            b'{' => {
                let digits = tail.strip_suffix(b"}").map(|digits| digits.strip_suffix(b"+").unwrap_or(digits));
                let size = digits
                    .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                return match size {
                    // A number too large for u64 is too large for us.
                    Some(size) => Ok(Some(size.parse().unwrap_or(u64::MAX))),
                    None => wrong("a literal has no size"),
                };
            }
            _ => {
                let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'(' | b')' | b'"' | b'{');
                let end = rest.iter().position(is_end).unwrap_or(rest.len());
                tokens.push(Token::Atom(String::from_utf8_lossy(&rest[..end]).into_owned()));
                rest = &rest[end..];
            }
        }
        if tokens.len() > TOKENS_MAX {
            return wrong("a line has too many parts");
        }
    }
    Ok(None)
}

/// A string as a client sends it: quoted or a literal (section 4, `literal-c2s`). Quoted strings may hold UTF-8, but Cyrus
/// 3.6 takes only ASCII there.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let is_quotable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    if bytes.len() > 1024 || !bytes.iter().all(is_quotable) {
        return [format!("{{{}+}}\r\n", bytes.len()).as_bytes(), bytes].concat();
    }
    let mut quoted = vec![b'"'];
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(Vec<Token>, Option<u64>), Trouble> {
        let mut tokens = Vec::new();
        tokenize(line.as_bytes(), &mut tokens).map(|literal| (tokens, literal))
    }

    fn text(text: &str) -> Token {
        Token::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_of_the_rfc() {
        let atom = |text: &str| Token::Atom(text.to_owned());
        assert_eq!(parse(r#""SASL" "PLAIN LOGIN""#).expect("a line").0, [text("SASL"), text("PLAIN LOGIN")]);
        assert_eq!(parse(r#""a \"b\\" ACTIVE"#).expect("a line").0, [text("a \"b\\"), atom("ACTIVE")]);
        assert_eq!(
            parse(r#"NO (TAG "x") "no""#).expect("a line").0,
            [atom("NO"), Token::Open, atom("TAG"), text("x"), Token::Close, text("no")]
        );
        assert_eq!(parse("OK {12}").expect("a line"), (vec![atom("OK")], Some(12)));
        assert_eq!(parse("{99999999999999999999999}").expect("a line").1, Some(u64::MAX));
        for wrong in ["\"a", "\"a\\", "{}", "{-1}", "{1", "{1} x", "{ 1}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn strings_for_the_server() {
        assert_eq!(string(b"a\"b\\c"), br#""a\"b\\c""#);
        assert_eq!(string(b"a\nb"), b"{3+}\r\na\nb");
        assert_eq!(string(&[0xff]), b"{1+}\r\n\xff");
        assert_eq!(string("ä".as_bytes()), "{2+}\r\nä".as_bytes());
        assert!(string(&[b'x'; 1025]).starts_with(b"{1025+}"));
    }

    /// Gives one byte at a time.
    async fn read(bytes: &'static [u8], literal_max: u64) -> Result<Vec<Token>, Trouble> {
        let (mut far, near) = tokio::io::duplex(1);
        let send = async move {
            let _ = far.write_all(bytes).await;
            drop(far);
        };
        let (tokens, ()) =
            tokio::join!(async { Wire::new(near, Duration::from_secs(60)).line(literal_max).await }, send);
        tokens
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn literals_may_stand_anywhere() {
        let tokens = run(read(b"NO (TAG {3}\r\na\nb) {2}\r\nxy\r\n", 10)).expect("a line");
        let atom = |text: &str| Token::Atom(text.to_owned());
        assert_eq!(tokens, [atom("NO"), Token::Open, atom("TAG"), text("a\nb"), Token::Close, text("xy")]);
    }

    #[test]
    fn nothing_grows_with_what_is_only_announced() {
        const EIB_8: u64 = 1 << 63;
        assert!(matches!(run(read(b"{9223372036854775808}\r\nabc", 64 << 20)), Err(Trouble::TooLarge(EIB_8))));
        assert!(matches!(run(read(b"{67108864}\r\nabc", 64 << 20)), Err(Trouble::Io(_))));
        let endless: &'static [u8] = Box::leak(vec![b'x'; LINE_MAX + 20_000].into());
        assert!(matches!(run(read(endless, 10)), Err(Trouble::Violation(_))));
        let many: &'static [u8] = Box::leak([b"(".repeat(10_000).as_slice(), b"\r\n"].concat().into());
        assert!(matches!(run(read(many, 10)), Err(Trouble::Violation(_))));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let line: Vec<u8> = (0..12)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    b"\"\\(){}+09 aA\r\xff\0"[(seed >> 33) as usize % 15]
                })
                .collect();
            let _ = tokenize(&line, &mut Vec::new());
        }
    }
}
