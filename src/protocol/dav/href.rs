//! References in answers: relative ones, absolute ones, and those that look like something else.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

/// What is written in another way in a path (RFC 3986 section 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The same for a name of ours: what some servers do not take as it is, and `\`, which stands for a slash in a URL.
const NAME: &AsciiSet = &PATH.add(b'[').add(b']').add(b'^').add(b'|').add(b'\\');

/// The URL that a reference in an answer of `base` stands for. `None` if it is none.
///
/// A reference is a path, or a whole URL (RFC 4918 section 8.3). `a:b.vcf` is a path, though it looks like a URL with the
/// scheme `a`.
pub(super) fn resolve(base: &Url, href: &str) -> Option<Url> {
    let href = href.trim();
    let is_url = href.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"))
        || href.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    let has_scheme = href.split('/').next().is_some_and(|first| first.contains(':'));
    let mut url = match (is_url, has_scheme) {
        (false, true) => base.join(&format!("./{href}")).ok()?,
        _ => base.join(href).ok()?,
    };
    url.set_fragment(None);
    // A login in a reference is none of ours.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Some(url)
}

/// The same reference with its query as a part of the path: a `?` in a name, which Cyrus writes as it is. `None` without one.
pub(super) fn without_query(url: &Url) -> Option<Url> {
    let path = format!("{}%3F{}", url.path(), url.query()?.replace('?', "%3F"));
    let mut url = url.clone();
    url.set_query(None);
    url.set_path(&path);
    Some(url)
}

/// The same resource always has the same key, however a server encodes its path: the decoded path, with one encoding. The
/// slash at the end of a collection does not count.
pub fn key(url: &Url) -> String {
    let path = url.path();
    let parts = path.trim_end_matches('/').split('/').map(|part| {
        let decoded: Vec<u8> = percent_decode_str(part).collect();
        match String::from_utf8(decoded) {
            Ok(text) => utf8_percent_encode(&text, PATH).to_string(),
            Err(_) => part.to_owned(),
        }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// The part of a key below a collection; `None` if it does not lie in it. Empty for the collection itself.
pub(super) fn below<'k>(collection: &str, key: &'k str) -> Option<&'k str> {
    let rest = key.strip_prefix(collection)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// `https://host` or `https://host:port`: an archive knows the server by this text, as 1.x does.
pub fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The URL of a collection, which ends with a slash (RFC 4918 section 5.2).
pub fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

/// The URL of what has this name in a collection.
pub fn child(collection: &Url, name: &str) -> Url {
    let mut url = with_slash(collection.clone());
    url.set_path(&format!("{}{}", url.path(), utf8_percent_encode(name, NAME)));
    url
}

/// The last part of a path, decoded. `None` for the root, and for what is no text.
pub fn last_part(url: &Url) -> Option<String> {
    let part = url.path().trim_end_matches('/').rsplit('/').next().filter(|part| !part.is_empty())?;
    percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(href: &str) -> String {
        let base = Url::parse("https://dav.example.org/cal/home/").expect("a URL");
        resolve(&base, href).map(String::from).unwrap_or_default()
    }

    #[test]
    fn references_are_found_however_they_are_written() {
        assert_eq!(resolved("/cal/home/a.ics"), "https://dav.example.org/cal/home/a.ics");
        assert_eq!(resolved("a.ics"), "https://dav.example.org/cal/home/a.ics");
        assert_eq!(resolved("a:b.vcf"), "https://dav.example.org/cal/home/a:b.vcf");
        assert_eq!(resolved("/cal/home/a:b.vcf"), "https://dav.example.org/cal/home/a:b.vcf");
        assert_eq!(resolved("https://p37.example.org:443/x/"), "https://p37.example.org/x/");
        assert_eq!(resolved("../../x"), "https://dav.example.org/x");
    }

    #[test]
    fn a_query_may_be_a_part_of_a_name() {
        let of = |href: &str| without_query(&Url::parse(&resolved(href)).expect("a URL")).map(String::from);
        assert_eq!(of("/cal/a?b%23?c.ics").as_deref(), Some("https://dav.example.org/cal/a%3Fb%23%3Fc.ics"));
        assert_eq!(of("/cal/a%3Fb.ics"), None);
    }

    #[test]
    fn one_resource_has_one_key() {
        let of = |href: &str| key(&Url::parse(&resolved(href)).expect("a URL"));
        assert_eq!(of("/cal/a%40b/"), of("/cal/a@b"));
        assert_eq!(of("/cal/%7Ea/x.ics"), of("/cal/~a/x.ics"));
        assert_ne!(of("/cal/a%2Fb"), of("/cal/a/b"));
        assert_eq!(of("/cal/a%25b"), of("/cal/a%b"));
        assert_eq!(below("/cal/home", "/cal/home/x.ics"), Some("x.ics"));
        assert_eq!((below("/cal/home", "/cal/home"), below("/cal/home", "/cal/homes")), (Some(""), None));
    }
}
