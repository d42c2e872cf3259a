//! Texts in origins (FORMAT.md, `origins`): the revision of a container, which names the properties that its source did not
//! tell, and the mark of a card whose uid another card has.

use crate::model::Digest;
use crate::model::container::{Container, Details};
use serde_json::json;
use std::collections::BTreeSet;

/// Text that changes when a container does: its properties, and the names of those that the source did not tell.
pub fn container_rev(container: &Container) -> String {
    let mut rev = json!({
        "name": container.name,
        "parent": container.parent,
        "role": container.role,
        "isSubscribed": container.is_subscribed,
        "color": container.color,
        "description": container.description,
    });
    if let Some(details) = &container.details {
        let Details { sort_order, is_default, is_visible, availability, .. } = &**details;
        let Details { alerts_with_time, alerts_without_time, time_zone, created, modified, .. } = &**details;
        rev["details"] = json!([sort_order, is_default, is_visible, availability, time_zone, created, modified]);
        rev["alerts"] = json!([alerts_with_time, alerts_without_time]);
    }
    rev[UNTOLD] = json!(container.untold());
    rev.to_string()
}

/// The names of the properties that a source did not tell.
const UNTOLD: &str = "untold";

/// Properties that an import cannot have known that did not ask for them by name: servers were seen to leave them out, and
/// the import stored the defaults.
const DOUBTFUL: [&str; 4] = ["isVisible", "includeInAvailability", "defaultAlertsWithTime", "defaultAlertsWithoutTime"];

/// The properties of a container that are unknown because none of its sources told them. `revs` are the
/// [`super::KnownItem::rev`] of each. Of a container that a former version or 1.x imported, some are doubtful.
pub fn untold(revs: &[String]) -> BTreeSet<String> {
    let doubtful = || DOUBTFUL.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let told_by = |rev: &String| {
        let rev: serde_json::Value = serde_json::from_str(rev).unwrap_or_default();
        let names = rev.get(UNTOLD).and_then(|names| names.as_array());
        let names = names.map(|names| names.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect());
        names.unwrap_or_else(doubtful)
    };
    revs.iter().map(told_by).reduce(|one, other| &one & &other).unwrap_or_else(doubtful)
}

/// Eight digits that distinguish a card from another one with its uid. They follow from its place at the source.
pub fn card_mark(scope: i64, key: &str) -> String {
    Digest::of(format!("{scope}\u{1f}{key}").as_bytes()).hex()[..8].to_owned()
}
