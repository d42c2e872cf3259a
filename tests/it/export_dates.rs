//! Events and cards are exported into empty accounts of real servers and imported again: what comes back is what went out,
//! but for what docs/export.md says of each server.

use crate::common::dav::Dav;
use crate::common::dav_account::{card, event};
use crate::common::export_target::{Target, archive_of_dates, items_of};
use crate::common::tree;

/// What a server of DAV makes of calendars and cards.
struct Rules {
    /// Its own collections that are there from the start and stay empty.
    own: &'static [&'static str],
    /// It has meetings with `SCHEDULE-AGENT`.
    schedules: bool,
    /// So many events of the archive it allows in one calendar only.
    once: u64,
}

fn dates_go_and_come_back(server: &Dav, rules: &Rules) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_dates(place.path());
    for (kind, containers, items) in
        [("caldav", "calendar", "calendarevent"), ("carddav", "addressbook", "contactcard")]
    {
        let target = Target::dav(server, kind);
        let back = place.path().join(format!("{kind}.sqlite"));
        let of_kind = |archive: &std::path::Path| {
            let top = if kind == "caldav" { "calendars/" } else { "contacts/" };
            let mine: Vec<String> = tree(archive, "latest").into_keys().collect();
            let mut all = items_of(archive);
            all.retain(|name, _| mine.contains(&format!("{top}{name}/")));
            all
        };
        let mut expected = of_kind(&archive);
        if rules.schedules {
            let quiet = |line: &String| match line.split_once([':', ';']) {
                Some(("ORGANIZER", rest)) => format!("ORGANIZER;SCHEDULE-AGENT=CLIENT:{rest}"),
                // Servers write parameters in an order of their own.
                Some(("ATTENDEE", rest)) => {
                    format!("ATTENDEE;{}", rest.replace(":mailto", ";SCHEDULE-AGENT=CLIENT:mailto"))
                }
                _ => line.clone(),
            };
            for items in expected.values_mut() {
                *items = items.iter().map(|item| item.iter().map(quiet).collect()).collect();
            }
        }
        let plan = target.export(&archive, &["--dry-run"], 0);
        let count: u64 = expected.values().map(|items| items.len() as u64).sum();
        assert_eq!(plan.summary["plan"][items]["create"], count, "{} {kind}: {}", server.name, plan.summary);
        let before: usize = server.held(kind).iter().map(|held| held.items.len()).sum();
        assert_eq!(before, 0, "{} {kind}", server.name);

        let done = target.export(&archive, &[], 0);
        assert_eq!(done.count(items, "created"), count, "{} {kind}: {} {}", server.name, done.summary, done.said);
        let check = |when: &str| {
            target.import(&back);
            let mut now = of_kind(&back);
            let ordered = |line: &String| {
                line.replace(
                    ";SCHEDULE-AGENT=CLIENT;PARTSTAT=NEEDS-ACTION",
                    ";PARTSTAT=NEEDS-ACTION;SCHEDULE-AGENT=CLIENT",
                )
            };
            for items in now.values_mut() {
                *items = items.iter().map(|item| item.iter().map(ordered).collect()).collect();
            }
            now.retain(|name, items| !(items.is_empty() && rules.own.contains(&name.as_str())));
            assert_eq!(now, expected, "{} {kind} {when}", server.name);
        };
        check("after the first");
        target.is_settled(&archive, 0);

        // A change at the server is undone by --update alone, and what is too much goes with --prune alone.
        let held = server.held(kind);
        let collection = held.iter().find(|held| held.items.len() > 1).expect("a full collection");
        let (path, bytes) = collection.items.iter().next().expect("an item");
        let other = String::from_utf8_lossy(bytes).replace("FN:", "FN:Other ").replace("SUMMARY:", "SUMMARY:Other ");
        assert!(server.put(path, other.as_bytes()), "{} {path}", server.name);
        assert_eq!(target.export(&archive, &[], 0).sum("updated"), 0);
        let plan = target.export(&archive, &["--update", "--dry-run"], 0);
        assert_eq!(plan.planned("update"), 1, "{} {kind}: {}", server.name, plan.summary);
        let done = target.export(&archive, &["--update"], 0);
        assert_eq!(done.sum("updated"), 1, "{} {kind}: {} {}", server.name, done.summary, done.said);
        check("after --update");

        let surplus = match kind {
            "caldav" => ("surplus.ics", event("surplus", "surplus")),
            _ => ("surplus.vcf", card("surplus", "surplus")),
        };
        assert!(server.put(&format!("{}{}", collection.path, surplus.0), &surplus.1));
        let asked = target.export(&archive, &["--prune", "--objects", items], 6);
        assert!(asked.said.contains("--yes"), "{}", asked.said);
        let done = target.export(&archive, &["--prune", "--yes", "--objects", items], 0);
        assert_eq!(done.sum("removed"), 1, "{} {kind}: {} {}", server.name, done.summary, done.said);
        check("after --prune");

        // Copies beside the first ones, each with the same uid.
        let refused = if kind == "caldav" { rules.once } else { 0 };
        let code = if refused > 0 { 5 } else { 0 };
        let done = target.export(&archive, &["--into", "Restored"], code);
        assert_eq!(done.count(items, "refused"), refused, "{} {kind}: {} {}", server.name, done.summary, done.said);
        assert_eq!(done.count(containers, "created"), expected.len() as u64, "{} {kind}: {}", server.name, done.said);
        assert_eq!(target.export(&archive, &["--into", "Restored"], code).sum("created"), 0, "{} {kind}", server.name);
    }
}

#[test]
fn dates_go_to_radicale_and_come_back() {
    let Some(server) = Dav::radicale() else { return };
    dates_go_and_come_back(&server, &Rules { own: &[], schedules: false, once: 0 });
}

#[test]
fn dates_go_to_xandikos_and_come_back() {
    let Some(server) = Dav::xandikos() else { return };
    dates_go_and_come_back(&server, &Rules { own: &["calendar", "addressbook"], schedules: true, once: 0 });
}

#[test]
fn dates_go_to_sabre_and_come_back() {
    let Some(server) = Dav::sabre() else { return };
    dates_go_and_come_back(&server, &Rules { own: &[], schedules: true, once: 0 });
}

#[test]
fn dates_go_to_cyrus_and_come_back() {
    let Some(server) = Dav::cyrus_of_alice() else { return };
    dates_go_and_come_back(&server, &Rules { own: &["Default", "personal", "Personal"], schedules: true, once: 4 });
}
