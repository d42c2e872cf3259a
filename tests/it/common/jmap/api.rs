//! The API resource: RFC 8620 section 3. Takes a request apart, calls its methods, collects their answers.

use super::call::{Call, Creations, MethodError, Twist};
use super::faults::Fault;
use super::http::Response;
use super::ijson;
use super::options::{BLOB, CORE, Options};
use super::schema::Kind;
use super::session::{capabilities, session_state};
use super::shape::{is_id, short};
use super::{State, blob, email, get, query, set};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// A request that has the form of one.
pub(super) struct Request {
    using: BTreeSet<String>,
    calls: Vec<(String, Map<String, Value>, String)>,
    created: Option<BTreeMap<String, String>>,
}

impl Request {
    /// The names of the methods.
    pub(super) fn names(&self) -> Vec<String> {
        self.calls.iter().map(|(name, ..)| name.clone()).collect()
    }
}

/// Reads a request; the error is the answer and what the client did wrong.
pub(super) fn parse(options: &Options, content_type: Option<&str>, body: &[u8]) -> Result<Request, (Response, String)> {
    let refuse = |kind: &str, why: String| (Response::problem(400, kind, &why), format!("{kind}: {why}"));
    // "The content type of the request was not `application/json` or the request did not parse as I-JSON."
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(refuse("notJSON", format!("the Content-Type is {content_type:?}")));
    }
    let value = ijson::parse(body).map_err(|why| refuse("notJSON", why))?;
    let not_request = |why: &str| refuse("notRequest", format!("{why}: {}", short(&value)));
    let Some(using) = value.get("using").and_then(Value::as_array) else {
        return Err(not_request("using is no array"));
    };
    let names: BTreeSet<String> = using.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if names.len() != using.len() {
        return Err(not_request("using is no set of strings"));
    }
    let Some(calls) = value.get("methodCalls").and_then(Value::as_array) else {
        return Err(not_request("methodCalls is no array"));
    };
    let mut parsed = Vec::new();
    for call in calls {
        match call.as_array().map(Vec::as_slice) {
            Some([Value::String(name), Value::Object(arguments), Value::String(id)]) => {
                parsed.push((name.clone(), arguments.clone(), id.clone()));
            }
            _ => return Err(not_request("a method call is no Invocation")),
        }
    }
    let created = match value.get("createdIds") {
        None => None,
        Some(Value::Object(map)) => {
            let mut ids = BTreeMap::new();
            for (name, id) in map {
                let Some(id) = id.as_str().filter(|id| is_id(id) && is_id(name)) else {
                    return Err(not_request("createdIds is no Id[Id]"));
                };
                ids.insert(name.clone(), id.to_owned());
            }
            Some(ids)
        }
        Some(_) => return Err(not_request("createdIds is no map")),
    };
    let known = capabilities(options);
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(refuse("unknownCapability", format!("using has {name:?}, the session has not")));
    }
    if parsed.len() > options.limits.max_calls_in_request {
        let could_know = options.believed().is_some_and(|limits| parsed.len() > limits.max_calls_in_request);
        let blame = if could_know { format!("limit: {} calls in one request", parsed.len()) } else { String::new() };
        return Err((Response::limit(400, "maxCallsInRequest"), blame));
    }
    Ok(Request { using: names, calls: parsed, created })
}

/// Processes the calls "sequentially, in order".
pub(super) fn process(options: &Options, state: &Mutex<State>, request: Request) -> Response {
    let mut creations = Creations { ids: request.created.clone().unwrap_or_default(), ..Creations::default() };
    creations.attempted.extend(creations.ids.keys().cloned());
    let mut responses: Vec<Value> = Vec::new();
    for (name, arguments, id) in request.calls {
        let mut state = state.lock().expect("a lock");
        *state.record.counters.calls.entry(name.clone()).or_default() += 1;
        let outcome = referenced(&responses, arguments)
            .and_then(|arguments| call(options, &mut state, &request.using, &name, arguments, &mut creations));
        responses.push(match outcome {
            Ok(answer) => json!([name, answer, id]),
            Err(error) => {
                if error.is_blame {
                    state.record.blame(format!("{name}: {}: {}", error.kind, error.description));
                }
                json!(["error", {"type": error.kind, "description": error.description}, id])
            }
        });
    }
    let state = state.lock().expect("a lock");
    let mut answer = json!({"methodResponses": responses, "sessionState": session_state(state.session_state)});
    // "only returned if given in the request".
    if request.created.is_some() {
        answer["createdIds"] = json!(creations.ids);
    }
    Response::json(200, &answer)
}

/// Puts the results of earlier calls where the arguments refer to them: section 3.7.
fn referenced(responses: &[Value], arguments: Map<String, Value>) -> Result<Map<String, Value>, MethodError> {
    let mut real = Map::new();
    for (name, value) in &arguments {
        let Some(bare) = name.strip_prefix('#') else {
            real.insert(name.clone(), value.clone());
            continue;
        };
        if arguments.contains_key(bare) {
            return Err(MethodError::arguments(format!("both {bare} and #{bare}")));
        }
        let parts = ["resultOf", "name", "path"].map(|part| value.get(part).and_then(Value::as_str));
        let ([Some(of), Some(method), Some(path)], Some(3)) = (parts, value.as_object().map(Map::len)) else {
            return Err(MethodError::arguments(format!("{name} is no ResultReference")));
        };
        // "Find the first response with a method call id identical to the *resultOf* property".
        let Some(response) = responses.iter().find(|response| response[2] == of) else {
            return Err(MethodError::blame("invalidResultReference", format!("there was no call {of:?}")));
        };
        if response[0] != method {
            let is_blame = response[0] != "error";
            let text = format!("the answer to {of:?} is {}", response[0]);
            return Err(MethodError { is_blame, ..MethodError::new("invalidResultReference", text) });
        }
        let Some(found) = ijson::reference(&response[1], path) else {
            // Below a member that is there, e.g. `created`, something may be missing through nobody's fault.
            let first = path.split('/').nth(1).unwrap_or_default();
            let is_blame = !path.starts_with('/') || response[1].get(first).is_none();
            let text = format!("{path:?} leads nowhere");
            return Err(MethodError { is_blame, ..MethodError::new("invalidResultReference", text) });
        };
        real.insert(bare.to_owned(), found);
    }
    Ok(real)
}

/// What a method name means: the capability it is of, and what to do.
#[derive(Clone, Copy)]
enum Method {
    Echo,
    BlobUpload,
    BlobGet,
    Standard(Kind, &'static str),
}

impl Method {
    fn named(name: &str) -> Option<Method> {
        match name {
            "Core/echo" => return Some(Method::Echo),
            "Blob/upload" => return Some(Method::BlobUpload),
            "Blob/get" => return Some(Method::BlobGet),
            _ => {}
        }
        let (kind, verb) = name.split_once('/')?;
        let kind = Kind::named(kind)?;
        kind.schema().methods.iter().find(|known| **known == verb).map(|verb| Method::Standard(kind, verb))
    }

    fn capability(self) -> &'static str {
        match self {
            Method::Echo => CORE,
            Method::BlobUpload | Method::BlobGet => BLOB,
            Method::Standard(kind, _) => kind.schema().capability,
        }
    }

    fn is_write(self) -> bool {
        matches!(self, Method::BlobUpload | Method::Standard(_, "set" | "import"))
    }
}

fn call(
    options: &Options,
    state: &mut State,
    using: &BTreeSet<String>,
    name: &str,
    mut arguments: Map<String, Value>,
    creations: &mut Creations,
) -> Result<Value, MethodError> {
    let Some(method) = Method::named(name) else {
        return Err(MethodError::blame("unknownMethod", "no standard has it, or the test server has it not"));
    };
    // "The server MUST only follow the specifications that are opted into and behave as though it does not implement
    // anything else" (section 1.8).
    for wanted in [CORE, method.capability()] {
        if !using.contains(wanted) {
            return Err(MethodError::blame("unknownMethod", format!("using does not have {wanted}")));
        }
    }
    if let Method::Echo = method {
        return Ok(arguments.into());
    }
    let account_id = match arguments.get("accountId") {
        Some(Value::String(id)) => id.clone(),
        other => return Err(MethodError::arguments(format!("accountId is {other:?}"))),
    };
    let Some(account) = state.accounts.get_mut(&account_id) else {
        return Err(MethodError::blame("accountNotFound", account_id));
    };
    if !account.options.capabilities.contains(&method.capability()) {
        return Err(MethodError::blame("accountNotSupportedByMethod", account_id));
    }
    if account.options.is_read_only && method.is_write() {
        return Err(MethodError::blame("accountReadOnly", account_id));
    }
    let faults = state.faults.of_call(name);
    let mut twist = Twist::default();
    let mut error_after = None;
    let wanted = created_by(&arguments);
    for fault in &faults {
        match fault {
            Fault::Error(kind) => {
                // A later call may refer to what was to be created here, and is not to blame.
                creations.attempted.extend(wanted);
                return Err(MethodError::new(kind, "a fault of the test"));
            }
            Fault::ErrorAfter(kind) => error_after = Some(*kind),
            Fault::Partial => {
                halve(&mut arguments);
                let left = created_by(&arguments);
                creations.attempted.extend(wanted.iter().filter(|id| !left.contains(*id)).cloned());
                error_after = Some("serverPartialFail");
            }
            Fault::Object(kind, count) => twist.set_error = Some((kind, *count)),
            Fault::Missing(count) => twist.missing = *count,
            Fault::LoseBlobs => account.drop_unreferenced(),
            Fault::Meanwhile(change) => change(account),
            _ => {}
        }
    }
    let counters = &mut state.record.counters;
    let count = |names: &[&str]| names.iter().filter_map(|name| arguments.get(*name)).map(size).sum::<usize>();
    counters.most_got = counters.most_got.max(count(&["ids"]));
    counters.most_set = counters.most_set.max(count(&["create", "update", "destroy", "emails"]));
    let kind = if let Method::Standard(kind, _) = method { kind } else { Kind::Email };
    let mut blames = Vec::new();
    let mut call =
        Call { options, account, kind, arguments, creations, blames: &mut blames, twist, ignored: BTreeSet::new() };
    let outcome = match method {
        Method::Echo => unreachable!("it was answered"),
        Method::BlobUpload => blob::upload(&mut call),
        Method::BlobGet => blob::get(&mut call),
        Method::Standard(_, "get") => get::get(&mut call),
        Method::Standard(_, "changes") => get::changes(&mut call),
        Method::Standard(_, "query") => query::query(&mut call),
        Method::Standard(_, "import") => email::import(&mut call),
        Method::Standard(..) => set::set(&mut call),
    };
    for blame in blames {
        state.record.blame(format!("{name}: {blame}"));
    }
    let outcome = outcome.map(|mut answer| {
        for fault in &faults {
            if let Fault::Edit(edit) = fault {
                edit(&mut answer);
            }
        }
        answer
    });
    match error_after {
        Some(kind) => outcome.and(Err(MethodError::new(kind, "a fault of the test"))),
        None => outcome,
    }
}

fn size(value: &Value) -> usize {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len)).unwrap_or(0)
}

/// The creation ids in the arguments of a call.
fn created_by(arguments: &Map<String, Value>) -> Vec<String> {
    arguments.get("create").and_then(Value::as_object).into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

/// The first half of everything that is to be set.
fn halve(arguments: &mut Map<String, Value>) {
    for name in ["create", "update", "destroy", "emails"] {
        match arguments.get_mut(name) {
            Some(Value::Object(map)) => {
                let keep = map.len().div_ceil(2);
                *map = std::mem::take(map).into_iter().take(keep).collect();
            }
            Some(Value::Array(ids)) => ids.truncate(ids.len().div_ceil(2)),
            _ => {}
        }
    }
}
