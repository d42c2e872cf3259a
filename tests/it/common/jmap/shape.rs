//! The types of RFC 8620 section 1 and of the data models: what a value of a property may look like.

use serde_json::Value;

/// What a value may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Anything but null.
    Any,
    Text,
    Bool,
    Unsigned,
    Int,
    /// RFC 8620 section 1.2.
    Id,
    /// RFC 8620 section 1.4.
    UtcDate,
    /// `2020-01-02T03:04:05`, RFC 8984 section 1.4.4.
    LocalDate,
    /// RFC 8984 section 1.4.6, without weeks and days mixed up.
    Duration,
    Ids,
    Texts,
    Object,
    Objects,
    /// `Id[Boolean]`, all true, at least one.
    IdSet,
    /// `String[Boolean]`, all true.
    TextSet,
    /// `Id[Object]`.
    IdMap,
    /// `String[Object]`.
    TextMap,
    /// `String[String]`.
    TextToText,
    /// RFC 8621 section 4.1.1: 1 to 255 characters of ASCII without space and without `( ) { ] % * " \`.
    Keywords,
    /// `EmailAddress[]`, RFC 8621 section 4.1.2.3.
    Addresses,
}

impl Shape {
    /// Says what is wrong with the value.
    pub(crate) fn check(self, value: &Value) -> Result<(), String> {
        let is_right = match self {
            Shape::Any => !value.is_null(),
            Shape::Text => value.is_string(),
            Shape::Bool => value.is_boolean(),
            Shape::Unsigned => value.as_u64().is_some_and(|number| number < 1 << 53),
            Shape::Int => value.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53),
            Shape::Id => value.as_str().is_some_and(is_id),
            Shape::UtcDate => value.as_str().is_some_and(is_utc_date),
            Shape::LocalDate => value.as_str().is_some_and(is_local_date),
            Shape::Duration => value.as_str().is_some_and(is_duration),
            Shape::Ids => all(value, |item| item.as_str().is_some_and(is_id)),
            Shape::Texts => all(value, Value::is_string),
            Shape::Object => value.is_object(),
            Shape::Objects => all(value, Value::is_object),
            Shape::IdSet => {
                members(value, |name, value| is_id(name) && *value == Value::Bool(true))
                    && value.as_object().is_some_and(|set| !set.is_empty())
            }
            Shape::TextSet => members(value, |name, value| !name.is_empty() && *value == Value::Bool(true)),
            Shape::IdMap => members(value, |name, value| is_id(name) && value.is_object()),
            Shape::TextMap => members(value, |_, value| value.is_object()),
            Shape::TextToText => members(value, |_, value| value.is_string()),
            Shape::Keywords => members(value, |name, value| is_keyword(name) && *value == Value::Bool(true)),
            Shape::Addresses => all(value, is_address),
        };
        if is_right { Ok(()) } else { Err(format!("not of type {self:?}: {}", short(value))) }
    }
}

fn all(value: &Value, is_right: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|array| array.iter().all(is_right))
}

fn members(value: &Value, is_right: impl Fn(&str, &Value) -> bool) -> bool {
    value.as_object().is_some_and(|object| object.iter().all(|(name, value)| is_right(name, value)))
}

fn is_address(value: &Value) -> bool {
    value.as_object().is_some_and(|address| {
        address.get("email").is_some_and(Value::is_string)
            && address.iter().all(|(name, value)| match name.as_str() {
                "email" => true,
                "name" => value.is_null() || value.is_string(),
                _ => false,
            })
    })
}

/// The beginning of a value, for messages.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// "a String of at least 1 and a maximum of 255 octets in size, and it MUST only contain characters from the URL and
/// Filename Safe base64 alphabet", RFC 8620 section 1.2.
pub(super) fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// RFC 8621 section 4.1.1. In this house a client also has to send them in lower case? No: they are case-insensitive.
pub(super) fn is_keyword(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && !b"(){]%*\"\\".contains(&byte))
}

/// RFC 8620 section 1.4: RFC 3339 with capital letters, `Z`, and "the time-secfrac MUST always be omitted if zero".
pub(super) fn is_utc_date(text: &str) -> bool {
    text.strip_suffix('Z').is_some_and(|local| is_date_time(local, true))
}

/// RFC 8984 section 1.4.4; its fraction must not end with a zero either.
pub(super) fn is_local_date(text: &str) -> bool {
    is_date_time(text, true) && !(text.contains('.') && text.ends_with('0'))
}

fn is_date_time(text: &str, may_have_fraction: bool) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let bytes = whole.as_bytes();
    let has_form = bytes.len() == 19
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            10 => *byte == b'T',
            13 | 16 => *byte == b':',
            _ => byte.is_ascii_digit(),
        });
    let has_fraction = fraction.is_none_or(|digits| {
        may_have_fraction
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.bytes().any(|byte| byte != b'0')
    });
    has_form && has_fraction && whole.parse::<jiff::civil::DateTime>().is_ok()
}

/// `P1DT2H`, `P3W`, `PT0S`; RFC 8984 section 1.4.6.
pub(super) fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let has_days = days.is_empty() || parts(days, "WD");
    let has_time = time.is_none_or(|time| parts(time, "HMS"));
    has_days && has_time && !(days.is_empty() && time.is_none())
}

/// Numbers, each followed by one of these letters in this order.
fn parts(text: &str, letters: &str) -> bool {
    let (mut digits, mut next, mut count) = (0, 0, 0);
    for letter in text.chars() {
        if letter.is_ascii_digit() || (letter == '.' && digits > 0) {
            digits += 1;
            continue;
        }
        let Some(at) = letters[next..].find(letter).filter(|_| digits > 0) else { return false };
        (next, digits, count) = (next + at + 1, 0, count + 1);
    }
    digits == 0 && count > 0
}

/// A Net-Unicode string (RFC 5198) of at least one character: no control characters, normalised to NFC.
pub(super) fn is_net_unicode(text: &str) -> bool {
    use unicode_normalization::UnicodeNormalization;
    !text.is_empty() && !text.chars().any(char::is_control) && text.nfc().eq(text.chars())
}
