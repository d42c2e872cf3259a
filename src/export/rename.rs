//! Mailboxes whose names the target does not take.

use super::run::{Fate, Run};
use crate::error::Result;
use crate::model::ObjectType;
use std::collections::HashSet;

const KIND: ObjectType = ObjectType::Mailbox;

/// So many letters of a name stay before a number: no target takes less than 200 bytes.
const START_MAX: usize = 40;

impl Run<'_> {
    /// Gives new mailboxes other names where the target says that it does not take theirs, and looks whether it has these.
    pub(super) fn ask_for_names(&mut self) -> Result<()> {
        let count = self.works.get(&KIND).map_or(0, |work| work.wanted.len());
        let mut is_renamed = false;
        for at in 0..count {
            let work = &self.works[&KIND];
            let label = &work.wanted[at].draft.label;
            if work.found[at].is_some() || self.target.plain_name(label).is_none() {
                continue;
            }
            if let Some(why) = self.target.name_refusal(label)? {
                is_renamed |= self.rename(at, &why);
            }
        }
        if is_renamed { self.look_at(KIND) } else { Ok(()) }
    }

    /// Gives a new mailbox a name without what its target may not take. False if it has nothing of that: then something else
    /// is wrong.
    pub(super) fn rename(&mut self, at: usize, why: &str) -> bool {
        let Run { target, works, .. } = self;
        let Some(work) = works.get_mut(&KIND).filter(|work| work.fates[at] == Fate::Pending) else { return false };
        let one = &work.wanted[at];
        let Some(plain) = target.plain_name(&one.draft.label) else { return false };
        let siblings = work.wanted.iter().filter(|other| other.parent == one.parent);
        let taken: HashSet<&str> = siblings.map(|other| other.draft.key.as_str()).collect();
        // With room for the number.
        let start: String = plain.chars().take(START_MAX).collect();
        let name = |number: u32| if number == 1 { plain.clone() } else { format!("{start}_{number}") };
        let mut names = (1..1_000).map(|number| target.container(KIND, &name(number)));
        let Some(other) = names.find(|other| !taken.contains(other.key.as_str())) else { return false };
        let draft = &mut work.wanted[at].draft;
        let (new, old) = (&other.label, &draft.label);
        draft.remark = Some(format!("called {new:?} there, since the account does not take {old:?}: {why}"));
        draft.rename(other);
        true
    }
}
