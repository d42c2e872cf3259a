//! Looks for words in a row where the index says only that a text has them all.

use super::index::{Index, message_of};
use super::object::item_called;
use super::phrase::Phrase;
use super::text::Words;
use super::update::{item_words, read_message};
use crate::archive::{EmailReader, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Id;
use crate::progress::Progress;
use std::sync::Arc;

/// Reads the text of a document to see whether the words of a phrase stand in a row in it.
pub(super) struct Prover<'a> {
    reader: &'a Arc<Reader>,
    index: &'a Index,
    emails: EmailReader,
    phrase: &'a Phrase,
    progress: &'a dyn Progress,
}

impl<'a> Prover<'a> {
    pub(super) fn of(
        reader: &'a Arc<Reader>,
        index: &'a Index,
        phrase: &'a Phrase,
        progress: &'a dyn Progress,
    ) -> Prover<'a> {
        Prover { reader, index, emails: reader.open_emails(), phrase, progress }
    }

    /// True if the text of a document has the phrase.
    ///
    /// Errors: [`ErrorKind::Interrupted`] if the user wants to go.
    pub(super) fn has(&mut self, document: i64) -> Result<bool> {
        if self.progress.interrupted() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted while looking for words in a row"));
        }
        let words = match message_of(document) {
            Some(id) => read_message(self.reader, &mut self.emails, id).map(|fields| Words::of_message(&fields)),
            None => self.item(document),
        };
        match words {
            Ok(words) => Ok(self.phrase.is_in(&words.body)),
            Err(error) if error.kind == ErrorKind::Damaged => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn item(&self, document: i64) -> Result<Words> {
        let sql = "SELECT kind, id, first FROM items WHERE document = ?1";
        let row = self
            .index
            .rows(sql, [document], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Id>(1)?, row.get::<_, i64>(2)?)))?;
        for (kind, id, first) in row {
            let states = item_called(&kind).map(|kind| self.reader.states(kind, id)).transpose()?.unwrap_or_default();
            if let Some(state) = states.iter().find(|state| state.record.first == first) {
                return item_words(self.reader, &state.record);
            }
        }
        Ok(Words::default())
    }
}
