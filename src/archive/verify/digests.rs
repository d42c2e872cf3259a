//! Every row against the digest that was written with it (FORMAT.md, "What proves a row").

use super::Check;
use crate::archive::blob;
use crate::archive::digest::{self, Digested};
use crate::archive::moment::Moment;
use crate::format::mail;
use crate::model::{Id, ObjectType};
use rusqlite::OptionalExtension;

/// How much of a message is looked at to recognise it (FORMAT.md, "message_match").
const HEAD: u64 = 1 << 20;

impl Check<'_> {
    pub(super) fn digests(&mut self) -> rusqlite::Result<()> {
        let is_running = "SELECT EXISTS (SELECT 1 FROM snapshots WHERE state = 'running')";
        let is_running: bool = self.conn.query_row(is_running, [], |row| row.get(0))?;
        for digested in Digested::all().filter(|digested| !is_running || digested.name != digest::ORIGINS) {
            self.connection.restart_budget();
            let kind = ObjectType::from_token(digested.name);
            let affected = |id: Id| kind.map(|kind| (kind, id, Moment::Current)).into_iter().collect();
            for id in digested.differing(self.conn)? {
                let place = format!("{} {id}", digested.name);
                match kind == Some(ObjectType::Email) && self.is_only_match_wrong(id)? {
                    true => self.remark_on(
                        place,
                        "its message_match is not that of its header; the message itself is sound".to_owned(),
                        affected(id),
                    ),
                    false => self.find(place, "the row is not as it was written", affected(id)),
                }
            }
            for id in digested.differing_beside(self.conn)? {
                let what = "what is kept beside its digest is not as it was written";
                self.find(format!("{} {id}", digested.name), what, Vec::new());
            }
            for id in digested.gone(self.conn)? {
                self.find(format!("{} {id}", digested.name), "the row is gone", Vec::new());
            }
        }
        self.connection.restart_budget();
        for place in digest::strays(self.conn)? {
            self.find(place, "is of no row", Vec::new());
        }
        self.connection.restart_budget();
        for (name, id, first, last) in digest::differing_history(self.conn)? {
            let affected = self.affected(&name, id, first, last);
            let place = format!("history of {name} {id} from snapshot {first}");
            self.find(place, "the row is not as it was written", affected);
        }
        for (kind, written, there) in digest::differing_totals(self.conn)? {
            let what = format!("{written} former states were written, {there} are there");
            self.find(format!("history of {kind}"), what, Vec::new());
        }
        Ok(())
    }

    /// True if all of an email is as it was written but the column that can be made from its bytes.
    fn is_only_match_wrong(&self, id: Id) -> rusqlite::Result<bool> {
        let blob: Option<Id> =
            self.conn.query_row("SELECT blob_id FROM emails WHERE id = ?1", [id], |row| row.get(0)).optional()?;
        let Some(blob) = blob.map(|blob| blob::find(self.conn, blob)).transpose()?.flatten() else { return Ok(false) };
        let head = blob::read(self.conn, &blob, 0, HEAD)?;
        Digested::content(ObjectType::Email).holds_with(
            self.conn,
            id,
            "t.message_match",
            &mail::summary(&head).message_match,
        )
    }
}
