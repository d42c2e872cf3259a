#![doc = include_str!("LAYOUT.md")]

mod content;
mod cookies;
mod decoded;
mod directory;
pub(crate) mod entry;
mod follow;
pub mod forest;
mod hierarchy;
mod label;
mod lines;
mod mail;
mod mailboxes;
mod memory;
pub mod name;
mod node;
mod objects;
mod opened;
mod render;
mod select;
mod shelf;
mod versions;
mod view;
mod views;
pub mod walk;
mod watch;

pub use crate::archive::Blob;
pub use content::{Bytes, Count, Counters, Source};
pub use entry::{Child, Layout, Sort, Stat};
pub use follow::{Advance, Difference, Followed};
pub use label::Label;
pub use node::{Node, ROW_BITS};
pub use opened::{Tree, TreeOptions};
pub use views::Views;
