#![doc = include_str!("LAYOUT.md")]

pub mod archives;
mod attributes;
mod cache;
mod collection;
mod cookies;
mod decoded;
pub(crate) mod entry;
mod follow;
mod hierarchy;
mod label;
mod listing;
mod mail;
mod mailboxes;
mod memory;
pub mod name;
mod node;
mod opened;
mod paths;
mod render;
mod select;
mod versions;
mod view;
mod views;
pub mod walk;
mod watch;

pub use crate::archive::Blob;
pub use cache::{Bytes, Count, Counters, Source};
pub use entry::{Child, Layout, Sort, Stat};
pub use follow::{Advance, Difference, Followed};
pub use label::Label;
pub use node::{Node, ROW_BITS};
pub use opened::{Tree, TreeOptions};
pub use views::Views;
