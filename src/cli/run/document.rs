//! A TOML document of which each key knows its line, so that an error can name it.

use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A text, a number or a date, as it is written.
    Text(String),
    Flag(bool),
    List(Vec<Value>),
    Table(Table),
    /// `[[name]]`, or a list of tables.
    Tables(Vec<Table>),
}

/// The keys of a table in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// Where it stands: `account.alice`; empty for the whole file.
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// The file, for its errors.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) root: Table,
}

impl Document {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Document> {
        let bytes = std::fs::read(path).map_err(|error| {
            let kind = ErrorKind::Usage;
            Error::new(kind, format!("cannot read the configuration {}", path.display())).because(error)
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::Usage, format!("{} is not UTF-8", path.display())))?;
        Document::parse(path, &text)
    }

    /// Reads the text of a file.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Document> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| lines.line(span.start));
            let what = error.message().lines().next().unwrap_or("not TOML").to_owned();
            place(path, line, &format!("this is not TOML: {what}"))
        })?;
        let root =
            table_of(String::new(), 1, table.get_ref(), &lines).map_err(|(line, what)| place(path, line, &what))?;
        Ok(Document { path: path.to_owned(), root })
    }

    /// An error at a line.
    pub(super) fn error(&self, line: usize, what: &str) -> Error {
        place(&self.path, line, what)
    }
}

fn place(path: &Path, line: usize, what: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("{}, line {line}: {what}", path.display()))
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(ends).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

/// A path of the file with one key more.
pub(super) fn below(path: &str, key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if is_bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn table_of(path: String, line: usize, table: &DeTable, lines: &Lines) -> Result<Table, (usize, String)> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let line = lines.line(key.span().start);
        let path = below(&path, key.get_ref());
        entries.push(Entry { key: key.get_ref().to_string(), line, value: value_of(path, line, value, lines)? });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(Table { path, line, entries })
}

fn value_of(path: String, line: usize, value: &Spanned<DeValue>, lines: &Lines) -> Result<Value, (usize, String)> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| (line, format!("{path}: this number is too large")))?
            .to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Boolean(flag) => return Ok(Value::Flag(*flag)),
        DeValue::Table(table) => return Ok(Value::Table(table_of(path, line, table, lines)?)),
        DeValue::Array(array) => {
            if !array.is_empty() && array.iter().all(|item| item.get_ref().is_table()) {
                let tables = array.iter().filter_map(|item| Some((item.span().start, item.get_ref().as_table()?)));
                let tables = tables.map(|(start, table)| table_of(path.clone(), lines.line(start), table, lines));
                return Ok(Value::Tables(tables.collect::<Result<_, _>>()?));
            }
            let items = array.iter().map(|item| value_of(path.clone(), lines.line(item.span().start), item, lines));
            return Ok(Value::List(items.collect::<Result<_, _>>()?));
        }
    };
    Ok(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_lines() {
        let text = "a = 1\n\n[x.'y z']\nb = \"t\" # why\nc = [true, 0x10]\n[[list]]\n[[list]]\nd = 1.5\n";
        let document = Document::parse(Path::new("f"), text).expect("a document");
        let [a, x, list] = &document.root.entries[..] else { panic!("three keys") };
        assert_eq!((a.line, &a.value), (1, &Value::Text("1".to_owned())));
        let Value::Table(x) = &x.value else { panic!("a table") };
        let Value::Table(y) = &x.entries[0].value else { panic!("a table") };
        assert_eq!((y.path.as_str(), y.entries[0].line, y.entries[1].line), ("x.\"y z\"", 4, 5));
        assert_eq!(y.entries[1].value, Value::List(vec![Value::Flag(true), Value::Text("16".to_owned())]));
        let Value::Tables(list) = &list.value else { panic!("tables") };
        assert_eq!((list[0].line, list[1].entries[0].line), (6, 8));
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        for (text, line) in [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("[x\n", 1), ("a = 99999999999999999999", 1)]
        {
            let error = Document::parse(Path::new("c.toml"), text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("c.toml, line {line}: ")), "{error}");
        }
        let deep = "a = ".to_owned() + &"[".repeat(100_000);
        assert!(Document::parse(Path::new("c"), &deep).is_err());
    }
}
