//! What servers of CalDAV and CardDAV are known to do, each with an answer of our own wording: see also dav_faults.rs. The
//! server and its events are those of [`Place`], where a test changes nothing.

use crate::common::dav_account::edit_cursors;
use crate::common::fake_dav::{Answer, Asked, Place, calendar, event, found, is, multistatus};
use crate::common::tree;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const WORK: &str = "/alice/home/Work/";

fn own() -> String {
    found(WORK, "<D:resourcetype><D:collection/></D:resourcetype>")
}

fn member(name: &str, etag: &str) -> String {
    found(&format!("{WORK}{name}"), &format!("<D:getetag>\"{etag}\"</D:getetag>"))
}

fn is_sync(asked: &Asked) -> bool {
    asked.method == "REPORT" && asked.body.contains("sync-collection")
}

/// Removes e1, changes e2 and adds e9.
fn change(place: &Place) {
    place.server.with(|state| {
        let work = state.collections.get_mut("Work").expect("a calendar");
        work.remove("e1.ics");
        work.insert("e2.ics".to_owned(), [event("e2"), b"\r\n".to_vec()].concat());
        work.insert("e9.ics".to_owned(), event("e9"));
    });
}

/// The bytes that [`change`] leaves, by UID.
fn has_changed(place: &Place, said: &str) {
    let bytes: Vec<Vec<u8>> = place.events().into_values().collect();
    let is_there = |wanted: &[u8]| bytes.iter().any(|one| one == wanted);
    assert!(!is_there(&event("e1")) && is_there(&event("e9")), "{said}");
    assert!(is_there(&[event("e2"), b"\r\n".to_vec()].concat()) && !is_there(&event("e2")), "{said}");
}

const ANY: [&str; 4] = ["--max-retries", "0", "--max-delete", "100%"];

/// iCloud and Google refuse bodies with a default namespace, Baikal answers less to a PROPFIND without one; sabre cuts
/// answers with a limit and gives the newest token; Open-Xchange fails at queries; Nextcloud answers OPTIONS wrongly, and
/// others compress it wrongly; Radicale redirects a GET of its root to a page.
#[test]
fn requests_are_such_as_no_server_stumbles_over() {
    let place = Place::new(40);
    let asked: Arc<Mutex<Vec<[String; 4]>>> = Arc::default();
    let seen = Arc::clone(&asked);
    place.server.hook(move |asked| {
        let Asked { method, path, body, encodings, .. } = asked;
        seen.lock().push([method, path, body, encodings].map(String::clone));
        (path == "/")
            .then(|| (405, String::new(), Vec::new()))
            .or_else(|| (path == "/.well-known/caldav").then(|| (308, "Location: /alice/\r\n".to_owned(), Vec::new())))
    });
    place.import(0);
    change(&place);
    has_changed(&place, &place.run("caldav", "", &ANY, 0));
    let asked = asked.lock();
    for [method, path, body, encodings] in asked.iter() {
        match method.as_str() {
            "GET" => assert!(path.starts_with(WORK) && encodings == "identity", "GET {path}: {encodings}"),
            "PROPFIND" | "REPORT" => {
                let names = body.split('<').skip(1).map(|name| name.trim_start_matches('/'));
                let mut names = names.filter(|name| !name.starts_with('?'));
                assert!(names.all(|name| name.as_bytes().get(1) == Some(&b':')), "{method} {path}: {body}");
                assert!(!body.contains("xmlns=") && !body.is_empty(), "{method} {path}: {body}");
                for word in ["limit", "-query", "filter", "allprop"] {
                    assert!(!body.contains(word), "{method} {path}: {body}");
                }
            }
            _ => panic!("{method} {path}"),
        }
    }
    let has = |word: &str| asked.iter().any(|[_, path, body, _]| body.contains(word) || path.contains(word));
    assert!(has("multiget") && has("sync-collection") && has("well-known"));
}

/// Zimbra, SOGo, Posteo, GMX and Bedework fail in as many ways; after each everything is listed.
#[test]
fn a_synchronisation_that_fails_is_made_up_for_by_a_listing() {
    let answers: [fn() -> Answer; 9] = [
        || (500, String::new(), b"<html><title>Server error</title>".to_vec()),
        || (501, String::new(), Vec::new()),
        || (400, String::new(), b"no such report".to_vec()),
        || (409, String::new(), Vec::new()),
        || (412, String::new(), b"<D:error xmlns:D=\"DAV:\"><D:valid-sync-token/></D:error>".to_vec()),
        || (200, String::new(), b"<html><body>sign in</body></html>".to_vec()),
        // A token that is the newest although the answer was cut.
        || {
            multistatus(&format!(
                "<D:response><D:href>{WORK}</D:href><D:status>HTTP/1.1 507 x</D:status></D:response><D:sync-token>urn:9</D:sync-token>"
            ))
        },
        // No token.
        || multistatus(&member("e2.ics", "new")),
        || (207, String::new(), Vec::new()),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let place = Place::new(6);
        place.import(0);
        change(&place);
        place.server.hook(move |asked| is_sync(asked).then(answer));
        let said = place.run("caldav", "", &ANY, 0);
        has_changed(&place, &format!("answer {number}: {said}"));
    }
}

/// iCloud names the collection itself, and gives properties without values.
#[test]
fn a_synchronisation_that_names_the_collection_itself_is_one() {
    let place = Place::new(6);
    place.import(0);
    place.server.with(|state| {
        let work = state.collections.get_mut("Work").expect("a calendar");
        work.insert("e9.ics".to_owned(), event("e9"));
    });
    place.server.hook(|asked| {
        let itself = found(WORK, "<D:getetag/><D:resourcetype><D:collection/></D:resourcetype>");
        let all = itself + &found(&format!("{WORK}e9.ics"), "<D:getetag>\"9\"</D:getetag><D:displayname/>");
        is_sync(asked).then(|| multistatus(&(all + "<D:sync-token>urn:next</D:sync-token>")))
    });
    place.import(0);
    let listed = format!("PROPFIND {WORK}");
    assert!(!place.server.asked().contains(&listed), "{:?}", place.server.asked());
    assert_eq!(place.events().len(), 7);
}

/// Tokens of Zimbra, SOGo, DAViCal, Bedework and Synology go wrong: what only a token says is gone is there.
#[test]
fn a_token_alone_removes_nothing() {
    let place = Place::new(6);
    place.import(0);
    place.server.with(|_| {});
    place.server.hook(|asked| {
        let gone = |number: usize| {
            format!("<D:response><D:href>{WORK}e{number}.ics</D:href><D:status>HTTP/1.1 404 x</D:status></D:response>")
        };
        let all = (0..6).map(gone).collect::<String>() + "<D:sync-token>urn:next</D:sync-token>";
        is_sync(asked).then(|| multistatus(&all))
    });
    place.run("caldav", "", &ANY, 0);
    assert_eq!(place.events().len(), 6);
}

/// The same servers do not renew their tokens: everything is listed every seventh day all the same.
#[test]
fn after_a_week_a_listing_proves_what_a_token_says() {
    let place = Place::new(6);
    place.server.hook(|asked| {
        let work = calendar(WORK, "<S:getctag>same</S:getctag><D:sync-token>urn:same</D:sync-token>");
        is(asked, "PROPFIND", "/alice/home/").then(|| multistatus(&(found("/alice/home/", "") + &work)))
    });
    place.import(0);
    change(&place);
    place.run("caldav", "", &ANY, 0);
    assert_eq!(place.events().len(), 6, "the server says that nothing changed");
    let days_ago = |cursor: &mut serde_json::Value| {
        cursor["listed"] = (cursor["listed"].as_i64().expect("a time") - 604_800).into()
    };
    assert_eq!(edit_cursors(&place.archive(), days_ago), 1);
    let said = place.run("caldav", "", &ANY, 0);
    has_changed(&place, &said);
}

/// SOGo's tokens are the second of the last change: a second change within that second leaves it as it is.
#[test]
fn a_token_that_is_the_time_of_just_now_is_not_gone_on_from() {
    let place = Place::new(6);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    place.server.hook(move |asked| {
        let mark = format!("<S:getctag>{now}</S:getctag><D:sync-token>{now}</D:sync-token>");
        let home = found("/alice/home/", "");
        is(asked, "PROPFIND", "/alice/home/").then(|| multistatus(&(home + &calendar(WORK, &mark))))
    });
    place.import(0);
    change(&place);
    let said = place.run("caldav", "", &ANY, 0);
    has_changed(&place, &said);
}

/// iCloud's home is a whole URL with a port; its refusals name a scheme that nobody knows.
#[test]
fn a_home_may_be_a_whole_url_with_a_port() {
    let place = Place::new(3);
    let url = place.server.url();
    place.server.hook(move |asked| {
        let home = format!("<C:calendar-home-set><D:href>{url}/alice/home/</D:href></C:calendar-home-set>");
        is(asked, "PROPFIND", "/alice/").then(|| multistatus(&found("/alice/", &home)))
    });
    place.import(0);
    assert_eq!(place.events().len(), 3);
}

/// Google throttles with 403, GMX with 429, others with 503.
#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let answers: [fn() -> Answer; 3] = [
        || (403, String::new(), b"{\"error\": {\"errors\": [{\"domain\": \"usageLimits\"}]}}".to_vec()),
        || (429, "Retry-After: 1\r\n".to_owned(), Vec::new()),
        || (503, "Retry-After: 1\r\n".to_owned(), Vec::new()),
    ];
    for answer in answers {
        let place = Place::new(3);
        let times = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&times);
        place.server.hook(move |asked| {
            let is_first = is(asked, "PROPFIND", WORK) && count.fetch_add(1, Ordering::Relaxed) == 0;
            is_first.then(answer)
        });
        place.run("caldav", "", &["--max-retries", "3"], 0);
        assert_eq!((place.events().len(), times.load(Ordering::Relaxed)), (3, 2));
    }
}

/// Zoho gives no bytes with some answers, others give half of them: each is asked for.
#[test]
fn an_answer_of_many_without_bytes_is_no_answer() {
    for data in ["<C:calendar-data/>", "<C:calendar-data>  </C:calendar-data>", ""] {
        let place = Place::new(9);
        place.server.hook(move |asked| {
            let of = |number: usize| {
                let properties = format!("<D:getetag>\"{number}\"</D:getetag>{data}");
                found(&format!("{WORK}e{number}.ics"), &properties)
            };
            let is_many = asked.method == "REPORT" && asked.body.contains("multiget");
            is_many.then(|| multistatus(&(0..9).map(of).collect::<String>()))
        });
        place.import(0);
        let expected: Vec<Vec<u8>> = (0..9).map(|number| event(&format!("e{number}"))).collect();
        assert_eq!(place.events().into_values().collect::<Vec<_>>(), expected, "{data}");
    }
}

/// Synology and Mail.ru name no principal: the URL is what there is.
#[test]
fn without_a_principal_the_url_is_gone_on_from() {
    let place = Place::new(3);
    place.server.hook(|asked| {
        let nothing = "<D:response><D:href>/alice/home/</D:href><D:propstat><D:prop><D:current-user-principal/></D:prop><D:status>HTTP/1.1 404 x</D:status></D:propstat></D:response>";
        let is_home = asked.path == "/alice/home/" && !asked.body.contains("resourcetype");
        is_home.then(|| multistatus(nothing)).or_else(|| (asked.path == "/").then(|| (404, String::new(), Vec::new())))
    });
    place.run("caldav", "/alice/home/", &["--max-retries", "0"], 0);
    place.run("caldav", "/alice/home", &["--max-retries", "0"], 0);
    assert_eq!(place.events().len(), 3);
}

/// The same resource is written as a path, a URL, a name with a colon; with `@` in both ways; a collection with and without
/// its slash.
#[test]
fn a_resource_is_the_same_however_it_is_written() {
    let place = Place::new(0);
    let url = place.server.url();
    let ways = [
        vec![format!("{WORK}a@b.ics"), format!("{WORK}c:d.ics"), format!("{WORK}%7Ee%20f.ics")],
        vec![format!("{WORK}a%40b.ics"), "c:d.ics".to_owned(), format!("{url}{WORK}~e%20f.ics")],
    ];
    for (turn, way) in ways.into_iter().enumerate() {
        place.server.with(|_| {});
        place.server.hook(move |asked| {
            let path = asked.path.replace("%40", "@").replace("%3A", ":").replace("%7E", "~");
            let named = ["a@b", "c:d", "~e%20f"].into_iter().find(|name| path == format!("{WORK}{name}.ics"));
            let work = calendar(["/alice/home/Work", "/alice/home/Work/"][turn], "<D:displayname>Work</D:displayname>");
            match (asked.method.as_str(), named) {
                ("GET", Some(name)) => Some((200, String::new(), event(name))),
                ("PROPFIND", _) if asked.path == "/alice/home/" => Some(multistatus(
                    &(found("/alice/home", "<D:resourcetype><D:collection/></D:resourcetype>") + &work),
                )),
                ("PROPFIND", _) if asked.path.trim_end_matches('/') == WORK.trim_end_matches('/') => {
                    let all = way.iter().map(|href| found(href, "<D:getetag>\"1\"</D:getetag>"));
                    Some(multistatus(&(own() + &all.collect::<String>())))
                }
                _ => None,
            }
        });
        let said = place.import(0);
        let new = if turn == 0 { "(new 3, changed 0, unchanged 0)" } else { "(new 0, changed 0, unchanged 3)" };
        assert!(said.contains(new), "{said}");
        assert_eq!(place.events().len(), 3);
    }
}

/// Cyrus writes a `?` in a name as it is.
#[test]
fn a_question_mark_may_be_a_part_of_a_name() {
    let place = Place::new(3);
    place.server.hook(|asked| match asked.path.as_str() {
        WORK if asked.method == "PROPFIND" => Some(multistatus(&(own() + &member("why?%23.ics", "1")))),
        path if path.ends_with("/why%3F%23.ics") => Some((200, String::new(), event("why"))),
        _ => None,
    });
    place.import(0);
    assert_eq!(place.events().into_values().collect::<Vec<_>>(), [event("why")]);
}

/// Control characters in answers; values in other namespaces (Cyrus); media types in many spellings, or none.
#[test]
fn answers_that_are_not_quite_right_are_read() {
    let place = Place::new(5);
    place.server.hook(|asked| {
        let kind = "<D:resourcetype><D:collection/><X:calendar xmlns:X=\"urn:other\"/></D:resourcetype>";
        let name = "<X:displayname xmlns:X=\"urn:other\">Wo\u{1}rk&#2;\u{7f}</X:displayname>";
        let home = found("/alice/home/", "<D:resourcetype><D:collection/></D:resourcetype>");
        let types = ["text/calendar", "text/calendar;charset=utf-8;component=vevent", "application/ics", "x", ""];
        let of = |(number, kind): (usize, &&str)| {
            let properties = format!("<D:getetag>\"{number}\"</D:getetag><D:getcontenttype>{kind}</D:getcontenttype>");
            found(&format!("{WORK}e{number}.ics"), &properties)
        };
        match asked.path.as_str() {
            "/alice/home/" => Some(multistatus(&(home + &found(WORK, &format!("{kind}{name}"))))),
            WORK if asked.method == "PROPFIND" => {
                Some(multistatus(&(own() + &types.iter().enumerate().map(of).collect::<String>())))
            }
            _ => None,
        }
    });
    place.import(0);
    assert_eq!(place.events().len(), 5);
    let paths: Vec<String> = place.events().into_keys().collect();
    assert!(paths.iter().all(|path| !path.contains(char::is_control)), "{paths:?}");
}

/// The home may be a calendar itself. What a calendar takes may change; Nextcloud's trash bin, and inboxes, are none.
#[test]
fn a_home_may_be_a_calendar_and_other_things_lie_in_it() {
    let place = Place::new(3);
    for components in ["<C:comp name=\"VEVENT\"/><C:comp name=\"VTODO\"/>", "<C:comp name=\"VTODO\"/>", ""] {
        place.server.with(|_| {});
        place.server.hook(move |asked| {
            let home = format!("<C:calendar-home-set><D:href>{WORK}</D:href></C:calendar-home-set>");
            let set = format!("<C:supported-calendar-component-set>{components}</C:supported-calendar-component-set>");
            let bin = found(
                &format!("{WORK}trashbin/"),
                "<D:resourcetype><D:collection/><N:trash-bin xmlns:N=\"urn:n\"/></D:resourcetype>",
            );
            let inbox =
                found(&format!("{WORK}inbox/"), "<D:resourcetype><D:collection/><C:schedule-inbox/></D:resourcetype>");
            match asked.path.as_str() {
                "/alice/" => Some(multistatus(&found("/alice/", &home))),
                WORK if asked.body.contains("component-set") => {
                    Some(multistatus(&(calendar(WORK, &set) + &bin + &inbox)))
                }
                _ => None,
            }
        });
        place.import(0);
        assert_eq!(place.events().len(), 3, "{components}");
    }
}

/// Nextcloud makes an address book of its own from whom one writes to: it is kept like the others.
#[test]
fn a_generated_address_book_is_kept() {
    let place = Place::new(0);
    place.server.hook(|asked| {
        let own = "/alice/books/z-app-generated--contactsinteraction--recent/";
        let kinds = "<D:resourcetype><D:collection/><R:addressbook xmlns:R=\"urn:ietf:params:xml:ns:carddav\"/></D:resourcetype><D:displayname>Recently contacted</D:displayname>";
        let home = "<R:addressbook-home-set xmlns:R=\"urn:ietf:params:xml:ns:carddav\"><D:href>/alice/books/</D:href></R:addressbook-home-set>";
        let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Somebody\r\nN:Somebody;;;;\r\nEND:VCARD\r\n";
        match (asked.method.as_str(), asked.path.as_str()) {
            (_, "/alice/") => Some(multistatus(&found("/alice/", home))),
            (_, "/alice/books/") => Some(multistatus(&(found("/alice/books/", "") + &found(own, kinds)))),
            ("PROPFIND", path) if path == own => {
                Some(multistatus(&(found(own, "") + &found(&format!("{own}c1.vcf"), "<D:getetag>\"1\"</D:getetag>"))))
            }
            ("GET", path) if path.starts_with(own) => Some((200, String::new(), card.as_bytes().to_vec())),
            _ => None,
        }
    });
    place.run("carddav", "", &["--max-retries", "0"], 0);
    let shown = tree(&place.archive(), "latest");
    assert!(shown.keys().any(|path| path == "contacts/Recently contacted/c1.vcf"), "{:?}", shown.keys());
}
