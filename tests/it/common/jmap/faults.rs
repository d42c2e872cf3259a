//! What goes wrong: rules that say where, when and what.

use super::options::Place;
use super::record::Endpoint;
use super::store::Account;
use crate::common::Dice;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Where a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// Any request.
    Any,
    Endpoint(Endpoint),
    /// A call of this method, e.g. `Email/set`; faults of HTTP happen to the request that has such a call.
    Call(&'static str),
    /// A call of any method.
    AnyCall,
    /// A request whose target contains this, e.g. a blob id.
    Target(String),
    /// A request whose body contains this, e.g. an id in quotes.
    Body(String),
}

/// When it happens, counted over what is matched, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    Always,
    Nth(u64),
    First(u64),
    /// From this one on.
    From(u64),
    Every(u64),
    /// With this probability; the dice are `Options::seed`.
    Chance(f64),
}

/// What happens.
#[derive(Clone)]
pub(crate) enum Fault {
    /// An HTTP error; nothing is done.
    Status(u16),
    /// The same with a Retry-After.
    StatusLater(u16, &'static str),
    /// The connection ends without an answer, and nothing is done.
    CutBefore,
    /// The connection ends without an answer, and everything is done.
    CutAfter,
    /// Everything is done, and the connection ends behind so many bytes of the body.
    CutInBody(usize),
    /// Waits before it answers.
    Slow(Duration),
    /// Answers in pieces of so many bytes with pauses between.
    Drip(usize, Duration),
    /// Half of the body, as it is sent, with a Content-Length that fits.
    Truncated,
    /// So many bytes of JSON whitespace (a download: of zeros) behind the body; a bomb where it is compressed.
    Huge(usize),
    /// The first byte of the body is another one: bits that rot.
    Garbled,
    /// A Content-Length that is wrong by so much; then the connection ends.
    WrongLength(i64),
    /// A redirect to the same resource under another URL of this origin, or of the other one.
    Redirect(u16, Place),
    /// A redirect to the same resource of this origin, e.g. `https://localhost:8443`.
    RedirectTo(u16, String),
    /// 401, as if the credentials were wrong.
    Unauthorized,
    /// Answers with this status, type and body instead, and nothing is done: a proxy, a login page.
    Body(u16, &'static str, &'static str),
    /// The method answers with this error, and nothing is done.
    Error(&'static str),
    /// The same, and everything is done.
    ErrorAfter(&'static str),
    /// Half of what is to be set is done, and the answer is `serverPartialFail`.
    Partial,
    /// So many objects of a /set or import fail with this error.
    Object(&'static str, usize),
    /// So many objects are missing in a /get, and not in `notFound`.
    Missing(usize),
    /// All blobs that nothing refers to are gone before the method begins.
    LoseBlobs,
    /// Everything is done, and the answer of the method is changed: what no server may say.
    Edit(Arc<dyn Fn(&mut Value) + Send + Sync>),
    /// Somebody else changes the account before the method begins.
    Meanwhile(Arc<dyn Fn(&mut Account) + Send + Sync>),
}

impl Fault {
    /// True if it happens inside of a method, false if it happens to the request.
    fn is_inside(&self) -> bool {
        matches!(
            self,
            Fault::Error(_)
                | Fault::ErrorAfter(_)
                | Fault::Partial
                | Fault::Object(..)
                | Fault::Missing(_)
                | Fault::LoseBlobs
                | Fault::Edit(_)
                | Fault::Meanwhile(_)
        )
    }
}

struct Rule {
    at: At,
    when: When,
    fault: Fault,
    matched: u64,
}

/// The rules and the dice.
pub(super) struct Faults {
    rules: Vec<Rule>,
    dice: Dice,
    /// How often something went wrong.
    pub happened: u64,
}

impl Faults {
    /// None yet.
    pub(super) fn new(seed: u64) -> Faults {
        Faults { rules: Vec::new(), dice: Dice(seed), happened: 0 }
    }

    /// One more.
    pub(super) fn add(&mut self, at: At, when: When, fault: Fault) {
        self.rules.push(Rule { at, when, fault, matched: 0 });
    }

    /// None any more.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What happens to a request with these calls.
    pub(super) fn of_request(&mut self, endpoint: Endpoint, target: &str, calls: &[String], body: &[u8]) -> Vec<Fault> {
        self.draw(false, |at| match at {
            At::Any => true,
            At::Endpoint(wanted) => *wanted == endpoint,
            At::Call(name) => calls.iter().any(|call| call == name),
            At::AnyCall => !calls.is_empty(),
            At::Target(part) => target.contains(part.as_str()),
            At::Body(part) => String::from_utf8_lossy(body).contains(part.as_str()),
        })
    }

    /// What happens inside of a call.
    pub(super) fn of_call(&mut self, name: &str) -> Vec<Fault> {
        self.draw(true, |at| match at {
            At::Any | At::AnyCall => true,
            At::Endpoint(wanted) => *wanted == Endpoint::Api,
            At::Call(wanted) => *wanted == name,
            At::Target(_) | At::Body(_) => false,
        })
    }

    fn draw(&mut self, is_inside: bool, is_here: impl Fn(&At) -> bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        for rule in &mut self.rules {
            if rule.fault.is_inside() != is_inside || !is_here(&rule.at) {
                continue;
            }
            rule.matched += 1;
            let happens = match rule.when {
                When::Always => true,
                When::Nth(number) => rule.matched == number,
                When::First(count) => rule.matched <= count,
                When::From(number) => rule.matched >= number,
                When::Every(number) => rule.matched.is_multiple_of(number),
                When::Chance(chance) => (self.dice.roll() >> 11) as f64 / ((1u64 << 53) as f64) < chance,
            };
            if happens {
                self.happened += 1;
                faults.push(rule.fault.clone());
            }
        }
        faults
    }
}
