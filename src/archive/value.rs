//! Column values, for those who write rows without speaking SQL.

pub use rusqlite::types::Value;

/// SQL NULL.
pub const NULL: Value = Value::Null;

/// A text value.
pub fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// A text value, or NULL.
pub fn opt_text(text: Option<&str>) -> Value {
    text.map_or(NULL, |text| Value::Text(text.to_owned()))
}

/// A number value.
pub fn int(number: i64) -> Value {
    Value::Integer(number)
}
