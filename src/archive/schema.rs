//! The tables of an archive: those of Vandelay 1.x, which hold the current state, and ours beside them.
//!
//! [`FORMAT.md`](self) describes every column. This file is the only one that names columns of content tables as a
//! list; reading, history and comparison are generated from [`Table`].

use crate::model::ObjectType;

/// `PRAGMA application_id` of our archives: "VDLY". Archives of 1.x have 0.
pub(super) const APPLICATION_ID: i32 = 0x5644_4C59;

/// `PRAGMA user_version` of the format that this program writes. Archives of 1.x have 0.
pub(super) const FORMAT_VERSION: i32 = 2;

/// The content tables and indexes of 1.x, as 1.x makes them, but for the index that shows that it was there ([`super::v1`]).
pub(super) const CONTENT_DDL: &str = "
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('jmap','imap','caldav','carddav','webdav','managesieve','maildir','exchange_ews','exchange_graph','takeout')), session_url TEXT NOT NULL, account_id TEXT NOT NULL, account_name TEXT, username TEXT NOT NULL, UNIQUE (kind, session_url, account_id));
CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mailboxes (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent_id INTEGER REFERENCES mailboxes(id) ON DELETE RESTRICT, role TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1, UNIQUE (parent_id, name));
CREATE TABLE IF NOT EXISTS emails (id INTEGER PRIMARY KEY, blob_id INTEGER NOT NULL REFERENCES blobs(id), received_at TEXT NOT NULL, mailbox_ids TEXT NOT NULL CHECK (json_valid(mailbox_ids)), keywords TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(keywords)), message_match TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(message_match)));
CREATE INDEX IF NOT EXISTS emails_blob_idx ON emails(blob_id);
CREATE TABLE IF NOT EXISTS identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', email TEXT NOT NULL, reply_to TEXT CHECK (reply_to IS NULL OR json_valid(reply_to)), bcc TEXT CHECK (bcc IS NULL OR json_valid(bcc)), text_signature TEXT NOT NULL DEFAULT '', html_signature TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS sieve_scripts (id INTEGER PRIMARY KEY, name TEXT UNIQUE, is_active INTEGER NOT NULL DEFAULT 0, blob_id INTEGER NOT NULL REFERENCES blobs(id));
CREATE UNIQUE INDEX IF NOT EXISTS sieve_scripts_one_active_idx ON sieve_scripts(is_active) WHERE is_active = 1;
CREATE TABLE IF NOT EXISTS address_books (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_default INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS contact_cards (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, address_book_ids TEXT NOT NULL CHECK (json_valid(address_book_ids)), data TEXT NOT NULL CHECK (json_valid(data)));
CREATE TABLE IF NOT EXISTS calendars (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT, color TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1, is_visible INTEGER NOT NULL DEFAULT 1, is_default INTEGER NOT NULL DEFAULT 0, include_in_availability TEXT NOT NULL DEFAULT 'all' CHECK (include_in_availability IN ('all','attending','none')), default_alerts_with_time TEXT CHECK (default_alerts_with_time IS NULL OR json_valid(default_alerts_with_time)), default_alerts_without_time TEXT CHECK (default_alerts_without_time IS NULL OR json_valid(default_alerts_without_time)), time_zone TEXT);
CREATE TABLE IF NOT EXISTS calendar_events (id INTEGER PRIMARY KEY, calendar_ids TEXT NOT NULL CHECK (json_valid(calendar_ids)), is_draft INTEGER NOT NULL DEFAULT 0, use_default_alerts INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL CHECK (json_valid(data)), data_type TEXT NOT NULL DEFAULT 'Event' CHECK (data_type IN ('Event','Task','Note','Group')));
CREATE TABLE IF NOT EXISTS participant_identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', calendar_address TEXT NOT NULL, is_default INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS file_nodes (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES file_nodes(id) ON DELETE RESTRICT, node_type TEXT NOT NULL CHECK (node_type IN ('file','directory','symlink')), blob_id INTEGER REFERENCES blobs(id), target TEXT CHECK (target IS NULL OR json_valid(target)), name TEXT NOT NULL, media_type TEXT, created TEXT NOT NULL, modified TEXT, is_subscribed INTEGER NOT NULL DEFAULT 1, role TEXT, UNIQUE (parent_id, name));
CREATE INDEX IF NOT EXISTS file_nodes_parent_idx ON file_nodes(parent_id);
CREATE INDEX IF NOT EXISTS file_nodes_blob_idx ON file_nodes(blob_id);
";

/// Our tables: history, identity at the source, original bytes, and what makes the tree fast.
pub(super) const OWN_DDL: &str = "
CREATE TABLE IF NOT EXISTS snapshots (id INTEGER PRIMARY KEY AUTOINCREMENT, source_id INTEGER REFERENCES sources(id) ON DELETE SET NULL, started TEXT NOT NULL, ended TEXT, state TEXT NOT NULL CHECK (state IN ('running','complete','partial','interrupted')), program TEXT NOT NULL, report TEXT CHECK (report IS NULL OR json_valid(report)));
CREATE TABLE IF NOT EXISTS since (kind TEXT NOT NULL, id INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (kind TEXT NOT NULL, id INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, fields TEXT NOT NULL CHECK (json_valid(fields)), blob_id INTEGER REFERENCES blobs(id), original_id INTEGER REFERENCES blobs(id), ranges TEXT, digest BLOB, PRIMARY KEY (kind, id, first)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_blob_idx ON history(blob_id) WHERE blob_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS history_original_idx ON history(original_id) WHERE original_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS last_ids (kind TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS originals (kind TEXT NOT NULL, id INTEGER NOT NULL, blob_id INTEGER NOT NULL REFERENCES blobs(id), ranges TEXT CHECK (ranges IS NULL OR json_valid(ranges)), PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS originals_blob_idx ON originals(blob_id);
CREATE TABLE IF NOT EXISTS blob_chunks (blob_id INTEGER NOT NULL REFERENCES blobs(id) ON DELETE CASCADE, seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (blob_id, seq));
CREATE TABLE IF NOT EXISTS large_blobs (blob_id INTEGER PRIMARY KEY REFERENCES blobs(id) ON DELETE CASCADE, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS scopes (id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE, kind TEXT NOT NULL, key TEXT NOT NULL, cursor TEXT NOT NULL DEFAULT '', UNIQUE (source_id, kind, key));
CREATE TABLE IF NOT EXISTS origins (scope_id INTEGER NOT NULL REFERENCES scopes(id) ON DELETE CASCADE, key TEXT NOT NULL, rev TEXT NOT NULL, keywords TEXT NOT NULL, parents TEXT NOT NULL, local_id INTEGER NOT NULL, PRIMARY KEY (scope_id, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS origins_local_idx ON origins(local_id);
CREATE TABLE IF NOT EXISTS email_index (mailbox_id INTEGER NOT NULL, email_id INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER, received INTEGER NOT NULL, size INTEGER NOT NULL, links INTEGER NOT NULL, flags TEXT NOT NULL, PRIMARY KEY (mailbox_id, email_id, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mailbox_keywords (mailbox_id INTEGER NOT NULL, letter INTEGER NOT NULL, keyword TEXT NOT NULL, PRIMARY KEY (mailbox_id, letter)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vacation_responses (id INTEGER PRIMARY KEY, is_enabled INTEGER NOT NULL DEFAULT 0, from_date TEXT, to_date TEXT, subject TEXT, text_body TEXT, html_body TEXT);
CREATE TABLE IF NOT EXISTS mailbox_state (mailbox_id INTEGER PRIMARY KEY, emails INTEGER NOT NULL, bytes INTEGER NOT NULL, newest INTEGER NOT NULL, made INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS row_digests (kind TEXT NOT NULL, id INTEGER NOT NULL, digest BLOB NOT NULL, identity BLOB, fields TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
";

/// A column of a content table.
pub(super) struct Column {
    pub name: &'static str,
    /// SQL that stands in for it where an old archive lacks the column.
    pub absent: &'static str,
}

/// A content table: its columns beside `id` and `blob_id`, in the order in which readers see them.
pub(super) struct Table {
    pub kind: ObjectType,
    pub name: &'static str,
    pub columns: &'static [Column],
    pub has_blob: bool,
}

const fn column(name: &'static str, absent: &'static str) -> Column {
    Column { name, absent }
}

/// The content tables: the ten of 1.x, and `vacation_responses`, which 1.x does not have.
pub(super) const TABLES: [Table; 11] = [
    Table {
        kind: ObjectType::Mailbox,
        name: "mailboxes",
        columns: &[
            column("name", "''"),
            column("parent_id", "NULL"),
            column("role", "NULL"),
            column("sort_order", "0"),
            column("is_subscribed", "1"),
        ],
        has_blob: false,
    },
    Table {
        kind: ObjectType::Email,
        name: "emails",
        columns: &[
            column("received_at", "''"),
            column("mailbox_ids", "'[]'"),
            column("keywords", "'[]'"),
            column("message_match", "'{}'"),
        ],
        has_blob: true,
    },
    Table {
        kind: ObjectType::AddressBook,
        name: "address_books",
        columns: &[
            column("name", "''"),
            column("description", "NULL"),
            column("sort_order", "0"),
            column("is_default", "0"),
            column("is_subscribed", "1"),
        ],
        has_blob: false,
    },
    Table {
        kind: ObjectType::ContactCard,
        name: "contact_cards",
        columns: &[column("uid", "''"), column("address_book_ids", "'[]'"), column("data", "'{}'")],
        has_blob: false,
    },
    Table {
        kind: ObjectType::Calendar,
        name: "calendars",
        columns: &[
            column("name", "''"),
            column("description", "NULL"),
            column("color", "NULL"),
            column("sort_order", "0"),
            column("is_subscribed", "1"),
            column("is_visible", "1"),
            column("is_default", "0"),
            column("include_in_availability", "'all'"),
            column("default_alerts_with_time", "NULL"),
            column("default_alerts_without_time", "NULL"),
            column("time_zone", "NULL"),
        ],
        has_blob: false,
    },
    Table {
        kind: ObjectType::CalendarEvent,
        name: "calendar_events",
        columns: &[
            column("calendar_ids", "'[]'"),
            column("is_draft", "0"),
            column("use_default_alerts", "0"),
            column("data", "'{}'"),
            column("data_type", "'Event'"),
        ],
        has_blob: false,
    },
    Table {
        kind: ObjectType::SieveScript,
        name: "sieve_scripts",
        columns: &[column("name", "NULL"), column("is_active", "0")],
        has_blob: true,
    },
    Table {
        kind: ObjectType::FileNode,
        name: "file_nodes",
        columns: &[
            column("parent_id", "NULL"),
            column("node_type", "'file'"),
            column("target", "NULL"),
            column("name", "''"),
            column("media_type", "NULL"),
            column("created", "''"),
            column("modified", "NULL"),
            column("is_subscribed", "1"),
            column("role", "NULL"),
        ],
        has_blob: true,
    },
    Table {
        kind: ObjectType::Identity,
        name: "identities",
        columns: &[
            column("name", "''"),
            column("email", "''"),
            column("reply_to", "NULL"),
            column("bcc", "NULL"),
            column("text_signature", "''"),
            column("html_signature", "''"),
        ],
        has_blob: false,
    },
    Table {
        kind: ObjectType::ParticipantIdentity,
        name: "participant_identities",
        columns: &[column("name", "''"), column("calendar_address", "''"), column("is_default", "0")],
        has_blob: false,
    },
    Table {
        kind: ObjectType::VacationResponse,
        name: "vacation_responses",
        columns: &[
            column("is_enabled", "0"),
            column("from_date", "NULL"),
            column("to_date", "NULL"),
            column("subject", "NULL"),
            column("text_body", "NULL"),
            column("html_body", "NULL"),
        ],
        has_blob: false,
    },
];

impl Table {
    /// The content table of a type.
    pub(super) fn of(kind: ObjectType) -> &'static Table {
        match TABLES.iter().find(|table| table.kind == kind) {
            Some(table) => table,
            None => &TABLES[0],
        }
    }

    /// `json_object('name', name, …)` over all columns, each behind `prefix`: what `history.fields` holds.
    pub(super) fn fields_json(&self, prefix: &str) -> String {
        let pairs: Vec<String> = self.columns.iter().map(|column| format!("'{0}', {prefix}{0}", column.name)).collect();
        format!("json_object({})", pairs.join(", "))
    }
}
