//! The tokens of one response, and the limits on them.
//!
//! A response becomes a flat list of tokens over one stretch of text ([`Tree`]): no allocation per token, and its
//! memory is counted as it grows. [`Assembler`] makes it line by line: a line that ends with the announcement of a
//! literal is followed by the literal, then by the rest of the response (RFC 9051 section 4.3).
//!
//! The reader is tolerant. Nothing that a server may send between two line ends is an error here: a parenthesis too
//! many is left out, a missing one is added, two spaces are one, a quoted string without end ends with the line. The
//! caller decides what the tokens mean, and an answer that lacks what was asked counts as missing.
//! Only what would cost memory is refused.

use super::error::{Error, Fault, Result};
use crate::model::Body;

/// What one response may cost. The defaults hold for every server seen so far with room to spare.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a line without its literals. A whole `VANISHED` or `ESEARCH` is one line, and a mailbox with 300,000
    /// scattered messages needs 2 MiB for it.
    pub line: usize,
    /// Parentheses within each other.
    pub depth: usize,
    /// Tokens of one response.
    pub tokens: usize,
    /// Bytes of memory for one response: its tokens, its text and its small literals.
    pub memory: usize,
    /// Bytes of a literal that is kept among the text of the response.
    pub inline_literal: u64,
    /// Bytes of a message body that is held in memory. A larger one goes to a file.
    pub body_in_memory: u64,
    /// Bytes that a literal may have. A larger one is refused before any of it is read.
    pub literal: u64,
    /// Lines that a server may send for one command beyond those that were asked for.
    pub unasked: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            line: 4 << 20,
            depth: 64,
            tokens: 1 << 20,
            memory: 8 << 20,
            inline_literal: 64 << 10,
            body_in_memory: 4 << 20,
            literal: 8 << 30,
            unasked: 1_000_000,
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Atom,
    /// A quoted string or a small literal.
    String,
    /// The number of a body.
    Body,
    List,
    /// What stands in brackets behind `OK`, `NO`, `BAD`, `BYE` and `PREAUTH`.
    Code,
    /// The text for a person at the end of such a line.
    Text,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    /// Where its text begins; the number of a body.
    start: u32,
    /// Where its text ends; for a list the token behind its last one.
    end: u32,
}

/// One response: its words, strings and lists, and the bodies that came with it.
#[derive(Default)]
pub struct Tree {
    tokens: Vec<Token>,
    text: Vec<u8>,
    bodies: Vec<Option<Body>>,
}

impl Tree {
    /// The tokens of the response, its tag first.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes { tree: self, at: 0, end: self.tokens.len() }
    }

    /// Takes the body of a [`Node`] out of the tree.
    pub fn take_body(&mut self, number: usize) -> Option<Body> {
        self.bodies.get_mut(number)?.take()
    }

    /// Empties the tree. Memory of an unusually large response is given back.
    fn clear(&mut self) {
        self.tokens.clear();
        self.text.clear();
        self.bodies.clear();
        self.tokens.shrink_to(4096);
        self.text.shrink_to(64 << 10);
    }
}

/// Some tokens side by side: a response, or what stands in a list.
#[derive(Clone)]
pub struct Nodes<'t> {
    tree: &'t Tree,
    at: usize,
    end: usize,
}

impl<'t> Iterator for Nodes<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node { tree: self.tree, at: self.at };
        self.at = match node.token() {
            Token { kind: Kind::List | Kind::Code, end, .. } => (end as usize).max(self.at + 1),
            _ => self.at + 1,
        };
        Some(node)
    }
}

/// One token of a response.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree,
    at: usize,
}

impl<'t> Node<'t> {
    fn token(&self) -> Token {
        self.tree.tokens[self.at]
    }

    /// The bytes of an atom, a string or the text of a status. `NIL` has the bytes `NIL`.
    pub fn bytes(&self) -> Option<&'t [u8]> {
        let token = self.token();
        match token.kind {
            Kind::Atom | Kind::String | Kind::Text => Some(&self.tree.text[token.start as usize..token.end as usize]),
            Kind::Body | Kind::List | Kind::Code => None,
        }
    }

    /// The bytes of a string or an atom other than `NIL`.
    pub fn string(&self) -> Option<&'t [u8]> {
        if self.is_nil() { None } else { self.bytes() }
    }

    /// As [`Node::string`], as text: bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> Option<String> {
        Some(String::from_utf8_lossy(self.string()?).into_owned())
    }

    /// True for the atom `NIL`, whatever its case.
    pub fn is_nil(&self) -> bool {
        self.token().kind == Kind::Atom && self.is(b"NIL")
    }

    /// True if this is the word, whatever its case.
    pub fn is(&self, word: &[u8]) -> bool {
        self.bytes().is_some_and(|bytes| bytes.eq_ignore_ascii_case(word))
    }

    /// A number of decimal digits, quoted or not.
    pub fn number(&self) -> Option<u64> {
        let bytes = self.bytes()?;
        let is_number = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        // Longer numbers would not fit: a server that sends one says nothing that can be used.
        std::str::from_utf8(bytes).ok().filter(|_| is_number)?.parse().ok()
    }

    /// As [`Node::number`], for numbers of messages and UIDs.
    pub fn small_number(&self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// The tokens of a list.
    pub fn list(&self) -> Option<Nodes<'t>> {
        self.inside(Kind::List)
    }

    /// The tokens of a response code.
    pub fn code(&self) -> Option<Nodes<'t>> {
        self.inside(Kind::Code)
    }

    fn inside(&self, kind: Kind) -> Option<Nodes<'t>> {
        let token = self.token();
        (token.kind == kind).then_some(Nodes { tree: self.tree, at: self.at + 1, end: token.end as usize })
    }

    /// The number of a body, for [`Tree::take_body`].
    pub fn body(&self) -> Option<usize> {
        let token = self.token();
        (token.kind == Kind::Body).then_some(token.start as usize)
    }

    /// True for the text of a status.
    pub fn is_text(&self) -> bool {
        self.token().kind == Kind::Text
    }
}

/// A literal that a line announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Its bytes.
    pub size: u64,
    /// True if it is the body of a message: what was asked for as `BODY[]`.
    pub is_body: bool,
}

/// Makes a [`Tree`] of the lines and literals of a response.
pub struct Assembler {
    tree: Tree,
    /// The lists that are open, by their token.
    open: Vec<u32>,
    is_first_line: bool,
    limits: Limits,
}

impl Assembler {
    /// One that keeps these limits.
    pub fn new(limits: Limits) -> Assembler {
        Assembler { tree: Tree::default(), open: Vec::new(), is_first_line: true, limits }
    }

    /// The response that was read last.
    pub fn tree(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// Forgets the last response: the next line begins one.
    pub fn begin(&mut self) {
        self.tree.clear();
        self.open.clear();
        self.is_first_line = true;
    }

    /// Takes a line without its end. `Some` if a literal follows; `None` if the response is whole.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if the response breaks one of the limits.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Announced>> {
        let mut rest = line;
        if std::mem::take(&mut self.is_first_line) {
            let cut = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
            self.push(Kind::Atom, &rest[..cut])?;
            rest = rest[cut..].trim_prefix_spaces();
            if line.first() == Some(&b'+') {
                self.push(Kind::Text, rest)?;
                return Ok(None);
            }
            if let Some(behind) = status_word(rest) {
                self.push(Kind::Atom, &rest[..rest.len() - behind.len()])?;
                self.status(behind.trim_prefix_spaces())?;
                return Ok(None);
            }
        }
        let announced = self.tokens(rest, false)?.1;
        if announced.is_none() {
            self.close_all();
        }
        Ok(announced)
    }

    /// Takes the bytes of a small literal that was announced.
    pub fn literal(&mut self, bytes: &[u8]) -> Result<()> {
        self.push(Kind::String, bytes)
    }

    /// Takes a literal that is no part of the text.
    pub fn body(&mut self, body: Body) -> Result<()> {
        let number = self.tree.bodies.len();
        self.tree.bodies.push(Some(body));
        self.add(Token { kind: Kind::Body, start: number as u32, end: 0 })
    }

    /// `[CODE …] text`, both of them optional.
    fn status(&mut self, rest: &[u8]) -> Result<()> {
        let mut text = rest;
        if let Some(inside) = rest.strip_prefix(b"[") {
            let at = self.tree.tokens.len();
            let kept = self.tree.text.len();
            self.add(Token { kind: Kind::Code, start: 0, end: 0 })?;
            match self.tokens(inside, true)?.0 {
                Some(behind) => {
                    self.close_all();
                    self.tree.tokens[at].end = self.tree.tokens.len() as u32;
                    text = behind.trim_prefix_spaces();
                }
                // No bracket closes it: then it is text.
                None => {
                    self.open.clear();
                    self.tree.tokens.truncate(at);
                    self.tree.text.truncate(kept);
                }
            }
        }
        self.push(Kind::Text, text)
    }

    /// Reads tokens to the end of the line, or to the `]` of a response code; then also gives what is behind it.
    fn tokens<'l>(&mut self, line: &'l [u8], in_code: bool) -> Result<(Option<&'l [u8]>, Option<Announced>)> {
        let mut rest = line;
        let floor = self.open.len();
        loop {
            match rest {
                [] => return Ok((None, None)),
                [b' ' | b'\t', tail @ ..] => rest = tail,
                [b'(', tail @ ..] => {
                    if self.open.len() >= self.limits.depth {
                        return Err(too_much(format!("more than {} parentheses within each other", self.limits.depth)));
                    }
                    self.open.push(self.tree.tokens.len() as u32);
                    self.add(Token { kind: Kind::List, start: 0, end: 0 })?;
                    rest = tail;
                }
                [b')', tail @ ..] => {
                    self.close();
                    rest = tail;
                }
                [b']', tail @ ..] if in_code && self.open.len() == floor => return Ok((Some(tail), None)),
                [b'"', tail @ ..] => rest = self.quoted(tail)?,
                _ => {
                    if !in_code && let Some(size) = announced(rest) {
                        let size = size
                            .filter(|&size| size <= self.limits.literal)
                            .ok_or_else(|| too_much(format!("a literal of more than {} bytes", self.limits.literal)))?;
                        return Ok((None, Some(Announced { size, is_body: self.is_body_next() })));
                    }
                    let end = atom_end(rest, in_code && self.open.len() == floor);
                    self.push(Kind::Atom, &rest[..end])?;
                    rest = &rest[end..];
                }
            }
        }
    }

    /// Reads a quoted string behind its first quote; gives what is behind its last.
    fn quoted<'l>(&mut self, line: &'l [u8]) -> Result<&'l [u8]> {
        let start = self.tree.text.len();
        let mut rest = line;
        let behind = loop {
            let cut = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.tree.text.extend_from_slice(&rest[..cut]);
            match &rest[cut..] {
                [b'\\', escaped, tail @ ..] => {
                    self.tree.text.push(*escaped);
                    rest = tail;
                }
                [b'"', tail @ ..] => break tail,
                _ => break &[],
            }
        };
        let end = self.tree.text.len();
        self.add(Token { kind: Kind::String, start: start as u32, end: end as u32 })?;
        Ok(behind)
    }

    /// True if the last token asks for the bytes of a message, so that a literal behind it is one.
    fn is_body_next(&self) -> bool {
        let last = self.tree.tokens.last().filter(|token| token.kind == Kind::Atom);
        let name = last.map(|token| &self.tree.text[token.start as usize..token.end as usize]).unwrap_or_default();
        let name = name.split(|&b| b == b'<').next().unwrap_or_default();
        [&b"BODY[]"[..], b"BINARY[]", b"RFC822"].iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    fn close(&mut self) {
        if let Some(at) = self.open.pop() {
            self.tree.tokens[at as usize].end = self.tree.tokens.len() as u32;
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    fn push(&mut self, kind: Kind, bytes: &[u8]) -> Result<()> {
        let start = self.tree.text.len();
        self.tree.text.extend_from_slice(bytes);
        self.add(Token { kind, start: start as u32, end: (start + bytes.len()) as u32 })
    }

    fn add(&mut self, token: Token) -> Result<()> {
        self.tree.tokens.push(token);
        let memory = self.tree.tokens.len() * size_of::<Token>() + self.tree.text.len();
        if self.tree.tokens.len() > self.limits.tokens || memory > self.limits.memory {
            return Err(too_much(format!("a response that needs more than {} bytes of memory", self.limits.memory)));
        }
        Ok(())
    }
}

/// What stands behind one of the words that begin a status, or `None` if there is none.
fn status_word(rest: &[u8]) -> Option<&[u8]> {
    let cut = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
    let (word, behind) = rest.split_at(cut);
    let is_status =
        [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|known| word.eq_ignore_ascii_case(known));
    is_status.then_some(behind)
}

/// The announcement of a literal that is the whole of `rest`: `{42}`, `{42+}`, `~{42}`. Its size is `None` if that is
/// no number that fits.
fn announced(rest: &[u8]) -> Option<Option<u64>> {
    let digits = rest.strip_prefix(b"~").unwrap_or(rest).strip_prefix(b"{")?.strip_suffix(b"}")?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok())
}

/// Where the atom at the start of `rest` ends: never at 0. The section of `BODY[HEADER.FIELDS (DATE)]` belongs to it.
fn atom_end(rest: &[u8], ends_at_bracket: bool) -> usize {
    for (at, &byte) in rest.iter().enumerate().skip(1) {
        match byte {
            b' ' | b'\t' | b'(' | b')' | b'"' => return at,
            b']' if ends_at_bracket => return at,
            b'[' if is_section(&rest[..at]) => {
                // No section that this client asks for is longer; looking further would cost a hostile line's square.
                if let Some(end) = memchr::memchr(b']', &rest[at..rest.len().min(at + 1024)]) {
                    let behind = at + end + 1;
                    let origin = rest[behind..].iter().take_while(|b| matches!(b, b'<' | b'>' | b'0'..=b'9')).count();
                    return behind + origin;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

fn is_section(name: &[u8]) -> bool {
    [&b"BODY"[..], b"BODY.PEEK", b"BINARY", b"BINARY.SIZE"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn too_much(what: String) -> Error {
    Error::new(Fault::Protocol, format!("the server sent {what}"))
}

/// Cuts spaces off the front of bytes.
trait TrimPrefixSpaces {
    fn trim_prefix_spaces(&self) -> &[u8];
}

impl TrimPrefixSpaces for [u8] {
    fn trim_prefix_spaces(&self) -> &[u8] {
        let spaces = self.iter().take_while(|&&b| b == b' ').count();
        &self[spaces..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds what a server sends, as the wire would; `None` if a limit is broken or it ends too early.
    fn assemble(mut sent: &[u8], limits: Limits) -> Option<Assembler> {
        let mut assembler = Assembler::new(limits);
        assembler.begin();
        loop {
            let end = sent.iter().position(|&b| b == b'\n')?;
            let line = sent[..end].strip_suffix(b"\r").unwrap_or(&sent[..end]);
            sent = &sent[end + 1..];
            let Some(announced) = assembler.line(line).ok()? else { return Some(assembler) };
            let (literal, rest) = sent.split_at_checked(usize::try_from(announced.size).ok()?)?;
            sent = rest;
            if announced.is_body {
                assembler.body(Body::Bytes(literal.to_vec())).ok()?;
            } else {
                assembler.literal(literal).ok()?;
            }
        }
    }

    /// The tree in one line: lists in parentheses, codes in brackets, `<n>` a body, the rest debugged.
    fn show(nodes: Nodes<'_>) -> String {
        let show_one = |node: Node<'_>| match (node.list(), node.code(), node.body(), node.bytes()) {
            (Some(list), ..) => format!("({})", show(list)),
            (_, Some(code), ..) => format!("[{}]", show(code)),
            (_, _, Some(number), _) => format!("<{number}>"),
            (.., Some(bytes)) if node.token().kind == Kind::Atom => String::from_utf8_lossy(bytes).into_owned(),
            (.., bytes) => format!("{:?}", String::from_utf8_lossy(bytes.unwrap_or_default())),
        };
        nodes.map(show_one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn responses_become_trees() {
        for (sent, expected) in [
            ("* 1 FETCH (UID 5 FLAGS (\\Seen a[b $x] ))\r\n", "* 1 FETCH (UID 5 FLAGS (\\Seen a[b $x]))"),
            ("* 1 FETCH (BODY[] {3}\r\na\0b UID 5)\r\n", "* 1 FETCH (BODY[] <0> UID 5)"),
            ("* 1 FETCH (BODY[]<0> ~{3+}\r\n)\r\n UID 5)\n", "* 1 FETCH (BODY[]<0> <0> UID 5)"),
            (
                "* 1 FETCH (BODY[HEADER.FIELDS (DATE)] {4}\r\na\r\n\r UID 1)\r\n",
                "* 1 FETCH (BODY[HEADER.FIELDS (DATE)] \"a\\r\\n\\r\" UID 1)",
            ),
            ("* LIST () \"\\\\\" \"a\\\"b\"\r\n", "* LIST () \"\\\\\" \"a\\\"b\""),
            ("* LIST () NIL {4}\r\na\r\nb\r\n", "* LIST () NIL \"a\\r\\nb\""),
            ("* OK [UIDVALIDITY 3] it's \"fine (now {3}\r\n", "* OK [UIDVALIDITY 3] \"it's \\\"fine (now {3}\""),
            ("* OK [PERMANENTFLAGS (\\* a] b)] x\r\n", "* OK [PERMANENTFLAGS (\\* a] b)] \"x\""),
            ("A1 NO [THROTTLED no end\r\n", "A1 NO \"[THROTTLED no end\""),
            ("a ok\r\n", "a ok \"\""),
            ("+\r\n", "+ \"\""),
            ("+ (x \"\r\n", "+ \"(x \\\"\""),
            ("* ((a) b)) c \"d\r\n", "* ((a) b) c \"d\""),
            ("* (a (b {x} {1\r\n", "* (a (b {x} {1))"),
            ("\r\n", ""),
        ] {
            let mut assembler = assemble(sent.as_bytes(), Limits::default()).expect(sent);
            assert_eq!(show(assembler.tree().nodes()), expected, "{sent:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { depth: 3, tokens: 100, memory: 4000, literal: 10, ..Limits::default() };
        let fits = |sent: String| assemble(sent.as_bytes(), limits).is_some();
        assert!(fits("* (((a)))\r\n".into()) && !fits("* ((((a))))\r\n".into()));
        assert!(fits(format!("*{}\r\n", " a".repeat(99))) && !fits(format!("*{}\r\n", " a".repeat(100))));
        assert!(fits(format!("* {}\r\n", "a".repeat(3900))) && !fits(format!("* {}\r\n", "a".repeat(4000))));
        assert!(fits("* {10}\r\n0123456789\r\n".into()) && !fits("* {11}\r\n01234567890\r\n".into()));
        assert!(!fits("* {18446744073709551616}\r\n".into()));
    }

    #[test]
    fn numbers() {
        let mut assembler =
            assemble(b"* 0 12 \"13\" 4294967296 18446744073709551616 -1 a () x1\r\n", Limits::default()).unwrap();
        let nodes: Vec<Node<'_>> = assembler.tree().nodes().skip(1).collect();
        let numbers: Vec<Option<u64>> = nodes.iter().map(|node| node.number()).collect();
        assert_eq!(numbers, [Some(0), Some(12), Some(13), Some(1 << 32), None, None, None, None, None]);
        assert_eq!(nodes[3].small_number(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(sent: Vec<u8>) {
            let limits = Limits { memory: 2000, ..Limits::default() };
            let mut sent = sent;
            sent.extend_from_slice(b"\r\n");
            if let Some(mut assembler) = assemble(&sent, limits) {
                let tree = assembler.tree();
                prop_assert!(tree.tokens.len() * size_of::<Token>() + tree.text.len() <= 2000);
                show(tree.nodes());
            }
        }

        #[test]
        fn nearly_responses_are_read(sent in "(\\*|V1|\\+) ?(1 FETCH|OK|LIST|) ?([\\[\\]() \"\\\\a{}0-3]|BODY\\[|\\{2\\}\r\n|NIL){0,30}") {
            if let Some(mut assembler) = assemble(format!("{sent}\r\n0123456789\r\n").as_bytes(), Limits::default()) {
                show(assembler.tree().nodes());
                crate::protocol::imap::response::read_any(assembler.tree());
            }
        }

        #[test]
        fn strings_come_back(text in "[ -~é]{0,40}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            for sent in [format!("* X \"{quoted}\"\r\n"), format!("* X {{{}}}\r\n{text}\r\n", text.len())] {
                let mut assembler = assemble(sent.as_bytes(), Limits::default()).unwrap();
                let last = assembler.tree().nodes().last().unwrap();
                prop_assert_eq!(last.string(), Some(text.as_bytes()));
            }
        }
    }
}
