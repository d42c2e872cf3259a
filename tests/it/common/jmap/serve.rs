//! Connections: reads requests, lets faults happen, answers.

use super::api;
use super::faults::Fault;
use super::files;
use super::http::{Head, Response, decoded, read_body, read_head};
use super::line::Line;
use super::options::{Auth, Options, Place, WellKnown};
use super::record::{Endpoint, Seen};
use super::session::session;
use super::shape::is_id;
use super::{Shared, State};
use base64::Engine;
use std::cell::Cell;
use std::io::{BufReader, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Serves one connection until it ends.
pub(super) fn converse(shared: &Arc<Shared>, stream: TcpStream, is_elsewhere: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    shared.state().record.counters.connections += 1;
    let line = Line::new(shared.tls.as_ref(), stream)?;
    let mut reader = BufReader::new(&line);
    while let Some(head) = read_head(&mut reader)? {
        let exchange = Exchange { shared, is_elsewhere, endpoint: endpoint(&head), head, has_left: Cell::new(false) };
        if !exchange.run(&mut reader, &line)? {
            break;
        }
    }
    line.end(Shutdown::Both)
}

fn endpoint(head: &Head) -> Endpoint {
    match path(&head.target) {
        "/.well-known/jmap" | "/session" => Endpoint::Session,
        "/api/" => Endpoint::Api,
        path if path.starts_with("/upload/") => Endpoint::Upload,
        path if path.starts_with("/download/") => Endpoint::Download,
        _ => Endpoint::Unknown,
    }
}

/// The path without the query and without what redirects put in front.
fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default().trim_start_matches("/moved")
}

/// One request and its answer.
struct Exchange<'a> {
    shared: &'a Arc<Shared>,
    is_elsewhere: bool,
    endpoint: Endpoint,
    head: Head,
    has_left: Cell<bool>,
}

impl Exchange<'_> {
    /// True if the connection goes on.
    fn run(&self, reader: &mut BufReader<&Line>, mut stream: &Line) -> Result<bool> {
        let options = &self.shared.options;
        let now = {
            let mut state = self.shared.state();
            for violation in self.head.violations() {
                state.record.blame(violation);
            }
            state.record.enter(self.endpoint)
        };
        let most = match self.endpoint {
            Endpoint::Upload => options.limits.max_size_upload,
            _ => options.limits.max_size_request,
        };
        let outcome = read_body(&self.head, reader, &mut stream, most);
        let outcome = outcome.map(|(body, length)| self.answer(now, &body, length, stream));
        // Whoever has the answer may send the next request at once, so this one ends before it is answered.
        self.leave();
        let (response, faults) = outcome?;
        self.send(stream, response, &faults)
    }

    /// The answer, or none; with the faults that happen to it.
    fn answer(&self, now: usize, body: &[u8], length: usize, line: &Line) -> (Option<Response>, Vec<Fault>) {
        let options = &self.shared.options;
        let parsed = (self.endpoint == Endpoint::Api && length <= options.limits.max_size_request)
            .then(|| api::parse(options, self.head.field("Content-Type"), body));
        let calls = parsed.iter().flatten().next().map(api::Request::names).unwrap_or_default();
        let faults = {
            let mut state = self.shared.state();
            state.record.counters.bytes_in += length as u64;
            state.record.seen.push(Seen {
                endpoint: self.endpoint,
                method: self.head.method.clone(),
                target: self.head.target.clone(),
                is_elsewhere: self.is_elsewhere,
                authorization: self.head.field("Authorization").map(str::to_owned),
                calls: calls.clone(),
                at: Instant::now(),
                status: 0,
            });
            state.faults.of_request(self.endpoint, &self.head.target, &calls, body)
        };
        for fault in &faults {
            if let Fault::Slow(pause) = fault {
                self.pause(*pause, line);
            }
        }
        let early = faults.iter().find_map(|fault| match fault {
            Fault::Status(status) => Some(Some(Response::problem(*status, "", "a fault of the test"))),
            Fault::StatusLater(status, when) => {
                Some(Some(Response::problem(*status, "", "a fault of the test").with("Retry-After", *when)))
            }
            Fault::Body(status, kind, body) => Some(Some(Response {
                status: *status,
                fields: vec![("Content-Type", (*kind).to_owned())],
                body: body.as_bytes().to_vec(),
            })),
            Fault::Unauthorized => Some(Some(self.unauthorized())),
            Fault::Redirect(status, place) => Some(Some(self.redirect(*status, *place))),
            Fault::RedirectTo(status, origin) => {
                Some(Some(redirect_to(*status, format!("{origin}{}", self.head.target))))
            }
            Fault::CutBefore => Some(None),
            _ => None,
        });
        if let Some(early) = early {
            return (early, faults);
        }
        let response = match self.may_enter(now) {
            Ok(()) => self.do_it(body, length, parsed),
            Err(response) => response,
        };
        let response = if faults.iter().any(|fault| matches!(fault, Fault::CutAfter)) { None } else { Some(response) };
        (response, faults)
    }

    /// Waits. A client that hangs up meanwhile has no request at the server any more, but its effect still comes.
    fn pause(&self, pause: Duration, line: &Line) {
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if line.is_over().unwrap_or(true) {
                self.leave();
            }
            std::thread::sleep(left.min(Duration::from_millis(10)));
        }
    }

    /// The request is no longer one of those at once.
    fn leave(&self) {
        if !self.has_left.replace(true) {
            self.shared.state().record.leave(self.endpoint);
        }
    }

    /// Checks credentials and how many there are at once.
    fn may_enter(&self, now: usize) -> std::result::Result<(), Response> {
        let options = &self.shared.options;
        let mut state = self.shared.state();
        if !is_authorized(options, &mut state, self.head.field("Authorization")) {
            return Err(self.unauthorized());
        }
        let limits = options.limits;
        let (limit, name, believed) = match self.endpoint {
            Endpoint::Api => {
                let believed = options.believed().map(|limits| limits.max_concurrent_requests);
                (limits.max_concurrent_requests, "maxConcurrentRequests", believed)
            }
            Endpoint::Upload => {
                let believed = options.believed().map(|limits| limits.max_concurrent_upload);
                (limits.max_concurrent_upload, "maxConcurrentUpload", believed)
            }
            _ => return Ok(()),
        };
        if now <= limit {
            return Ok(());
        }
        if believed.is_some_and(|believed| now > believed) {
            state.record.blame(format!("limit: {now} requests at once are more than {name}"));
        }
        Err(Response::limit(429, name))
    }

    fn unauthorized(&self) -> Response {
        let scheme = match self.shared.options.auth {
            Auth::Basic { .. } => "Basic realm=\"a test\"",
            Auth::Bearer { .. } | Auth::Open => "Bearer",
        };
        Response::problem(401, "", "who are you?").with("WWW-Authenticate", scheme)
    }

    fn redirect(&self, status: u16, place: Place) -> Response {
        let target = &self.head.target;
        let [here, other] = self.shared.ports_of(self.is_elsewhere);
        let url = match place {
            Place::Here => self.shared.url(here, &format!("/moved{target}")),
            Place::Relative => format!("/moved{target}"),
            Place::Elsewhere => self.shared.url(other, target),
        };
        redirect_to(status, url)
    }

    fn do_it(
        &self,
        body: &[u8],
        length: usize,
        parsed: Option<std::result::Result<api::Request, (Response, String)>>,
    ) -> Response {
        let wanted = if matches!(self.endpoint, Endpoint::Api | Endpoint::Upload) { "POST" } else { "GET" };
        if self.head.method != wanted && self.endpoint != Endpoint::Unknown {
            self.shared.state().record.blame(format!("{} {}", self.head.method, self.head.target));
            return Response::problem(405, "", "wrong method").with("Allow", wanted);
        }
        match (self.endpoint, parsed) {
            (Endpoint::Session, _) => self.session(),
            (Endpoint::Api, Some(Ok(request))) => api::process(&self.shared.options, &self.shared.state, request),
            (Endpoint::Api, Some(Err((response, blame)))) => {
                if !blame.is_empty() {
                    self.shared.state().record.blame(blame);
                }
                response
            }
            (Endpoint::Api, None) => self.too_large(length, "maxSizeRequest", 400),
            (Endpoint::Upload, _) => self.upload(body, length),
            (Endpoint::Download, _) => self.download(),
            (Endpoint::Unknown, _) => {
                // Where a session may be that is nowhere else.
                if path(&self.head.target) != "/" {
                    self.shared.state().record.blame(format!("there is no {}", self.head.target));
                }
                Response::problem(404, "", "there is no such resource")
            }
        }
    }

    fn too_large(&self, length: usize, name: &str, status: u16) -> Response {
        let believed = self.shared.options.believed();
        let most = believed
            .map(|limits| if name == "maxSizeRequest" { limits.max_size_request } else { limits.max_size_upload });
        if most.is_some_and(|most| length > most) {
            self.shared.state().record.blame(format!("limit: {length} octets are more than {name}"));
        }
        Response::limit(status, name)
    }

    /// RFC 8620 section 2.
    fn session(&self) -> Response {
        let options = &self.shared.options;
        if path(&self.head.target) == "/.well-known/jmap" {
            let [here, other] = self.shared.ports_of(self.is_elsewhere);
            let port = match options.well_known {
                WellKnown::Serves => None,
                WellKnown::Redirects => Some(here),
                WellKnown::RedirectsElsewhere => Some(other),
                WellKnown::Missing => return Response::problem(404, "", "there is no such resource"),
            };
            if let Some(port) = port {
                let url = self.shared.url(port, "/session");
                return redirect_to(302, url);
            }
        }
        let username = match &options.auth {
            Auth::Basic { user, .. } => user.as_str(),
            Auth::Bearer { .. } | Auth::Open => "alice",
        };
        let state = self.shared.state();
        let mut options = options.clone();
        // What a test changed meanwhile.
        options.accounts = state.accounts.values().map(|account| account.options.clone()).collect();
        let value = session(
            &options,
            |port, path| self.shared.url(self.shared.ports[port], path),
            state.session_state,
            username,
        );
        Response::json(200, &value).with("Cache-Control", "no-cache, no-store, must-revalidate")
    }

    /// RFC 8620 section 6.1.
    fn upload(&self, body: &[u8], length: usize) -> Response {
        let mut parts = path(&self.head.target).trim_start_matches("/upload/").split('/');
        let (Some(account_id), Some(""), None) = (parts.next().and_then(decoded), parts.next(), parts.next()) else {
            self.shared.state().record.blame(format!("{} is no URL of uploadUrl", self.head.target));
            return Response::problem(404, "", "there is no such resource");
        };
        if length > self.shared.options.limits.max_size_upload {
            return self.too_large(length, "maxSizeUpload", 413);
        }
        let mut state = self.shared.state();
        // "The media type of the file … as set in the Content-Type header of the upload HTTP request": so there is one.
        let kind = self.head.field("Content-Type").unwrap_or_default().to_owned();
        if !files::is_media_type(kind.split(';').next().unwrap_or_default().trim()) {
            state.record.blame(format!("upload: the Content-Type is {kind:?}"));
        }
        let Some(account) = state.accounts.get_mut(&account_id) else {
            state.record.blame(format!("upload: there is no account {account_id:?}"));
            return Response::problem(404, "", "there is no such account");
        };
        if account.options.is_read_only {
            return Response::problem(403, "", "the account is read-only");
        }
        if let Err(wait) = account.count_upload(&self.shared.options) {
            let wait = wait.as_secs() + 1;
            return Response::problem(429, "", "too many uploads").with("Retry-After", wait.to_string());
        }
        let blob = account.put_blob(body.to_vec(), false);
        let value = serde_json::json!({"accountId": account_id, "blobId": blob, "type": kind, "size": length});
        Response::json(201, &value)
    }

    /// RFC 8620 section 6.2: `/download/{accountId}/{blobId}/{name}?accept={type}`.
    fn download(&self) -> Response {
        let parts: Vec<Option<String>> =
            path(&self.head.target).trim_start_matches("/download/").split('/').map(decoded).collect();
        let query = self.head.target.split_once('?').map_or("", |(_, query)| query);
        let accept = query.strip_prefix("accept=").and_then(decoded).filter(|kind| kind.contains('/'));
        let mut state = self.shared.state();
        let ([Some(account), Some(blob), Some(name)], Some(kind)) = (&parts[..], accept) else {
            state.record.blame(format!("{} is no URL of downloadUrl", self.head.target));
            return Response::problem(404, "", "there is no such resource");
        };
        // RFC 6570 section 3.2.2: a variable may have only unreserved letters as they are.
        let is_expanded =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
        let name_part = path(&self.head.target).rsplit('/').next().unwrap_or_default();
        if !is_expanded(query.trim_start_matches("accept=")) || !is_expanded(name_part) {
            state.record.blame(format!("{} is not expanded as an URI Template is", self.head.target));
        }
        if !is_id(blob) || name.is_empty() || !state.accounts.contains_key(account) {
            state.record.blame(format!("download: {} names no blob or no account", self.head.target));
            return Response::problem(404, "", "there is no such blob");
        }
        let Some(blob) = state.accounts[account].blobs.get(blob) else {
            return Response::problem(404, "", "there is no such blob");
        };
        let disposition = format!("attachment; filename=\"{}\"", name.replace(['"', '\\', '\r', '\n'], "_"));
        Response { status: 200, fields: vec![("Content-Type", kind)], body: blob.bytes.to_vec() }
            .with("Content-Disposition", disposition)
            .with("Cache-Control", "private, immutable, max-age=31536000")
    }

    /// Sends the answer, as far as faults let it. True if the connection goes on.
    fn send(&self, mut stream: &Line, response: Option<Response>, faults: &[Fault]) -> Result<bool> {
        let options = &self.shared.options;
        let Some(mut response) = response else { return Ok(false) };
        let mut goes_on = self.head.keeps_alive() && !options.closes;
        let (mut off_by, mut pace, mut most) = (0, None, usize::MAX);
        for fault in faults {
            if let Fault::Huge(count) = fault {
                let filler = if self.endpoint == Endpoint::Download { 0 } else { b' ' };
                response.body.resize(response.body.len() + count, filler);
            }
        }
        let is_gzipped = options.gzips && self.head.takes_gzip() && !response.body.is_empty();
        if is_gzipped {
            response = response.gzipped();
        }
        for fault in faults {
            match fault {
                Fault::Truncated => response.body.truncate(response.body.len() / 2),
                Fault::Garbled => response.body.iter_mut().take(1).for_each(|byte| *byte ^= 1),
                Fault::WrongLength(by) => (off_by, goes_on) = (*by, false),
                Fault::Drip(size, pause) => pace = Some((*size, *pause)),
                Fault::CutInBody(count) => most = *count,
                _ => {}
            }
        }
        {
            let mut state = self.shared.state();
            state.record.counters.bytes_out += response.body.len() as u64;
            state.record.counters.gzipped += u64::from(is_gzipped);
            let last =
                state.record.seen.iter_mut().rev().find(|seen| seen.status == 0 && seen.target == self.head.target);
            if let Some(seen) = last {
                seen.status = response.status;
            }
        }
        let mut wire = response.wire(options.chunked, !goes_on, off_by);
        if most != usize::MAX {
            let head = wire.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
            wire.truncate((head + most).min(wire.len() - 1));
            goes_on = false;
        }
        match pace {
            None => stream.write_all(&wire)?,
            Some((size, pause)) => {
                for piece in wire.chunks(size.max(1)) {
                    stream.write_all(piece)?;
                    std::thread::sleep(pause);
                }
            }
        }
        stream.flush()?;
        if !goes_on {
            // What was sent has to arrive before the connection is closed.
            stream.end(Shutdown::Write)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(goes_on)
    }
}

fn redirect_to(status: u16, url: String) -> Response {
    Response { status, fields: vec![("Location", url)], body: Vec::new() }
}

/// Checks an Authorization; a token wears off.
fn is_authorized(options: &Options, state: &mut State, authorization: Option<&str>) -> bool {
    let (scheme, credentials) = authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
    match &options.auth {
        Auth::Open => true,
        Auth::Basic { user, password } => {
            let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            scheme.eq_ignore_ascii_case("Basic") && credentials == wanted
        }
        Auth::Bearer { tokens, requests_each } => {
            if !scheme.eq_ignore_ascii_case("Bearer") || !tokens.iter().any(|token| token == credentials) {
                return false;
            }
            let used = state.tokens.entry(credentials.to_owned()).or_default();
            *used += 1;
            requests_each.is_none_or(|most| *used <= most)
        }
    }
}
