//! Bytes: each blob against its digest, and what refers to blobs against the blobs that are there.

use super::{Check, Depth};
use crate::archive::blob::{self, Blob, BlobKey};
use crate::archive::moment::Moment;
use crate::archive::query;
use crate::archive::snapshots::blobs_in_text;
use crate::archive::sql_error::explain;
use crate::error::Result;
use crate::model::{Id, ObjectType};
use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

/// Columns that refer to blobs.
const REFERENCES: [&str; 6] = [
    "emails WHERE blob_id IS NOT NULL",
    "sieve_scripts WHERE blob_id IS NOT NULL",
    "file_nodes WHERE blob_id IS NOT NULL",
    "originals WHERE blob_id IS NOT NULL",
    "history WHERE blob_id IS NOT NULL",
    "(SELECT original_id AS blob_id FROM history) WHERE blob_id IS NOT NULL",
];

/// Texts in which blobs are named.
const TEXTS: [&str; 3] = [
    "SELECT data FROM contact_cards WHERE instr(data, '@blob')",
    "SELECT data FROM calendar_events WHERE instr(data, '@blob')",
    "SELECT fields FROM history WHERE kind IN ('ContactCard', 'CalendarEvent') AND instr(fields, '@blob')",
];

impl Check<'_> {
    pub(super) fn blobs(
        &mut self,
        depth: Depth,
        sound: &mut HashSet<BlobKey>,
        progress: &mut impl FnMut(u64, u64) -> bool,
    ) -> Result<()> {
        self.step("references", Check::missing_blobs);
        if self.reader.has_history() {
            self.step("originals", Check::ranges);
            self.step("large objects", Check::chunks);
        }
        let started = Instant::now();
        let ids = match self.blob_ids() {
            Ok(ids) => ids,
            Err(error) => {
                self.find("blobs".to_owned(), error.to_string(), Vec::new());
                return Ok(());
            }
        };
        let total = ids.len() as u64;
        self.verdict.blobs = total;
        self.verdict.is_full = depth.sample >= 1.0;
        for (at, id) in ids.into_iter().enumerate() {
            if depth.max_duration.is_some_and(|limit| started.elapsed() > limit) {
                self.verdict.is_full = false;
                break;
            }
            if is_sampled(id, depth) {
                self.blob(id, sound);
                if !progress(at as u64 + 1, total) {
                    (self.verdict.is_stopped, self.verdict.is_full) = (true, false);
                    break;
                }
            }
        }
        Ok(())
    }

    fn blob_ids(&self) -> rusqlite::Result<Vec<Id>> {
        self.connection.restart_budget();
        query::column(self.conn, "SELECT id FROM blobs ORDER BY id", [])
    }

    fn blob(&mut self, id: Id, sound: &mut HashSet<BlobKey>) {
        self.connection.restart_budget();
        self.verdict.blobs_hashed += 1;
        let hashed = blob::find(self.conn, id).and_then(|found| match found {
            Some(blob) if sound.contains(&blob.key()) => Ok(Some(blob)),
            Some(blob) => Ok(blob::is_sound(self.conn, &blob)?.then_some(blob)),
            None => Ok(None),
        });
        let what = match hashed {
            Ok(Some(blob)) => {
                self.verdict.bytes_hashed += blob.size;
                // With a log there is one transaction, and so no second pass.
                if self.connection.is_immutable {
                    sound.insert(blob.key());
                }
                return;
            }
            Ok(None) => "its bytes do not match its digest".to_owned(),
            Err(error) => explain(self.reader.path(), error).to_string(),
        };
        let affected = self.users_of(id).unwrap_or_default();
        self.find(format!("blob {id}"), what, affected);
    }

    /// References to blobs that are not there.
    fn missing_blobs(&mut self) -> rusqlite::Result<()> {
        let mut missing: BTreeSet<Id> = BTreeSet::new();
        let tables = if self.reader.has_history() { &REFERENCES[..] } else { &REFERENCES[..3] };
        for from in tables {
            self.connection.restart_budget();
            let sql = format!("SELECT DISTINCT blob_id FROM {from} AND blob_id NOT IN (SELECT id FROM blobs)");
            let mut has_others = false;
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                match row.get_ref(0)?.as_i64() {
                    Ok(id) => _ = missing.insert(id),
                    Err(_) => has_others = true,
                }
            }
            if has_others {
                let table = if from.starts_with('(') { "history" } else { from.split(' ').next().unwrap_or(from) };
                self.find(table.to_owned(), "refers to a blob by what is no number", Vec::new());
            }
        }
        let mut inside = BTreeSet::new();
        for sql in if self.reader.has_history() { &TEXTS[..] } else { &TEXTS[..2] } {
            self.connection.restart_budget();
            let mut statement = self.conn.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Ok(text) = row.get_ref(0)?.as_str() {
                    blobs_in_text(text, &mut inside);
                }
            }
        }
        let mut is_there = self.conn.prepare("SELECT 1 FROM blobs WHERE id = ?1")?;
        for id in inside {
            if !is_there.exists([id])? {
                missing.insert(id);
            }
        }
        for id in missing {
            let affected = self.users_of(id)?;
            self.find(format!("blob {id}"), "is missing", affected);
        }
        Ok(())
    }

    /// The objects that show a blob, each at the first moment that does.
    fn users_of(&self, blob: Id) -> rusqlite::Result<Vec<(ObjectType, Id, Moment)>> {
        let mut users = Vec::new();
        let mark = "'%@blob%' || ?1 || '%'";
        for (kind, sql) in [
            (ObjectType::Email, "SELECT id FROM emails WHERE blob_id = ?1".to_owned()),
            (ObjectType::SieveScript, "SELECT id FROM sieve_scripts WHERE blob_id = ?1".to_owned()),
            (ObjectType::FileNode, "SELECT id FROM file_nodes WHERE blob_id = ?1".to_owned()),
            (ObjectType::ContactCard, format!("SELECT id FROM contact_cards WHERE data LIKE {mark}")),
            (ObjectType::CalendarEvent, format!("SELECT id FROM calendar_events WHERE data LIKE {mark}")),
        ] {
            let ids = query::column::<Id>(self.conn, &sql, [blob])?;
            users.extend(ids.into_iter().map(|id| (kind, id, Moment::Current)));
        }
        if !self.reader.has_history() {
            return Ok(users);
        }
        let mut originals = self.conn.prepare_cached("SELECT kind, id FROM originals WHERE blob_id = ?1")?;
        let mut rows = originals.query([blob])?;
        while let Some(row) = rows.next()? {
            let kind = ObjectType::from_token(&row.get::<_, String>(0)?);
            users.extend(kind.map(|kind| Ok::<_, rusqlite::Error>((kind, row.get(1)?, Moment::Current))).transpose()?);
        }
        let sql = "SELECT kind, id, first, last FROM history WHERE blob_id = ?1 OR original_id = ?1";
        let mut former = self.conn.prepare_cached(sql)?;
        let mut rows = former.query([blob])?;
        while let Some(row) = rows.next()? {
            users.extend(self.affected(&row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        }
        Ok(users)
    }

    /// Stretches of original bytes must lie in their blob.
    fn ranges(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT kind, id, blob_id, ranges FROM originals WHERE ranges IS NOT NULL
                   UNION ALL SELECT kind, id, original_id, ranges FROM history WHERE ranges IS NOT NULL";
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut last: Option<Blob> = None;
        while let Some(row) = rows.next()? {
            let (name, id): (String, Id) = (row.get(0)?, row.get(1)?);
            let blob = row.get_ref(2)?.as_i64().unwrap_or_default();
            if last.is_none_or(|known| known.id != blob) {
                last = blob::find(self.conn, blob)?;
            }
            let Some(size) = last.map(|blob| blob.size) else { continue };
            let ranges =
                row.get_ref(3)?.as_str().ok().and_then(|text| serde_json::from_str::<Vec<(u64, u64)>>(text).ok());
            if ranges.is_none_or(|ranges| ranges.is_empty() || ranges.iter().any(|(from, to)| from > to || *to > size))
            {
                let affected =
                    ObjectType::from_token(&name).map(|kind| (kind, id, Moment::Current)).into_iter().collect();
                self.find(format!("original bytes of {name} {id}"), "their ranges do not lie in their blob", affected);
            }
        }
        Ok(())
    }

    /// Pieces of large objects: whole rows of them, of blobs that say so.
    fn chunks(&mut self) -> rusqlite::Result<()> {
        for (sql, what) in [
            ("SELECT id FROM blobs WHERE typeof(data) = 'text' AND id NOT IN (SELECT blob_id FROM large_blobs)", "its size is not noted"),
            ("SELECT blob_id FROM large_blobs WHERE blob_id NOT IN (SELECT id FROM blobs WHERE typeof(data) = 'text')", "has the size of a large object, and is none"),
            ("SELECT id FROM blobs WHERE typeof(data) = 'text' AND data <> 'vandelay: stored in blob_chunks'", "another text stands in the place of its bytes"),
            ("SELECT DISTINCT blob_id FROM blob_chunks WHERE blob_id NOT IN (SELECT blob_id FROM large_blobs)", "has pieces, and is no large object"),
            ("SELECT l.blob_id FROM large_blobs l LEFT JOIN blob_chunks c ON c.blob_id = l.blob_id GROUP BY l.blob_id
              HAVING l.size <> coalesce(sum(length(c.data)), 0) OR coalesce(max(c.seq), -1) <> count(c.seq) - 1 OR coalesce(min(c.seq), 0) <> 0",
             "its pieces are not as many bytes as it has"),
        ] {
            self.connection.restart_budget();
            for id in query::column::<Id>(self.conn, sql, [])? {
                let affected = self.users_of(id)?;
                self.find(format!("blob {id}"), what, affected);
            }
        }
        Ok(())
    }
}

/// True for the blobs of the sample: spread evenly, the same ones for the same seed.
fn is_sampled(id: Id, depth: Depth) -> bool {
    if depth.sample >= 1.0 {
        return true;
    }
    // SplitMix64: neighbours get numbers that have nothing to do with each other.
    let mut mixed = (id as u64 ^ depth.seed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed as f64) < depth.sample * (u64::MAX as f64)
}
