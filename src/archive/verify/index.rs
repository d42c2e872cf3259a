//! Compares the index of mailboxes with the rows and their history.
//!
//! Both sides are added up per mailbox, so that memory does not grow with the mail; only what differs is looked at in
//! detail.

use super::Check;
use crate::archive::columns::{UNFILED, parse_ids, parse_keywords};
use crate::archive::index;
use crate::archive::moment::Moment;
use crate::archive::query;
use crate::model::time::epoch;
use crate::model::{Digest, Id, ObjectType};
use rusqlite::Row;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A row of `email_index`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct IndexLine {
    email: Id,
    first: i64,
    last: Option<i64>,
    received: i64,
    size: i64,
    links: i64,
    flags: String,
}

impl IndexLine {
    /// A number that depends on all of the line: equal sums of them mean equal lines.
    fn weight(&self) -> u128 {
        let digest = Digest::of(format!("{self:?}").as_bytes());
        digest.0[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

/// The sum over the lines of each mailbox: lines of the index less expected lines.
type Sums = BTreeMap<Id, u128>;

impl Check<'_> {
    pub(super) fn index(&mut self) -> rusqlite::Result<()> {
        let keywords = self.mailbox_keywords()?;
        let mut sums = Sums::new();
        self.each_line("", |mailbox, line| {
            let sum = sums.entry(mailbox).or_default();
            *sum = sum.wrapping_add(line.weight());
        })?;
        self.each_expected(&keywords, |mailbox, line| {
            let sum = sums.entry(mailbox).or_default();
            *sum = sum.wrapping_sub(line.weight());
        })?;
        for (mailbox, _) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            self.compare(mailbox, &keywords)?;
        }
        self.states()
    }

    /// The keywords of each mailbox, by letter. A table with gaps, twins or letters beyond z is a finding.
    fn mailbox_keywords(&mut self) -> rusqlite::Result<HashMap<Id, Vec<String>>> {
        let mut tables: HashMap<Id, Vec<String>> = HashMap::new();
        let sql = "SELECT mailbox_id, letter, keyword FROM mailbox_keywords ORDER BY mailbox_id, letter";
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (mailbox, letter, keyword): (Id, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let table = tables.entry(mailbox).or_default();
            let is_known = table.iter().any(|known| known.eq_ignore_ascii_case(&keyword));
            if letter != table.len() as i64 || letter > 25 || is_known {
                self.find(format!("keywords of mailbox {mailbox}"), format!("letter {letter} is not one"), Vec::new());
            }
            table.push(keyword);
        }
        Ok(tables)
    }

    /// The lines of the index, of all mailboxes or of those that `condition` selects.
    fn each_line(&self, condition: &str, mut each: impl FnMut(Id, IndexLine)) -> rusqlite::Result<()> {
        self.connection.restart_budget();
        let sql = format!(
            "SELECT mailbox_id, email_id, first, last, received, size, links, flags FROM email_index {condition}"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(
                row.get(0)?,
                IndexLine {
                    email: row.get(1)?,
                    first: row.get(2)?,
                    last: row.get(3)?,
                    received: row.get(4)?,
                    size: row.get(5)?,
                    links: row.get(6)?,
                    flags: row.get(7)?,
                },
            );
        }
        Ok(())
    }

    /// The lines that the rows of emails and their former states make.
    fn each_expected(
        &self,
        keywords: &HashMap<Id, Vec<String>>,
        mut each: impl FnMut(Id, IndexLine),
    ) -> rusqlite::Result<()> {
        const SIZE: &str = "coalesce((SELECT size FROM large_blobs l WHERE l.blob_id = b.id), length(b.data), 0)";
        let current = format!(
            "SELECT e.id, coalesce(s.first, 0), NULL, e.mailbox_ids, e.keywords, e.received_at, {SIZE} FROM emails e
             LEFT JOIN blobs b ON b.id = e.blob_id LEFT JOIN since s ON s.kind = 'Email' AND s.id = e.id"
        );
        let former = format!(
            "SELECT e.id, e.first, e.last, e.fields ->> 'mailbox_ids', e.fields ->> 'keywords', e.fields ->> 'received_at', {SIZE}
             FROM history e LEFT JOIN blobs b ON b.id = e.blob_id WHERE e.kind = 'Email' AND json_valid(e.fields)"
        );
        for sql in [current, former] {
            self.connection.restart_budget();
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let mailboxes = parse_ids(&text(row, 3)?);
                let own = parse_keywords(&text(row, 4)?);
                let line = IndexLine {
                    email: row.get(0)?,
                    first: row.get(1)?,
                    last: row.get(2)?,
                    received: epoch(&text(row, 5)?),
                    size: row.get(6)?,
                    links: mailboxes.len().max(1) as i64,
                    flags: String::new(),
                };
                let unfiled = mailboxes.is_empty().then_some(UNFILED);
                for mailbox in mailboxes.into_iter().chain(unfiled) {
                    let table = keywords.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
                    each(mailbox, IndexLine { flags: index::letters(table, &own), ..line.clone() });
                }
            }
        }
        Ok(())
    }

    /// Names what differs in a mailbox.
    fn compare(&mut self, mailbox: Id, keywords: &HashMap<Id, Vec<String>>) -> rusqlite::Result<()> {
        let mut there = BTreeSet::new();
        self.each_line(&format!("WHERE mailbox_id = {mailbox}"), |_, line| {
            there.insert(line);
        })?;
        let mut missing = Vec::new();
        self.each_expected(keywords, |of, line| {
            if of == mailbox && !there.remove(&line) {
                missing.push(line);
            }
        })?;
        let place = format!("index of mailbox {mailbox}");
        for line in missing {
            let affected = match line.last {
                None => vec![(ObjectType::Email, line.email, Moment::Current)],
                Some(last) => self.affected("Email", line.email, line.first, last),
            };
            let what = match there.iter().find(|other| other.email == line.email && other.first == line.first) {
                Some(other) => {
                    let differs = differing(other, &line).join(", ");
                    let email = line.email;
                    let what = format!("says something else of email {email} than its row ({differs})");
                    there.retain(|other| (other.email, other.first) != (line.email, line.first));
                    what
                }
                None => format!("lacks email {}", line.email),
            };
            self.find(place.clone(), what, affected);
        }
        for line in there {
            self.find(place.clone(), format!("lists email {}, which does not lie there", line.email), Vec::new());
        }
        Ok(())
    }

    /// Compares `mailbox_state` with the lines of each mailbox. After a run that was killed the next run corrects it.
    fn states(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT m.mailbox_id FROM mailbox_state m LEFT JOIN email_index e ON e.mailbox_id = m.mailbox_id AND e.last IS NULL
                   WHERE NOT EXISTS (SELECT 1 FROM snapshots WHERE state = 'running') GROUP BY m.mailbox_id
                   HAVING m.emails <> count(e.email_id) OR m.bytes <> coalesce(sum(e.size), 0) OR m.newest <> coalesce(max(e.received), 0)";
        for mailbox in query::column::<Id>(self.conn, sql, [])? {
            self.find(format!("state of mailbox {mailbox}"), "is not what lies in it", Vec::new());
        }
        Ok(())
    }
}

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes_or_null()?.unwrap_or_default()).into_owned())
}

fn differing(there: &IndexLine, expected: &IndexLine) -> Vec<&'static str> {
    let fields = [
        ("last", there.last != expected.last),
        ("date", there.received != expected.received),
        ("size", there.size != expected.size),
        ("number of mailboxes", there.links != expected.links),
        ("flags", there.flags != expected.flags),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
