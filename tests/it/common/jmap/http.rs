//! As much of HTTP/1.1 as a test needs: RFC 9112.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// Everything before the body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub method: String,
    pub target: String,
    pub is_1_1: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// How often a header field is there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count()
    }

    /// True if the connection stays (RFC 9112 section 9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        let token = self.field("Connection").unwrap_or_default().to_ascii_lowercase();
        if self.is_1_1 { token != "close" } else { token == "keep-alive" }
    }

    /// True if the client takes compressed answers.
    pub(crate) fn takes_gzip(&self) -> bool {
        let mut codings = self.field("Accept-Encoding").unwrap_or_default().split(',');
        codings.any(|coding| matches!(coding.trim(), "gzip" | "gzip;q=1" | "*"))
    }

    /// What no client may send.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.is_1_1 && self.count("Host") != 1 {
            found.push(format!("{} Host fields (RFC 9112 section 3.2)", self.count("Host")));
        }
        if self.field("Content-Length").is_some() && self.field("Transfer-Encoding").is_some() {
            found.push("both Content-Length and Transfer-Encoding (RFC 9112 section 6.2)".to_owned());
        }
        if self.count("Authorization") > 1 {
            found.push("more than one Authorization".to_owned());
        }
        if self.target.contains(['{', '}', ' ', '"', '<', '>', '\\', '^', '`', '|', '#']) || !self.target.is_ascii() {
            found.push(format!("the target {:?} is no URL (RFC 3986)", self.target));
        }
        found
    }
}

/// Reads the head of the next request; `None` if there is none.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Result<Option<Head>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut parts = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::new(ErrorKind::InvalidData, format!("a request line {first:?}")));
    };
    let mut head = Head {
        method: method.to_owned(),
        target: target.to_owned(),
        is_1_1: version == "HTTP/1.1",
        fields: Vec::new(),
    };
    loop {
        let field = line(reader)?.ok_or(ErrorKind::UnexpectedEof)?;
        if field.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = field.split_once(':').ok_or(ErrorKind::InvalidData)?;
        head.fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn line(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(1 << 16).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\r\n").ok_or(ErrorKind::InvalidData)?;
    String::from_utf8(text.to_vec()).map(Some).map_err(Error::other)
}

/// Reads the body. Of what is longer than `most`, that much and the length is given.
pub(crate) fn read_body(
    head: &Head,
    reader: &mut impl BufRead,
    writer: &mut impl Write,
    most: usize,
) -> Result<(Vec<u8>, usize)> {
    if head.field("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        writer.flush()?;
    }
    let (mut body, mut length) = (Vec::new(), 0);
    let mut take = |reader: &mut dyn BufRead, count: usize| -> Result<()> {
        let kept = count.min(most.saturating_sub(length).saturating_add(1));
        let before = body.len();
        reader.take(kept as u64).read_to_end(&mut body)?;
        if body.len() - before < kept {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let skipped = std::io::copy(&mut reader.take((count - kept) as u64), &mut std::io::sink())?;
        length += count;
        if skipped < (count - kept) as u64 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    };
    if head.field("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(reader)?.ok_or(ErrorKind::UnexpectedEof)?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(Error::other)?;
            if size == 0 {
                while !line(reader)?.ok_or(ErrorKind::UnexpectedEof)?.is_empty() {}
                break;
            }
            take(reader, size)?;
            if !line(reader)?.ok_or(ErrorKind::UnexpectedEof)?.is_empty() {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    } else if let Some(value) = head.field("Content-Length") {
        take(reader, value.parse().map_err(Error::other)?)?;
    }
    Ok((body, length))
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// JSON with 200, or another status.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Response {
        let body = value.to_string().into_bytes();
        Response { status, fields: vec![("Content-Type", "application/json".to_owned())], body }
    }

    /// A problem (RFC 7807) of RFC 8620 section 3.6.1, by the last part of its type.
    pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Response {
        let kind =
            if kind.is_empty() { "about:blank".to_owned() } else { format!("urn:ietf:params:jmap:error:{kind}") };
        let value = serde_json::json!({"type": kind, "status": status, "detail": detail});
        Response::json(status, &value).with("Content-Type", "application/problem+json")
    }

    /// `limit`: "A "limit" property MUST also be present on the "problem details" object".
    pub(crate) fn limit(status: u16, limit: &str) -> Response {
        let value = serde_json::json!({"type": "urn:ietf:params:jmap:error:limit", "limit": limit, "status": status,
            "detail": format!("more than {limit}")});
        Response::json(status, &value).with("Content-Type", "application/problem+json")
    }

    /// With this header field instead of another one of that name.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value.into()));
        self
    }

    /// The same, compressed.
    pub(crate) fn gzipped(self) -> Response {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.body).expect("memory takes it");
        let body = encoder.finish().expect("memory takes it");
        Response { body, ..self }.with("Content-Encoding", "gzip").with("Vary", "Accept-Encoding")
    }

    fn status_line(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            201 => "Created",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Whatever",
        };
        format!("HTTP/1.1 {} {reason}\r\n", self.status)
    }

    /// The bytes on the wire. `off_by` makes the Content-Length wrong.
    pub(crate) fn wire(&self, is_chunked: bool, closes: bool, off_by: i64) -> Vec<u8> {
        let mut wire = self.status_line().into_bytes();
        for (name, value) in &self.fields {
            wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if closes {
            wire.extend_from_slice(b"Connection: close\r\n");
        }
        if !is_chunked || off_by != 0 {
            let length = self.body.len() as i64 + off_by;
            wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", length.max(0)).as_bytes());
            wire.extend_from_slice(&self.body);
            return wire;
        }
        wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        // Small chunks and large ones, so that nobody takes a chunk for a document.
        let mut rest = &self.body[..];
        for size in [1, 7, 4096].into_iter().chain(std::iter::repeat(100_000)) {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
            rest = behind;
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire
    }
}

/// Decodes `%41` in a part of a path or a query.
pub(crate) fn decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
