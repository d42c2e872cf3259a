//! Tasks, notes and events without a start: the draft of calendars has events alone (draft-ietf-jmap-calendars section 5),
//! and some servers take the others, too. So each goes to the account as what it is; where that is refused, as a file.

use super::synthetic::{TASK_FILES, TASKS, made};
use super::wanted::Wanted;
use crate::model::objects::{FileNode, NodeType, Properties, Text};
use crate::model::{Id, ObjectType};
use crate::sink::{BlobRef, Sink, StoredItem};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// An event that may have to be a file.
pub(super) struct Task {
    pub row: Id,
    pub uid: String,
    pub calendar: Id,
}

/// What to call a calendar object of a kind that servers may refuse; `None` for an event with a start. `data` is its
/// JSCalendar object.
pub(super) fn sort(data_type: &str, data: &Value) -> Option<&'static str> {
    match data_type {
        "Task" => Some("a task"),
        "Note" => Some("a note"),
        "Event" if data.get("start").is_some_and(Value::is_string) => None,
        _ => Some("an event without a start"),
    }
}

/// The files that stand for them, in a directory for each calendar; `names` are those of the calendars.
pub(super) fn files(tasks: Vec<Task>, names: &HashMap<Id, String>, target: &dyn Sink) -> Vec<Wanted> {
    let directory = |id: Id, parent: Option<Id>, name: &str| {
        let draft = target.container(ObjectType::FileNode, name);
        Wanted { waits: true, ..made(id, parent, draft) }
    };
    let mut wanted = vec![directory(TASKS, None, "Tasks and notes")];
    let mut calendars: BTreeSet<Id> = BTreeSet::new();
    for Task { row, uid, calendar } in tasks {
        let place = TASKS - 1 - calendar;
        if calendars.insert(calendar) {
            // A calendar without a name of its own is no reason to lose what lies in it.
            let name = names.get(&calendar).map_or("(no calendar)", String::as_str);
            wanted.push(directory(place, Some(TASKS), name));
        }
        let node = FileNode {
            name: Text::Owned(format!("{uid}.ics")),
            node_type: NodeType::File,
            media_type: Some(Text::Borrowed("text/calendar")),
            is_subscribed: true,
            ..FileNode::default()
        };
        let item = StoredItem {
            row: TASK_FILES - row,
            properties: Properties::FileNode(node),
            blob: Some(BlobRef::Original(ObjectType::CalendarEvent, row)),
            digest: None,
            untold: BTreeSet::from(["isSubscribed".to_owned()]),
            is_executable: false,
        };
        if let Ok(draft) = target.draft(&item) {
            wanted.push(Wanted { waits: true, ..made(TASK_FILES - row, Some(place), draft) });
        }
    }
    wanted
}
