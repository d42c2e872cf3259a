"""Put calendars or address books onto a server: fill_dav.py KIND HOME_URL USER PASSWORD FOLDER.

KIND is caldav or carddav. Each folder of FOLDER becomes a collection below HOME_URL, named after it, and each file in
it an object, under its name. Several are sent at once.
"""

import base64
import concurrent.futures
import http.client
import pathlib
import sys
import threading
import urllib.parse
from xml.sax.saxutils import escape

NAMES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav"'
MAKE = {
    "caldav": ("MKCALENDAR", "C:mkcalendar", "<D:displayname>{name}</D:displayname>"),
    "carddav": ("MKCOL", "D:mkcol", "<D:resourcetype><D:collection/><R:addressbook/></D:resourcetype>"
                "<D:displayname>{name}</D:displayname>"),
}
AT_ONCE = 8
TYPES = {".ics": "text/calendar; charset=utf-8", ".vcf": "text/vcard; charset=utf-8"}


def main():
    kind, home, user, password, folder = sys.argv[1:]
    client = Client(urllib.parse.urlsplit(home), user, password)
    for number, path in enumerate(sorted(pathlib.Path(folder).iterdir())):
        place = f"{client.home}{kind}-{number}/"
        method, root, properties = MAKE[kind]
        told = properties.format(name=escape(path.name))
        body = f"<?xml version=\"1.0\"?><{root} {NAMES}><D:set><D:prop>{told}</D:prop></D:set></{root}>"
        client.ask(method, place, "application/xml; charset=utf-8", body.encode())
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda file: client.put(place, file), sorted(path.iterdir())))


class Client:
    """With a connection for each thread."""

    def __init__(self, url, user, password):
        self.home = url.path
        self.address = url.hostname, url.port
        self.local = threading.local()
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def put(self, place, file):
        self.ask("PUT", place + file.name, TYPES[file.suffix], file.read_bytes())

    def ask(self, method, path, content_type, body):
        if not hasattr(self.local, "line"):
            self.local.line = http.client.HTTPConnection(*self.address)
        self.local.line.request(method, path, body, {"Content-Type": content_type, "Authorization": self.login})
        answer = self.local.line.getresponse()
        said = answer.read()
        if answer.status not in (200, 201, 204):
            raise SystemExit(f"{method} {path}: {answer.status} {said.decode(errors='replace')[:1000]}")


main()
