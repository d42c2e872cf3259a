//! Definitions as TimeZone objects of JSCalendar (RFC 8984 4.7.2) and back.

use super::definition::{
    Day, Definition, OBSERVANCES, Observance, Rule, WEEKDAYS, date_time, naive, offset_text, utc_offset, weekday,
};
use serde_json::{Map, Value, json};

impl Definition {
    /// The TimeZone object; `name` is the TZID of iCalendar.
    pub(crate) fn to_json(&self, name: &str) -> Value {
        let rules = |is_daylight: bool| -> Vec<Value> {
            self.observances.iter().filter(|one| one.is_daylight == is_daylight).map(rule_to_json).collect()
        };
        let mut zone = json!({ "@type": "TimeZone", "tzId": name });
        for (key, is_daylight) in [("standard", false), ("daylight", true)] {
            let rules = rules(is_daylight);
            if !rules.is_empty() {
                zone[key] = rules.into();
            }
        }
        zone
    }

    /// What a TimeZone object says; `None` if it says nothing, or something that is not understood.
    pub(crate) fn from_json(zone: &Value) -> Option<Definition> {
        let mut definition = Definition { observances: Vec::new(), location: None };
        for (key, is_daylight) in [("standard", false), ("daylight", true)] {
            for rule in zone.get(key).and_then(Value::as_array).into_iter().flatten().take(OBSERVANCES) {
                definition.observances.push(rule_from_json(rule, is_daylight)?);
            }
        }
        (!definition.observances.is_empty()).then_some(definition)
    }
}

fn local(seconds: i64) -> String {
    naive(seconds).format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn seconds(text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    date_time(digits.as_bytes()).map(|(time, _)| time)
}

fn rule_to_json(one: &Observance) -> Value {
    let mut rule = json!({
        "@type": "TimeZoneRule",
        "start": local(one.start),
        "offsetFrom": offset_text(one.from),
        "offsetTo": offset_text(one.to),
    });
    if let Some(name) = &one.name {
        rule["names"] = json!({ name: true });
    }
    if !one.dates.is_empty() {
        rule["recurrenceOverrides"] =
            one.dates.iter().map(|date| (local(*date), json!({}))).collect::<Map<String, Value>>().into();
    }
    if let Some(Rule { month, day, interval, until, count }) = &one.rule {
        let mut recurrence =
            json!({ "@type": "RecurrenceRule", "frequency": "yearly", "byMonth": [month.to_string()] });
        let name = |day: &u32| WEEKDAYS[*day as usize % 7].to_ascii_lowercase();
        match day {
            Day::Nth(count, day) => {
                recurrence["byDay"] = json!([{ "@type": "NDay", "day": name(day), "nthOfPeriod": count }]);
            }
            Day::Fixed(day) => recurrence["byMonthDay"] = json!([day]),
            Day::Among(days, day) => {
                recurrence["byMonthDay"] = json!(days);
                recurrence["byDay"] = json!([{ "@type": "NDay", "day": name(day) }]);
            }
        }
        if *interval > 1 {
            recurrence["interval"] = json!(interval);
        }
        match (count, until) {
            (Some(count), _) => recurrence["count"] = json!(count),
            // In the local time of the rule's start, as everywhere in JSCalendar.
            (None, Some(until)) => recurrence["until"] = json!(local(until + i64::from(one.from))),
            (None, None) => {}
        }
        rule["recurrenceRules"] = json!([recurrence]);
    }
    rule
}

fn rule_from_json(rule: &Value, is_daylight: bool) -> Option<Observance> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    let mut one = Observance {
        start: seconds(text("start")?)?,
        from: utc_offset(text("offsetFrom")?)?,
        to: utc_offset(text("offsetTo")?)?,
        is_daylight,
        name: rule.get("names").and_then(Value::as_object).and_then(|names| names.keys().next().cloned()),
        ..Observance::default()
    };
    for date in rule.get("recurrenceOverrides").and_then(Value::as_object).into_iter().flatten().take(OBSERVANCES) {
        one.dates.push(seconds(date.0)?);
    }
    let rules = rule.get("recurrenceRules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let recurrence = match (rules, rule.get("recurrenceRule")) {
        ([], None) => return Some(one),
        ([only], _) => only,
        ([], Some(only)) => only,
        _ => return None,
    };
    let list = |key: &str| recurrence.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let mut parts = vec![format!("FREQ={}", recurrence.get("frequency").and_then(Value::as_str)?)];
    for (key, name) in [("byMonth", "BYMONTH"), ("byMonthDay", "BYMONTHDAY")] {
        let numbers =
            list(key).iter().map(|value| number(value).map(|number| number.to_string())).collect::<Option<Vec<_>>>()?;
        if !numbers.is_empty() {
            parts.push(format!("{name}={}", numbers.join(",")));
        }
    }
    if let [day] = &list("byDay")[..] {
        let name = day.get("day").and_then(Value::as_str).filter(|name| weekday(name).is_some())?;
        let nth = day.get("nthOfPeriod").and_then(number).map(|count| count.to_string()).unwrap_or_default();
        parts.push(format!("BYDAY={nth}{name}"));
    }
    for (key, name) in [("interval", "INTERVAL"), ("count", "COUNT")] {
        parts.extend(recurrence.get(key).and_then(number).map(|number| format!("{name}={number}")));
    }
    let mut rule = Rule::parse(&parts.join(";"), one.start)?;
    rule.until =
        recurrence.get("until").and_then(Value::as_str).and_then(seconds).map(|time| time - i64::from(one.from));
    one.rule = Some(rule);
    Some(one)
}
