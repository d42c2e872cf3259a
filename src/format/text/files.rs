//! The list of attachments, and names for those that have none.

use super::limits::{Attachment, TEXT_MAX};
use super::mime::{self, Kind, Part};
use super::transfer::Encoding;
use super::uuencode;

/// The attachments among the parts of a message.
pub(super) fn list(bytes: &[u8], parts: &[Part]) -> Vec<Attachment> {
    let numbered = (0_u32..).zip(parts).filter(|(_, part)| part.is_attachment());
    let mut all: Vec<Attachment> = numbered
        .map(|(number, part)| Attachment {
            part: number,
            name: part.entity.name.clone().unwrap_or_else(|| default_name(number, &part.entity.media)),
            media_type: part.entity.media.clone(),
            size: encoding(part).decoded_len(&bytes[part.body.clone()]),
        })
        .collect();
    all.extend((parts.len() as u32..).zip(uuencode::of_parts(bytes, parts)).map(|(number, (_, file))| Attachment {
        part: number,
        name: if file.name.is_empty() { default_name(number, uuencode::MEDIA) } else { file.name },
        media_type: uuencode::MEDIA.to_owned(),
        size: file.size,
    }));
    all
}

/// How the bytes of the part's file are encoded. A message in place is a file as it stands.
pub(super) fn encoding(part: &Part) -> Encoding {
    if part.kind == Kind::Message { Encoding::Identity } else { part.entity.encoding }
}

/// A name for a file that has none, from its media type.
fn default_name(number: u32, media: &str) -> String {
    let (main, subtype) = media.split_once('/').unwrap_or((media, ""));
    if mime::is_message(media) {
        return "message.eml".to_owned();
    }
    match media {
        "application/ms-tnef" | "application/vnd.ms-tnef" => return "winmail.dat".to_owned(),
        "application/pgp-signature" => return "signature.asc".to_owned(),
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => return "smime.p7s".to_owned(),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => return "smime.p7m".to_owned(),
        _ if !mime::media_file(media).is_empty() => return mime::media_file(media).to_owned(),
        _ => {}
    }
    let extension = match (main, subtype) {
        ("text" | "message", "html") => "html",
        ("text" | "message", "csv" | "css" | "xml" | "rtf") => subtype,
        ("text" | "message", _) => "txt",
        (_, "jpeg" | "pjpeg" | "jpg") => "jpg",
        (_, "svg+xml") => "svg",
        (_, "tiff") => "tif",
        ("image", "x-icon" | "vnd.microsoft.icon") => "ico",
        ("audio", "mpeg") => "mp3",
        ("audio", "mp4" | "x-m4a") => "m4a",
        ("audio", "x-wav" | "wave") => "wav",
        ("video", "mpeg") => "mpg",
        ("video", "quicktime") => "mov",
        (_, "gzip" | "x-gzip") => "gz",
        (_, "x-zip-compressed") => "zip",
        (_, "msword") => "doc",
        (_, "vnd.ms-excel") => "xls",
        (_, "vnd.ms-powerpoint") => "ppt",
        (_, "vnd.openxmlformats-officedocument.wordprocessingml.document") => "docx",
        (_, "vnd.openxmlformats-officedocument.spreadsheetml.sheet") => "xlsx",
        (_, "vnd.openxmlformats-officedocument.presentationml.presentation") => "pptx",
        (_, "vnd.oasis.opendocument.text") => "odt",
        (_, "vnd.oasis.opendocument.spreadsheet") => "ods",
        (_, "postscript") => "ps",
        (_, "x-tar") => "tar",
        (_, "x-patch" | "x-diff") => "patch",
        (_, "ics" | "json" | "pdf" | "rtf" | "xml" | "zip") => subtype,
        // png, gif, webp, heic, ogg, mp4: named as their files are.
        ("image" | "audio" | "video", short) if is_extension(short) => short,
        _ => "bin",
    };
    match main {
        "image" | "audio" | "video" => format!("{main}.{extension}"),
        _ => format!("part-{number}.{extension}"),
    }
}

fn is_extension(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The lines at the end of the text file.
pub(super) fn lines(attachments: &[Attachment]) -> String {
    let mut lines = String::new();
    for file in attachments {
        if lines.is_empty() {
            lines.push_str("Attachments:\n");
        }
        // Names are bounded, and so are parts; together they are not small.
        if lines.len() > TEXT_MAX / 8 {
            lines.push_str("  …\n");
            break;
        }
        let unit = if file.size == 1 { "byte" } else { "bytes" };
        lines.push_str(&format!("  {} ({}, {} {unit})\n", file.name, file.media_type, file.size));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_types() {
        for (media, name) in [
            ("message/rfc822", "message.eml"),
            ("image/png", "image.png"),
            ("image/jpeg", "image.jpg"),
            ("image/svg+xml", "image.svg"),
            ("image/../../x", "image.bin"),
            ("audio/mpeg", "audio.mp3"),
            ("video/mp4", "video.mp4"),
            ("application/pdf", "part-3.pdf"),
            ("application/octet-stream", "part-3.bin"),
            ("application/ms-tnef", "winmail.dat"),
            ("application/pgp-signature", "signature.asc"),
            ("text/calendar", "invite.ics"),
            ("text/vcard", "contact.vcf"),
            ("text/plain", "part-3.txt"),
            ("text/html", "part-3.html"),
            ("message/delivery-status", "part-3.txt"),
            ("/", "part-3.bin"),
        ] {
            assert_eq!(default_name(3, media), name, "{media}");
        }
    }
}
