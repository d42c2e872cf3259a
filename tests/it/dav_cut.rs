//! Large files over a line that breaks: what came is kept, and the rest is asked for; and files that only look compressed.

use crate::common::dav::import;
use crate::common::fake_dav::{Answer, Asked, FakeDav, etag, found, multistatus};
use crate::common::tree;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const SIZE: usize = 3 << 20;

/// `Range` and `If-Range` of each GET.
type Ranges = Vec<Option<(String, Option<String>)>>;

fn bytes(seed: u32) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(SIZE)
    .collect()
}

/// The listing of a directory with one file.
fn listing(name: &str, size: usize, etag: &str) -> Answer {
    let own = found("/files/", "<D:resourcetype><D:collection/></D:resourcetype>");
    let file = format!("<D:resourcetype/><D:getetag>{etag}</D:getetag><D:getcontentlength>{size}</D:getcontentlength>");
    multistatus(&format!("{own}{}", found(&format!("/files/{name}"), &file)))
}

/// Imports from a server whose answer to GET a test makes; gives the bytes of the file and what GETs asked for.
fn imported(
    name: &'static str,
    size: usize,
    etag: String,
    code: i32,
    mut get: impl FnMut(&Asked) -> Answer + Send + 'static,
) -> (Option<Vec<u8>>, Ranges) {
    let server = FakeDav::start();
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    server.hook(move |asked| match asked.method.as_str() {
        "PROPFIND" => Some(listing(name, size, &etag)),
        "GET" => {
            seen.lock().push(asked.range.clone());
            Some(get(asked))
        }
        _ => None,
    });
    let dir = tempfile::tempdir().expect("a folder");
    let archive = dir.path().join("a.sqlite");
    let output = import("webdav", &format!("{}/files/", server.url()), &archive, &[]);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let file = tree(&archive, "latest").into_iter().find(|(path, _)| Path::new(path).ends_with(name));
    let asked = ranges.lock().clone();
    (file.map(|(_, bytes)| bytes), asked)
}

/// The first bytes of what is asked for, and then the line breaks.
fn cut(whole: &[u8], tag: &str, start: usize, end: usize) -> Answer {
    let range = if start > 0 {
        format!("Content-Range: bytes {start}-{}/{}\r\n", whole.len() - 1, whole.len())
    } else {
        String::new()
    };
    let fields = format!("ETag: {tag}\r\n{range}Content-Length: {}\r\n", whole.len() - start);
    (if start > 0 { 206 } else { 200 }, fields, whole[start..end].to_vec())
}

fn start_of(asked: &Asked) -> usize {
    let range =
        asked.range.as_ref().and_then(|(range, _)| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    range.unwrap_or(0)
}

#[test]
fn the_rest_of_a_cut_file_is_asked_for() {
    let whole = bytes(1);
    let tag = etag(&whole);
    let (served, of) = (whole.clone(), tag.clone());
    let (got, asked) = imported("big.bin", SIZE, tag.clone(), 0, move |asked| {
        let start = start_of(asked);
        cut(&served, &of, start, (start + (1 << 20)).min(SIZE))
    });
    assert!(got.as_deref() == Some(whole.as_slice()), "the bytes");
    let rest = |from: usize| Some((format!("bytes={from}-"), Some(tag.clone())));
    assert_eq!(asked, [None, rest(1 << 20), rest(2 << 20)]);
}

#[test]
fn a_file_that_changed_meanwhile_is_asked_for_from_its_beginning() {
    let (old, new) = (bytes(1), bytes(2));
    let expected = new.clone();
    let (got, asked) = imported("big.bin", SIZE, etag(&old), 0, move |asked| match asked.range {
        // If-Range does not hold any more: the whole new file (RFC 9110 section 13.1.5).
        Some(_) => (200, format!("ETag: {}\r\n", etag(&new)), new.clone()),
        None => cut(&old, &etag(&old), 0, 1 << 20),
    });
    assert!(got.as_deref() == Some(expected.as_slice()), "no mix of both");
    assert_eq!(asked.len(), 2);
}

#[test]
fn a_weak_validator_and_a_wrong_range_begin_anew() {
    let whole = bytes(3);
    let weak = format!("W/{}", etag(&whole));
    let (served, of, mut first) = (whole.clone(), weak.clone(), true);
    let (got, asked) = imported("big.bin", SIZE, weak, 0, move |_| {
        let end = if std::mem::take(&mut first) { 1 << 20 } else { SIZE };
        cut(&served, &of, 0, end)
    });
    assert!(got.as_deref() == Some(whole.as_slice()) && asked == [None, None]);

    let (served, tag, mut first) = (whole.clone(), etag(&whole), true);
    let (got, asked) = imported("big.bin", SIZE, tag.clone(), 0, move |asked| match start_of(asked) {
        0 => cut(&served, &tag, 0, if std::mem::take(&mut first) { 1 << 20 } else { SIZE }),
        // Another part than the one that was asked for.
        start => cut(&served, &tag, start + 7, SIZE),
    });
    assert!(got.as_deref() == Some(whole.as_slice()) && asked.len() == 3, "{asked:?}");
}

#[test]
fn a_compressed_file_stays_as_it_is_and_a_compressing_server_is_undone() {
    let text = b"all work and no play\n".repeat(1000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text).expect("memory");
    let packed = encoder.finish().expect("memory");
    let encoded = || "Content-Encoding: gzip\r\n".to_owned();
    // Apache's AddEncoding says it of a file that is stored so: the listing has the length of the compressed bytes.
    let served = packed.clone();
    let (got, _) = imported("log.gz", packed.len(), etag(&packed), 0, move |_| (200, encoded(), served.clone()));
    assert!(got == Some(packed.clone()), "a file that is compressed");
    let served = packed.clone();
    let (got, _) = imported("log.txt", text.len(), etag(&text), 0, move |_| (200, encoded(), served.clone()));
    assert!(got == Some(text), "a server that compresses, asked or not");
    let (got, _) =
        imported("log.txt", 5, etag(b"x"), 5, move |_| (200, "Content-Encoding: br\r\n".to_owned(), b"1234".to_vec()));
    assert_eq!(got, None, "what cannot be read is not stored");
}
