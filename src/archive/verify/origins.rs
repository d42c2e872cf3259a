//! Compares the origins of objects with their rows.

use super::Check;
use crate::archive::columns::{parse_ids, parse_keywords};
use crate::archive::moment::Moment;
use crate::archive::query;
use crate::archive::schema::{TABLES, Table};
use crate::model::{Id, ObjectType};
use rusqlite::OptionalExtension;
use std::collections::BTreeSet;

/// The containers and keywords of all items that are one row.
#[derive(Default)]
struct Together {
    parents: BTreeSet<Id>,
    keywords: BTreeSet<String>,
    /// 1.x has written since, so an item no longer says what it gives its row.
    is_unknown: bool,
}

impl Check<'_> {
    pub(super) fn origins(&mut self) -> rusqlite::Result<()> {
        let shape = self.reader.shape();
        // An archive of format 1 may lack tables that came later.
        let is_there = |table: &&Table| shape.columns.get(table.name).is_some_and(|columns| !columns.is_empty());
        for table in TABLES.iter().filter(is_there) {
            self.connection.restart_budget();
            self.lost_items(table)?;
        }
        let strays = "SELECT count(*) FROM origins WHERE scope_id NOT IN (SELECT id FROM scopes)";
        let strays: i64 = self.conn.query_row(strays, [], |row| row.get(0))?;
        if strays > 0 {
            self.find("origins".to_owned(), format!("{strays} of them are of no scope"), Vec::new());
        }
        let odd = "SELECT count(*) FROM origins WHERE typeof(local_id) <> 'integer'
                   OR NOT (typeof(key) = 'text' AND typeof(rev) = 'text' AND typeof(keywords) = 'text' AND typeof(parents) = 'text')";
        let odd: i64 = self.conn.query_row(odd, [], |row| row.get(0))?;
        if odd > 0 {
            self.find("origins".to_owned(), format!("{odd} of them are not text"), Vec::new());
        }
        for (kind, parents, keywords) in [
            (ObjectType::Email, "mailbox_ids", "keywords"),
            (ObjectType::CalendarEvent, "calendar_ids", "NULL"),
            (ObjectType::ContactCard, "address_book_ids", "NULL"),
        ] {
            self.connection.restart_budget();
            self.membership(kind, parents, keywords)?;
        }
        Ok(())
    }

    /// Items whose row is gone.
    fn lost_items(&mut self, table: &Table) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT DISTINCT o.local_id FROM origins o JOIN scopes s ON s.id = o.scope_id
             WHERE s.kind = ?1 AND o.local_id NOT IN (SELECT id FROM {})",
            table.name
        );
        for id in query::column::<Id>(self.conn, &sql, [table.kind.name()])? {
            let place = format!("{} {id}", table.kind.name());
            self.find(place, "is gone, though it is known at the source; the next import fetches it again", Vec::new());
        }
        Ok(())
    }

    /// A row lies in the containers, and has the keywords, of all items that are it.
    fn membership(&mut self, kind: ObjectType, parents: &str, keywords: &str) -> rusqlite::Result<()> {
        let row = format!("SELECT {parents}, {keywords} FROM {} WHERE id = ?1", Table::of(kind).name);
        let mut row = self.conn.prepare(&row)?;
        let mut items = self.conn.prepare(
            "SELECT o.local_id, o.keywords, o.parents FROM origins o JOIN scopes s ON s.id = o.scope_id
             WHERE s.kind = ?1 AND s.key <> '' ORDER BY o.local_id",
        )?;
        let mut items = items.query([kind.name()])?;
        let mut current: Option<(Id, Together)> = None;
        loop {
            let item: Option<(Id, String, String)> = match items.next()? {
                Some(item) => Some((item.get(0)?, item.get(1)?, item.get(2)?)),
                None => None,
            };
            let same = matches!((&current, &item), (Some((id, _)), Some((next, ..))) if id == next);
            if !same && let Some((id, together)) = current.take() {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
                let found = row.query_row([id], read).optional()?;
                self.compare_items(kind, id, &together, found);
            }
            let Some((id, keywords, parents)) = item else { return Ok(()) };
            let (_, together) = current.get_or_insert_with(|| (id, Together::default()));
            together.is_unknown |= keywords.is_empty();
            together.parents.extend(parse_ids(&parents));
            together.keywords.extend(parse_keywords(&keywords));
        }
    }

    fn compare_items(&mut self, kind: ObjectType, id: Id, together: &Together, row: Option<(String, Option<String>)>) {
        let Some((parents, keywords)) = row.filter(|_| !together.is_unknown) else { return };
        let parents: BTreeSet<Id> = parse_ids(&parents).into_iter().collect();
        let keywords: Option<BTreeSet<String>> = keywords.map(|text| parse_keywords(&text).into_iter().collect());
        let affected = || vec![(kind, id, Moment::Current)];
        if parents != together.parents {
            let what = "lies in other containers than its items at the source did";
            self.find(format!("{} {id}", kind.name()), what, affected());
        }
        if keywords.is_some_and(|keywords| keywords != together.keywords) {
            let what = "has other keywords than its items at the source had";
            self.find(format!("{} {id}", kind.name()), what, affected());
        }
    }
}
