//! Times as text (RFC 3339) and as seconds since 1970.

/// RFC 3339 in UTC, to the second.
const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// Seconds since 1970 as RFC 3339 in UTC. Years beyond 0000-9999 are cut there.
pub fn rfc3339(seconds: i64) -> String {
    let seconds = seconds.clamp(-62_167_219_200, 253_402_207_200);
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime(FORMAT).to_string())
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// Seconds since 1970 of an RFC 3339 date-time with any offset; 0 where it is none.
pub fn epoch(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map(|time| time.as_second()).unwrap_or(0)
}

/// Now, as archives write it: RFC 3339 in UTC, to the second.
pub fn now() -> String {
    jiff::Timestamp::now().strftime(FORMAT).to_string()
}
