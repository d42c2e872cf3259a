//! `vandelay ls`: what is in a directory of the tree.

use super::args::{AtFlag, tree_path};
use super::by_id::{Located, as_id, locate};
use super::files::open;
use super::json::{self, on_disk};
use super::object_row::{field, person};
use super::screen::Style;
use super::table::{Cell, Column, Table};
use super::ui::{Ui, size};
use super::when;
use crate::archive::rfc3339;
use crate::error::{Error, ErrorKind, Result};
use crate::model::object_id::ObjectId;
use crate::tree::{Child, FileType, Label, Node, Stat, Tree};
use clap::{ArgAction, Args};
use std::ffi::OsString;
use std::path::PathBuf;

const COLUMNS: [Column; 5] = [
    Column::number("SIZE", 4),
    Column::time("DATE").rank(1),
    Column::text("FROM", 24).at_least(10).rank(3).unless_empty(),
    Column::text("SUBJECT", 60).at_least(20).rank(2).unless_empty(),
    Column::rest("NAME").whole(),
];

#[derive(Args)]
#[command(disable_help_flag = true, override_usage = "vandelay ls [OPTIONS] <ARCHIVE> [PATHS]...")]
pub(crate) struct Ls {
    /// The archive
    #[arg(required_unless_present = "human")]
    archive: Option<PathBuf>,
    /// What to list, e.g. mail/INBOX/cur, or an id that 'find' shows
    #[arg(default_value = "")]
    paths: Vec<OsString>,
    /// Show size and date, too; of messages also sender and subject
    #[arg(short)]
    long: bool,
    /// Show names that begin with a dot, too, which only indexers of desktops look for
    #[arg(short)]
    all: bool,
    /// With -l: sizes as people read them, which is how they are; alone: this help
    #[arg(short = 'h', id = "human")]
    human: bool,
    /// List everything below, too, with the whole paths that cat and extract take
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    at: AtFlag,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// A list on its way.
struct List<'u> {
    table: Table<'u, 'static>,
    count: u64,
}

impl Ls {
    /// True for `ls -h`, which elsewhere asks for help.
    pub(crate) fn asks_for_help(&self) -> bool {
        self.human && !self.long
    }

    /// True for `ls -l`.
    pub(crate) fn is_long(&self) -> bool {
        self.long
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let missing = || Error::new(ErrorKind::Usage, "name the archive: vandelay ls ARCHIVE [PATH]");
        let archive = self.archive.as_ref().ok_or_else(missing)?;
        let tree = open(archive, &self.at, ui)?;
        let mut list = List { table: Table::new(ui, &COLUMNS), count: 0 };
        for path in &self.paths {
            let path = tree_path(path)?;
            if let Some(id) = as_id(&tree, path) {
                let Located { tree, path } = locate(tree.reader(), id, self.at.at)?;
                self.show(&tree, (&path, &path), (tree.resolve(&path)?, None), (&mut list, ui))?;
                continue;
            }
            for path in tree.expand(path)? {
                let node = tree.resolve(&path)?;
                let stat = tree.stat(node)?;
                if stat.file_type != FileType::Directory {
                    self.show(&tree, (&path, &path), (node, Some(stat)), (&mut list, ui))?;
                } else {
                    self.below(&tree, (path.trim_matches('/'), node), (&mut list, ui))?;
                }
            }
        }
        let List { table, count } = list;
        table.end();
        if ui.json {
            ui.object("summary", serde_json::json!({ "archive": on_disk(archive), "snapshot": json::snapshot(tree.moment()), "count": count }));
        }
        Ok(())
    }

    /// Lists a directory by name, as ls(1) does; with `-R` everything below each directory behind it, each with its whole
    /// path.
    fn below(&self, tree: &Tree, (path, directory): (&str, Node), (list, ui): (&mut List<'_>, &Ui)) -> Result<()> {
        let top = if self.recursive && !path.is_empty() { format!("{path}/") } else { String::new() };
        let place = if path.is_empty() { String::new() } else { format!("{path}/") };
        let hidden = place.len() - top.len();
        let mut stack = vec![(place, sorted(tree, directory)?.into_iter())];
        while let Some((path, children)) = stack.last_mut() {
            let Some(child) = children.next() else {
                stack.pop();
                continue;
            };
            if !self.all && !ui.json && child.node.kind.fixed_name() == child.name && child.name.starts_with('.') {
                continue;
            }
            let name = format!("{path}{}", child.name);
            self.show(tree, (&name[hidden..], &name), (child.node, child.stat), (&mut *list, ui))?;
            if self.recursive && child.file_type == FileType::Directory {
                stack.push((format!("{name}/"), sorted(tree, child.node)?.into_iter()));
            }
        }
        Ok(())
    }

    fn show(
        &self,
        tree: &Tree,
        (name, path): (&str, &str),
        (node, stat): (Node, Option<Stat>),
        (list, ui): (&mut List<'_>, &Ui),
    ) -> Result<()> {
        list.count += 1;
        if !self.long && !ui.json {
            ui.line(name);
            return Ok(());
        }
        let stat = stat.map_or_else(|| tree.stat(node), Ok)?;
        if ui.json {
            let sort = match stat.file_type {
                FileType::Directory => "directory",
                FileType::File => "file",
                FileType::Link => "link",
            };
            let date = rfc3339(stat.mtime);
            let id = node.kind.object_type().and_then(|kind| ObjectId::of(kind, node.object()));
            let (id, path) = (id.map(|id| id.to_string()), path.trim_matches('/'));
            ui.object("entry", serde_json::json!({ "path": path, "name": path.rsplit('/').next(), "object_id": id, "file_type": sort, "size": stat.size, "modified_at": date, "links": stat.links, "inode": node.ino() }));
            return Ok(());
        }
        let name = match stat.file_type {
            FileType::Directory => Cell::new(format!("{name}/"), Style::Head),
            FileType::Link => Cell::from(format!("{name} -> {}", tree.read_link(node)?)),
            FileType::File => name.into(),
        };
        let size = if stat.file_type == FileType::Directory { "-".to_owned() } else { size(stat.size) };
        let (from, subject) = if node.is_message() { envelope(tree, node)? } else { Default::default() };
        list.table.cells(vec![size.into(), when::time(stat.mtime).into(), from.into(), subject.into(), name]);
        Ok(())
    }
}

/// Sender and subject of a message; nothing of one that cannot be read.
fn envelope(tree: &Tree, message: Node) -> Result<(String, String)> {
    let Some((kind, row)) = message.shown_object() else { return Ok(Default::default()) };
    let Some(record) = tree.reader().record(kind, tree.moment(), row)? else { return Ok(Default::default()) };
    let fields = match tree.fields(&record) {
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Damaged | ErrorKind::Unreadable) => {
            return Ok((String::new(), "(cannot be read)".to_owned()));
        }
        fields => fields?,
    };
    let label = Label { fields, ..Label::default() };
    let field = |name: &str| field(&label, name).unwrap_or_default();
    Ok((person(field("from")), field("subject").to_owned()))
}

/// Everything in a directory, by the bytes of the names.
fn sorted(tree: &Tree, directory: Node) -> Result<Vec<Child>> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = tree.children(directory, after, 1_024)?;
        let Some(last) = page.last() else { break };
        after = last.cookie;
        all.extend(page);
    }
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}
