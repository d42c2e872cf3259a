"""Write calendars, an address book and files: make_dav.py PATH EVENTS CALENDARS CARDS FILES MEAN_BYTES SEED.

They come as PATH/caldav/CALENDAR/UID.ics, PATH/carddav/Contacts/UID.vcf and PATH/webdav/..., always the same for the
same arguments. Some events repeat, have a time zone with its rules, an alarm, attendees, or a long description; a
card in twelve has a small photo. The sizes of files are spread as those of a home folder, MEAN_BYTES on average; half
of them do not compress.
"""

import base64
import pathlib
import random
import sys
import uuid

NAMES = ["Personal", "Work", "Family", "Holidays", "Training", "Travel", "School", "Band practice", "Zahnärzte", "会議"]
FIRST = "Ada Bruno Chen Dana Eva Farid Grace Ivo Jörg Zoë Nadia Oğuz Pilar René Siobhán Tomáš 美咲 Юлия".split()
LAST = "Palmer Díaz Wei O'Neil Müller Khan Hall Novák Björk Şahin 田中 Иванова Smith García Rossi Kowalski".split()
WORDS = """meeting review planning lunch with call project budget interview dentist birthday concert flight train
report weekly quarterly team offsite demo release retrospective swimming school parents evening delivery appointment
Grüße café 東京 über notes agenda please bring the slides and confirm room number before Friday, or call me back;
thanks""".split()
FOLDERS = ["Documents", "Documents/Taxes/2024", "Documents/Taxes/2025", "Documents/Letters", "Pictures/2025-06 Lisbon",
           "Pictures/2025-12 Family & friends", "Music/Björk/Homogenic", "Projects/alpha/src",
           "Projects/alpha/docs", "Projects/beta (old)", "Scans", "Backup 100%", "日本語", "Notes"]
ENDINGS = ["pdf", "jpg", "txt", "odt", "md", "png", "csv"]
ZONES = {
    "Europe/Berlin": [("DAYLIGHT", "19810329T020000", "+0100", "+0200", "CEST", "BYMONTH=3;BYDAY=-1SU"),
                      ("STANDARD", "19961027T030000", "+0200", "+0100", "CET", "BYMONTH=10;BYDAY=-1SU")],
    "America/New_York": [("DAYLIGHT", "20070311T020000", "-0500", "-0400", "EDT", "BYMONTH=3;BYDAY=2SU"),
                         ("STANDARD", "20071104T020000", "-0400", "-0500", "EST", "BYMONTH=11;BYDAY=1SU")],
}
RULES = ["FREQ=WEEKLY;BYDAY=MO", "FREQ=WEEKLY;INTERVAL=2;COUNT=26", "FREQ=YEARLY", "FREQ=MONTHLY;BYDAY=1TU;COUNT=24"]


def main():
    path, *numbers = sys.argv[1:]
    events, calendars, cards, files, mean, seed = map(int, numbers)
    rng = random.Random(seed)
    path = pathlib.Path(path)
    for number in range(calendars):
        name = NAMES[number] if number < len(NAMES) else f"Calendar {number}"
        fill(path / "caldav" / name, "ics", (event(rng) for _ in range(number, events, calendars)))
    fill(path / "carddav" / "Contacts", "vcf", (card(rng) for _ in range(cards)))
    make_files(rng, path / "webdav", files, mean)


def fill(folder, ending, objects):
    folder.mkdir(parents=True)
    for uid, lines in objects:
        (folder / f"{uid}.{ending}").write_bytes(b"".join(map(folded, lines)))


def folded(line):
    """As RFC 5545 and RFC 6350 want it: 75 bytes, and no character in two lines."""
    pieces, piece = [], ""
    for character in line:
        if len((piece + character).encode()) > (75 if not pieces else 74):
            pieces.append(piece)
            piece = ""
        piece += character
    return "\r\n ".join([*pieces, piece]).encode() + b"\r\n"


def escaped(text):
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def words(rng, most):
    return escaped(" ".join(rng.choices(WORDS, k=rng.randint(2, most))))


def an_uid(rng):
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def person(rng):
    first, last = rng.choice(FIRST), rng.choice(LAST)
    return f"{first} {last}", f"p{rng.randrange(10_000)}@example.com"


def event(rng):
    """Nobody here is the user of the server: it shall send no invitations."""
    uid = an_uid(rng)
    day = f"20{rng.randint(15, 29)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    hour, chance = rng.randint(7, 20), rng.random()
    lines = [f"UID:{uid}", f"DTSTAMP:{day}T060000Z", f"CREATED:{day}T055500Z", f"LAST-MODIFIED:{day}T060000Z",
             f"SEQUENCE:{rng.randint(0, 3)}", f"SUMMARY:{words(rng, 6)}"]
    zone = None
    if chance < 0.2:
        lines += [f"DTSTART;VALUE=DATE:{day}", "DURATION:P1D", "TRANSP:TRANSPARENT"]
    elif chance < 0.6:
        zone = rng.choice(list(ZONES))
        lines += [f"DTSTART;TZID={zone}:{day}T{hour:02}0000", f"DTEND;TZID={zone}:{day}T{hour + 1:02}3000"]
    else:
        lines += [f"DTSTART:{day}T{hour:02}0000Z", f"DTEND:{day}T{hour:02}4500Z"]
    if rng.random() < 0.25:
        lines.append(f"RRULE:{rng.choice(RULES)}")
    if rng.random() < 0.5:
        lines.append(f"LOCATION:{words(rng, 4)}")
    if rng.random() < 0.4:
        lines.append(f"DESCRIPTION:{words(rng, 12 if rng.random() < 0.8 else 300)}")
    if rng.random() < 0.3:
        name, address = person(rng)
        lines.append(f'ORGANIZER;CN="{name}":mailto:{address}')
        for _ in range(rng.randint(1, 8)):
            name, address = person(rng)
            state = rng.choice(["NEEDS-ACTION", "ACCEPTED", "DECLINED", "TENTATIVE"])
            lines.append(f'ATTENDEE;CN="{name}";PARTSTAT={state};ROLE=REQ-PARTICIPANT:mailto:{address}')
    if rng.random() < 0.35:
        lines += ["BEGIN:VALARM", "ACTION:DISPLAY", f"DESCRIPTION:{words(rng, 3)}",
                  f"TRIGGER:-PT{rng.choice([5, 15, 30, 60])}M", "END:VALARM"]
    return uid, ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Vandelay//bench//EN", *zone_lines(zone), "BEGIN:VEVENT",
                 *lines, "END:VEVENT", "END:VCALENDAR"]


def zone_lines(zone):
    if not zone:
        return []
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone}"]
    for part, start, before, after, name, rule in ZONES[zone]:
        lines += [f"BEGIN:{part}", f"DTSTART:{start}", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}",
                  f"TZNAME:{name}", f"RRULE:FREQ=YEARLY;{rule}", f"END:{part}"]
    return [*lines, "END:VTIMEZONE"]


def card(rng):
    uid = an_uid(rng)
    name, address = person(rng)
    first, _, last = name.partition(" ")
    lines = [f"UID:{uid}", f"FN:{name}", f"N:{last};{first};;;", f"EMAIL;TYPE=HOME:{address}",
             f"REV:20{rng.randint(15, 25)}0101T120000Z"]
    for kind in ("CELL", "WORK", "HOME")[:rng.randint(0, 3)]:
        lines.append(f"TEL;TYPE={kind}:+49 {rng.randint(100, 999)} {rng.randint(10_000, 9_999_999)}")
    if rng.random() < 0.5:
        lines.append(f"ADR;TYPE=HOME:;;{rng.randint(1, 99)} {rng.choice(LAST)} Street;Springfield;;"
                     f"{rng.randint(10_000, 99_999)};Germany")
    if rng.random() < 0.4:
        lines += [f"ORG:{words(rng, 3)}", f"TITLE:{words(rng, 3)}"]
    if rng.random() < 0.3:
        lines.append(f"BDAY:19{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}")
    if rng.random() < 0.3:
        lines.append(f"NOTE:{words(rng, 40)}")
    if rng.random() < 1 / 12:
        photo = base64.b64encode(b"\xff\xd8\xff\xe0" + rng.randbytes(rng.randint(2_000, 8_000))).decode()
        lines.append(f"PHOTO;ENCODING=b;TYPE=JPEG:{photo}")
    return uid, ["BEGIN:VCARD", "VERSION:3.0", "PRODID:-//Vandelay//bench//EN", *lines, "END:VCARD"]


def make_files(rng, path, count, mean):
    """Sizes of a logarithmic normal distribution, scaled to the mean."""
    sizes = [rng.lognormvariate(0, 1.8) for _ in range(count)]
    scale = mean * count / max(sum(sizes), 1)
    for number, size in enumerate(sizes):
        folder = path / rng.choice(FOLDERS) / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        size = round(size * scale)
        text = " ".join(rng.choices(WORDS, k=64)).encode() + b"\n"
        bytes_ = rng.randbytes(size) if number % 2 else (text * (size // len(text) + 1))[:size]
        (folder / f"{rng.choice(WORDS).strip(',;')} {number}.{rng.choice(ENDINGS)}").write_bytes(bytes_)


main()
