//! Values as JMAP wants them: keywords, dates, names, colours, media types. Archives come from everywhere, and a server
//! that is strict refuses an object for one of these.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

/// A keyword that a JMAP server takes (RFC 8621 section 4.1.1: 1 to 255 characters of ASCII from `!` to `~`, but none of
/// `( ) { ] % * " \`), in lower case. Characters that are not allowed become `_`. `None` for what nothing is left of,
/// and for what a server must not be given: `\Recent` and `\Deleted` are not keywords in JMAP.
pub fn keyword(keyword: &str) -> Option<String> {
    let is_allowed = |c: char| ('!'..='~').contains(&c) && !"(){]%*\"\\".contains(c);
    let legal: String =
        keyword.trim().nfc().map(|c| if is_allowed(c) { c.to_ascii_lowercase() } else { '_' }).take(255).collect();
    let is_nothing = legal.chars().all(|c| c == '_') || matches!(legal.as_str(), "$deleted" | "$recent");
    (!is_nothing).then_some(legal)
}

/// A date-time as UTCDate (RFC 8620 section 1.4): in UTC with `Z`, fractions only where they are not zero. `None` for
/// what is no date.
pub fn utc(text: &str) -> Option<String> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    let whole = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    // RFC 3339 has years of four digits.
    if whole.len() != 19 {
        return None;
    }
    let nanos = time.subsec_nanosecond();
    if nanos == 0 {
        return Some(format!("{whole}Z"));
    }
    Some(format!("{whole}.{}Z", format!("{nanos:09}").trim_end_matches('0')))
}

/// A Net-Unicode string (RFC 5198) of 1 to `most` octets: no control characters, in the form NFC. `instead` where nothing
/// is left.
pub fn name(text: &str, most: usize, instead: &str) -> String {
    let mut name = String::new();
    for c in text.nfc().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > most {
            break;
        }
        name.push(c);
    }
    let trimmed = name.trim();
    if trimmed.is_empty() { instead.to_owned() } else { name }
}

/// What two names have in common that most servers and people hold for the same (1.x: trimmed, in lower case).
pub fn folded(name: &str) -> String {
    name.nfc().collect::<String>().trim().to_lowercase()
}

/// A colour as a Calendar has it: a CSS3 name or `#RRGGBB` (draft-ietf-jmap-calendars section 4, RFC 8984 section 4.2.11).
/// `#RRGGBBAA`, which Apple writes, loses its transparency.
pub fn color(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix('#') {
        let is_hex = matches!(digits.len(), 3 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_hex.then(|| format!("#{}", &digits[..digits.len().min(6)]));
    }
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| text.to_ascii_lowercase())
}

/// A media type without its parameters, if it is one (RFC 6838 section 4.2).
pub fn media_type(text: &str) -> Option<String> {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let bare = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    bare.split_once('/').is_some_and(|(kind, sub)| is_name(kind) && is_name(sub)).then_some(bare)
}

/// A name of the Time Zone Database, by its form.
pub fn time_zone(text: &str) -> Option<&str> {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    let is_zone = text == "UTC" || (text.contains('/') && text.split('/').all(is_part));
    is_zone.then_some(text)
}

/// The address of a ParticipantIdentity, in the words of this draft or a former one (draft-ietf-jmap-calendars section 3):
/// drafts before 22 had `scheduleId`, and before that `sendTo`.
pub fn participant_address(object: &Map<String, Value>) -> Option<&str> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let ways = || object.get("sendTo").and_then(Value::as_object);
    let way = || ways().and_then(|ways| ways.get("imip").or_else(|| ways.values().next())).and_then(Value::as_str);
    text("calendarAddress").or_else(|| text("scheduleId")).or_else(way)
}

/// Calls `visit` for every object in a value, itself included, from the outside in.
///
/// The recursion is bounded, as serde_json parses at most 128 levels.
pub fn each_object(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values_mut().for_each(|value| each_object(value, visit));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_object(value, visit)),
        _ => {}
    }
}

/// Visits a value and every object in it, without changing any.
pub fn see_objects<'v>(value: &'v Value, visit: &mut dyn FnMut(&'v Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|value| see_objects(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| see_objects(value, visit)),
        _ => {}
    }
}

/// A text property; empty where there is none.
pub fn text<'o>(object: &'o Object, name: &str) -> &'o str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An object in JMAP's words.
pub type Object = Map<String, Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_become_legal() {
        for (given, legal) in [
            ("$seen", Some("$seen")),
            ("Work", Some("work")),
            ("a b", Some("a_b")),
            ("größe", Some("gr__e")),
            ("x(1)", Some("x_1_")),
            ("[gmail]", Some("[gmail_")),
            ("", None),
            ("  ", None),
            ("日本", None),
            ("$Deleted", None),
            ("$recent", None),
        ] {
            assert_eq!(keyword(given).as_deref(), legal, "{given}");
        }
        assert_eq!(keyword(&"x".repeat(300)).map(|legal| legal.len()), Some(255));
    }

    #[test]
    fn dates_are_in_utc() {
        for (given, utc_date) in [
            ("2025-05-12T10:00:00+02:00", Some("2025-05-12T08:00:00Z")),
            ("2025-05-12T10:00:00.500Z", Some("2025-05-12T10:00:00.5Z")),
            ("2025-05-12T10:00:00.000Z", Some("2025-05-12T10:00:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(utc(given).as_deref(), utc_date, "{given}");
        }
    }

    #[test]
    fn names_colours_types_and_zones() {
        assert_eq!(name("Ca\u{0308}fe\n", 255, "x"), "Cäfe");
        assert_eq!(
            (name("äb", 1, "x"), name("\u{7}", 9, "x"), name("äb", 2, "x")),
            ("x".into(), "x".into(), "ä".into())
        );
        assert_eq!(folded(" INBOX "), "inbox");
        assert_eq!(color("#2E8B57ff").as_deref(), Some("#2E8B57"));
        assert_eq!((color("Red").as_deref(), color("#12"), color("1")), (Some("red"), None, None));
        assert_eq!(media_type("Text/Plain; charset=x").as_deref(), Some("text/plain"));
        assert_eq!((media_type("text"), media_type("a/b c")), (None, None));
        assert_eq!((time_zone("Europe/Zurich"), time_zone("W. Europe Standard Time")), (Some("Europe/Zurich"), None));
    }
}
