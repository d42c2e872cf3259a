//! How many files there will be, so that a run can say how far it is, and what it did not reach. Nothing is read but names.

use super::visit::{Entry, Fate, Note, Observer, Receiver, Shape, Wish, visit};
use crate::error::Result;
use crate::model::ObjectType;
use crate::tree::{Node, Tree};
use std::collections::BTreeMap;

/// Counts files, by the type of what they show.
#[derive(Default)]
struct Counter {
    files: BTreeMap<Option<ObjectType>, u64>,
}

impl Receiver for Counter {
    fn directory(&mut self, _: &Entry<'_>, _: bool, _: &mut dyn Observer) -> Result<()> {
        Ok(())
    }

    fn has_directory(&self, _: usize) -> bool {
        true
    }

    fn file(&mut self, entry: &Entry<'_>, _: &mut dyn Observer) -> Result<()> {
        *self.files.entry(entry.node.shown_object().map(|(kind, _)| kind)).or_default() += 1;
        Ok(())
    }
}

/// Asks what is wanted; what fails shows once it is written.
struct Asking<'o> {
    wishes: &'o mut dyn FnMut(&Entry<'_>) -> Result<Wish>,
    end: Result<()>,
}

impl Observer for Asking<'_> {
    fn wish(&mut self, entry: &Entry<'_>) -> Wish {
        match (self.wishes)(entry) {
            Ok(wish) => wish,
            Err(error) => {
                self.end = Err(error);
                Wish::No
            }
        }
    }

    fn told(&mut self, _: &Entry<'_>, _: Fate) -> Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &Entry<'_>, _: Note) {}
}

/// How many files below a node `wishes` wants, by the type of what they show.
///
/// Errors: the archive cannot be read, or those of `wishes`.
pub(super) fn count(
    tree: &Tree,
    start: Node,
    shape: Shape,
    wishes: &mut dyn FnMut(&Entry<'_>) -> Result<Wish>,
) -> Result<BTreeMap<Option<ObjectType>, u64>> {
    let (mut counter, mut asking) = (Counter::default(), Asking { wishes, end: Ok(()) });
    visit(tree, start, shape, &mut counter, &mut asking)?;
    asking.end.map(|()| counter.files)
}
