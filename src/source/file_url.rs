//! The address of a directory, which identifies a source of local files.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the URL standard escapes in a path of segments.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'\\');

/// The `file:` URL of an absolute path (RFC 8089), escaped as Vandelay 1.x escapes it: the URL is part of the identity of
/// a source.
pub(super) fn file_url(path: &Path) -> String {
    format!("file://{}", percent_encode(path.as_os_str().as_bytes(), ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn paths_become_urls() {
        let url = |path: &[u8]| file_url(Path::new(OsStr::from_bytes(path)));
        assert_eq!(url("/home/a b/M%?é^~'".as_bytes()), "file:///home/a%20b/M%25%3F%C3%A9^~'");
        assert_eq!(url(b"/"), "file:///");
        let all: Vec<u8> = (1..=255).collect();
        let kept: String = percent_encoding::percent_decode_str(&url(&all)[7..]).map(char::from).collect();
        assert_eq!(kept.chars().map(|c| c as u32).collect::<Vec<_>>(), (1..=255).collect::<Vec<u32>>());
        let plain: String = (1..=255).filter(|byte| !url(&[*byte]).contains('%')).map(char::from).collect();
        assert_eq!(plain, "!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz|~");
    }
}
