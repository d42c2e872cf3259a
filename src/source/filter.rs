//! Which folders a run takes: `--include`, `--exclude` and `--folder`.

use crate::error::{Error, ErrorKind, Result};
use crate::model::text::nearest;
use crate::net::sanitize::said;
use regex::Regex;

/// A choice of folders by their decoded full names, `/` between the parts.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    folders: Vec<String>,
}

impl Filter {
    /// Takes the folders that some `include` matches (all, if there is none) and no `exclude` does: regular
    /// expressions searched for anywhere in the name. Or else those that `folders` names in full; `INBOX` is taken in
    /// any case, and `.A.B` and `A.B` (Maildir++) mean `A/B` as well.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an invalid expression, and for `folders` beside `include` or `exclude`.
    pub fn new(include: &[String], exclude: &[String], folders: &[String]) -> Result<Filter> {
        let by_pattern = !include.is_empty() || !exclude.is_empty();
        if by_pattern && !folders.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "--folder cannot be combined with --include or --exclude")
                .hint("name all folders with --folder, or use expressions alone"));
        }
        Ok(Filter {
            include: compile("--include", include)?,
            exclude: compile("--exclude", exclude)?,
            folders: folders.to_vec(),
        })
    }

    /// The filter that takes every folder.
    pub fn all() -> Filter {
        Filter::default()
    }

    /// True if every folder is taken.
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.folders.is_empty()
    }

    /// Whether the folder `name` is taken.
    pub fn selects(&self, name: &str) -> bool {
        if !self.folders.is_empty() {
            return self.folders.iter().any(|folder| names(folder, name));
        }
        (self.include.is_empty() || self.include.iter().any(|pattern| pattern.is_match(name)))
            && !self.exclude.iter().any(|pattern| pattern.is_match(name))
    }

    /// The values of `--folder` that name none of the `existing` folders: misspelled, or gone.
    pub fn unmatched<'f>(&'f self, existing: &[&str]) -> Vec<&'f str> {
        let is_missing = |folder: &&String| !existing.iter().any(|name| names(folder, name));
        self.folders.iter().filter(is_missing).map(String::as_str).collect()
    }

    /// An error if the flags take none of the folders that exist `in_place` (`in /home/a/Maildir`, `on the server`): one
    /// and the same for `--folder`, `--include` and `--exclude`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`]; the hint names the folders that there are.
    pub fn check(&self, existing: &[&str], in_place: &str) -> Result<()> {
        if existing.is_empty() || existing.iter().any(|name| self.selects(name)) {
            return Ok(());
        }
        Err(self.nothing_selected(existing, in_place))
    }

    /// The error of a run whose flags leave no folder.
    pub fn nothing_selected(&self, existing: &[&str], in_place: &str) -> Error {
        let (typed, what) = match (self.unmatched(existing).first(), self.include.first()) {
            (Some(folder), _) => (Some(*folder), format!("there is no folder {folder:?} {in_place}")),
            (None, Some(include)) if !existing.iter().any(|name| include.is_match(name)) => {
                let include = include.as_str();
                (Some(include), format!("there is no folder that matches --include {include:?} {in_place}"))
            }
            _ => (None, format!("the flags leave out every folder {in_place}")),
        };
        let near = typed.and_then(|typed| {
            let same = existing.iter().find(|name| name.to_lowercase() == typed.to_lowercase());
            same.copied().or_else(|| nearest(typed, existing.iter().copied()))
        });
        let near = near.map(|near| format!("did you mean {}? ", said(near.as_bytes()))).unwrap_or_default();
        let there: Vec<String> = existing.iter().take(12).map(|name| said(name.as_bytes())).collect();
        let more = if existing.len() > there.len() { ", …" } else { "" };
        Error::new(ErrorKind::Usage, what).hint(format!("{near}folders: {}{more}", there.join(", ")))
    }
}

/// Whether `folder`, as the user wrote it, means the folder `name`.
fn names(folder: &str, name: &str) -> bool {
    let dotted = || name.replace('/', ".");
    folder == name
        || (name == "INBOX" && folder.eq_ignore_ascii_case(name))
        || (folder.contains('.') && folder.strip_prefix('.').unwrap_or(folder) == dotted())
}

fn compile(flag: &str, patterns: &[String]) -> Result<Vec<Regex>> {
    let compile = |pattern: &String| {
        Regex::new(pattern).map_err(|error| {
            // The crate draws the pattern over several lines; the last one says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            Error::new(ErrorKind::Usage, format!("{flag} {pattern:?} is not a regular expression: {reason}"))
                .hint("put a backslash before a special character; for an exact name use --folder")
        })
    };
    patterns.iter().map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn filter(include: &[&str], exclude: &[&str], folders: &[&str]) -> Filter {
        Filter::new(&strings(include), &strings(exclude), &strings(folders)).unwrap()
    }

    #[test]
    fn expressions() {
        let some = filter(&["^Archive/", "(?i)inbox"], &["2019$"], &[]);
        assert!(some.selects("Archive/2024") && some.selects("INBOX"));
        assert!(!some.selects("Archive/2019") && !some.selects("Archive") && !some.selects("Sent"));
        assert!(Filter::all().selects("anything"));
        assert!(!filter(&[], &["Spam"], &[]).selects("INBOX/Spam"));
    }

    #[test]
    fn folders() {
        let some = filter(&[], &[], &["Archive/2024", ".Lists.rust", "inbox", "A.B", "v1.0"]);
        for name in ["Archive/2024", "Lists/rust", "INBOX", "A/B", "v1.0"] {
            assert!(some.selects(name), "{name}");
        }
        for name in ["Archive", "Archive/2024/01", "archive/2024", "Lists"] {
            assert!(!some.selects(name), "{name}");
        }
        assert_eq!(some.unmatched(&["INBOX", "A/B", "v1.0"]), ["Archive/2024", ".Lists.rust"]);
    }

    #[test]
    fn flags_that_take_no_folder_are_an_error() {
        let existing = ["INBOX", "Work"];
        for (some, said, hint) in [
            (
                filter(&[], &[], &["Wrok"]),
                "there is no folder \"Wrok\" here",
                "did you mean Work? folders: INBOX, Work",
            ),
            (filter(&[], &[], &["Zzz"]), "there is no folder \"Zzz\" here", "folders: INBOX, Work"),
            (
                filter(&["inbox"], &[], &[]),
                "there is no folder that matches --include \"inbox\" here",
                "did you mean INBOX? folders: INBOX, Work",
            ),
            (filter(&["Work"], &["."], &[]), "the flags leave out every folder here", "folders: INBOX, Work"),
        ] {
            let error = some.check(&existing, "here").unwrap_err();
            assert_eq!((error.kind, error.to_string().as_str()), (ErrorKind::Usage, said));
            assert_eq!(error.hint_text(), Some(hint));
        }
        assert!(filter(&["Work"], &[], &[]).check(&existing, "here").is_ok());
        assert!(filter(&["Wrok"], &[], &[]).check(&[], "here").is_ok());
    }

    #[test]
    fn errors() {
        let error = Filter::new(&strings(&["a(b"]), &[], &[]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert_eq!(error.to_string(), "--include \"a(b\" is not a regular expression: unclosed group");
        assert_eq!(Filter::new(&[], &strings(&["x"]), &strings(&["y"])).unwrap_err().kind, ErrorKind::Usage);
    }
}
