"""Reads an account of mox, and prints each message that is there as a line of JSON: mailbox, keywords, date, bytes.

It shares nothing with the program but the description of the format.
"""

import json
import os
import struct
import sys

ROOT = sys.argv[1]
DATA = open(os.path.join(ROOT, "index.db"), "rb").read()
PAGE = struct.unpack_from("<I", DATA, 24)[0]
META = max((struct.unpack_from("<IIIIQQQQQQ", DATA, at + 16) for at in (0, PAGE)), key=lambda meta: meta[8])


def elements(page):
    flags, count, overflow = struct.unpack_from("<HHI", page, 8)
    for at in range(16, 16 + 16 * count, 16):
        if flags == 1:
            yield from elements(page_at(struct.unpack_from("<Q", page, at + 8)[0]))
        else:
            _, pos, key, value = struct.unpack_from("<IIII", page, at)
            yield page[at + pos : at + pos + key], page[at + pos + key : at + pos + key + value]


def page_at(number):
    at = number * PAGE
    return DATA[at : at + PAGE * (1 + struct.unpack_from("<I", DATA, at + 12)[0])]


def bucket(value):
    root = struct.unpack_from("<Q", value)[0]
    return dict(elements(page_at(root) if root else value[16:]))


class Row:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bits(self, count):
        bits = self.take((count + 7) // 8)
        return [bits[at // 8] & (128 >> at % 8) for at in range(count)]

    def value(self, of):
        kind = of["Kind"]
        if kind == "bool":
            return self.take(1) != b"\0" if of.get("Ptr") else True
        if kind.startswith("int"):
            value = self.uvarint()
            return value >> 1 ^ -(value & 1)
        if kind.startswith("uint"):
            return self.uvarint()
        if kind in ("string", "bytes", "time"):
            return self.take(self.uvarint())
        if kind == "slice":
            return [self.value(of["List"]) if bit else b"" for bit in self.bits(self.uvarint())]
        raise ValueError(kind)


def table(name):
    within = bucket(TYPES[name.encode()])
    schemas = {int.from_bytes(key, "big"): json.loads(value) for key, value in bucket(within[b"types"]).items()}
    for key, value in bucket(within[b"records"]).items():
        row = Row(value)
        fields = schemas[row.uvarint()]["Fields"][1:]
        found = {field["Name"]: row.value(field["Type"]) for field, bit in zip(fields, row.bits(len(fields))) if bit}
        assert row.at == len(value)
        if not found.get("Expunged"):
            yield int.from_bytes(key, "big") - (1 << 63), found


TYPES = bucket(struct.pack("<QQ", META[4], 0))
MAILBOXES = {number: row["Name"].decode() for number, row in table("Mailbox")}
FLAGS = ["Seen", "Answered", "Flagged", "Forwarded", "Junk", "Notjunk", "Draft", "Phishing", "MDNSent"]
for number, row in table("Message"):
    with open(os.path.join(ROOT, "msg", "a", str(number)), "rb") as file:
        message = row.get("MsgPrefix", b"") + file.read()
    assert len(message) == row["Size"]
    keywords = ["$" + flag.lower() for flag in FLAGS if row.get(flag)]
    keywords += [keyword.decode() for keyword in row.get("Keywords", [])]
    print(json.dumps({
        "mailbox": MAILBOXES[row["MailboxID"]],
        "keywords": sorted(keywords),
        "received": int.from_bytes(row["Received"][1:9], "big") - 62135596800,
        "bytes": message.hex(),
    }))
