//! Children of fixed names: which of those in the table of [`super::kinds`] a directory has.

use super::child::Child;
use super::kinds::FixedChild;
use super::node::Node;
use super::opened::Tree;
use super::rules::{Condition, RowFrom};
use super::stat::FileType;
use super::versions::version;
use super::view::View;
use crate::error::Result;
use crate::model::{Id, ObjectType};

impl Tree {
    /// The child of this fixed name.
    pub(super) fn find_fixed(&self, view: &View, parent: Node, name: &str) -> Result<Option<Child>> {
        for fixed in parent.kind.fixed_children().filter(|fixed| fixed.position.name == name) {
            if let Some(child) = self.fixed_child(view, parent, &fixed)? {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The children of fixed names behind a cookie.
    pub(super) fn list_fixed(&self, view: &View, parent: Node, after: u64) -> Result<Vec<Child>> {
        let mut children = Vec::new();
        for fixed in parent.kind.fixed_children().filter(|fixed| fixed.cookie > after && self.lists(fixed)) {
            children.extend(self.fixed_child(view, parent, &fixed)?);
        }
        Ok(children)
    }

    /// The number of directories of fixed names that a listing shows.
    pub(super) fn count_fixed_directories(&self, view: &View, parent: Node) -> Result<usize> {
        let mut count = 0;
        for fixed in parent.kind.fixed_children().filter(|fixed| fixed.kind.is_directory() && self.lists(fixed)) {
            count += usize::from(self.fixed_row(view, parent, &fixed)?.is_some());
        }
        Ok(count)
    }

    fn lists(&self, fixed: &FixedChild) -> bool {
        match fixed.position.condition {
            Condition::Unlisted => self.options.snapshots_visible,
            Condition::UnlistedView => false,
            _ => true,
        }
    }

    fn fixed_child(&self, view: &View, parent: Node, fixed: &FixedChild) -> Result<Option<Child>> {
        let Some(row) = self.fixed_row(view, parent, fixed)? else { return Ok(None) };
        let first = version(view, fixed.kind, row)?;
        Ok(Some(Child {
            name: fixed.position.name.to_owned(),
            node: parent.holding(fixed.kind, row, first),
            cookie: fixed.cookie,
            stat: None,
            file_type: fixed.kind.descriptor().file_type.unwrap_or(FileType::File),
        }))
    }

    /// The row of a child of a fixed name; `None` if the directory does not have it.
    fn fixed_row(&self, view: &View, parent: Node, fixed: &FixedChild) -> Result<Option<Id>> {
        let position = fixed.position;
        if position.layout.is_some_and(|layout| layout != self.options.layout) {
            return Ok(None);
        }
        let row = match position.row {
            RowFrom::Parent => parent.row,
            RowFrom::Inbox => view.inbox()?,
            RowFrom::Number(number) => number,
        };
        let exists = match position.condition {
            Condition::Always => true,
            Condition::View | Condition::UnlistedView => self.options.views.has(fixed.kind),
            Condition::Unlisted => parent.snapshot == 0,
            Condition::HasKeywords => !view.keywords(row)?.to_text().is_empty(),
            Condition::HasColor => {
                view.collections(ObjectType::Calendar)?.get(row).is_some_and(|calendar| calendar.data.color.is_some())
            }
            Condition::HasActiveScript => view.scripts()?.items.iter().any(|script| script.is_active),
        };
        Ok(exists.then_some(row))
    }
}
