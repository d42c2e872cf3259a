//! An IMAP server of a test: an account in memory, honest unless a test changes an answer. It speaks clear text, and it is
//! small: what it does not know it refuses. What changes the account is in [`super::fake_imap_write`].

use super::fake_imap_write::changes;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// A message of the account.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub uid: u32,
    pub flags: String,
    /// INTERNALDATE as it is said.
    pub date: String,
    pub bytes: Vec<u8>,
    /// RFC822.SIZE, where it is not the truth.
    pub size: Option<usize>,
    pub modseq: u64,
    /// X-GM-MSGID, and X-GM-LABELS as they are said.
    pub gmail: Option<(u64, String)>,
}

/// A message with these bytes, of a fixed date.
pub(crate) fn mail(uid: u32, bytes: &[u8]) -> Mail {
    Mail {
        uid,
        flags: String::new(),
        date: "01-Jan-2024 10:00:00 +0000".to_owned(),
        bytes: bytes.to_vec(),
        size: None,
        modseq: 1,
        gmail: None,
    }
}

/// A mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    pub name: Vec<u8>,
    pub attributes: String,
    /// `None`: the server does not say it.
    pub validity: Option<u32>,
    pub mails: Vec<Mail>,
}

/// A mailbox with these messages.
pub(crate) fn mailbox(name: &str, mails: Vec<Mail>) -> Mailbox {
    Mailbox { name: name.as_bytes().to_vec(), attributes: String::new(), validity: Some(7), mails }
}

/// What a test changes: gets each command (without its tag) and gives another answer, in which `$TAG` stands for the
/// tag. An answer that ends with `CLOSE` ends the connection.
type Hook = Box<dyn FnMut(&str) -> Option<Vec<u8>> + Send>;

/// The account, and what was said.
pub(crate) struct State {
    pub capabilities: String,
    pub delimiter: char,
    pub boxes: Vec<Mailbox>,
    /// Each EXAMINE gives the mailbox another UIDVALIDITY.
    pub counts_anew: bool,
    pub hook: Hook,
    /// A longer message is refused before it is sent, where the client asks first (`[TOOBIG]`).
    pub most: Option<usize>,
    /// The answers to so many APPENDs get lost, after the messages were stored.
    pub lost: usize,
    /// The same of COPY.
    pub lost_copies: usize,
    /// PERMANENTFLAGS: what else is said of a message is dropped without a word.
    pub permanent: Option<&'static str>,
    /// What the server makes of the bytes that it gets.
    pub made: fn(&[u8]) -> Vec<u8>,
    /// Bytes of messages that came with APPEND.
    pub uploaded: usize,
    /// Messages that come before the next ones that are stored: from a client that is gone.
    pub late: Vec<Mail>,
    /// Mailboxes that the user is subscribed to.
    pub subscribed: Vec<String>,
    said: Vec<String>,
    validity: u32,
}

/// The server.
pub(crate) struct FakeImap {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

/// What most servers have.
pub(crate) const USUAL: &str =
    "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN AUTH=XOAUTH2 ENABLE CONDSTORE LIST-EXTENDED LIST-STATUS SPECIAL-USE ESEARCH";

impl FakeImap {
    /// Serves these mailboxes.
    pub(crate) fn start(capabilities: &str, boxes: Vec<Mailbox>) -> FakeImap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State {
            capabilities: capabilities.to_owned(),
            delimiter: '/',
            boxes,
            counts_anew: false,
            hook: Box::new(|_| None),
            most: None,
            lost: 0,
            lost_copies: 0,
            permanent: None,
            made: <[u8]>::to_vec,
            uploaded: 0,
            late: Vec::new(),
            subscribed: Vec::new(),
            said: Vec::new(),
            validity: 100,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that hangs up is what many tests want.
                std::thread::spawn(move || serve(stream, &state).ok());
            }
        });
        FakeImap { port, state }
    }

    /// The account, to change it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }

    /// Changes answers from now on.
    pub(crate) fn hook(&self, hook: impl FnMut(&str) -> Option<Vec<u8>> + Send + 'static) {
        self.state().hook = Box::new(hook);
    }

    /// The commands since the last call, a line each.
    pub(crate) fn said(&self) -> String {
        std::mem::take(&mut self.state().said).join("\n")
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"* OK hello\r\n")?;
    let mut open: Option<usize> = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        // The same with `{}` in the place of each literal.
        let (mut shape, mut literals) = (String::new(), Vec::new());
        let mut refused = None;
        while let Some((size, waits)) = literal(&line) {
            if waits && state.lock().expect("a lock").most.is_some_and(|most| size > most) {
                refused = Some(b"$TAG NO [TOOBIG] too big\r\n".to_vec());
                break;
            }
            if waits {
                writer.write_all(b"+ go on\r\n")?;
            }
            line.truncate(line.rfind('{').expect("a brace"));
            if shape.is_empty() {
                shape = line.clone();
            }
            let mut bytes = vec![0; size];
            reader.read_exact(&mut bytes)?;
            line.push_str(&format!("\"{}\"", String::from_utf8_lossy(&bytes)));
            literals.push(bytes);
            let mut rest = String::new();
            reader.read_line(&mut rest)?;
            let text = if literal(&rest).is_some() { &rest[..rest.rfind('{').expect("a brace")] } else { &*rest };
            shape.push_str(&format!("{{}}{text}"));
            line.push_str(&rest);
        }
        let (tag, command) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let reply = {
            let mut state = state.lock().expect("a lock");
            state.said.push(command.to_owned());
            let hooked = refused.or_else(|| (state.hook)(command));
            // A mailbox that is opened stays open, whatever is said of it; what is refused changes nothing.
            match hooked {
                Some(reply) => {
                    if !changes(command) {
                        state.answer(command, &mut open);
                    }
                    reply
                }
                None if changes(command) => {
                    let shape = shape.trim_end().split_once(' ').map_or("", |(_, shape)| shape);
                    state.change(if literals.is_empty() { command } else { shape }, &literals, open)
                }
                None => state.answer(command, &mut open),
            }
        };
        let is_last = reply.ends_with(b"CLOSE");
        let reply = reply.strip_suffix(b"CLOSE").unwrap_or(&reply);
        writer.write_all(&replace(reply, b"$TAG", tag.as_bytes()))?;
        if is_last {
            return Ok(());
        }
    }
}

/// The size of a literal that is announced, and whether the client waits to be asked for it.
fn literal(line: &str) -> Option<(usize, bool)> {
    let inside = line.trim_end().strip_suffix('}')?;
    let number = &inside[inside.rfind('{')? + 1..];
    Some((number.trim_end_matches('+').parse().ok()?, !number.ends_with('+')))
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|part| part == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

impl State {
    pub(super) fn has(&self, word: &str) -> bool {
        self.capabilities.split(' ').any(|known| known == word)
    }

    fn answer(&mut self, command: &str, open: &mut Option<usize>) -> Vec<u8> {
        let ok = "$TAG OK done\r\n";
        let upper = command.to_ascii_uppercase();
        let is = |word: &str| upper == word || upper.starts_with(&format!("{word} "));
        if is("CAPABILITY") {
            format!("* CAPABILITY {}\r\n{ok}", self.capabilities).into_bytes()
        } else if is("LIST") {
            self.list(&upper)
        } else if is("LSUB") {
            self.boxes.iter().flat_map(|one| self.line("LSUB", one)).chain(ok.bytes()).collect()
        } else if is("STATUS") {
            let (name, _) = command["STATUS ".len()..].rsplit_once(" (").unwrap_or_default();
            match self.find(name) {
                Some(at) => [self.status(&self.boxes[at]), ok.as_bytes().to_vec()].concat(),
                None => b"$TAG NO [NONEXISTENT] none\r\n".to_vec(),
            }
        } else if is("EXAMINE") || is("SELECT") {
            let name = command.split_once(' ').map_or("", |(_, rest)| rest);
            let name = name.split(" (CONDSTORE)").next().unwrap_or_default();
            *open = self.find(name);
            match *open {
                Some(at) => self.opened(at),
                None => b"$TAG NO [NONEXISTENT] none\r\n".to_vec(),
            }
        } else if is("UID") {
            let Some(at) = *open else { return b"$TAG BAD nothing is open\r\n".to_vec() };
            self.uid(&command[4..], at)
        } else if is("LOGOUT") {
            b"* BYE bye\r\n$TAG OK done\r\nCLOSE".to_vec()
        } else if is("LOGIN") || is("AUTHENTICATE") || is("ENABLE") || is("NOOP") || is("ID") || is("NAMESPACE") {
            ok.as_bytes().to_vec()
        } else {
            b"$TAG BAD what?\r\n".to_vec()
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim().trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
        self.boxes.iter().position(|one| String::from_utf8_lossy(&one.name) == name)
    }

    fn line(&self, word: &str, one: &Mailbox) -> Vec<u8> {
        let name = String::from_utf8_lossy(&one.name);
        let is_subscribed = self.subscribed.iter().any(|known| *known == name);
        let attributes = format!("{}{}", one.attributes, if is_subscribed { " \\Subscribed" } else { "" });
        let attributes = attributes.trim_start();
        let head = format!("* {word} ({attributes}) \"{}\" {{{}}}\r\n", self.delimiter, one.name.len());
        [head.as_bytes(), &one.name, b"\r\n"].concat()
    }

    fn list(&self, command: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for one in &self.boxes {
            out.extend(self.line("LIST", one));
            if command.contains("STATUS") && !one.attributes.contains("\\Noselect") {
                out.extend(self.status(one));
            }
        }
        out.extend_from_slice(b"$TAG OK done\r\n");
        out
    }

    fn modseq(&self, one: &Mailbox) -> String {
        let highest = one.mails.iter().map(|mail| mail.modseq).max().unwrap_or(1);
        if self.has("CONDSTORE") { format!(" HIGHESTMODSEQ {highest}") } else { String::new() }
    }

    fn status(&self, one: &Mailbox) -> Vec<u8> {
        let validity = one.validity.map_or_else(String::new, |validity| format!(" UIDVALIDITY {validity}"));
        let items = format!("MESSAGES {} UIDNEXT {}{validity}{}", one.mails.len(), next(one), self.modseq(one));
        [format!("* STATUS {{{}}}\r\n", one.name.len()).as_bytes(), &one.name, format!(" ({items})\r\n").as_bytes()]
            .concat()
    }

    fn opened(&mut self, at: usize) -> Vec<u8> {
        if self.counts_anew {
            self.validity += 1;
            self.boxes[at].validity = Some(self.validity);
        }
        let one = &self.boxes[at];
        let mut out = format!("* {} EXISTS\r\n* OK [UIDNEXT {}] next\r\n", one.mails.len(), next(one));
        if let Some(validity) = one.validity {
            out.push_str(&format!("* OK [UIDVALIDITY {validity}] valid\r\n"));
        }
        if self.has("CONDSTORE") {
            out.push_str(&format!("* OK [{}] highest\r\n", self.modseq(one).trim()));
        }
        if let Some(permanent) = self.permanent {
            out.push_str(&format!("* OK [PERMANENTFLAGS ({permanent})] kept\r\n"));
        }
        out.push_str("$TAG OK [READ-ONLY] opened\r\n");
        out.into_bytes()
    }

    fn uid(&self, command: &str, at: usize) -> Vec<u8> {
        let one = &self.boxes[at];
        if command.starts_with("SEARCH") {
            let uids: Vec<String> = one.mails.iter().map(|mail| mail.uid.to_string()).collect();
            let all = if uids.is_empty() { String::new() } else { format!(" ALL {}", uids.join(",")) };
            return format!("* ESEARCH (TAG \"$TAG\") UID{all}\r\n$TAG OK done\r\n").into_bytes();
        }
        let mut words = command.splitn(3, ' ').skip(1);
        let set = words.next().unwrap_or_default();
        let items = words.next().unwrap_or_default();
        let since = items
            .split("CHANGEDSINCE ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok());
        let mut out = Vec::new();
        for (number, mail) in one.mails.iter().enumerate() {
            if contains(set, mail.uid) && since.is_none_or(|since| mail.modseq > since) {
                out.extend(fetched(number + 1, mail, items));
            }
        }
        out.extend_from_slice(b"$TAG OK done\r\n");
        out
    }
}

pub(super) fn next(one: &Mailbox) -> u32 {
    one.mails.iter().map(|mail| mail.uid).max().unwrap_or_default() + 1
}

/// True if a set of UIDs as a command has it names this one.
pub(crate) fn contains(set: &str, uid: u32) -> bool {
    set.split(',').any(|part| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let number = |text: &str| if text == "*" { u32::MAX } else { text.parse().unwrap_or_default() };
        number(first) <= uid && uid <= number(last)
    })
}

/// A FETCH response with what was asked for.
pub(crate) fn fetched(number: usize, mail: &Mail, items: &str) -> Vec<u8> {
    let mut out = format!("* {number} FETCH (UID {} FLAGS ({})", mail.uid, mail.flags).into_bytes();
    let mut add = |text: String| out.extend_from_slice(text.as_bytes());
    if items.contains("INTERNALDATE") {
        add(format!(" INTERNALDATE \"{}\"", mail.date));
    }
    if items.contains("RFC822.SIZE") {
        add(format!(" RFC822.SIZE {}", mail.size.unwrap_or(mail.bytes.len())));
    }
    if items.contains("MODSEQ") || items.contains("CHANGEDSINCE") {
        add(format!(" MODSEQ ({})", mail.modseq));
    }
    if let Some((id, labels)) = mail.gmail.as_ref().filter(|_| items.contains("X-GM-MSGID")) {
        add(format!(" X-GM-MSGID {id} X-GM-LABELS ({labels})"));
    }
    if items.contains("HEADER.FIELDS") {
        let text = String::from_utf8_lossy(&mail.bytes).into_owned();
        let id = text.lines().find(|line| line.starts_with("Message-ID:")).unwrap_or_default();
        let header = format!("{id}\r\n\r\n");
        add(format!(" BODY[HEADER.FIELDS (MESSAGE-ID)] {{{}}}\r\n{header}", header.len()));
    }
    if items.contains("BODY.PEEK[]") {
        add(format!(" BODY[] {{{}}}\r\n", mail.bytes.len()));
        out.extend_from_slice(&mail.bytes);
    }
    out.extend_from_slice(b")\r\n");
    out
}
