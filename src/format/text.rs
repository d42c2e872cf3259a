//! What a human sees of a message: its text, for `grep`, and its attachments, as files.
//!
//! ```text
//!   mime      where the parts are (RFC 2046), in one pass, nothing decoded
//!   header    fields and encoded words (RFC 5322, RFC 2047)        params  their parameters (RFC 2231)
//!   transfer  base64, quoted-printable (RFC 2045)                  charset  bytes to text
//!   html      HTML to text      flowed  soft line breaks (RFC 3676)      clean  one kind of blank and line end
//!   page      puts the text file together                          files  names of attachments
//!   uuencode  files in the text of mail from before MIME
//! ```
//!
//! # Why not all of `mail_parser`
//!
//! It decodes every attachment into memory to parse a message, needs guards against deep, many and endless things, and
//! loses characters that were split between encoded words or pieces of a name. To find text, and the sizes of
//! attachments, almost no byte of them has to be looked at. What is left of it here is base64 and rare charsets; HTML is
//! the matter of `html5gum` (see `html.rs`), charsets are that of `encoding_rs` and `chardetng`.
//!
//! # Bounds
//!
//! Whatever the message, time is linear in its size and memory beside it is bounded: `TEXT_MAX` of text, `HTML_MAX`
//! of HTML at a time, 10,000 parts, 100 levels, 1 MiB of each header. A message beyond these is shown as it is, with a
//! line that says so. The same bytes give the same text, always.

mod charset;
mod clean;
mod fields;
mod files;
mod flowed;
mod header;
mod html;
pub(crate) mod limits;
mod mime;
mod page;
mod params;
mod transfer;
mod uuencode;

use super::mail::HEAD_MAX;
pub use fields::Fields;
use limits::Attachment;
use memchr::memchr;
use mime::{Entity, Kind, Part};
use std::borrow::Cow;

/// How much is read of a message that is in UTF-16 as a whole.
const UTF16_MAX: usize = 32 << 20;

/// The Subject of a message (RFC 5322 3.6.5), decoded (RFC 2047), on one line without control characters; empty if
/// there is none. `head` are the first bytes of the message, at most [`HEAD_MAX`] of which are read.
pub fn subject(head: &[u8]) -> String {
    let bytes = normal(head.get(..HEAD_MAX).unwrap_or(head));
    field(&bytes[..header::head(&bytes).end], "subject")
}

/// A field of a header, decoded; empty if there is none.
fn field(head: &[u8], name: &str) -> String {
    let found = header::fields(head).find(|field| field.is(name));
    found.map_or_else(String::new, |field| header::decode(field.value, Entity::of(head, "").charset.as_deref()))
}

/// What tells a message from others, decoded (RFC 2047), each on one line; empty where the message does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The whole From field: names and addresses (RFC 5322 3.6.2).
    pub from: String,
    /// As [`subject`] gives it.
    pub subject: String,
    /// The Message-ID without its angle brackets, in the spelling of the message.
    pub message_id: String,
}

/// The envelope of a message. `head` are its first bytes, at most [`HEAD_MAX`] of which are read.
pub fn envelope(head: &[u8]) -> Envelope {
    let bytes = normal(head.get(..HEAD_MAX).unwrap_or(head));
    let head = &bytes[..header::head(&bytes).end];
    let id = field(head, "message-id");
    let inner = id.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(id, _)| id.trim().to_owned());
    Envelope { from: field(head, "from"), subject: field(head, "subject"), message_id: inner.unwrap_or(id) }
}

/// The text of a message: lines of its header decoded (RFC 2047), an empty line, its text, and a list of its
/// attachments.
///
/// The text is that of the plain parts (RFC 2046 4.1.3, unflowed as of RFC 3676), and of HTML parts where an alternative
/// (RFC 2046 5.1.4) has no plain text, or next to none; messages in the message are shown in place. Lines end with LF
/// and are nowhere wrapped. What has too many or too deep parts is shown as it is.
pub fn text(message: &[u8]) -> String {
    let bytes = normal(message);
    match mime::parts(&bytes) {
        Some(parts) => page::render(&bytes, &parts),
        None => page::raw(&bytes),
    }
}

/// The text of a message by fields, for a search.
pub fn fields(message: &[u8]) -> Fields {
    let bytes = normal(message);
    Fields::of(&bytes, mime::parts(&bytes).as_deref())
}

/// True for a character that nobody sees, e.g. a soft hyphen: the letters around it are of one word.
pub fn is_invisible(c: char) -> bool {
    clean::is_invisible(c)
}

/// The text of a file of the user, for a search; `None` if neither `media`, its media type, nor its name says that it is one.
pub fn file_text(bytes: &[u8], name: &str, media: &str) -> Option<String> {
    fields::file_text(bytes, name, media)
}

/// The attachments of a message in order, those of messages in it too: parts that are no text, that Content-Disposition
/// (RFC 2183) calls attached, that have a file name, and invitations and contacts; then uuencoded files. A message in the message is a file
/// too. None if the message has too many or too deep parts.
pub fn attachments(message: &[u8]) -> Vec<Attachment> {
    let bytes = normal(message);
    mime::parts(&bytes).map_or_else(Vec::new, |parts| files::list(&bytes, &parts))
}

/// The decoded bytes (RFC 2045 6) of an attachment; `part` is from [`attachments`]. `None` if there is no such one.
pub fn attachment(message: &[u8], part: u32) -> Option<Vec<u8>> {
    let bytes = normal(message);
    let parts = mime::parts(&bytes)?;
    let number = usize::try_from(part).ok()?;
    // Behind the parts come the files in their texts.
    if let Some(place) = number.checked_sub(parts.len()) {
        let (at, file) = uuencode::of_parts(&bytes, &parts).into_iter().nth(place)?;
        return Some(file.decode(&bytes[parts[at].body.clone()]));
    }
    let part = parts.get(number).filter(|part| part.is_attachment())?;
    Some(files::encoding(part).decode(&bytes[part.body.clone()], usize::MAX).into_owned())
}

/// False if a message of `size` bytes that begins with `head` has no attachment for sure: it is one text (RFC 2045 5.2)
/// that nothing calls a file, and no file is in it. So most messages need no further look at their bodies.
pub fn may_have_attachments(head: &[u8], size: u64) -> bool {
    let bytes = normal(head);
    let found = header::head(&bytes);
    // Behind a line end at the very begin the header may still come.
    let begins = !matches!(bytes.first(), Some(b'\r' | b'\n'));
    let whole = begins && found.complete && found.end < HEAD_MAX && matches!(bytes, Cow::Borrowed(_));
    let entity = Entity::of(&bytes[..found.end], "text/plain");
    let is_text = entity.media.starts_with("text/");
    let part = Part { kind: Kind::Leaf, entity, head: 0..0, body: 0..0, children: Vec::new() };
    let may_hold_files = || {
        let is_all = head.len() as u64 >= size;
        uuencode::is_candidate(&part) && (!is_all || !uuencode::files(&bytes[found.end..]).is_empty())
    };
    !whole || !is_text || part.is_attachment() || may_hold_files()
}

/// The message as everything here reads it: without a byte order mark, in an encoding that has bytes for ASCII, with
/// line feeds, and with its header first. Nearly always that is the message as it is.
fn normal(message: &[u8]) -> Cow<'_, [u8]> {
    let message = match message {
        [0xEF, 0xBB, 0xBF, rest @ ..] => rest,
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            let text = charset::decode(Cow::Borrowed(message), None, UTF16_MAX);
            return Cow::Owned(text.into_owned().into_bytes());
        }
        _ => message,
    };
    let start = message.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let message = if start > 0 && header::is_field(&message[start..]) { &message[start..] } else { message };
    match memchr(b'\n', message) {
        // Old Macintoshes end a line with CR alone.
        None if memchr(b'\r', message).is_some() => {
            Cow::Owned(message.iter().map(|&byte| if byte == b'\r' { b'\n' } else { byte }).collect())
        }
        _ => Cow::Borrowed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::text::limits::HTML_MAX;
    use crate::format::text::limits::TEXT_MAX;
    use proptest::prelude::*;

    /// The message of lines, with CRLF.
    fn mail(lines: &str) -> Vec<u8> {
        lines.replace('\n', "\r\n").into_bytes()
    }

    fn names(message: &[u8]) -> Vec<String> {
        attachments(message)
            .into_iter()
            .map(|file| format!("{} {} {}", file.name, file.media_type, file.size))
            .collect()
    }

    #[test]
    fn a_plain_message() {
        let message = mail(
            "Received: x\nTo: =?utf-8?q?J=C3=B6rg?= <j@x.example>,\n you@x.example\nSubject: =?iso-8859-1?q?Gr=FCne?=\n =?iso-8859-1?q?_Rechnung?=\nFrom: \"A, B\" <a@x.example>\nDate: Fri, 21 Nov 1997 09:55:06 -0600\nReply-To: r@x.example\n\nHello\n\nBye\n",
        );
        let expected = "From: \"A, B\" <a@x.example>\nTo: Jörg <j@x.example>, you@x.example\nReply-To: r@x.example\nDate: Fri, 21 Nov 1997 09:55:06 -0600\nSubject: Grüne Rechnung\n\nHello\n\nBye\n";
        assert_eq!(text(&message), expected);
        assert_eq!(subject(&message), "Grüne Rechnung");
        assert!(!may_have_attachments(&message, message.len() as u64));
        assert!(attachments(&message).is_empty());
        assert_eq!(text(&message.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<_>>()), expected);
        assert_eq!(text(&message.iter().copied().filter(|&byte| byte != b'\n').collect::<Vec<_>>()), expected);
        let utf16: Vec<u8> = "\u{FEFF}Subject: ü\r\n\r\ninvoice".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&utf16), "Subject: ü\n\ninvoice\n");
    }

    #[test]
    fn envelopes() {
        let head = mail(
            "From: =?utf-8?q?J=C3=B6rg?= <J@x.example>\nMessage-ID: <A.b@C>\nSubject: =?iso-8859-1?q?Gr=FCn?=\n\nFrom: no\n",
        );
        let Envelope { from, subject, message_id } = envelope(&head);
        assert_eq!((&*from, &*subject, &*message_id), ("Jörg <J@x.example>", "Grün", "A.b@C"));
        assert_eq!(envelope(b"Message-ID: bare@x\n\n").message_id, "bare@x");
        assert_eq!(envelope(b""), Envelope::default());
    }

    #[test]
    fn raw_letters_in_headers() {
        // EAI (RFC 6532), the charset of the body, and a guess.
        assert_eq!(
            text("From: jörg@exämple.org\nSubject: Grüße\n\n".as_bytes()),
            "From: jörg@exämple.org\nSubject: Grüße\n"
        );
        let cyrillic =
            b"Subject: \xCF\xF0\xE8\xE2\xE5\xF2\nContent-Type: text/plain; charset=windows-1251\n\n\xCC\xE8\xF0";
        assert_eq!(text(cyrillic), "Subject: Привет\n\nМир\n");
        assert_eq!(subject(cyrillic), "Привет");
        assert_eq!(subject(b"Subject: Rechnung f\xFCr M\xE4rz"), "Rechnung für März");
        assert_eq!(subject(b"Subject: =?utf-8?q?a=0D=0Ab=00=1B[1m?=\tc\r\n d"), "a b[1m c d");
        assert_eq!(subject(b"Subjects: x\n\nSubject: y"), "");
        assert_eq!(subject(b""), "");
    }

    const ALTERNATIVE: &str = "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nPLAIN\n--a\nContent-Type: text/html\n\n<p>HTML</p>\n--a--\n";

    #[test]
    fn alternatives() {
        let with = |plain: &str, html: &str| text(&mail(&ALTERNATIVE.replace("PLAIN", plain).replace("HTML", html)));
        assert_eq!(with("the in=\nvoice", "<b>html</b>"), "the invoice\n");
        assert_eq!(with("  \n =C2=A0\n", "in<b>vo</b>ice"), "invoice\n");
        assert_eq!(with("", "invoice"), "invoice\n");
        // A hint is no text.
        let long = "word ".repeat(100);
        let shown = with("Please use a browser.", &long);
        assert!(shown.starts_with("Please use a browser.\n\nword word"), "{shown}");
        assert_eq!(with(&"plain ".repeat(100), &long.repeat(10)).matches("word").count(), 0);
        // Without the plain part; with an invitation; with pictures around the HTML.
        assert_eq!(
            text(&mail(&ALTERNATIVE.replace("text/plain", "text/html").replace("PLAIN", "<i>one</i>"))),
            "one\n\nHTML\n"
        );
        let invitation = ALTERNATIVE
            .replace("--a--", "--a\nContent-Type: text/calendar\n\nBEGIN:VEVENT\nSUMMARY:Lun\n ch\nEND:VEVENT\n--a--");
        let shown = text(&mail(&invitation));
        assert!(
            shown.starts_with(
                "PLAIN\n\nBEGIN:VEVENT\nSUMMARY:Lunch\nEND:VEVENT\n\nAttachments:\n  invite.ics (text/calendar, "
            ),
            "{shown}"
        );
    }

    #[test]
    fn parts_side_by_side_and_in_each_other() {
        let message = mail(
            "Subject: outer\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\none\n\n\n--x\nContent-Type: text/html\n\ntwo<br>lines\n--x\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?inn=C3=A9r?=\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\nthree\n--y\nContent-Type: application/pdf; name=inner.pdf\nContent-Transfer-Encoding: base64\n\naW52b2ljZQ==\n--y--\n--x\nContent-Type: image/png\n\nPNG\n--x\nContent-Type: text/x-patch; name=a.patch\nContent-Disposition: inline\n\n-old\n+new\n--x\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.txt\n\nnot shown\n--x--\n",
        );
        let shown = text(&message);
        let size = attachments(&message)[0].size;
        assert_eq!(
            shown,
            format!(
                "Subject: outer\n\none\n\ntwo\nlines\n\n----------\nSubject: innér\n\nthree\n\n-old\n+new\n\nAttachments:\n  message.eml (message/rfc822, {size} bytes)\n  inner.pdf (application/pdf, 7 bytes)\n  image.png (image/png, 3 bytes)\n  a.patch (text/x-patch, 10 bytes)\n  ä.txt (text/plain, 9 bytes)\n"
            )
        );
        let files = attachments(&message);
        assert_eq!(files.iter().map(|file| file.part).collect::<Vec<_>>(), [3, 6, 7, 8, 9]);
        assert_eq!(attachment(&message, 6).unwrap(), b"invoice");
        assert!(attachment(&message, 3).unwrap().starts_with(b"Subject: =?utf-8?q?inn"));
        for none in [0, 1, 2, 4, 5, 10, u32::MAX] {
            assert_eq!(attachment(&message, none), None, "{none}");
        }
        assert!(may_have_attachments(&message, message.len() as u64));
    }

    #[test]
    fn a_message_that_is_encoded_as_a_whole() {
        let inner = "U3ViamVjdDogaW5uZXIKCmludm9pY2UK";
        let message = mail(&format!(
            "Subject: outer\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}\n"
        ));
        assert_eq!(
            text(&message),
            "Subject: outer\n\n----------\nSubject: inner\n\ninvoice\n\nAttachments:\n  message.eml (message/rfc822, 24 bytes)\n"
        );
        assert_eq!(attachment(&message, 0).unwrap(), b"Subject: inner\n\ninvoice\n");
    }

    #[test]
    fn flowed_text_and_reports() {
        let flowed = mail("Content-Type: text/plain; format=flowed; delsp=yes\n\nin \nvoice\n");
        assert_eq!(text(&flowed), "invoice\n");
        let report = mail(
            "Content-Type: multipart/report; boundary=x\n\n--x\n\nfailed\n--x\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--x\nContent-Type: text/rfc822-headers\n\nSubject: invoice\n--x--",
        );
        assert_eq!(
            text(&report),
            "failed\n\nStatus: 5.1.1\n\nSubject: invoice\n\nAttachments:\n  part-2.txt (message/delivery-status, 13 bytes)\n"
        );
    }

    #[test]
    fn what_is_a_file() {
        for (head, expected) in [
            ("", None),
            ("Content-Type: text/html; charset=x\nContent-Disposition: inline", None),
            ("Content-Type: text/plain; name=\"=?utf-8?q?=C3=A4?=.txt\"", Some("ä.txt text/plain 4")),
            ("Content-Disposition: attachment", Some("part-0.txt text/plain 4")),
            ("Content-Type: application/pdf", Some("part-0.pdf application/pdf 4")),
            ("Content-Type: application/ms-tnef; name=winmail.dat", Some("winmail.dat application/ms-tnef 4")),
            ("Content-Type: text/calendar", Some("invite.ics text/calendar 4")),
            ("Content-Type: text/vcard", Some("contact.vcf text/vcard 4")),
            (
                "Content-Type: image/gif\nContent-Disposition: inline; filename=\"../../etc/passwd\"",
                Some("../../etc/passwd image/gif 4"),
            ),
        ] {
            let head = mail(&format!("Subject: x\n{head}\n\n")).into_iter().collect::<Vec<_>>();
            let head = String::from_utf8(head).unwrap().replace("\r\n\r\n\r\n", "\r\n\r\n").into_bytes();
            assert_eq!(names(&[&head[..], b"body"].concat()), expected.into_iter().collect::<Vec<_>>());
            assert_eq!(
                may_have_attachments(&head, head.len() as u64),
                expected.is_some(),
                "{}",
                String::from_utf8_lossy(&head)
            );
            // A header that is cut may go on with fields that say so.
            assert!(may_have_attachments(&head[..head.len() - 1], head.len() as u64));
        }
        assert!(may_have_attachments(b"\nContent-D", 10));
        assert!(may_have_attachments(b"Content-Type: multipart/mixed; boundary=a\n\n", 43));
    }

    #[test]
    fn a_message_of_too_many_parts_is_shown_as_it_is() {
        let bomb = format!(
            "Subject: x\nContent-Type: multipart/mixed; boundary=a\n\n{}",
            "--a\n\ninvoice\n".repeat(1_000_000)
        );
        let shown = text(bomb.as_bytes());
        assert!(shown.starts_with("[vandelay: this message is too complex to decode; shown as it is]\nSubject: x\n"));
        assert!(shown.contains("invoice") && shown.ends_with("\n[vandelay: the text is cut here]\n"));
        assert!(attachments(bomb.as_bytes()).is_empty() && attachment(bomb.as_bytes(), 1).is_none());
        let deep = "Content-Type: multipart/mixed; boundary=a\n\n--a\n".repeat(10_000);
        assert!(text(deep.as_bytes()).starts_with("[vandelay: this"));
    }

    #[test]
    fn long_texts_are_cut() {
        let long = format!("Subject: x\n\n{}", "ünvoice \n".repeat(2 << 20));
        let shown = text(long.as_bytes());
        assert!(
            shown.ends_with("\n[vandelay: the text is cut here]\n") && shown.len() < TEXT_MAX + 100,
            "{}",
            shown.len()
        );
        let html = format!("Content-Type: text/html\n\n<img src='data:{}'>invoice", "x".repeat(HTML_MAX / 2));
        assert_eq!(text(html.as_bytes()), "invoice\n");
        let head = format!("{}\n\ninvoice", "To: someone@example.org\n".repeat(2_000_000));
        let shown = text(head.as_bytes());
        assert!(shown.len() < 2 << 20 && shown.ends_with("\n\ninvoice\n"));
        let comments = format!("From: {}x{} <a@b>\n\ninvoice", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(text(comments.as_bytes()).len(), 200_000 + "From: x <a@b>\n\ninvoice\n".len());
    }

    /// What broken messages are made of.
    const PIECES: [&[u8]; 22] = [
        b"Content-Type: multipart/mixed; boundary=a\n",
        b"Content-Type: multipart/alternative; boundary=b\r\n",
        b"Content-Type: text/html; charset=utf-16\n",
        b"Content-Type: message/rfc822; name*0*=x''%\n",
        b"Content-Type: text/plain; format=flowed; delsp=yes\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"Content-Disposition: attachment; filename=",
        b"Subject: =?utf-8?b?w7w=?= =?x?q?",
        b"\n",
        b"\r\n\r\n",
        b"\r",
        b"--a\n",
        b"\n--b\n",
        b"\n--a--",
        b"aW52b2ljZQ=",
        b"=C3=\n<p>&amp",
        b"\xFF\xC3\x00\x1B$B",
        b"> x \n",
        b"\xFF\xFE",
        b"\xEF\xBB\xBF",
        b"begin 644 x\n#",
    ];

    proptest! {
        #[test]
        fn any_bytes_are_shown(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
            let message = pieces.concat();
            let shown = text(&message);
            prop_assert_eq!(&shown, &text(&message));
            prop_assert!(!shown.bytes().any(|byte| b"\r\0\x1B".contains(&byte)));
            prop_assert!(!subject(&message).contains('\n'));
            let files = attachments(&message);
            for file in &files {
                prop_assert_eq!(attachment(&message, file.part).map(|bytes| bytes.len() as u64), Some(file.size));
                prop_assert!(shown.contains(&file.name));
            }
            prop_assert!(files.is_empty() || may_have_attachments(&message, message.len() as u64));
        }
    }
}
