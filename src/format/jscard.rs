//! vCard to JSContact (RFC 9553, RFC 9555) and back, in the form that Vandelay 1.x keeps in `contact_cards.data`.

use super::contentline::{self as lines, Prop};
use super::convert::{
    Blobs, Converted, JSON_LIMIT, binary_as_uri, check_shape, guarded, inline_blobs, repair, sort_keys, unreadable,
};
use super::vcf;
use crate::error::Result;
use calcard::jscontact::JSContact;
use calcard::vcard::VCardVersion;
use calcard::{Entry, Parser};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Larger cards (bytes) are not converted.
const CARD_LIMIT: usize = 64 << 20;
/// Properties and values of a card at most: the library's time grows with the square, this takes about a second.
const VALUES_LIMIT: usize = 10_000;
/// See [`check_shape`]: about one second.
const COST_LIMIT: u64 = 150_000_000;

/// The JSContact Card of one card of [`vcf::split`], without `uid`, which has a column of its own in archives. Photos
/// stay inside as `data:` URIs. What JSContact has no property for stands
/// below `vCard`. Text that is neither UTF-8 nor of the charset it names is taken for Windows-1252.
///
/// It always gives an object: if the card is too rich or unreadable to the library, a stub with the name.
pub fn to_jscontact(vcf: &[u8]) -> Converted {
    let (text, agents) = sound(vcf);
    let problem = match weigh(&text).and_then(|()| convert(&text)) {
        Ok(data) => {
            let problem = agents.then(|| "the card of the AGENT is not converted".to_owned());
            return Converted { data, problem, stub: false };
        }
        Err(problem) => problem,
    };
    Converted { data: stub(vcf), problem: Some(problem.to_owned()), stub: true }
}

/// The text of the card for the library, from the BEGIN line to an END line, with binary values as `data:` URIs, groups as vCard 4 has them, and
/// without cards inside of it (AGENT of vCard 2.1), which would end it; and whether there were such cards.
fn sound(vcf: &[u8]) -> (String, bool) {
    let text = lines::decode_all(vcf);
    let mut out = String::with_capacity(text.len() + 32);
    let mut depth = 0usize;
    let mut agents = false;
    let is_vcard = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"VCARD");
    let has_kind =
        lines::lines(text.as_bytes()).any(|line| Prop::parse(&line.text()).is_some_and(|prop| prop.is("KIND")));
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let prop = Prop::parse(&unfolded);
        let inline = prop.is_some_and(|prop| {
            prop.is("AGENT") && prop.value.trim_ascii().to_ascii_uppercase().starts_with(b"BEGIN:VCARD")
        });
        let begins = inline && prop.is_some_and(|prop| prop.value.trim_ascii().len() == 11);
        if begins || prop.is_some_and(|prop| prop.is("BEGIN") && is_vcard(prop.value)) {
            depth += 1;
            agents |= depth > 1;
            if depth > 1 {
                continue;
            }
        }
        let other = |prop: &Prop<'_>| binary_as_uri(prop).or_else(|| group_line(prop, has_kind));
        if let Some(other) = prop.as_ref().filter(|_| depth == 1).and_then(other) {
            out.push_str(&other);
        } else if depth == 1 && !inline {
            out.push_str(text.get(line.start..line.end).unwrap_or_default());
        }
        if prop.is_some_and(|prop| prop.is("END") && is_vcard(prop.value)) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                break;
            }
        }
    }
    if depth > 0 {
        out.push_str("\nEND:VCARD\n");
    }
    (out, agents)
}

/// The lines of vCard 4 for what Apple and Evolution write into older cards of groups. `has_kind` says that the card tells
/// its kind itself.
fn group_line(prop: &Prop<'_>, has_kind: bool) -> Option<String> {
    let value = || lines::decode(prop.value.trim_ascii()).into_owned();
    if prop.is("X-ADDRESSBOOKSERVER-KIND") {
        return (!has_kind).then(|| format!("KIND:{}\n", value().to_lowercase()));
    }
    if prop.is("X-ADDRESSBOOKSERVER-MEMBER") {
        return Some(format!("MEMBER:{}\n", value()));
    }
    if prop.is("X-EVOLUTION-LIST") {
        let is_list = prop.value.trim_ascii().eq_ignore_ascii_case(b"TRUE") && !has_kind;
        return is_list.then(|| "KIND:group\n".to_owned());
    }
    let address = prop.param("X-EVOLUTION-DEST-EMAIL").filter(|address| prop.is("EMAIL") && !address.is_empty())?;
    Some(format!("MEMBER:mailto:{}\n", lines::decode(address)))
}

fn weigh(text: &str) -> Result<(), &'static str> {
    const TEXTS: [&str; 7] = ["NOTE", "PHOTO", "LOGO", "SOUND", "KEY", "LABEL", "X-ABADR"];
    if text.len() > CARD_LIMIT {
        return Err("larger than 64 MiB");
    }
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b',' | b';')).count();
    let mut values = 0usize;
    for line in lines::lines(text.as_bytes()) {
        let unfolded = line.text();
        let Some(prop) = Prop::parse(&unfolded) else {
            continue;
        };
        let in_value = if TEXTS.iter().any(|name| prop.is(name)) { 0 } else { count(prop.value) };
        values += 1 + in_value + count(prop.params);
        if values > VALUES_LIMIT {
            return Err("too many properties");
        }
    }
    Ok(())
}

fn convert(text: &str) -> Result<Value, &'static str> {
    let text = lines::plain_breaks(text);
    let value = guarded(|| {
        let Entry::VCard(card) = Parser::new(&text).entry() else {
            return None;
        };
        serde_json::to_value(&card.into_jscontact::<String, String>().0).ok()
    });
    let Some(Value::Object(mut map)) = value else {
        return Err("the library cannot read it");
    };
    map.remove("uid");
    map.remove("id");
    map.insert("@type".to_owned(), json!("Card"));
    map.entry("version").or_insert_with(|| json!("1.0"));
    let mut value = Value::Object(map);
    sort_keys(&mut value);
    Ok(value)
}

/// What stands for a card that cannot be converted.
fn stub(vcf: &[u8]) -> Value {
    let mut name = None;
    for line in lines::lines(vcf) {
        let text = line.text();
        if let Some(prop) = Prop::parse(&text).filter(|prop| prop.is("FN")) {
            let value = prop.value.get(..4096).unwrap_or(prop.value);
            name = Some(lines::unescape(&lines::decode(value)).trim().to_owned());
            break;
        }
    }
    json!({"@type": "Card", "name": {"full": name.unwrap_or_default()}, "version": "1.0"})
}

/// One vCard 4.0 (RFC 6350) of a JSContact Card, as `contact_cards.data` of a 1.x archive holds it, with CRLF line
/// ends. `uid` counts, whatever `data` says. Unknown properties become JSPROP properties (RFC 9555), blobs `data:`
/// URIs, and a card without a full name gets one from what else names it, because FN is mandatory.
///
/// # Errors
/// [`ErrorKind::Unreadable`](crate::error::ErrorKind::Unreadable) for what is no such object, for what is nested too deep, too
/// large or too rich to be converted in about a second, and for malformed blob references;
/// [`ErrorKind::Damaged`](crate::error::ErrorKind::Damaged) if a blob is missing.
pub fn to_vcf(data: &Value, uid: &str, blobs: &Blobs<'_>) -> Result<Vec<u8>> {
    check_shape(data, COST_LIMIT)?;
    if !matches!(data.get("@type").and_then(Value::as_str), Some("Card") | None) {
        return Err(unreadable("the object is no contact card"));
    }
    let mut data = data.clone();
    inline_blobs(&mut data, "uri", blobs, &mut JSON_LIMIT.clone())?;
    let Value::Object(mut map) = data else {
        return Err(unreadable("the card is no JSON object"));
    };
    map.insert("@type".to_owned(), json!("Card"));
    map.insert("uid".to_owned(), uid.into());
    full_name(&mut map, uid);
    let text = serde_json::to_string(&map).map_err(|cause| unreadable("the card").because(cause))?;
    let text = guarded(|| {
        let card = JSContact::<String, String>::parse(&text).ok()?.into_vcard()?;
        let mut out = String::new();
        card.write_to(&mut out, VCardVersion::V4_0).ok()?;
        Some(out)
    })
    .ok_or_else(|| unreadable("the card cannot be converted to vCard"))?;
    let bytes = repair(&text, "");
    // Names of properties come from the data (`vCard`): they must not have made a second card of it.
    if vcf::split(&bytes).items.len() != 1 {
        return Err(unreadable("the card cannot be converted to vCard"));
    }
    Ok(bytes)
}

/// Sees to `name.full`.
fn full_name(map: &mut Map<String, Value>, uid: &str) {
    fn text(value: Option<&Value>) -> Option<Cow<'_, str>> {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
    fn of_first<'a>(map: &'a Map<String, Value>, key: &str, part: &str) -> Option<Cow<'a, str>> {
        map.get(key).and_then(Value::as_object).and_then(|all| all.values().find_map(|one| text(one.get(part))))
    }
    let name = map.get("name");
    if text(name.and_then(|name| name.get("full"))).is_some() {
        return;
    }
    let components = name.and_then(|name| name.get("components")).and_then(Value::as_array).map(|components| {
        let parts: Vec<Cow<'_, str>> = components.iter().filter_map(|part| text(part.get("value"))).collect();
        Cow::Owned(parts.join(" "))
    });
    let full = components
        .filter(|full: &Cow<'_, str>| !full.is_empty())
        .or_else(|| of_first(map, "organizations", "name"))
        .or_else(|| of_first(map, "nicknames", "name"))
        .or_else(|| of_first(map, "emails", "address"))
        .or_else(|| of_first(map, "phones", "number"))
        .unwrap_or(Cow::Borrowed(uid))
        .into_owned();
    match map.get_mut("name") {
        Some(Value::Object(name)) => {
            name.insert("full".to_owned(), full.into());
        }
        _ => {
            map.insert("name".to_owned(), json!({"full": full}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_go_and_come() {
        let card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nN:Doe;Jane;;;\r\nFN:Jane Doe\r\nEMAIL;TYPE=WORK:j@x.y\r\n\
            PHOTO;ENCODING=b;TYPE=PNG:aGkhIQ==\r\nX-ODD;Y=Z:1\r\nEND:VCARD\r\n";
        let converted = to_jscontact(card);
        assert_eq!((converted.problem, converted.stub), (None, false));
        let data = converted.data;
        assert!(data.get("uid").is_none());
        assert_eq!(data["name"]["full"], "Jane Doe");
        assert!(data.to_string().contains("data:image/png;base64,aGkhIQ=="), "{data}");
        let back = String::from_utf8(to_vcf(&data, "u1", &|_| None).unwrap()).unwrap().replace("\r\n ", "");
        for part in ["VERSION:4.0", "UID:u1\r\n", "FN:Jane Doe", "j@x.y", "base64,aGkhIQ==\r\n", "X-ODD;Y=Z:1"] {
            assert!(back.contains(part), "{part}: {back}");
        }
        assert_eq!(to_jscontact(card).data.to_string(), data.to_string());
    }

    #[test]
    fn agents_and_foreign_text() {
        let card =
            b"BEGIN:VCARD\nVERSION:2.1\nFN:M\xFCller\nAGENT:\nBEGIN:VCARD\nFN:Inner\nEND:VCARD\nTEL:1\nEND:VCARD\n";
        let converted = to_jscontact(card);
        assert!(converted.problem.is_some() && !converted.stub);
        let text = converted.data.to_string();
        assert!(text.contains("Müller") && text.contains("\"1\"") && !text.contains("Inner"), "{text}");
    }

    #[test]
    fn groups_of_older_cards_are_groups() {
        for (lines, members) in [
            (
                "item1.X-ADDRESSBOOKSERVER-KIND:group\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:A\nX-addressbookserver-member:\n urn:uuid:B\n",
                json!({"urn:uuid:A": true, "urn:uuid:B": true}),
            ),
            ("KIND:group\nX-ADDRESSBOOKSERVER-KIND:group\nMEMBER:urn:uuid:A\n", json!({"urn:uuid:A": true})),
            (
                "X-EVOLUTION-LIST:TRUE\nEMAIL;X-EVOLUTION-DEST-EMAIL=a@b.c;X-EVOLUTION-DEST-CONTACT-UID=x:A <a@b.c>\n",
                json!({"mailto:a@b.c": true}),
            ),
        ] {
            let converted =
                to_jscontact(format!("BEGIN:VCARD\nVERSION:3.0\nUID:g\nFN:G\n{lines}END:VCARD\n").as_bytes());
            assert_eq!((&converted.data["kind"], &converted.data["members"]), (&json!("group"), &members), "{lines}");
            let back = String::from_utf8(to_vcf(&converted.data, "g", &|_| None).unwrap()).unwrap();
            assert!(back.contains("KIND:GROUP") || back.contains("KIND:group"), "{back}");
            assert_eq!(back.matches("MEMBER:").count(), members.as_object().unwrap().len(), "{back}");
        }
        let person = to_jscontact(b"BEGIN:VCARD\nVERSION:3.0\nFN:P\nX-EVOLUTION-LIST:FALSE\nEND:VCARD\n");
        assert_eq!(person.data.get("kind"), None);
    }

    #[test]
    fn rich_cards_become_stubs() {
        let card = format!("BEGIN:VCARD\nVERSION:4.0\nFN:a\\,b\n{}END:VCARD\n", "TEL:1\n".repeat(100_000));
        let converted = to_jscontact(card.as_bytes());
        assert!(converted.stub && converted.problem.is_some());
        assert_eq!(converted.data["name"]["full"], "a,b");
        let note = format!("BEGIN:VCARD\nVERSION:4.0\nFN:a\nNOTE:{}\nEND:VCARD\n", ", ".repeat(100_000));
        assert!(!to_jscontact(note.as_bytes()).stub);
    }

    #[test]
    fn odd_objects() {
        let none = |_: i64| None;
        for bad in [json!(null), json!([]), json!({"@type": "Group"}), json!({"media": {"a": {"@blob": 1}}})] {
            assert!(to_vcf(&bad, "u", &none).is_err(), "{bad}");
        }
        for odd in [
            json!({}),
            json!({"name": 3, "emails": {"e": {"address": "a@b"}}, "uid": "other"}),
            json!({"name": {"components": [{"kind": "given", "value": "A"}, 3]}}),
            json!({"vCard": {"properties": [["x\r\nEND:VCARD\r\nBEGIN:VCARD", {}, "text", "1"]]}}),
        ] {
            if let Ok(bytes) = to_vcf(&odd, "u", &none) {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains("UID:u\r\n") && text.contains("FN"), "{text}");
            }
        }
    }
}
