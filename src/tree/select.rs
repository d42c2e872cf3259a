//! Which objects a path or a pattern means: `mail/INBOX/**`, `contacts/*/bob@example.org.vcf`, or a path as `ls` shows it.

use super::child::Child;
use super::kinds::NodeKind;
use super::node::Node;
use super::opened::Tree;
use super::stat::FileType;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ObjectType, PathFilter};

/// How many entries of a directory are read at once.
const PAGE: usize = 1_024;

impl Tree {
    /// The objects at these paths. `*` and `?` match within one name, `**` matches any number of names. A directory means
    /// everything in it.
    ///
    /// Errors: [`ErrorKind::NotFound`] for a path that does not exist, [`ErrorKind::Usage`] for a snapshot.
    pub fn select<'p>(&self, patterns: impl Iterator<Item = &'p str>) -> Result<PathFilter> {
        let mut picks = PathFilter::default();
        for pattern in patterns {
            match self.resolve(pattern) {
                Ok(node) => self.pick(node, pattern, &mut picks)?,
                Err(error) if error.kind == ErrorKind::NotFound && pattern.contains(['*', '?']) => {
                    self.each_match(pattern, &mut |node, _| self.pick(node, pattern, &mut picks))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(picks)
    }

    /// The path itself if it exists, else all paths that it matches as a pattern, by name.
    ///
    /// Errors: [`ErrorKind::NotFound`] if there is none.
    pub fn expand(&self, pattern: &str) -> Result<Vec<String>> {
        match self.resolve(pattern) {
            Err(error) if error.kind == ErrorKind::NotFound && pattern.contains(['*', '?']) => {}
            resolved => return resolved.map(|_| vec![pattern.to_owned()]),
        }
        let mut paths = Vec::new();
        self.each_match(pattern, &mut |_, path| {
            paths.push(path.to_owned());
            Ok(())
        })?;
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    /// Calls `each` with each node that a pattern matches, and its path. Errors: none matches, or those of `each`.
    fn each_match(&self, pattern: &str, each: &mut dyn FnMut(Node, &str) -> Result<()>) -> Result<()> {
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let fixed = parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
        let place = parts[..fixed].join("/");
        let start = self.resolve(&place)?;
        if self.matches_below((start, &place), &parts[fixed..], each)? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("nothing matches {pattern:?}"))
            .hint("list a folder with: vandelay ls ARCHIVE FOLDER"))
    }

    fn matches_below(
        &self,
        (node, place): (Node, &str),
        parts: &[&str],
        each: &mut dyn FnMut(Node, &str) -> Result<()>,
    ) -> Result<bool> {
        let Some((first, rest)) = parts.split_first() else {
            each(node, place)?;
            return Ok(true);
        };
        if *first == "**" && rest.is_empty() {
            each(node, place)?;
            return Ok(true);
        }
        let mut is_found = *first == "**" && self.matches_below((node, place), rest, each)?;
        let mut after = 0;
        loop {
            let page: Vec<Child> = self.children(node, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(is_found) };
            after = last.cookie;
            for child in page {
                let path = if place.is_empty() { child.name.clone() } else { format!("{place}/{}", child.name) };
                if *first == "**" {
                    is_found |= child.file_type == FileType::Directory
                        && self.matches_below((child.node, &path), parts, each)?;
                } else if is_like(&child.name, first) && (rest.is_empty() || child.file_type == FileType::Directory) {
                    is_found |= self.matches_below((child.node, &path), rest, each)?;
                }
            }
        }
    }

    fn pick(&self, node: Node, pattern: &str, picks: &mut PathFilter) -> Result<()> {
        if node.kind == NodeKind::Snapshots {
            return Err(Error::new(ErrorKind::Usage, format!("{pattern:?} is a snapshot"))
                .hint("--at says which snapshot is meant"));
        }
        if node.kind == NodeKind::Search {
            return Err(Error::new(ErrorKind::Usage, format!("{pattern:?} is no query"))
                .hint(format!("e.g. {pattern}/from:alice")));
        }
        if node.is_search() {
            picks.rows.extend(self.found_rows(node)?.into_iter().map(|row| (ObjectType::Email, row)));
            return Ok(());
        }
        if node.kind == NodeKind::ActiveScript {
            // The script that the link leads to.
            let view = self.view(node)?;
            let active = view.scripts()?.items.iter().find(|script| script.is_active);
            picks.rows.extend(active.map(|script| (ObjectType::SieveScript, script.id)));
            return Ok(());
        }
        match (node.kind.object_type(), node.shown_row()) {
            (Some(object), Some(row)) if ObjectType::CONTAINERS.contains(&object) => {
                picks.whole.insert((object, row));
            }
            (Some(object), Some(row)) => {
                picks.rows.insert((object, row));
            }
            _ => picks.kinds.extend(node.descriptor().types),
        }
        Ok(())
    }
}

/// True if a pattern means a path, or a directory above it.
pub fn covers(pattern: &str, path: &str) -> bool {
    fn parts(text: &str) -> Vec<&str> {
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
    }
    fn matches(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => true,
            Some((&"**", rest)) => (0..=path.len()).any(|skipped| matches(rest, &path[skipped..])),
            Some((first, rest)) => {
                path.split_first().is_some_and(|(name, path)| is_like(name, first) && matches(rest, path))
            }
        }
    }
    let mut pattern = parts(pattern);
    // Each of several in a row would try all that the others try.
    pattern.dedup_by(|next, part| next == part && *part == "**");
    matches(&pattern, &parts(path))
}

/// True if a name is like a pattern with `*` and `?`.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    let (mut at, mut of) = (0, 0);
    // The place of the last star, and how much of the name it has matched so far.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(c) if *c == '?' || *c == name[at] => {
                (at, of) = (at + 1, of + 1);
            }
            _ => match star {
                Some((star_at, matched)) => {
                    star = Some((star_at, matched + 1));
                    (at, of) = (matched + 1, star_at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::{covers, is_like};

    #[test]
    fn patterns_cover_paths_and_what_is_below_them() {
        for (pattern, path, expected) in [
            ("mail/INBOX", "mail/INBOX/cur/1.a", true),
            ("/mail/INBOX/", "mail/INBOX", true),
            ("mail/INBOX", "mail/INBOX2/cur/1", false),
            ("mail/*/cur", "mail/a/b/cur/1", false),
            ("mail/**/cur", "mail/a/b/cur/1", true),
            ("**/*.ics", "calendars/Work/e.ics", true),
            ("**/**/**/**/**/**/**/**/x", &"a/".repeat(200), false),
            ("", "mail", true),
        ] {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns() {
        for (name, pattern, like) in [
            ("INBOX", "INBOX", true),
            ("INBOX", "*", true),
            ("INBOX", "I*X", true),
            ("INBOX", "I?BOX", true),
            ("INBOX", "I*Y", false),
            ("", "*", true),
            ("aXbXc", "*X*X?", true),
            ("aXbXc", "*X?", true),
            ("äö", "?ö", true),
            ("a", "??", false),
            ("a", "", false),
        ] {
            assert_eq!(is_like(name, pattern), like, "{name} {pattern}");
        }
        assert!(!is_like(&"a".repeat(5_000), &format!("{}b", "*a".repeat(2_000))));
    }
}
