//! Vandelay keeps one person's account in one SQLite file, and shows that file as a directory.
//!
//! ```text
//!   a Maildir, a Takeout folder, a server            a program, a shell, a file manager
//!                  |                                                ^
//!               source                                     mount    |    extract, ls, cat
//!      lists cheaply, hands over                                    |
//!      bytes on demand                                            tree
//!                  |                                   one moment of the archive as files
//!               import                                              ^
//!      compares, fetches, stores,                                   |
//!      accounts for everything                                      |
//!                  +------------------> archive -------------------+
//!                             rows, bytes, history: the only SQL
//!                                         |
//!                                      export ------> sink ------> an account on a server
//!                     matches, sends what is missing    looks, creates, changes, removes
//! ```
//!
//! [`protocol`] has a client for each protocol that servers speak; all of them stand on [`net`], which has connections,
//! TLS, HTTP, logins, retries and the text of strangers. [`mod@format`] stands beside all: pure codecs of the field's formats
//! (mbox, Maildir names, iCalendar, vCard, mail headers, the text and the attachments of a message). [`model`] are the
//! nouns, [`error`] is the one error type, [`progress`] and [`report`] are what both flows tell, `held` knows the files that
//! may be opened in one place only. [`search`] finds objects by their words in every state that an archive holds, with an
//! index beside it. [`proof`] reads an archive back as a restore would. [`monitor`] tells other programs
//! how a run went. [`cli`] is what can be typed, and what can stand in the configuration file, whose keys are the flags of
//! its commands.
//!
//! # Where something new goes
//!
//! | to come | place |
//! |---|---|
//! | a source of another protocol (Microsoft Graph, EWS) | its client in `protocol`, over HTTP on [`net::http`]; what it lists in `source` |
//! | a place to restore to (IMAP, CalDAV) | its client in `protocol`, a [`sink::Sink`] in `sink` |
//! | a format to write (mbox, tar) | its codec in `format`, a [`extract::Form`] of files in `extract` |
//! | a term of a search | `search/query.rs`; what is a word, `search/words.rs` |
//! | a directory or a file of the tree | the table in `tree/kinds.rs`, its bytes in `tree/render.rs` |
//! | another way to keep bytes (packed, compressed) | `archive`, behind `archive/blob` |
//! | a command, a key of the configuration file | `cli` |
//! | another way to tell how a run went (e-mail, a webhook) | `monitor` |
//!
//! # Who may import whom
//!
//! | room | may import | words that live only here |
//! |---|---|---|
//! | [`error`], `held`, [`progress`] | nothing | |
//! | [`model`] | error | |
//! | [`report`] | model | |
//! | [`mod@format`] | model, error | `mail_parser`, `calcard`, `html5gum`, `encoding_rs` |
//! | [`net`] | model, error | `rustls`, `reqwest`, `psl`; with `protocol`: `tokio` |
//! | [`archive`] | format, model, error, held | `rusqlite`, also in `search` |
//! | [`protocol`] | net, format, model, error | `quick_xml` |
//! | [`source`] | protocol, net, format, model, error, held | |
//! | [`sink`] | protocol, net, format, model, error | |
//! | [`import`] | source, archive, format, model, error, progress, report | |
//! | [`export`] | sink, archive, format, model, error, progress, report | |
//! | [`search`] | archive, format, model, error, progress | `rusqlite` |
//! | [`tree`] | search, archive, format, model, error, progress | `lru` |
//! | [`mount`] | tree, error | `fuser` |
//! | [`monitor`] | net, error | |
//! | [`extract`] | tree, format, model, error, progress | `tar` |
//! | [`proof`] | tree, archive, format, model, error, progress | |
//! | [`cli`] | everything | `clap`, `println!` |
//!
//! Within a room no file imports one that imports it, over however many others, and a parent file is either ground (types;
//! it imports no child) or facade (it re-exports, and no child imports it). `tests/it/layers.rs` reads the sources and
//! fails on any other arrow.
//!
//! # The central types
//!
//! - [`source::Source`] is the one seam for every place that an account is imported from: scopes, a listing without bytes, bytes on
//!   demand. It is sync and object safe.
//! - [`sink::Sink`] is its twin for every place that an account is restored to: it is shown items of the model, makes drafts of them
//!   in the form of the target (objects of JMAP, the source's own bytes, one copy of a message in each mailbox), and writes
//!   them; what matches what is decided in [`crate::export`], without a server.
//! - [`crate::import::diff::Comparison`] is the one comparison: known items against a listing, pure.
//! - [`archive::Writer`] is the one writer. Content tables hold the current state, as Vandelay 1.x reads them; a change of
//!   a row leaves its former self in the history.
//! - [`archive::Reader`] answers for an [`archive::Moment`], from any thread, and leaves no trace beside the file.
//! - [`extract::Observer`] chooses what of the tree is written as files, and is told what became of it: an extraction wants all, an
//!   export what [`crate::export::Chosen`] says.
//! - [`tree::Tree`] is the one projection, with four questions: `stat`, `lookup`, `children`, `read`. Inode numbers are
//!   rows, so it has no table of them but one of the queries of `search/`.
//!
//! # Decisions, and why
//!
//! - *Content tables are the current state and a generic `history` table holds what was*, and no `version` table
//!   for all: an archive stays one that 1.x can export, unchanged objects cost nothing per snapshot, and "as of
//!   snapshot N" is still only a comparison of numbers.
//! - *`format` lies below `source` and `tree`*: splitting an .ics file into items is needed where it is
//!   read, converting one where it is shown, and both are the same knowledge of a format.
//! - *The whole source is listed before anything is written*: so a guard can stop a run with the archive untouched,
//!   and a message that moved is seen as one that moved.
//! - *Membership follows from origins*: a row lies in the containers of all items known to be that row. One message in
//!   many mailboxes (labels, Gmail, copies of our own tree) needs no case of its own.
//! - *An export remembers nothing*: what was sent is recognised at the target, also where the answer to a request was lost.
//!   So a killed run needs no journal, and one rule serves the second run, the second attempt and the lost answer.
//! - *The index of a search is a file of its own*: an archive has no virtual tables, so that 1.x, every SQLite and the check
//!   of hostile archives go on as before; the index is made from the archive alone, and can be thrown away at any time.
//! - *Names of messages carry the row*, so a lookup is one point query and no name is ever kept; `email_index` lists a
//!   mailbox of any snapshot with one range scan.

// A test may write out the path of what it uses once.
#![cfg_attr(test, allow(clippy::absolute_paths))]

pub mod archive;
pub mod cli;
pub mod error;
pub mod export;
pub mod extract;
pub mod format;
mod held;
pub mod import;
pub mod model;
pub mod monitor;
pub mod mount;
pub mod net;
pub mod progress;
pub mod proof;
pub mod protocol;
pub mod report;
pub mod search;
pub mod sink;
pub mod source;
pub mod tree;
