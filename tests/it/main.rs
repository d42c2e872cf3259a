//! The tests of the program and of the library as others use them, in one binary: what they share is compiled once.
#![expect(unsafe_code, reason = "tests set limits, masks and signals of other processes")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::absolute_paths, reason = "a test may write out the path of what it uses once")]
#![expect(clippy::too_many_lines, reason = "tables of what servers hold; layers.rs counts the lines of tests")]

mod common;

mod auth_as;
mod clients;
mod compat;
mod corpora_ics_vcf;
mod corpora_text;
mod dav_clients;
mod dav_cut;
mod dav_discovery;
mod dav_faults;
mod dav_import;
mod dav_quirks;
mod dav_rounds;
mod dav_servers;
mod discover;
mod documents;
mod durability;
mod export_dates;
mod export_faults;
mod export_faults_dav;
mod export_faults_sieve;
mod export_files;
mod export_servers;
mod export_webdav;
mod export_webdav_faults;
mod extract;
mod files_foreign;
mod files_import;
mod follow;
mod foreign;
mod forget;
mod history;
mod hostile;
mod http;
mod imap_against_mbsync;
mod imap_client;
mod imap_faults;
mod imap_hostile;
mod imap_import;
mod imap_trouble;
mod jmap_export;
mod jmap_http;
mod jmap_import;
mod jmap_restore;
mod jmap_server;
mod layers;
mod maildir_import;
mod maildir_source;
mod managesieve;
mod managesieve_cyrus;
mod model;
mod mount;
mod mount_words;
mod moved;
mod mox_import;
mod names;
mod proof;
mod providers;
mod restore_check;
mod run;
mod run_days;
mod screens;
mod server_time;
mod server_words;
mod sinks;
mod snapshot;
mod sources;
mod sources_carry;
mod takeout_adds;
mod takeout_source;
mod takeout_trees;
