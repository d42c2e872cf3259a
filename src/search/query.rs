//! What a user types to find something: words, phrases, and terms like `from:alice`, as notmuch and Gmail know them.
//!
//! ```text
//!   query  = and *( "OR" and )              and  = 1*( [ "AND" ] not )
//!   not    = ( "-" / "NOT" ) not / atom     atom = "(" query ")" / [ field ":" ] value / field ":(" query ")"
//!   value  = word / word "*" / '"' words '"'
//! ```

use super::object::FOUND;
use super::phrase::{Field, HAS_ATTACHMENT, Phrase, phrase};
use super::when::Days;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::model::object_id::ObjectId;
use crate::model::text::nearest;

/// How many terms a query has at most.
pub(super) const TERMS_MAX: usize = 64;

/// How deep parentheses lie in each other at most.
const DEPTH_MAX: usize = 32;

/// A condition that objects meet or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Query {
    /// All of these.
    And(Vec<Query>),
    /// Any of these.
    Or(Vec<Query>),
    /// Not this.
    Not(Box<Query>),
    /// One condition, by its place in the list of all terms.
    Term(usize),
}

/// A condition that knows no others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Words(Option<Field>, Phrase),
    /// Lies, or lay, in a folder, calendar, address book or directory that is called so.
    Folder(String),
    Types(Vec<ObjectType>),
    Before(i64),
    From(i64),
    Larger(u64),
    Smaller(u64),
    /// Is not there any more.
    Deleted,
    /// Has this keyword of JMAP, or has it not.
    Keyword(&'static str, bool),
    Object(ObjectId),
    MessageId(String),
}

/// A query that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub(super) query: Query,
    pub(super) terms: Vec<Term>,
}

/// The fields that stand before a colon, each with the names that people know it by.
const FIELDS: [(&str, &[&str]); 15] = [
    ("from", &["from", "sender", "organizer"]),
    ("to", &["to", "cc", "bcc", "recipient"]),
    ("subject", &["subject", "title", "name"]),
    ("body", &["body", "text"]),
    ("attachment", &["attachment", "filename"]),
    ("folder", &["folder", "in", "mailbox", "calendar", "label"]),
    ("type", &["type", "kind"]),
    ("before", &["before", "until", "older"]),
    ("after", &["after", "since", "newer"]),
    ("date", &["date", "day", "on"]),
    ("larger", &["larger", "size", "bigger"]),
    ("smaller", &["smaller"]),
    ("id", &["id", "messageid", "message-id", "mid", "rfc822msgid"]),
    ("is", &["is", "tag"]),
    ("has", &["has"]),
];

impl Parsed {
    /// Reads a query. Days in it are those of the user's time zone.
    ///
    /// Errors: [`ErrorKind::Usage`], with what was meant perhaps.
    pub fn read(text: &str) -> Result<Parsed> {
        let mut reading = Reading { rest: text, terms: Vec::new(), field: None };
        let query = reading.any(0)?;
        if !reading.rest.trim_start().is_empty() {
            return Err(wrong("a parenthesis is closed that was not opened"));
        }
        Ok(Parsed { query, terms: reading.terms })
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Usage, what).hint(
        "e.g. from:alice subject:\"white rabbit\" after:2025-06 -folder:Trash; 'vandelay find --help' lists all terms",
    )
}

/// What is left of a query.
struct Reading<'q> {
    rest: &'q str,
    terms: Vec<Term>,
    /// That of the group, as in `from:(alice OR bob)`.
    field: Option<&'static str>,
}

impl Reading<'_> {
    fn any(&mut self, depth: usize) -> Result<Query> {
        if depth > DEPTH_MAX {
            return Err(wrong("the parentheses lie too deep in each other"));
        }
        let mut either = vec![self.all(depth)?];
        while self.skip("OR") || self.skip("|") {
            either.push(self.all(depth)?);
        }
        Ok(if either.len() == 1 { either.remove(0) } else { Query::Or(either) })
    }

    fn all(&mut self, depth: usize) -> Result<Query> {
        let mut all = Vec::new();
        loop {
            while self.skip("AND") {}
            let rest = self.rest.trim_start();
            if rest.is_empty() || rest.starts_with(')') || is_word(rest, "OR") || rest.starts_with('|') {
                break;
            }
            all.push(self.not(depth)?);
        }
        match all.len() {
            0 => Err(wrong("say what to find")),
            1 => Ok(all.remove(0)),
            _ => Ok(Query::And(all)),
        }
    }

    fn not(&mut self, depth: usize) -> Result<Query> {
        let mut negated = false;
        loop {
            let rest = self.rest.trim_start();
            if let Some(rest) = rest.strip_prefix(['-', '!']).filter(|rest| !rest.starts_with(char::is_whitespace)) {
                self.rest = rest;
            } else if !self.skip("NOT") {
                break;
            }
            negated = !negated;
        }
        let atom = self.atom(depth)?;
        Ok(if negated { Query::Not(Box::new(atom)) } else { atom })
    }

    fn atom(&mut self, depth: usize) -> Result<Query> {
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            return self.group(depth);
        }
        let outer = self.field;
        let field = match self.field_name()? {
            Some(field) if self.rest.starts_with('(') => {
                self.rest = &self.rest[1..];
                self.field = Some(field);
                let group = self.group(depth);
                self.field = outer;
                return group;
            }
            field => field.or(outer),
        };
        let (value, is_quoted) = self.value()?;
        let terms = term(field, &value, is_quoted)?;
        if self.terms.len() + terms.len() > TERMS_MAX {
            return Err(wrong(&format!("a query has at most {TERMS_MAX} terms")));
        }
        let mut all: Vec<Query> = (self.terms.len()..).map(Query::Term).take(terms.len()).collect();
        self.terms.extend(terms);
        Ok(if all.len() == 1 { all.remove(0) } else { Query::And(all) })
    }

    fn group(&mut self, depth: usize) -> Result<Query> {
        let inner = self.any(depth + 1)?;
        self.rest = self.rest.trim_start().strip_prefix(')').ok_or_else(|| wrong("a parenthesis is not closed"))?;
        Ok(inner)
    }

    /// The name of the field at the begin, if there is one.
    fn field_name(&mut self) -> Result<Option<&'static str>> {
        let length = self.rest.find(|c: char| !(c.is_ascii_alphabetic() || c == '-')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        let Some(rest) = rest.strip_prefix(':').filter(|rest| !name.is_empty() && !rest.starts_with("//")) else {
            return Ok(None);
        };
        let name = name.to_ascii_lowercase();
        let known = FIELDS.iter().find(|(_, names)| names.contains(&name.as_str()));
        if let Some((field, _)) = known {
            self.rest = rest;
            return Ok(Some(field));
        }
        let names = FIELDS.iter().flat_map(|(_, names)| names.iter().copied());
        match nearest(&name, names).filter(|_| name.len() > 3) {
            Some(meant) => Err(Error::new(ErrorKind::Usage, format!("there is no field \"{name}:\""))
                .hint(format!("did you mean \"{meant}:\"? To find the word itself, quote it: '\"{name}:\"'"))),
            None => Ok(None),
        }
    }

    /// The value at the begin, and whether it was quoted.
    fn value(&mut self) -> Result<(String, bool)> {
        let quoted = [('"', '"'), ('“', '”'), ('„', '“')];
        for (open, close) in quoted {
            if let Some(rest) = self.rest.strip_prefix(open) {
                // Without an end it goes to the end of the query.
                let (value, rest) = rest.split_once(close).unwrap_or((rest, ""));
                self.rest = rest.strip_prefix('*').unwrap_or(rest);
                return Ok((value.to_owned(), true));
            }
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || matches!(c, ')' | '"')).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        if value.is_empty() {
            return Err(wrong("a field has no value: there may be no blank behind its colon"));
        }
        self.rest = rest;
        Ok((value.to_owned(), false))
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let is_next = if word == "|" { rest.starts_with('|') } else { is_word(rest, word) };
        if is_next {
            self.rest = rest[word.len()..].trim_start_matches('|');
        }
        is_next
    }
}

/// True if a text begins with this word.
fn is_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '('))
}

/// The conditions that a field and its value say.
fn term(field: Option<&str>, value: &str, is_quoted: bool) -> Result<Vec<Term>> {
    let words = |field: Option<Field>| {
        let is_prefix = !is_quoted && value.ends_with('*');
        let inside = value.trim_end_matches('*');
        if !is_quoted && inside.contains('*') && inside.chars().any(char::is_alphanumeric) {
            return Err(wrong(&format!("'{value}': a * can stand at the end of a word only")));
        }
        let found = phrase(value, is_prefix).map(|phrase| vec![Term::Words(field, phrase)]);
        found.ok_or_else(|| wrong(&format!("there is no word in '{value}'")))
    };
    let one = |term: Term| Ok(vec![term]);
    match field {
        None if value == "*" => one(Term::Types(FOUND.to_vec())),
        None => words(None),
        Some("from") => words(Some(Field::From)),
        Some("to") => words(Some(Field::To)),
        Some("subject") => words(Some(Field::Subject)),
        Some("body") => words(Some(Field::Body)),
        Some("attachment") if value == "*" => one(has_attachment()),
        Some("attachment") => words(Some(Field::Attachment)),
        Some("folder") => one(Term::Folder(value.to_owned())),
        Some("type") => types(value).map(|types| vec![Term::Types(types)]),
        Some("before") => Ok(vec![Term::Before(Days::read(value)?.start)]),
        Some("after") => Ok(vec![Term::From(Days::read(value)?.start)]),
        Some("date") => {
            let (from, to) = value.split_once("..").unwrap_or((value, value));
            let mut terms = Vec::new();
            if !from.is_empty() {
                terms.push(Term::From(Days::read(from)?.start));
            }
            if !to.is_empty() || from.is_empty() {
                terms.push(Term::Before(Days::read(to)?.end));
            }
            Ok(terms)
        }
        Some("larger") => size(value).map(|size| vec![Term::Larger(size)]),
        Some("smaller") => size(value).map(|size| vec![Term::Smaller(size)]),
        Some("id") => one(id(value)?),
        Some("is") => is(value).map(|term| vec![term]),
        Some(_) => match value.to_ascii_lowercase().as_str() {
            "attachment" | "attachments" => one(has_attachment()),
            _ => Err(wrong(&format!("'has:{value}' is not known; 'has:attachment' is"))),
        },
    }
}

fn has_attachment() -> Term {
    Term::Words(Some(Field::Attachment), Phrase { words: vec![HAS_ATTACHMENT.to_owned()], is_prefix: false })
}

fn types(value: &str) -> Result<Vec<ObjectType>> {
    const NAMES: [(&str, ObjectType); 21] = [
        ("mail", ObjectType::Email),
        ("message", ObjectType::Email),
        ("messages", ObjectType::Email),
        ("event", ObjectType::CalendarEvent),
        ("events", ObjectType::CalendarEvent),
        ("task", ObjectType::CalendarEvent),
        ("calendar", ObjectType::CalendarEvent),
        ("contact", ObjectType::ContactCard),
        ("contacts", ObjectType::ContactCard),
        ("card", ObjectType::ContactCard),
        ("file", ObjectType::FileNode),
        ("files", ObjectType::FileNode),
        ("script", ObjectType::SieveScript),
        ("scripts", ObjectType::SieveScript),
        ("sieve", ObjectType::SieveScript),
        ("filter", ObjectType::SieveScript),
        ("email", ObjectType::Email),
        ("calendarevent", ObjectType::CalendarEvent),
        ("contactcard", ObjectType::ContactCard),
        ("filenode", ObjectType::FileNode),
        ("sievescript", ObjectType::SieveScript),
    ];
    let of = |name: &str| NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind);
    value
        .split(',')
        .map(of)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| wrong(&format!("there is no type '{value}'; there are mail, event, contact, file and script")))
}

/// `500`, `100K`, `2M`, `1.5G`: bytes, in units of 1024.
fn size(value: &str) -> Result<u64> {
    let number = value.trim_start_matches('>').trim_end_matches(['B', 'b', 'i']);
    let (number, unit) = match number.char_indices().last() {
        Some((at, 'k' | 'K')) => (&number[..at], 10),
        Some((at, 'm' | 'M')) => (&number[..at], 20),
        Some((at, 'g' | 'G')) => (&number[..at], 30),
        _ => (number, 0),
    };
    let parsed: Option<f64> = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    let bytes = parsed.map(|number| number * (1_u64 << unit) as f64);
    bytes.map(|bytes| bytes as u64).ok_or_else(|| wrong(&format!("'{value}' is no size like 500K or 2M")))
}

fn id(value: &str) -> Result<Term> {
    if let Ok(id) = value.parse() {
        return Ok(Term::Object(id));
    }
    let id = value.trim_start_matches('<').trim_end_matches('>');
    match id.contains('@') {
        true => Ok(Term::MessageId(id.to_ascii_lowercase())),
        false => Err(wrong(&format!("'{value}' is neither an id of a list, e.g. m943, nor a Message-ID"))),
    }
}

fn is(value: &str) -> Result<Term> {
    const WORDS: [(&str, Term); 14] = [
        ("deleted", Term::Deleted),
        ("gone", Term::Deleted),
        ("removed", Term::Deleted),
        ("lost", Term::Deleted),
        ("read", Term::Keyword("$seen", true)),
        ("seen", Term::Keyword("$seen", true)),
        ("unread", Term::Keyword("$seen", false)),
        ("unseen", Term::Keyword("$seen", false)),
        ("flagged", Term::Keyword("$flagged", true)),
        ("starred", Term::Keyword("$flagged", true)),
        ("answered", Term::Keyword("$answered", true)),
        ("replied", Term::Keyword("$answered", true)),
        ("draft", Term::Keyword("$draft", true)),
        ("forwarded", Term::Keyword("$forwarded", true)),
    ];
    let lower = value.to_ascii_lowercase();
    let found = WORDS.iter().find(|(known, _)| *known == lower);
    found.map(|(_, term)| term.clone()).ok_or_else(|| {
        wrong(&format!(
            "'is:{value}' is not known; there are deleted, read, unread, flagged, answered, draft, forwarded"
        ))
    })
}
