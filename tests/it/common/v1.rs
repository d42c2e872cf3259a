//! Archives as Vandelay 1.0.x writes them, made from the description of its format: so that we stay able to read them.

use rusqlite::{Connection, params};
use std::path::Path;

/// In what an archive of 1.x may differ from the others.
pub(crate) struct Variant {
    /// 1.x leaves WAL; a copy may have been converted.
    pub journal_mode: &'static str,
    /// Early releases had no column `data_type`.
    pub data_type: bool,
    /// Tables and columns that we do not know.
    pub extras: bool,
    /// Two mailboxes that lie in each other.
    pub cycle: bool,
    /// Rows at all.
    pub rows: bool,
}

impl Default for Variant {
    fn default() -> Variant {
        Variant { journal_mode: "WAL", data_type: true, extras: false, cycle: false, rows: true }
    }
}

/// The bytes of the messages in an archive of 1.x, by row.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    (1..=7)
        .map(|number| {
            format!("From: A <a{number}@Example.org>\r\nTo: b@example.org\r\nSubject: v1 {number}\r\nMessage-ID: <V1-{number}@example.org>\r\nDate: Mon, 12 May 2025 10:00:00 +0200\r\n\r\nbody {number}\r\n")
                .into_bytes()
        })
        .collect()
}

/// A script in an archive of 1.x.
pub(crate) const SCRIPT: &[u8] = b"require \"fileinto\";\r\nfileinto \"Work\";\r\n";

/// A photo inside a card.
pub(crate) const PHOTO: &[u8] = b"\x89PNG\r\n\x1a\n not really a picture";

/// A file.
pub(crate) const FILE: &[u8] = b"the bytes of a file\n";

fn schema(variant: &Variant) -> String {
    let data_type = if variant.data_type {
        ", data_type TEXT NOT NULL DEFAULT 'Event' CHECK (data_type IN ('Event','Task','Note','Group'))"
    } else {
        ""
    };
    let sync = |name: &str, columns: &str, key: &str| {
        format!(
            "CREATE TABLE sync_id_{name} (source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE, type_name TEXT NOT NULL, {columns}, local_id INTEGER NOT NULL, PRIMARY KEY (source_id, type_name, {key}), UNIQUE (source_id, type_name, local_id));\n"
        )
    };
    format!(
        "CREATE TABLE sources (id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('jmap','imap','caldav','carddav','webdav','managesieve','maildir','exchange_ews','exchange_graph','takeout')), session_url TEXT NOT NULL, account_id TEXT NOT NULL, account_name TEXT, username TEXT NOT NULL, UNIQUE (kind, session_url, account_id));
        CREATE TABLE blobs (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
        CREATE INDEX blobs_hash_idx ON blobs(hash);
        CREATE TABLE mailboxes (id INTEGER PRIMARY KEY, name TEXT NOT NULL, parent_id INTEGER REFERENCES mailboxes(id) ON DELETE RESTRICT, role TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1, UNIQUE (parent_id, name));
        CREATE TABLE emails (id INTEGER PRIMARY KEY, blob_id INTEGER NOT NULL REFERENCES blobs(id), received_at TEXT NOT NULL, mailbox_ids TEXT NOT NULL CHECK (json_valid(mailbox_ids)), keywords TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(keywords)), message_match TEXT NOT NULL DEFAULT '{{}}' CHECK (json_valid(message_match)));
        CREATE INDEX emails_blob_idx ON emails(blob_id);
        CREATE TABLE identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', email TEXT NOT NULL, reply_to TEXT CHECK (reply_to IS NULL OR json_valid(reply_to)), bcc TEXT CHECK (bcc IS NULL OR json_valid(bcc)), text_signature TEXT NOT NULL DEFAULT '', html_signature TEXT NOT NULL DEFAULT '');
        CREATE TABLE sieve_scripts (id INTEGER PRIMARY KEY, name TEXT, is_active INTEGER NOT NULL DEFAULT 0, blob_id INTEGER NOT NULL REFERENCES blobs(id), UNIQUE (name));
        CREATE UNIQUE INDEX sieve_scripts_one_active_idx ON sieve_scripts(is_active) WHERE is_active = 1;
        CREATE TABLE address_books (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_default INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1);
        CREATE TABLE contact_cards (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, address_book_ids TEXT NOT NULL CHECK (json_valid(address_book_ids)), data TEXT NOT NULL CHECK (json_valid(data)));
        CREATE TABLE calendars (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT, color TEXT, sort_order INTEGER NOT NULL DEFAULT 0, is_subscribed INTEGER NOT NULL DEFAULT 1, is_visible INTEGER NOT NULL DEFAULT 1, is_default INTEGER NOT NULL DEFAULT 0, include_in_availability TEXT NOT NULL DEFAULT 'all' CHECK (include_in_availability IN ('all','attending','none')), default_alerts_with_time TEXT CHECK (default_alerts_with_time IS NULL OR json_valid(default_alerts_with_time)), default_alerts_without_time TEXT CHECK (default_alerts_without_time IS NULL OR json_valid(default_alerts_without_time)), time_zone TEXT);
        CREATE TABLE calendar_events (id INTEGER PRIMARY KEY, calendar_ids TEXT NOT NULL CHECK (json_valid(calendar_ids)), is_draft INTEGER NOT NULL DEFAULT 0, use_default_alerts INTEGER NOT NULL DEFAULT 0, data TEXT NOT NULL CHECK (json_valid(data)){data_type});
        CREATE TABLE participant_identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', calendar_address TEXT NOT NULL, is_default INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE file_nodes (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES file_nodes(id) ON DELETE RESTRICT, node_type TEXT NOT NULL CHECK (node_type IN ('file','directory','symlink')), blob_id INTEGER REFERENCES blobs(id), target TEXT CHECK (target IS NULL OR json_valid(target)), name TEXT NOT NULL, media_type TEXT, created TEXT NOT NULL, modified TEXT, is_subscribed INTEGER NOT NULL DEFAULT 1, role TEXT, UNIQUE (parent_id, name));
        CREATE INDEX file_nodes_parent_idx ON file_nodes(parent_id);
        CREATE INDEX file_nodes_blob_idx ON file_nodes(blob_id);
        CREATE TABLE imap_folder_state (source_id INTEGER NOT NULL REFERENCES sources(id) ON DELETE CASCADE, folder TEXT NOT NULL, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, last_seen TEXT NOT NULL, PRIMARY KEY (source_id, folder));
        {}{}{}",
        sync("imap", "folder TEXT NOT NULL, uidvalidity INTEGER NOT NULL, uid INTEGER NOT NULL", "folder, uidvalidity, uid"),
        sync("maildir", "folder TEXT NOT NULL, unique_id TEXT NOT NULL", "folder, unique_id"),
        sync("takeout", "source_obj_id TEXT NOT NULL", "source_obj_id"),
    )
}

/// The statement with which 1.x collects blobs.
pub(crate) const GC: &str = "DELETE FROM blobs WHERE id NOT IN (
    SELECT blob_id FROM emails UNION SELECT blob_id FROM sieve_scripts UNION SELECT blob_id FROM file_nodes WHERE blob_id IS NOT NULL
    UNION SELECT json_extract(j.value, '$') FROM contact_cards, json_tree(contact_cards.data) j WHERE j.key = '@blob'
    UNION SELECT json_extract(j.value, '$') FROM calendar_events, json_tree(calendar_events.data) j WHERE j.key = '@blob')";

/// Opens an archive as every 1.x does.
pub(crate) fn open(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("it opens");
    for (name, value) in [("journal_mode", "WAL"), ("foreign_keys", "ON"), ("locking_mode", "EXCLUSIVE")] {
        conn.pragma_update(None, name, value).expect("a pragma");
    }
    conn.execute_batch("CREATE INDEX IF NOT EXISTS blobs_hash_idx ON blobs(hash)").expect("an index");
    conn
}

/// Stores bytes as 1.x does.
pub(crate) fn blob(conn: &Connection, data: &[u8]) -> i64 {
    let hash = blake3::hash(data);
    conn.execute("INSERT OR IGNORE INTO blobs (hash, data) VALUES (?1, ?2)", params![hash.as_bytes(), data])
        .expect("a blob");
    conn.query_row("SELECT id FROM blobs WHERE hash = ?1", [hash.as_bytes()], |row| row.get(0)).expect("a blob")
}

/// Writes an archive and leaves no log beside it.
pub(crate) fn write(path: &Path, variant: &Variant) {
    let conn = Connection::open(path).expect("it opens");
    conn.pragma_update(None, "journal_mode", variant.journal_mode).expect("a pragma");
    fill(&conn, variant);
}

/// Writes an archive and leaves half of it in its log, as a crash of 1.x does: in exclusive mode there is no index.
pub(crate) fn write_with_log(path: &Path, variant: &Variant) {
    let made = path.with_extension("making");
    let conn = open_exclusive(&made);
    fill(&conn, variant);
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{}{suffix}", made.display()), format!("{}{suffix}", path.display())).expect("a copy");
    }
    drop(conn);
    std::fs::remove_file(made).expect("gone");
}

fn open_exclusive(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("it opens");
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE").expect("a pragma");
    conn.pragma_update(None, "journal_mode", "WAL").expect("a pragma");
    conn
}

fn fill(conn: &Connection, variant: &Variant) {
    conn.execute_batch(&schema(variant)).expect("the tables");
    if variant.extras {
        conn.execute_batch(
            "CREATE TABLE export_failures (id INTEGER PRIMARY KEY, what TEXT, at TEXT NOT NULL DEFAULT 'never');
             INSERT INTO export_failures (what) VALUES ('something');
             ALTER TABLE emails ADD COLUMN thread_id TEXT;
             ALTER TABLE mailboxes ADD COLUMN color TEXT DEFAULT 'red';
             CREATE INDEX odd_idx ON emails(thread_id);",
        )
        .expect("what we do not know");
    }
    if !variant.rows {
        return;
    }
    conn.execute("INSERT INTO sources (kind, session_url, account_id, account_name, username) VALUES ('imap', 'imaps://mail.example.org:993', 'alice', 'alice', 'alice')", []).expect("a source");
    conn.execute_batch(
        "INSERT INTO mailboxes (id, name, parent_id, role, is_subscribed) VALUES
            (1, 'INBOX', NULL, 'inbox', 1), (2, 'Work', NULL, NULL, 1), (3, 'Old', 2, NULL, 0), (4, 'Twin', NULL, NULL, 1), (5, 'Twin', NULL, NULL, 1),
            (6, 'Chicken', NULL, NULL, 1), (7, 'Egg', 6, NULL, 1), (8, 'a/../b', NULL, NULL, 1);
         INSERT INTO address_books (id, name, is_default) VALUES (1, 'Contacts', 1);
         INSERT INTO calendars (id, name, color, default_alerts_with_time, time_zone) VALUES (1, 'Home', '#ff0000', '{\"1\":{\"@type\":\"Alert\"}}', 'Europe/Berlin');
         INSERT INTO identities (name, email, reply_to, text_signature) VALUES ('Alice', 'alice@example.org', '[{\"name\":null,\"email\":\"r@example.org\"}]', 'Regards');
         INSERT INTO participant_identities (name, calendar_address, is_default) VALUES ('Alice', 'mailto:alice@example.org', 1);
         INSERT INTO imap_folder_state VALUES (1, 'INBOX', 7, 99, '2026-01-01T00:00:00Z');",
    )
    .expect("rows");
    if variant.cycle {
        conn.execute("UPDATE mailboxes SET parent_id = 7 WHERE id = 6", []).expect("a cycle");
    }
    let rows = [
        ("2025-05-12T10:00:00+02:00", "[1]", "[]", "{}"),
        ("2025-05-12T10:00:00Z", "[1,2]", "[\"$seen\",\"Work\"]", "{\"m\":[\"v1-2@example.org\"]}"),
        ("2025-05-12T10:00:00.123456Z", "[3]", "[\"$flagged\"]", "{}"),
        ("2025-05-12T10:00:00-08:00", "[4]", "[]", "{}"),
        ("2025-05-12T10:00:00Z", "[5]", "[]", "{}"),
        ("2025-05-12T10:00:00Z", "[6]", "[]", "{}"),
        ("2025-05-12T10:00:00Z", "[7]", "[]", "{}"),
    ];
    for (at, (bytes, (received, mailboxes, keywords, key))) in messages().iter().zip(rows).enumerate() {
        let blob = blob(conn, bytes);
        conn.execute(
            "INSERT INTO emails (id, blob_id, received_at, mailbox_ids, keywords, message_match) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![at as i64 + 1, blob, received, mailboxes, keywords, key],
        )
        .expect("an email");
        conn.execute("INSERT INTO sync_id_imap (source_id, type_name, folder, uidvalidity, uid, local_id) VALUES (1, 'email', 'INBOX', 7, ?1, ?1)", [at as i64 + 1])
            .expect("an id");
    }
    let (script, photo, file) = (blob(conn, SCRIPT), blob(conn, PHOTO), blob(conn, FILE));
    conn.execute(
        "INSERT INTO sieve_scripts (name, is_active, blob_id) VALUES ('main/../x', 1, ?1), (NULL, 0, ?1)",
        [script],
    )
    .expect("scripts");
    let card = format!(
        "{{\"@type\":\"Card\",\"version\":\"1.0\",\"name\":{{\"full\":\"Bob\"}},\"media\":{{\"photo\":{{\"@type\":\"Media\",\"kind\":\"photo\",\"@blob\":{photo},\"mediaType\":\"image/png\"}}}}}}"
    );
    conn.execute("INSERT INTO contact_cards (uid, address_book_ids, data) VALUES ('bob/../x', '[1]', ?1)", [card])
        .expect("a card");
    let event = |kind: &str, uid: &str| {
        format!(
            "{{\"@type\":\"{kind}\",\"uid\":\"{uid}\",\"title\":\"{uid}\",\"start\":\"2025-05-12T10:00:00\",\"timeZone\":\"Europe/Berlin\",\"duration\":\"PT1H\",\"links\":{{\"1\":{{\"@type\":\"Link\",\"@blob\":{file}}}}}}}"
        )
    };
    if variant.data_type {
        for (kind, uid) in [("Event", "event-1"), ("Task", "task-1"), ("Note", "note-1")] {
            conn.execute(
                "INSERT INTO calendar_events (calendar_ids, data, data_type) VALUES ('[1]', ?1, ?2)",
                params![event(kind, uid), kind],
            )
            .expect("an event");
        }
    } else {
        conn.execute(
            "INSERT INTO calendar_events (calendar_ids, data) VALUES ('[1]', ?1)",
            [event("Event", "event-1")],
        )
        .expect("an event");
    }
    conn.execute(
        "INSERT INTO file_nodes (id, parent_id, node_type, blob_id, target, name, media_type, created, modified) VALUES
            (1, NULL, 'directory', NULL, NULL, 'Documents', NULL, '2025-01-01T00:00:00Z', NULL),
            (2, 1, 'file', ?1, NULL, 'letter.txt', 'text/plain', '2025-01-01T00:00:00+02:00', '2025-01-02T00:00:00Z'),
            (3, 1, 'file', NULL, NULL, 'no bytes', NULL, '2025-01-01T00:00:00Z', NULL),
            (4, 1, 'symlink', NULL, '[\"..\",\"etc\",\"hosts\"]', 'link', NULL, '2025-01-01T00:00:00Z', NULL)",
        [file],
    )
    .expect("files");
}
