//! Counts messages that have no header: they are stored as they were found, and are no good mail.

use super::query;
use super::read::Reader;
use crate::error::Result;
use crate::format::{looks, mail};
use crate::model::Id;
use std::collections::BTreeMap;

impl Reader {
    /// How many messages of the current state have no header, by what they are instead. Their bytes are as they were
    /// found, so this is no damage; bytes that cannot be read are, and are not counted here.
    pub fn headless_emails(&self) -> Result<BTreeMap<&'static str, u64>> {
        let mut found = BTreeMap::new();
        for id in self.emails_without_key()? {
            let Ok(head) = self.email_head(id, looks::HEAD as u64) else { continue };
            let head = &head[..head.len().min(looks::HEAD)];
            if let Some(why) = mail::summary(head).headless(head) {
                *found.entry(why).or_default() += 1;
            }
        }
        Ok(found)
    }

    /// The messages without a key that recognises them elsewhere: their headers have none of the fields that it is made
    /// of.
    fn emails_without_key(&self) -> Result<Vec<Id>> {
        self.with(|conn| {
            query::column(conn, "SELECT id FROM emails WHERE message_match IN (?1, '{}')", [mail::nothing()])
        })
    }
}
