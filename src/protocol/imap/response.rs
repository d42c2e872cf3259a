//! What the lines of a server mean (RFC 9051 section 7, with the extensions that this client uses).
//!
//! Reading is total: what makes no sense is left out, and its place stays empty.

use super::date::InternalDate;
use super::parser::{Node, Nodes, Tree};
use super::set::UidSet;
use crate::format::mutf7;
use crate::model::Body;

/// How a command, or the connection, ended (RFC 9051 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusResponse {
    /// The command is done; untagged: a greeting, or something to know.
    Ok,
    /// The command failed: the server cannot or will not.
    No,
    /// The server does not understand the command.
    Bad,
    /// The server closes the connection.
    Bye,
    /// A greeting: the connection is logged in already.
    PreAuth,
}

/// A line with `OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What the line begins with, behind its tag.
    pub outcome: StatusResponse,
    /// Its response code in upper case, or nothing.
    pub code: String,
    /// The words of the code behind its name, those of lists among them.
    pub values: Vec<String>,
    /// The text for a person, as the server sent it: not for a terminal. At most 2,000 bytes.
    pub text: String,
}

impl Condition {
    /// The first value of the code as a number.
    pub(super) fn number(&self) -> Option<u64> {
        self.values.first()?.parse().ok()
    }
}

/// The most words of a response code that are kept: a server with all capabilities there are has about 100.
const MOST_VALUES: usize = 4096;

/// One response.
#[derive(Debug)]
pub(super) enum Reply {
    /// `+`: the server waits for more.
    Continue(Vec<u8>),
    /// The end of the command with this tag.
    Done(Vec<u8>, Condition),
    Said(Condition),
    Data(Data),
}

/// An untagged response that is no condition.
#[derive(Debug)]
pub(super) enum Data {
    Fetch(Box<Fetched>),
    Capability(Vec<String>),
    Enabled(Vec<String>),
    List(Listed),
    Lsub(Listed),
    Status(Vec<u8>, FolderStatus),
    Namespace(Namespaces),
    Id(Vec<(String, String)>),
    Exists(u32),
    Expunge,
    /// UIDs that are gone: just now, or since the time that was asked about.
    Vanished {
        is_earlier: bool,
        set: UidSet,
    },
    /// The UIDs that a search found (RFC 9051 section 7.3.4, ESEARCH).
    Search(UidSet),
    Flags,
    Other,
}

/// What a FETCH response says of one message. What it does not say is `None`.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The number of the message in the mailbox: it shifts when others are removed.
    pub number: u32,
    /// UID (RFC 9051 section 2.3.1.1): stays with the message as long as UIDVALIDITY does.
    pub uid: Option<u32>,
    /// Flags and keywords as the server spells them (`\Seen`, `$Forwarded`).
    pub flags: Option<Vec<String>>,
    /// INTERNALDATE: when it arrived.
    pub date: Option<InternalDate>,
    /// RFC822.SIZE in bytes: what the server believes.
    pub size: Option<u64>,
    /// EMAILID (RFC 8474): the same for the same bytes in all mailboxes of the account.
    pub email_id: Option<String>,
    /// X-GM-MSGID: as EMAILID, at Gmail.
    pub gmail_id: Option<u64>,
    /// X-GM-LABELS, decoded. Gmail's own begin with a backslash (`\Inbox`).
    pub labels: Option<Vec<String>>,
    /// MODSEQ (RFC 7162).
    pub modseq: Option<u64>,
    /// The header fields that were asked for, with their names.
    pub header: Option<Vec<u8>>,
    /// BODY[], if it was asked for.
    pub body: Option<FetchedBody>,
}

/// What came for `BODY[]`.
pub enum FetchedBody {
    /// All of it.
    Here(Body),
    /// `NIL`: the server has the message and does not hand it over.
    Nil,
}

impl std::fmt::Debug for FetchedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchedBody::Here(Body::Bytes(bytes)) => write!(f, "{} bytes", bytes.len()),
            FetchedBody::Here(_) => f.write_str("a file"),
            FetchedBody::Nil => f.write_str("NIL"),
        }
    }
}

/// A line of LIST or LSUB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The name as the server spells it: hand it back as it is.
    pub raw: Vec<u8>,
    /// What separates the levels of the name.
    pub delimiter: Option<char>,
    /// `\Noselect`, `\Sent` and their like, as the server spells them.
    pub attributes: Vec<String>,
}

impl Listed {
    /// True if the mailbox has this attribute, whatever its case.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute))
    }
}

/// What STATUS says of a mailbox. What it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderStatus {
    /// MESSAGES: how many it has.
    pub messages: Option<u32>,
    /// UIDNEXT: no message that comes later has a lower UID.
    pub uid_next: Option<u32>,
    /// UIDVALIDITY: another value means that all UIDs are new.
    pub uid_validity: Option<u32>,
    /// HIGHESTMODSEQ (RFC 7162); 0 and absent both mean that the mailbox has none.
    pub highest_modseq: Option<u64>,
}

/// The answer to NAMESPACE (RFC 2342).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// The user's own mailboxes.
    pub personal: Vec<Namespace>,
    /// Mailboxes of other users that they let this one see.
    pub other_users: Vec<Namespace>,
    /// Mailboxes that belong to no single user.
    pub shared: Vec<Namespace>,
}

/// One namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// What all names in it begin with, decoded, its last delimiter included.
    pub prefix: String,
    /// What separates the levels of names in it; `None`: it has one level.
    pub delimiter: Option<char>,
}

impl Reply {
    /// Reads a response. `is_utf8` if names and labels are UTF-8 (after `ENABLE UTF8=ACCEPT`).
    pub(super) fn read(tree: &mut Tree, is_utf8: bool) -> Reply {
        let (reply, body) = read(tree, is_utf8);
        match reply {
            Reply::Data(Data::Fetch(mut fetched)) => {
                if let Some(body) = body.and_then(|number| tree.take_body(number)) {
                    fetched.body = Some(FetchedBody::Here(body));
                }
                Reply::Data(Data::Fetch(fetched))
            }
            other => other,
        }
    }
}

/// Reads a response for the sake of reading it: for tests and fuzzing.
#[doc(hidden)]
pub fn read_any(tree: &mut Tree) {
    for is_utf8 in [false, true] {
        let _ = Reply::read(tree, is_utf8);
    }
}

/// As [`Reply::read`], with the number of the body that belongs to it.
fn read(tree: &Tree, is_utf8: bool) -> (Reply, Option<usize>) {
    let mut nodes = tree.nodes();
    let tag = nodes.next().and_then(|node| node.bytes()).unwrap_or_default();
    if tag.starts_with(b"+") {
        let text = nodes.next().and_then(|node| node.bytes()).unwrap_or_default();
        return (Reply::Continue(text.to_vec()), None);
    }
    let first = nodes.next();
    if let Some(outcome) = first.and_then(outcome)
        && tree_has_text(&nodes)
    {
        let condition = condition(outcome, nodes);
        return match tag {
            b"*" => (Reply::Said(condition), None),
            _ => (Reply::Done(tag.to_vec(), condition), None),
        };
    }
    // An empty line does no harm.
    let Some(first) = first.filter(|_| tag == b"*") else {
        if tag.is_empty() || tag == b"*" {
            return (Reply::Data(Data::Other), None);
        }
        // A tag without a condition ends no command: the caller gets an empty tag, which it knows of none.
        let text = format!("no condition behind the tag {}", String::from_utf8_lossy(&tag[..tag.len().min(40)]));
        let bad = Condition { outcome: StatusResponse::Bad, code: String::new(), values: Vec::new(), text };
        return (Reply::Done(Vec::new(), bad), None);
    };
    let mut body = None;
    (Reply::Data(data(first, nodes, is_utf8, &mut body)), body)
}

fn outcome(node: Node<'_>) -> Option<StatusResponse> {
    const WORDS: [(&[u8], StatusResponse); 5] = [
        (b"OK", StatusResponse::Ok),
        (b"NO", StatusResponse::No),
        (b"BAD", StatusResponse::Bad),
        (b"BYE", StatusResponse::Bye),
        (b"PREAUTH", StatusResponse::PreAuth),
    ];
    WORDS.into_iter().find(|(word, _)| node.is(word)).map(|(_, outcome)| outcome)
}

fn tree_has_text(nodes: &Nodes<'_>) -> bool {
    nodes.clone().any(|node| node.is_text())
}

fn condition(outcome: StatusResponse, nodes: Nodes<'_>) -> Condition {
    let mut condition = Condition { outcome, code: String::new(), values: Vec::new(), text: String::new() };
    for node in nodes {
        if let Some(mut code) = node.code() {
            condition.code = code.next().and_then(|node| node.text()).unwrap_or_default().to_ascii_uppercase();
            for value in code {
                let list = value.list().into_iter().flatten().filter_map(|node| node.text());
                condition.values.extend(value.text().into_iter().chain(list).take(MOST_VALUES));
                if condition.values.len() >= MOST_VALUES {
                    break;
                }
            }
        } else if let Some(text) = node.bytes() {
            condition.text = String::from_utf8_lossy(&text[..text.len().min(2000)]).into_owned();
        }
    }
    condition
}

fn data(first: Node<'_>, mut rest: Nodes<'_>, is_utf8: bool, body: &mut Option<usize>) -> Data {
    if let Some(number) = first.small_number() {
        return match rest.next() {
            Some(node) if node.is(b"FETCH") => {
                let items = rest.next().and_then(|node| node.list());
                Data::Fetch(Box::new(fetched(number, items, is_utf8, body)))
            }
            Some(node) if node.is(b"EXISTS") => Data::Exists(number),
            Some(node) if node.is(b"EXPUNGE") => Data::Expunge,
            _ => Data::Other,
        };
    }
    let words = |nodes: Nodes<'_>| nodes.filter_map(|node| node.text()).take(MOST_VALUES).collect();
    match first.bytes().unwrap_or_default().to_ascii_uppercase().as_slice() {
        b"CAPABILITY" => Data::Capability(words(rest)),
        b"ENABLED" => Data::Enabled(words(rest)),
        b"FLAGS" => Data::Flags,
        b"LIST" => listed(rest).map_or(Data::Other, Data::List),
        b"LSUB" => listed(rest).map_or(Data::Other, Data::Lsub),
        b"STATUS" => status(rest).unwrap_or(Data::Other),
        b"NAMESPACE" => Data::Namespace(Namespaces {
            personal: rest.next().map(|node| namespaces(node, is_utf8)).unwrap_or_default(),
            other_users: rest.next().map(|node| namespaces(node, is_utf8)).unwrap_or_default(),
            shared: rest.next().map(|node| namespaces(node, is_utf8)).unwrap_or_default(),
        }),
        b"ID" => {
            let texts: Vec<Option<String>> = rest
                .next()
                .and_then(|node| node.list())
                .into_iter()
                .flatten()
                .take(60)
                .map(|node| node.text())
                .collect();
            let pair = |pair: &[Option<String>]| match pair {
                [Some(name), Some(value)] => Some((name.clone(), value.clone())),
                _ => None,
            };
            Data::Id(texts.chunks(2).filter_map(pair).collect())
        }
        b"ESEARCH" => {
            let mut rest = rest.skip_while(|node| !node.is(b"ALL")).skip(1);
            Data::Search(UidSet::parse(rest.next().and_then(|node| node.bytes()).unwrap_or_default()))
        }
        b"VANISHED" => {
            let earlier = rest.clone().next().and_then(|node| node.list()?.next());
            let is_earlier = earlier.is_some_and(|node| node.is(b"EARLIER"));
            let set = UidSet::parse(rest.find_map(|node| node.bytes()).unwrap_or_default());
            Data::Vanished { is_earlier, set }
        }
        _ => Data::Other,
    }
}

fn fetched(number: u32, items: Option<Nodes<'_>>, is_utf8: bool, body: &mut Option<usize>) -> Fetched {
    let mut fetched = Fetched { number, ..Fetched::default() };
    let mut items = items.into_iter().flatten();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let name = name.bytes().unwrap_or_default();
        let cut = name.iter().position(|&b| b == b'[').unwrap_or(name.len());
        let section = &name[cut..];
        match name[..cut].to_ascii_uppercase().as_slice() {
            b"UID" => fetched.uid = value.small_number().filter(|&uid| uid > 0),
            b"FLAGS" => fetched.flags = Some(texts(value)),
            b"INTERNALDATE" => fetched.date = value.string().map(InternalDate::parse),
            b"RFC822.SIZE" => fetched.size = value.number(),
            b"EMAILID" => fetched.email_id = texts(value).into_iter().next().filter(|id| is_object_id(id)),
            b"X-GM-MSGID" => fetched.gmail_id = value.number(),
            b"X-GM-LABELS" => {
                fetched.labels =
                    Some(list_or_one(value).filter_map(|node| Some(label(node.string()?, is_utf8))).collect());
            }
            b"MODSEQ" => fetched.modseq = list_or_one(value).next().and_then(|node| node.number()),
            b"BODY" | b"BINARY" if section.starts_with(b"[HEADER") => {
                fetched.header = Some(value.string().unwrap_or_default().to_vec());
            }
            b"BODY" | b"BINARY" if section.starts_with(b"[]") => {
                *body = value.body();
                fetched.body = Some(match value.string() {
                    Some(bytes) => FetchedBody::Here(Body::Bytes(bytes.to_vec())),
                    None => FetchedBody::Nil,
                });
            }
            _ => {}
        }
    }
    fetched
}

/// True for what can be an object identifier (RFC 8474 section 7, `objectid`).
pub(super) fn is_object_id(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=255).contains(&text.len()) && text.bytes().all(is_letter)
}

/// The tokens of a list, or the one token that stands where a list should.
fn list_or_one<'t>(node: Node<'t>) -> impl Iterator<Item = Node<'t>> {
    let one = if node.list().is_none() && !node.is_nil() { Some(node) } else { None };
    node.list().into_iter().flatten().chain(one)
}

fn texts(node: Node<'_>) -> Vec<String> {
    list_or_one(node).filter_map(|node| node.text()).collect()
}

fn listed(mut rest: Nodes<'_>) -> Option<Listed> {
    let attributes = texts(rest.next()?);
    let delimiter = rest.next()?.text().and_then(|text| text.chars().next());
    // A mailbox may be called NIL.
    let raw = rest.next()?.bytes()?.to_vec();
    Some(Listed { raw, delimiter, attributes })
}

fn status(mut rest: Nodes<'_>) -> Option<Data> {
    let name = rest.next()?.bytes()?.to_vec();
    let mut status = FolderStatus::default();
    let mut items = rest.next()?.list()?;
    while let (Some(item), Some(value)) = (items.next(), items.next()) {
        match item.bytes().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"MESSAGES" => status.messages = value.small_number(),
            b"UIDNEXT" => status.uid_next = value.small_number(),
            b"UIDVALIDITY" => status.uid_validity = value.small_number(),
            b"HIGHESTMODSEQ" => status.highest_modseq = value.number(),
            _ => {}
        }
    }
    Some(Data::Status(name, status))
}

fn namespaces(node: Node<'_>, is_utf8: bool) -> Vec<Namespace> {
    let read = |node: Node<'_>| {
        let mut parts = node.list()?;
        let prefix = decode_name(parts.next()?.bytes()?, is_utf8);
        Some(Namespace { prefix, delimiter: parts.next()?.text().and_then(|text| text.chars().next()) })
    };
    node.list().into_iter().flatten().filter_map(read).take(MOST_VALUES).collect()
}

fn label(bytes: &[u8], is_utf8: bool) -> String {
    match bytes {
        [b'\\', ..] => String::from_utf8_lossy(bytes).into_owned(),
        _ => decode_name(bytes, is_utf8),
    }
}

/// The text of a mailbox name: from modified UTF-7 (RFC 3501 section 5.1.3) unless names are UTF-8 anyhow. A name that
/// is no valid modified UTF-7 is what it says; a byte that is no UTF-8 becomes `%XX`.
pub fn decode_name(raw: &[u8], is_utf8: bool) -> String {
    if !is_utf8
        && raw.is_ascii()
        && let Some(name) = std::str::from_utf8(raw).ok().and_then(mutf7::decode)
    {
        return name;
    }
    let mut name = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        name.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
    }
    name
}
