"""What Python's email package makes of messages, to compare src/format/text with.

Reads messages from stdin, each behind its length (4 bytes, little endian), and
writes a line of JSON for each: the words of its plain text, and its files as
[media type, name or null, size or null].
"""

import email
import email.header
import json
import re
import struct
import sys
import unicodedata

WORD = re.compile(r"[^\W\d_]{5,}")
# What the text of Vandelay leaves out on purpose.
INVISIBLE = re.compile("[\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\0-\x08\x0e-\x1b\x7f]")
MESSAGES = ("message/rfc822", "message/global", "message/news")
CARDS = ("text/calendar", "text/x-vcalendar", "text/vcard", "text/x-vcard", "text/directory")


def normal(text):
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text))


def decoded(value):
    out = ""
    for piece, charset in email.header.decode_header(value):
        if isinstance(piece, bytes):
            try:
                piece = piece.decode(charset or "ascii", "replace")
            except LookupError:
                piece = piece.decode("utf-8", "replace")
        out += piece
    return " ".join(normal(re.sub("[\0-\x1f\x7f]", " ", out)).split())


def text(part, payload):
    for charset in ("utf-8", part.get_content_charset() or "ascii"):
        try:
            return payload.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass
    return payload.decode("ascii", "replace")


def look(message):
    words, files = set(), []
    for part in message.walk():
        media = part.get_content_type()
        name = part.get_filename()
        if part.get_content_maintype() == "multipart":
            continue
        if media.startswith("message/") and part.is_multipart():
            files.append((media, name, None))
            continue
        payload = part.get_payload(decode=True) or b""
        inline = part.get_content_disposition() in (None, "inline")
        if part.get_content_maintype() != "text" or not inline or name or media in CARDS:
            files.append((media, name, len(payload)))
        if media == "text/plain" and inline:
            words.update(WORD.findall(normal(text(part, payload))))
    return {"words": sorted(words), "files": [(media, name and decoded(name), size) for media, name, size in files]}


data, at = sys.stdin.buffer.read(), 0
while at < len(data):
    (length,) = struct.unpack_from("<I", data, at)
    at += 4 + length
    try:
        print(json.dumps(look(email.message_from_bytes(data[at - length : at]))))
    except Exception as error:  # it has bugs of its own
        print(json.dumps({"error": repr(error)}))
