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
                    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
                    let fixed = parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
                    let start = self.resolve(&parts[..fixed].join("/"))?;
                    if !self.pick_matches(start, &parts[fixed..], pattern, &mut picks)? {
                        return Err(Error::new(ErrorKind::NotFound, format!("nothing matches {pattern:?}"))
                            .hint("list a folder with: vandelay ls ARCHIVE FOLDER"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(picks)
    }

    fn pick_matches(&self, node: Node, parts: &[&str], pattern: &str, picks: &mut PathFilter) -> Result<bool> {
        let Some((first, rest)) = parts.split_first() else {
            self.pick(node, pattern, picks)?;
            return Ok(true);
        };
        if *first == "**" && rest.is_empty() {
            self.pick(node, pattern, picks)?;
            return Ok(true);
        }
        let mut is_found = *first == "**" && self.pick_matches(node, rest, pattern, picks)?;
        let mut after = 0;
        loop {
            let page: Vec<Child> = self.children(node, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(is_found) };
            after = last.cookie;
            for child in page {
                if *first == "**" {
                    is_found |= child.file_type == FileType::Directory
                        && self.pick_matches(child.node, parts, pattern, picks)?;
                } else if is_like(&child.name, first) && (rest.is_empty() || child.file_type == FileType::Directory) {
                    is_found |= self.pick_matches(child.node, rest, pattern, picks)?;
                }
            }
        }
    }

    fn pick(&self, node: Node, pattern: &str, picks: &mut PathFilter) -> Result<()> {
        if node.kind == NodeKind::Snapshots {
            return Err(Error::new(ErrorKind::Usage, format!("{pattern:?} is a snapshot"))
                .hint("--at says which snapshot is meant"));
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
    use super::is_like;

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
