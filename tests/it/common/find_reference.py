"""What Python's email package and html.parser read in messages, to compare `vandelay find` with.

Arguments: files of messages, or folders of them. Writes a line of JSON for each: its file, its words by field, each field
as a string with blanks between them, and `doubts`: fields whose bytes are not what their charset says.
"""

import email
import email.header
import email.policy
import html.parser
import json
import pathlib
import re
import sys
import unicodedata

LENGTH_MAX = 40
# Nothing of these is seen; `in\xadvoice` reads as one word.
INVISIBLE = re.compile("[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\0-\x08\x0e-\x1f\x7f]")
# Letters that are no accented ones to Unicode, but that people without such a keyboard write so.
SPELLED = str.maketrans({"ß": "ss", "ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ς": "σ"})
# Scripts without blanks between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese.
UNSPACED = re.compile("[\u0e01-\u0e4e\u0e81-\u0edf\u1000-\u109f\u1780-\u17d3\u3005-\u3007\u3041-\u3096\u3099\u309a"
                      "\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# What browsers take these for (WHATWG Encoding Standard).
CHARSETS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
            "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "shift_jis": "cp932", "shift-jis": "cp932", "big5": "big5hkscs",
            "iso-8859-9": "cp1254", "tis-620": "cp874", "iso-8859-11": "cp874"}
UNDECLARED = (None, "", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "utf-8", "utf8", "default", "8bit")
# Files in the text of mail from before MIME.
UUENCODED = re.compile("^begin [0-7]{3,4} ([^\r\n]+)\r?\n(?:[ -`]+\r?\n)*?end *\r?$", re.MULTILINE)
BLOCKS = set("""address article aside body caption center dd details dialog dir div dl dt fieldset figcaption figure footer
form head header hgroup html legend main menu nav ol optgroup option search section summary tbody tfoot thead ul p h1 h2 h3
h4 h5 h6 hr pre listing xmp plaintext textarea blockquote li tr td th table br""".split())
HIDDEN = {"script", "style", "title", "iframe", "noembed", "template"}


def is_word(char):
    return char.isalnum() or unicodedata.category(char).startswith("M")


def words(text):
    """The words of a text, folded; scripts without blanks as pairs of neighbours, and the last one alone."""
    found, word, run = [], "", ""

    def end():
        nonlocal word, run
        if word:
            found.append(word.encode()[:LENGTH_MAX].decode(errors="ignore"))
        if run:
            found.extend([run[at:at + 2] for at in range(len(run))])
        word = run = ""

    for char in unicodedata.normalize("NFKC", INVISIBLE.sub("", text)):
        if UNSPACED.match(char):
            if word:
                end()
            run += char
        elif not is_word(char):
            end()
        else:
            folded = char if "\uac00" <= char <= "\ud7a3" else unicodedata.normalize("NFD", char)
            folded = "".join(c for c in folded if unicodedata.category(c) != "Mn").lower()
            folded = "".join(c for c in folded if unicodedata.category(c) != "Mn").translate(SPELLED)
            if folded and run:
                end()
            word += folded
    end()
    return found


class Text(html.parser.HTMLParser):
    """What a reader sees of HTML."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out, self.hidden = [], []

    def handle_starttag(self, tag, attributes):
        if tag in HIDDEN:
            self.hidden.append(tag)
        if tag in ("img", "area") and not self.hidden:
            self.out.append(f" {dict(attributes).get('alt') or ''} ")
        if tag in BLOCKS:
            self.out.append(" ")

    def handle_endtag(self, tag):
        if tag in self.hidden:
            del self.hidden[self.hidden.index(tag):]
        if tag in BLOCKS:
            self.out.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def html_text(source):
    parser = Text()
    parser.feed(source)
    parser.close()
    return "".join(parser.out)


def decoded(data, charset):
    """A text, and whether it is in doubt: its bytes are not of its charset."""
    charset = charset and charset.strip("\"' ").lower()
    if charset in UNDECLARED:
        try:
            return data.decode("utf-8-sig"), data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x1b" in data
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace"), True
    name = CHARSETS.get(charset, charset)
    try:
        return data.decode(name), charset.startswith(("utf-16", "utf-32")) or "\0" in charset
    except (LookupError, UnicodeDecodeError, ValueError, AttributeError):
        return data.decode("latin1"), True


class Reading:
    """The fields of one message."""

    def __init__(self):
        self.fields = {"sender": [], "recipient": [], "subject": [], "attachment": [], "body": []}
        self.doubts = set()

    def add(self, field, text, doubt=False):
        self.fields[field].append(text)
        if doubt:
            self.doubts.add(field)

    def header(self, message, is_top):
        names = {"from": "sender", "sender": "sender", "reply-to": "sender", "to": "recipient", "cc": "recipient",
                 "bcc": "recipient", "subject": "subject"}
        for name, value in message.raw_items():
            if field := names.get(name.lower().strip()):
                text, doubt = decode_header(str(value))
                self.add(field if is_top else "body", text, doubt)

    def read(self, message, is_top):
        self.header(message, is_top)
        for part in self.parts(message):
            media = part.get_content_type()
            inner = part.get_payload() if media.startswith("message/") and part.is_multipart() else None
            if inner and media in ("message/rfc822", "message/global", "message/news"):
                self.name(part, media)
                for each in inner:
                    self.read(each, False)
                continue
            if inner:
                # A report on delivery: groups of fields.
                self.name(part, media)
                for each in inner:
                    self.add("body", str(each.as_bytes(), "utf-8", "replace"))
                continue
            if part.is_multipart():
                continue
            self.leaf(part, media)

    def parts(self, message):
        """The parts of this message, without those of messages in it."""
        if message.get_content_maintype() != "multipart" or not message.is_multipart():
            yield message
            return
        for part in message.get_payload():
            yield from self.parts(part)

    def name(self, part, media):
        raw = [str(value) for name, value in part.raw_items()
               if name.lower() in ("content-type", "content-disposition")]
        name = part.get_filename()
        if name is not None:
            text, doubt = decode_header(str(name))
            # What stands in the field as it is not allowed to is read in more ways than one.
            self.add("attachment", text, doubt or "\ufffd" in text or any("name*" in value.lower() for value in raw))
        return name

    def leaf(self, part, media):
        name = self.name(part, media)
        data = part.get_payload(decode=True) or b""
        if media.startswith(("text/", "message/")):
            text, doubt = decoded(data, part.get_content_charset())
            if media in ("text/html", "text/enriched", "text/richtext", "text/x-amp-html", "text/watch-html"):
                text = html_text(text)
            elif media in ("text/calendar", "text/x-vcalendar", "text/vcard", "text/x-vcard", "text/directory"):
                text = re.sub("\r?\n[ \t]", "", text)
            elif media == "text/plain" and (part.get_param("format") or "").lower() == "flowed":
                text = unflowed(text, (part.get_param("delsp") or "").lower() == "yes")
            if media == "text/plain" and name is None:
                for file in UUENCODED.findall(text):
                    self.add("attachment", file)
                text = UUENCODED.sub("", text)
            self.add("body", text, doubt)


def unflowed(text, delsp):
    """Joins the lines of a paragraph (RFC 3676), where a word may be in two only with DelSp."""
    return re.sub(r" \r?\n", "" if delsp else " ", text) if delsp else text


def decode_header(value):
    """A field with its encoded words read (RFC 2047), and whether it is in doubt."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        text, doubt = raw.decode(), False
    except UnicodeDecodeError:
        text, doubt = raw.decode("utf-8", "replace"), True
    out = b""
    pieces = []
    try:
        pieces = email.header.decode_header(text)
    except Exception:
        return text, True
    result, run, run_charset = "", b"", None

    def flush():
        nonlocal result, run, doubt
        if run:
            piece, unsure = decoded(run, run_charset)
            result, doubt, run = result + piece, doubt or unsure, b""

    for piece, charset in pieces:
        if isinstance(piece, str):
            flush()
            result += piece
        elif charset is None:
            flush()
            result += piece.decode("raw-unicode-escape", "replace")
        else:
            if run_charset != charset:
                flush()
            run_charset, run = charset, run + piece
    flush()
    return re.sub(r"\r?\n[ \t]", " ", result), doubt


def read(path):
    data = path.read_bytes()
    reading = Reading()
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    try:
        reading.read(message, True)
    except Exception as error:  # it has faults of its own
        return {"file": str(path), "error": repr(error)}
    found = {name: " ".join(words("\n".join(texts))) for name, texts in reading.fields.items()}
    return {"file": str(path), "doubts": sorted(reading.doubts), "defects": sorted(
        {type(defect).__name__ for part in message.walk() for defect in part.defects}), **found}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        top = pathlib.Path(argument)
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                print(json.dumps(read(path)))
