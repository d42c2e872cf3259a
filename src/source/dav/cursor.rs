//! What a collection was when it was listed last: with it most collections need no question of their own.

use crate::protocol::dav::KnownHome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use url::Url;

/// A token is believed for so long; then a full listing proves it.
const PROVED_FOR: i64 = 7 * 24 * 3600;

/// What a collection was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// `getctag`, which changes with everything in the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctag: Option<String>,
    /// The token of RFC 6578.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When everything in it was listed, in seconds since 1970.
    pub listed: i64,
}

impl Cursor {
    /// What was stored; nothing if that says nothing.
    pub(super) fn parse(text: &str) -> Option<Cursor> {
        serde_json::from_str(text).ok()
    }

    /// The text to store; empty if the collection says nothing that a later run could go on from.
    pub(super) fn text(&self) -> String {
        match (&self.ctag, &self.token) {
            (None, None) => String::new(),
            (ctag, token) if [ctag, token].into_iter().flatten().any(|mark| is_of_now(mark)) => String::new(),
            _ => serde_json::to_string(self).unwrap_or_default(),
        }
    }

    /// True if the last full listing was long ago, or by a clock that goes wrong.
    pub(super) fn is_old(&self) -> bool {
        !(0..PROVED_FOR).contains(&(now() - self.listed))
    }

    /// True if a collection that is like this now has not changed since.
    pub(super) fn is_current(&self, ctag: Option<&str>, token: Option<&str>) -> bool {
        match (&self.ctag, ctag) {
            (Some(known), Some(now)) => known == now,
            _ => matches!((&self.token, token), (Some(known), Some(now)) if known == now),
        }
    }
}

/// The one collection that the collections of an account lie in, by their keys and cursors. `None` where there are several,
/// or where any was last proved long ago: then everything is looked for anew, new homes as well.
pub fn known_home(origin: &Url, principal: &str, scopes: &[(String, String)]) -> Option<KnownHome> {
    let mut homes: BTreeSet<&str> = BTreeSet::new();
    for (key, cursor) in scopes {
        // The import's own day stands before it.
        let cursor = Cursor::parse(&cursor[cursor.find('{')?..])?;
        let (home, _) = key.strip_prefix('/').filter(|_| !cursor.is_old())?.rsplit_once('/')?;
        homes.insert(home);
    }
    let home = homes.pop_first().filter(|_| homes.is_empty())?;
    let home = origin.join(&format!("/{home}/")).ok()?;
    Some(KnownHome { home, principal: principal.to_owned() })
}

/// True for the time of the last change in seconds, which SOGo gives as a token, if that was just now: a change within the
/// same second would not show. A minute is for clocks that differ.
fn is_of_now(mark: &str) -> bool {
    mark.parse::<i64>().is_ok_and(|seconds| (now() - seconds).abs() <= 60)
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_known_as_long_as_all_was_proved_lately() {
        let origin = Url::parse("https://dav.example.org/").expect("a URL");
        let scope = |key: &str, listed: i64| {
            (key.to_owned(), format!("20600 {}", Cursor { ctag: Some("1".to_owned()), token: None, listed }.text()))
        };
        let of = |scopes: &[(String, String)]| known_home(&origin, "p", scopes).map(|known| known.home.to_string());
        let (a, b) = (scope("/cal/al%20ice/a", now()), scope("/cal/al%20ice/b", now()));
        assert_eq!(of(&[a.clone(), b.clone()]).as_deref(), Some("https://dav.example.org/cal/al%20ice/"));
        assert_eq!(of(&[a.clone(), scope("/cal/bob/b", now())]), None);
        assert_eq!(of(&[a.clone(), scope("/cal/al%20ice/b", now() - PROVED_FOR)]), None);
        assert_eq!(of(&[a, ("/cal/al%20ice/c".to_owned(), String::new())]), None);
        assert_eq!(of(&[scope("https://other.example/x/y", now())]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_collection_is_current_by_its_ctag_else_by_its_token() {
        let cursor = |ctag: Option<&str>, token: Option<&str>| Cursor {
            ctag: ctag.map(str::to_owned),
            token: token.map(str::to_owned),
            listed: now(),
        };
        assert!(cursor(Some("1"), Some("a")).is_current(Some("1"), Some("b")));
        assert!(!cursor(Some("1"), Some("a")).is_current(Some("2"), Some("a")));
        assert!(cursor(None, Some("a")).is_current(Some("2"), Some("a")));
        assert!(!cursor(None, None).is_current(None, None));
        let text = cursor(Some("1"), None).text();
        assert_eq!(Cursor::parse(&text).map(|cursor| cursor.text()), Some(text));
        assert_eq!(cursor(None, None).text(), "");
        let of = |seconds: i64| cursor(None, Some(&seconds.to_string())).text();
        assert_eq!(of(now()), "");
        assert_ne!(of(now() - 61), "");
        let old = Cursor { listed: now() - PROVED_FOR, ..cursor(Some("1"), None) };
        assert!(old.is_old() && !cursor(Some("1"), None).is_old());
        assert!(Cursor { listed: now() + 60, ..old }.is_old());
    }
}
