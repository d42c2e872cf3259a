//! Method calls that go to the server together, and its answers.

use super::capability as cap;
use super::error::{Error, MethodError, Result};
use crate::net::http::Repeat;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A call of a request, for references to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(usize);

/// Method calls for one request (RFC 8620 section 3.3). The server does them in this order.
#[derive(Debug, Clone, Default)]
pub struct Request {
    calls: Vec<(String, Value)>,
    is_once: bool,
    is_hasty: bool,
    is_plain: bool,
}

impl Request {
    /// An empty request. Calls that only ask may be sent again after any failure.
    pub fn new() -> Request {
        Request::default()
    }

    /// One that changes something: it is not sent again where the server may have done it already. The caller looks
    /// what became of it.
    pub fn once() -> Request {
        Request { is_once: true, ..Request::default() }
    }

    /// The same request, given up soon when the server breaks off instead of answering: perhaps it cannot bear one of the
    /// calls. A server that asks to wait is waited for as ever.
    pub fn hasty(self) -> Request {
        Request { is_hasty: true, ..self }
    }

    /// How often it is sent again after the line broke.
    pub(super) fn repeat(&self) -> Repeat {
        match (self.is_once, self.is_hasty) {
            (true, _) => Repeat::Once,
            (false, true) => Repeat::Hasty,
            (false, false) => Repeat::Usual,
        }
    }

    /// The same request, with an answer that is not to be compressed: what is large in it is bytes, and the server would
    /// take longer to squeeze them than to send them.
    pub fn plain(self) -> Request {
        Request { is_plain: true, ..self }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Adds a call, e.g. `Email/get` with an object of arguments.
    pub fn call(&mut self, method: &str, arguments: Value) -> Handle {
        self.calls.push((method.to_owned(), arguments));
        Handle(self.calls.len() - 1)
    }

    /// A reference to a result of an earlier call (RFC 8620 section 3.7), to be the value of an argument whose name
    /// begins with `#`.
    pub fn result_of(&self, call: Handle, path: &str) -> Value {
        let name = self.calls.get(call.0).map_or("", |(name, _)| name.as_str());
        json!({ "resultOf": id(call), "name": name, "path": path })
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// True if there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn is_once(&self) -> bool {
        self.is_once
    }

    /// The names of the methods, for logs: `Email/query Email/get`.
    pub(super) fn names(&self) -> String {
        let mut names = String::new();
        for (name, _) in self.calls.iter().take(8) {
            if !names.is_empty() {
                names.push(' ');
            }
            names.push_str(name);
        }
        if self.calls.len() > 8 {
            names.push_str(&format!(" and {} more", self.calls.len() - 8));
        }
        names
    }

    /// The Request object. `using` names what the calls need, as far as the server has it: naming another one would make
    /// it refuse everything (`unknownCapability`, section 3.6.1).
    pub(super) fn body(&self, is_offered: impl Fn(&str) -> bool) -> Body<'_> {
        let mut using: BTreeSet<&str> = BTreeSet::from([cap::CORE]);
        for (method, _) in &self.calls {
            using.extend(needs(method).iter().copied().filter(|name| is_offered(name)));
        }
        let calls = self.calls.iter().enumerate();
        let method_calls =
            calls.map(|(at, (method, arguments))| (method.as_str(), arguments, id(Handle(at)))).collect();
        Body { using, method_calls }
    }
}

/// A Request object (RFC 8620 section 3.3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'r> {
    using: BTreeSet<&'r str>,
    method_calls: Vec<(&'r str, &'r Value, String)>,
}

fn id(handle: Handle) -> String {
    format!("c{}", handle.0)
}

/// The capabilities that a method belongs to.
fn needs(method: &str) -> &'static [&'static str] {
    match method.split('/').next().unwrap_or_default() {
        "Mailbox" | "Email" | "Thread" | "SearchSnippet" => &[cap::MAIL],
        "Identity" | "EmailSubmission" => &[cap::MAIL, cap::SUBMISSION],
        "VacationResponse" => &[cap::MAIL, cap::VACATION],
        "SieveScript" => &[cap::SIEVE],
        "AddressBook" | "ContactCard" => &[cap::CONTACTS],
        "Calendar" | "CalendarEvent" | "ParticipantIdentity" | "CalendarEventNotification" => &[cap::CALENDARS],
        "FileNode" => &[cap::FILENODE],
        "Blob" => &[cap::BLOB, cap::BLOB_CYRUS],
        "Principal" | "ShareNotification" => &[cap::PRINCIPALS],
        "Quota" => &[cap::QUOTA],
        _ => &[],
    }
}

/// The answers to a request.
#[derive(Debug, Default)]
pub struct Responses {
    /// By call: the answers in order. A call may have several (section 3.4).
    answers: Vec<Vec<(String, Value)>>,
    methods: Vec<String>,
}

impl Responses {
    /// Reads a Response object (RFC 8620 section 3.4). Answers to calls that are not in the request are left out.
    pub(super) fn read(request: &Request, mut value: Value) -> Result<Responses> {
        let methods: Vec<String> = request.calls.iter().map(|(name, _)| name.clone()).collect();
        let Some(Value::Array(found)) = value.get_mut("methodResponses").map(Value::take) else {
            return Err(Error::protocol("an answer without methodResponses"));
        };
        let mut answers: Vec<Vec<(String, Value)>> = vec![Vec::new(); methods.len()];
        for answer in found {
            let Value::Array(parts) = answer else { continue };
            let mut parts = parts.into_iter();
            let (Some(Value::String(name)), Some(arguments), Some(Value::String(call))) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let at = call.strip_prefix('c').and_then(|number| number.parse::<usize>().ok());
            if let Some(list) = at.and_then(|at| answers.get_mut(at)) {
                list.push((name, arguments));
            }
        }
        Ok(Responses { answers, methods })
    }

    /// The answer to a call: the arguments of the first response that has the call's name, or its error.
    pub fn take(&mut self, call: Handle) -> Result<Map<String, Value>> {
        let method = self.methods.get(call.0).cloned().unwrap_or_default();
        let answers = self.answers.get_mut(call.0).map(std::mem::take).unwrap_or_default();
        self.pick(&method, answers)
    }

    /// The answer that an implicit call made (`Email/set` after `EmailSubmission/set`, `Email/get` of `Email/copy`):
    /// one with another name under the same id.
    pub fn implicit(&mut self, call: Handle, method: &str) -> Result<Map<String, Value>> {
        let Some(list) = self.answers.get_mut(call.0) else {
            return Err(Error::protocol(format!("no answer to {method}")));
        };
        let found: Vec<(String, Value)> = list.extract_if(.., |(name, _)| name == method).collect();
        self.pick(method, found)
    }

    fn pick(&self, method: &str, answers: Vec<(String, Value)>) -> Result<Map<String, Value>> {
        for (name, arguments) in answers {
            match arguments {
                arguments if name == "error" => return Err(Error::Method(MethodError::of(method, &arguments))),
                Value::Object(arguments) if name == method => return Ok(arguments),
                _ => {}
            }
        }
        Err(Error::protocol(format!("no answer to {method}")))
    }

    /// True if a method failed in a way that time heals.
    pub(super) fn transient(&self) -> Option<MethodError> {
        let errors = self.answers.iter().zip(&self.methods).flat_map(|(list, method)| {
            list.iter().filter(|(name, _)| name == "error").map(move |(_, value)| MethodError::of(method, value))
        });
        errors.into_iter().find(MethodError::is_transient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_what_they_need() {
        let mut request = Request::new();
        let query = request.call("Email/query", json!({ "accountId": "a" }));
        let ids = request.result_of(query, "/ids");
        request.call("Email/get", json!({ "accountId": "a", "#ids": ids }));
        request.call("Identity/get", json!({ "accountId": "a" }));
        let body = serde_json::to_value(request.body(|name| name != cap::SUBMISSION)).expect("JSON");
        assert_eq!(
            body,
            json!({
                "using": [cap::CORE, cap::MAIL],
                "methodCalls": [
                    ["Email/query", { "accountId": "a" }, "c0"],
                    ["Email/get", { "accountId": "a", "#ids": { "resultOf": "c0", "name": "Email/query", "path": "/ids" } }, "c1"],
                    ["Identity/get", { "accountId": "a" }, "c2"],
                ],
            })
        );
    }

    #[test]
    fn answers_belong_to_calls() {
        let mut request = Request::new();
        let calls = ["A/get", "B/get", "C/get", "D/get"].map(|name| request.call(name, json!({})));
        let value = json!({ "methodResponses": [
            ["B/get", { "b": 1 }, "c1"],
            ["error", { "type": "serverFail", "description": "a\u{1b}[31m\nb" }, "c0"],
            ["C/other", {}, "c2"],
            ["C/set", { "c": 2 }, "c2"],
            ["X/get", {}, "c99"], ["Y/get", {}, 7], "junk", ["Z/get"],
        ]});
        let mut responses = Responses::read(&request, value).expect("a response");
        let error = responses.take(calls[0]).expect_err("an error");
        assert_eq!(error.to_string(), "A/get: serverFail: a [31m b");
        assert_eq!(responses.take(calls[1]).expect("an answer").get("b"), Some(&json!(1)));
        assert_eq!(responses.implicit(calls[2], "C/set").expect("an answer").get("c"), Some(&json!(2)));
        assert!(responses.take(calls[2]).is_err() && responses.take(calls[3]).is_err());
        assert!(Responses::read(&request, json!([])).is_err());
    }
}
