//! Servers of CalDAV that do what the standards do not foresee: nothing is lost by it, and nothing secret goes astray.

use crate::common::dav::import;
use crate::common::fake_dav::{Answer, Asked, FakeDav, Place, etag, event, found, is, multistatus};
use crate::common::tree;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn answers_of_many_are_used_only_where_they_are_exact() {
    let place = Place::new(40);
    place.import(0);
    let gets = |place: &Place| place.server.asked().iter().filter(|asked| asked.starts_with("GET")).count();
    assert_eq!((place.events().len(), gets(&place)), (40, 1), "one is compared");
    let place = Place::new(40);
    place.server.hook(|asked| {
        let answer = |number: usize| {
            let bytes = String::from_utf8(event(&format!("e{number}"))).expect("text").replace("\r\n", "\n");
            let data = format!(
                "<D:getetag>{}</D:getetag><C:calendar-data>{bytes}</C:calendar-data>",
                etag(&event(&format!("e{number}")))
            );
            found(&format!("/alice/home/Work/e{number}.ics"), &data)
        };
        is(asked, "REPORT", "/alice/home/Work/").then(|| multistatus(&(0..40).map(answer).collect::<String>()))
    });
    place.import(0);
    assert!(gets(&place) >= 40);
    let expected: Vec<Vec<u8>> = (0..40).map(|number| event(&format!("e{number}"))).collect();
    assert!(expected.iter().all(|bytes| place.events().values().any(|found| found == bytes)));
}

#[test]
fn a_listing_that_fails_or_says_nothing_removes_nothing() {
    let answers: [fn() -> Answer; 10] = [
        || multistatus(""),
        || (200, String::new(), b"<html><body>maintenance<br></body></html>".to_vec()),
        || (207, String::new(), b"<!DOCTYPE x [<!ENTITY a \"b\">]><D:multistatus xmlns:D=\"DAV:\"/>".to_vec()),
        || (207, String::new(), b"<D:multistatus xmlns:D=\"DAV:\"><D:response>".to_vec()),
        || (404, String::new(), Vec::new()),
        || (500, String::new(), Vec::new()),
        || (403, String::new(), Vec::new()),
        || (301, "Location: /alice/home/\r\n".to_owned(), Vec::new()),
        || {
            multistatus(
                "<D:response><D:href>/alice/home/Work/</D:href><D:status>HTTP/1.1 507 x</D:status></D:response>",
            )
        },
        || {
            let own = found("/alice/home/Work/", "<D:resourcetype><D:collection/></D:resourcetype>");
            let member =
                "<D:response><D:href>/alice/home/Work/e0.ics</D:href><D:status>HTTP/1.1 503 x</D:status></D:response>";
            multistatus(&(own + member))
        },
    ];
    for answer in answers {
        let place = Place::new(3);
        place.import(0);
        place.server.with(|_| {});
        place.server.hook(move |asked| is(asked, "PROPFIND", "/alice/home/Work/").then(answer));
        let said = place.import(5);
        assert!(said.contains("not listed"), "{said}");
        assert_eq!(place.events().len(), 3, "{said}");
    }
}

#[test]
fn one_event_that_cannot_be_read_stops_no_other() {
    for status in [401, 403, 423, 500, 206] {
        let place = Place::new(30);
        place.server.hook(move |asked| match asked.method.as_str() {
            "GET" if asked.path == "/alice/home/Work/e7.ics" => Some((status, String::new(), b"BEGIN".to_vec())),
            // Each is asked for by itself.
            "REPORT" => Some((501, String::new(), Vec::new())),
            _ => None,
        });
        let said = place.import(if status == 401 { 12 } else { 5 });
        if status != 401 {
            assert_eq!(place.events().len(), 29, "{status}: {said}");
        }
        place.server.hook(|_| None);
        place.import(0);
        assert_eq!(place.events().len(), 30, "{status}");
    }
}

#[test]
fn an_event_that_is_gone_for_a_moment_is_asked_for_again() {
    let place = Place::new(8);
    place.server.hook(|asked| match asked.method.as_str() {
        "GET" if asked.path.ends_with("/e7.ics") => Some((404, String::new(), Vec::new())),
        "REPORT" => Some((501, String::new(), Vec::new())),
        _ => None,
    });
    place.import(0);
    assert_eq!(place.events().len(), 7);
    place.server.hook(|_| None);
    place.import(0);
    assert_eq!(place.events().len(), 8);
}

#[test]
fn a_home_that_cannot_be_listed_is_named_and_nothing_of_it_goes() {
    let place = Place::new(2);
    let homes = |second: &'static str| {
        move |asked: &Asked| match asked.path.as_str() {
            "/alice/" => Some(multistatus(&found(
                "/alice/",
                "<C:calendar-home-set><D:href>/alice/home/</D:href><D:href>/other/</D:href></C:calendar-home-set>",
            ))),
            "/other/" if !second.is_empty() => Some(multistatus(second)),
            "/other/" => Some((503, String::new(), Vec::new())),
            "/other/cal/" => Some(multistatus(
                &(found("/other/cal/", "<D:resourcetype><D:collection/></D:resourcetype>")
                    + &found("/other/cal/x.ics", "<D:getetag>\"1\"</D:getetag>")),
            )),
            "/other/cal/x.ics" => Some((200, String::new(), event("x"))),
            _ => None,
        }
    };
    let calendar = "<D:response><D:href>/other/cal/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/><C:calendar/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>";
    place.server.hook(homes(calendar));
    place.import(0);
    assert_eq!(place.events().len(), 3);
    place.server.with(|_| {});
    for second in ["", "<D:response><D:href>/other/</D:href><D:status>HTTP/1.1 503 x</D:status></D:response>"] {
        place.server.hook(homes(second));
        let said = place.import(5);
        assert!(said.contains("/other/"), "{said}");
        assert_eq!(place.events().len(), 3, "{said}");
    }
}

#[test]
fn references_that_lead_elsewhere_are_passed_over() {
    let place = Place::new(2);
    place.server.hook(|asked| {
        let own = found("/alice/home/Work/", "<D:resourcetype><D:collection/></D:resourcetype>");
        let of = |href: &str| found(href, "<D:getetag>\"1\"</D:getetag>");
        let all =
            ["/alice/home/Work/e0.ics", "e1.ics", "/alice/home/Other/x.ics", "../../x", "https://example.org/y.ics"];
        is(asked, "PROPFIND", "/alice/home/Work/").then(|| multistatus(&(own + &all.map(of).concat())))
    });
    let said = place.import(0);
    assert!(said.contains("skipped 3"), "{said}");
    assert_eq!(place.events().len(), 2);
}

#[test]
fn a_directory_that_names_something_elsewhere_loses_nothing() {
    let place = Place::new(2);
    let url = format!("{}/alice/home/", place.server.url());
    let run = || import("webdav", &url, &place.archive(), &["--max-retries", "0"]);
    let files = || tree(&place.archive(), "latest").keys().filter(|path| path.ends_with(".ics")).count();
    assert!(run().status.success());
    assert_eq!(files(), 2);
    place.server.hook(|asked| {
        let own = found("/alice/home/Work/", "<D:resourcetype><D:collection/></D:resourcetype>");
        let elsewhere = found("https://example.org/alice/home/Work/e0.ics", "<D:getetag>\"1\"</D:getetag>");
        is(asked, "PROPFIND", "/alice/home/Work/").then(|| multistatus(&(own + &elsewhere)))
    });
    let output = run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(), 2, "{}", String::from_utf8_lossy(&output.stdout));
}

/// A calendar that is empty from one day to the next: the server may have lost it.
#[test]
fn a_calendar_that_is_suddenly_empty_stops_the_run() {
    for (count, code) in [(60, 9), (40, 0)] {
        let place = Place::new(count);
        place.import(0);
        place.server.with(|state| state.collections.values_mut().for_each(BTreeMap::clear));
        let said = place.import(code);
        match code {
            9 => {
                assert!(said.contains("60 of 60 objects of type calendarevent are missing at the source"), "{said}");
                assert_eq!(place.events().len(), 60);
            }
            // The guard lets fifty go; they stay in the snapshot before.
            _ => assert!(said.contains("removed 40 (kept in the history)"), "{said}"),
        }
        let before = tree(&place.archive(), "1").keys().filter(|path| path.starts_with("calendars/Work/e")).count();
        assert_eq!(before, count);
    }
}

/// The files of the current state, by path.
fn files(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = tree(archive, "latest").into_iter();
    let all = all.filter(|(path, _)| !path.ends_with('/'));
    all.filter_map(|(path, bytes)| Some((path.strip_prefix("files/")?.to_owned(), bytes))).collect()
}

#[test]
fn a_directory_that_becomes_a_file_and_again_a_directory_has_its_name() {
    let place = Place::new(2);
    let url = format!("{}/alice/home/", place.server.url());
    let run = || {
        let output = import("webdav", &url, &place.archive(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        crate::common::ok(&["verify", "--quiet", place.archive().to_str().expect("text")]);
        files(&place.archive())
    };
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let as_directory = run();
    assert_eq!(names(&as_directory), ["Work/e0.ics", "Work/e1.ics"]);
    place.server.hook(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PROPFIND", "/alice/home/") => {
            let own = found("/alice/home/", "<D:resourcetype><D:collection/></D:resourcetype>");
            let file = found("/alice/home/Work", "<D:resourcetype/><D:getetag>\"1\"</D:getetag>");
            Some(multistatus(&(own + &file)))
        }
        ("GET", "/alice/home/Work") => Some((200, String::new(), b"text".to_vec())),
        _ => None,
    });
    assert_eq!(run(), BTreeMap::from([("Work".to_owned(), b"text".to_vec())]));
    place.server.hook(|_| None);
    assert_eq!(run(), as_directory);
}

#[test]
fn names_that_are_no_text_are_stored_as_the_url_has_them() {
    let place = Place::new(1);
    place.server.hook(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PROPFIND", "/alice/home/") => {
            let collection = "<D:resourcetype><D:collection/></D:resourcetype>";
            let own = found("/alice/home/", collection) + &found("/alice/home/d%E9/", collection);
            Some(multistatus(&(own + &found("/alice/home/caf%E9.txt", "<D:getetag>\"1\"</D:getetag>"))))
        }
        ("PROPFIND", "/alice/home/d%E9/") => {
            let own = found("/alice/home/d%E9/", "<D:resourcetype><D:collection/></D:resourcetype>");
            Some(multistatus(&(own + &found("/alice/home/d%E9/%FF", "<D:getetag>\"1\"</D:getetag>"))))
        }
        ("GET", path) => Some((200, String::new(), path.as_bytes().to_vec())),
        _ => None,
    });
    let url = format!("{}/alice/home/", place.server.url());
    for _ in 0..2 {
        let output = import("webdav", &url, &place.archive(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // The tree writes `%` as `%25` where it could be read as a mark of its own.
        let expected = [("caf%25E9.txt", "caf%E9.txt"), ("d%25E9/%25FF", "d%E9/%FF")];
        let expected = expected.map(|(path, url)| (path.to_owned(), format!("/alice/home/{url}").into_bytes()));
        assert_eq!(files(&place.archive()), BTreeMap::from(expected));
    }
}

#[test]
fn the_login_goes_to_no_other_host() {
    let place = Place::new(1);
    let other = FakeDav::start();
    let home = format!("http://localhost:{}/alice/home/", other.port);
    place.server.hook(move |asked| {
        let home = format!("<C:calendar-home-set><D:href>{home}</D:href></C:calendar-home-set>");
        is(asked, "PROPFIND", "/alice/").then(|| multistatus(&found("/alice/", &home)))
    });
    let said = place.import(2);
    assert!(said.contains("--allow-other-origin") && said.contains("localhost"), "{said}");
    assert!(other.asked().is_empty());
}

#[test]
fn a_step_of_discovery_that_fails_does_not_stop_the_next() {
    for status in [403, 404, 405, 501] {
        let place = Place::new(1);
        place.server.hook(move |asked| match asked.path.as_str() {
            "/" => Some((status, String::new(), b"<html><p>no".to_vec())),
            "/.well-known/caldav" if asked.method == "PROPFIND" => {
                Some((301, "Location: /alice/\r\n".to_owned(), Vec::new()))
            }
            _ => None,
        });
        place.import(0);
        assert_eq!(place.events().len(), 1, "{status}");
    }
    let place = Place::new(1);
    place.server.hook(|_| Some((404, String::new(), Vec::new())));
    let said = place.import(3);
    assert!(said.contains("no calendars were found") && said.contains("well-known"), "{said}");
    assert!(said.contains("docs/providers.md"), "{said}");
}

#[test]
fn a_url_without_calendars_is_told_and_no_root() {
    let place = Place::new(1);
    place.server.hook(|asked| {
        let principal = "<D:current-user-principal><D:href>/alice/</D:href></D:current-user-principal>";
        is(asked, "PROPFIND", "/alice/wrok/").then(|| multistatus(&found("/alice/wrok/", principal)))
    });
    let run = |path: &str, more: &[&str]| {
        let url = format!("{}{path}", place.server.url());
        let archive = if path == "/alice/home/" { place.dir.path().join("b.sqlite") } else { place.archive() };
        let output = import("caldav", &url, &archive, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let told = "/alice/wrok/ has no calendars: those of ";
    let said = run("/alice/wrok/", &[]);
    assert!(said.contains(told) && said.contains("/alice/home/ are imported"), "{said}");
    assert_eq!(place.events().len(), 1);
    assert_eq!(run("/alice/wrok/", &["--quiet"]), "");
    for path in ["/", "/alice/home/"] {
        let said = run(path, &[]);
        assert!(!said.contains("has no calendars"), "{said}");
    }
}

#[test]
fn a_refused_login_is_an_error_of_the_login() {
    let place = Place::new(1);
    let fields = "WWW-Authenticate: X-Own\r\nWWW-Authenticate: Basic realm=\"x\"\r\n";
    place.server.hook(|_| Some((401, fields.to_owned(), Vec::new())));
    let said = place.import(12);
    assert!(said.contains("/ refused the login of alice (401)"), "{said}");
    assert!(said.contains("hint:") && said.contains("app password") && said.contains("docs/providers.md"), "{said}");
}

#[test]
fn without_etags_everything_is_read_again_and_nothing_changes() {
    let place = Place::new(3);
    let listings = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&listings);
    place.server.hook(move |asked| {
        let own = found("/alice/home/Work/", "<D:resourcetype><D:collection/></D:resourcetype>");
        let of = |number: usize| found(&format!("/alice/home/Work/e{number}.ics"), "<D:displayname>x</D:displayname>");
        is(asked, "PROPFIND", "/alice/home/Work/").then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            multistatus(&(own + &[0, 1, 2].map(of).concat()))
        })
    });
    place.import(0);
    place.server.with(|_| {});
    let said = place.import(0);
    assert!(said.contains("calendarevent: found 3 = stored 3 (new 0"), "{said}");
    assert_eq!(listings.load(Ordering::Relaxed), 2);
    assert_eq!(place.server.asked().iter().filter(|asked| asked.starts_with("GET")).count(), 3);
    assert_eq!(place.events().len(), 3);
}

#[test]
fn a_run_asks_first_where_the_calendars_were_and_finds_them_elsewhere_all_the_same() {
    let place = Place::new(3);
    place.import(0);
    place.server.with(|_| {});
    place.import(0);
    let first = place.server.asked().first().cloned();
    assert_eq!(first.as_deref(), Some("PROPFIND /alice/home/"), "nothing else is asked before");
    // The home is another one now.
    place.server.with(|_| {});
    place.server.hook(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PROPFIND", "/alice/home/") => Some((404, String::new(), Vec::new())),
        ("PROPFIND", "/alice/") => Some(multistatus(&found(
            "/alice/",
            "<D:current-user-principal><D:href>/alice/</D:href></D:current-user-principal><C:calendar-home-set><D:href>/alice/new/</D:href></C:calendar-home-set>",
        ))),
        ("PROPFIND", "/alice/new/") => Some(multistatus(&format!(
            "{}{}",
            found("/alice/new/", "<D:resourcetype><D:collection/></D:resourcetype>"),
            found("/alice/new/Other/", "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>")
        ))),
        ("PROPFIND", "/alice/new/Other/") => Some(multistatus(&found(
            "/alice/new/Other/",
            "<D:resourcetype><D:collection/></D:resourcetype>",
        ))),
        _ => None,
    });
    let said = place.import(0);
    assert!(said.contains("calendar: found 1 = stored 1 (new 1"), "{said}");
}
