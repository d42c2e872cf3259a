//! What a method gets and what it may answer with: checked arguments, errors, blame.

use super::options::{Limits, Options};
use super::schema::Kind;
use super::shape::{Shape, short};
use super::store::Account;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A method call that is being processed.
pub(super) struct Call<'a> {
    pub options: &'a Options,
    pub account: &'a mut Account,
    pub kind: Kind,
    pub arguments: Map<String, Value>,
    pub creations: &'a mut Creations,
    /// What the client did that no client may do.
    pub blames: &'a mut Vec<String>,
    pub twist: Twist,
    /// Objects whose names do not count just now, because they are about to change.
    pub ignored: BTreeSet<String>,
}

/// Creation ids of a request, RFC 8620 section 3.3.
#[derive(Debug, Default)]
pub(super) struct Creations {
    /// The ids of what was created.
    pub ids: BTreeMap<String, String>,
    /// All that the client wanted to create.
    pub attempted: BTreeSet<String>,
}

impl Creations {
    /// The real id behind a reference `#x`, or the error for the property that has it.
    pub(super) fn resolve(&self, reference: &str, property: &str) -> Result<String, SetError> {
        let name = reference.strip_prefix('#').expect("a reference");
        self.ids.get(name).cloned().ok_or_else(|| SetError {
            is_blame: !self.attempted.contains(name),
            ..SetError::conflict("invalidProperties", property, format!("nothing was created as {name:?}"))
        })
    }
}

/// What a fault does inside of a method.
#[derive(Debug, Clone, Default)]
pub(super) struct Twist {
    /// So many objects of a /set or an import fail with this error.
    pub set_error: Option<(&'static str, usize)>,
    /// So many objects are missing in the answer to a /get, and not in `notFound`.
    pub missing: usize,
}

/// An error of a whole method, RFC 8620 section 3.6.2.
#[derive(Debug)]
pub(super) struct MethodError {
    pub kind: String,
    pub description: String,
    /// The client could have known.
    pub is_blame: bool,
}

impl MethodError {
    /// An error that a correct client can meet.
    pub(super) fn new(kind: &str, description: impl Into<String>) -> MethodError {
        MethodError { kind: kind.to_owned(), description: description.into(), is_blame: false }
    }

    /// An error that only an incorrect client meets.
    pub(super) fn blame(kind: &str, description: impl Into<String>) -> MethodError {
        MethodError { is_blame: true, ..MethodError::new(kind, description) }
    }

    /// `invalidArguments`.
    pub(super) fn arguments(description: impl Into<String>) -> MethodError {
        MethodError::blame("invalidArguments", description)
    }
}

/// An error for one object, RFC 8620 section 5.3.
#[derive(Debug, Clone)]
pub(super) struct SetError {
    pub kind: String,
    pub description: String,
    pub properties: Vec<String>,
    pub extra: Box<Map<String, Value>>,
    pub is_blame: bool,
    /// It may go away with other objects of the same call.
    pub is_deferrable: bool,
}

impl SetError {
    /// An error that a correct client can meet.
    pub(super) fn new(kind: &str, description: impl Into<String>) -> SetError {
        SetError {
            kind: kind.to_owned(),
            description: description.into(),
            properties: Vec::new(),
            extra: Box::default(),
            is_blame: false,
            is_deferrable: false,
        }
    }

    /// `invalidProperties` that a client could have known, with the property.
    pub(super) fn property(name: &str, description: impl Into<String>) -> SetError {
        SetError { is_blame: true, ..SetError::conflict("invalidProperties", name, description) }.at_once()
    }

    /// An error that depends on what else there is, so a correct client can meet it. It is tried again behind all others.
    pub(super) fn conflict(kind: &str, name: &str, description: impl Into<String>) -> SetError {
        SetError { properties: vec![name.to_owned()], is_deferrable: true, ..SetError::new(kind, description) }
    }

    /// Not to be tried again.
    pub(super) fn at_once(self) -> SetError {
        SetError { is_deferrable: false, ..self }
    }

    /// With one more member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> SetError {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// As it is sent.
    pub(super) fn json(&self) -> Value {
        let mut object = (*self.extra).clone();
        object.insert("type".to_owned(), self.kind.clone().into());
        object.insert("description".to_owned(), self.description.clone().into());
        if !self.properties.is_empty() {
            object.insert("properties".to_owned(), self.properties.clone().into());
        }
        object.into()
    }
}

impl Call<'_> {
    /// Refuses arguments that the method does not have ("One of the arguments is … otherwise invalid").
    pub(super) fn known(&self, standard: &[&str], extra: &[(&str, Shape)]) -> Result<(), MethodError> {
        for name in self.arguments.keys() {
            if !standard.contains(&name.as_str()) && !extra.iter().any(|(known, _)| known == name) {
                return Err(MethodError::arguments(format!("unknown argument {name:?}")));
            }
        }
        for (name, shape) in extra {
            self.optional(name, *shape)?;
        }
        Ok(())
    }

    /// An argument that may be null or absent.
    pub(super) fn optional(&self, name: &str, shape: Shape) -> Result<Option<&Value>, MethodError> {
        match self.arguments.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match shape.check(value) {
                Ok(()) => Ok(Some(value)),
                Err(wrong) => Err(MethodError::arguments(format!("{name} is {wrong}"))),
            },
        }
    }

    /// A Boolean with a default; null is not allowed by its type signature.
    pub(super) fn flag(&self, name: &str) -> Result<bool, MethodError> {
        match self.arguments.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(MethodError::arguments(format!("{name} is not a Boolean: {}", short(other)))),
        }
    }

    /// Ids of an argument that may be null.
    pub(super) fn ids(&self, name: &str) -> Result<Option<Vec<String>>, MethodError> {
        Ok(self.optional(name, Shape::Ids)?.map(texts))
    }

    /// Checks a number against a limit of the session. The client is to blame if it could know better.
    pub(super) fn limit(&self, count: usize, name: &str, of: impl Fn(&Limits) -> usize) -> Result<(), MethodError> {
        if count <= of(&self.options.limits) {
            return Ok(());
        }
        let is_blame = self.options.believed().is_some_and(|limits| count > of(&limits));
        let text = format!("{count} objects are more than {name}");
        Err(MethodError { is_blame, ..MethodError::new("requestTooLarge", text) })
    }

    /// Checks `ifInState`, RFC 8620 section 5.3.
    pub(super) fn if_in_state(&self) -> Result<(), MethodError> {
        let state = self.account.table(self.kind).state();
        match self.optional("ifInState", Shape::Text)? {
            Some(wanted) if *wanted != json!(state) => {
                Err(MethodError::new("stateMismatch", format!("the state is {state}")))
            }
            _ => Ok(()),
        }
    }

    /// The bytes of a blob that an object wants to refer to: "Any blobId that exists within an account may be used".
    pub(super) fn blob(&self, id: &str) -> Result<Arc<Vec<u8>>, SetError> {
        match self.account.blobs.get(id) {
            Some(blob) => Ok(Arc::clone(&blob.bytes)),
            None => Err(SetError::new("blobNotFound", format!("there is no blob {id}")).with("notFound", json!([id]))),
        }
    }

    /// The blob id that an object gets for a blob: "the server MAY assign a new blobId".
    pub(super) fn adopt(&mut self, id: &str) -> Result<String, SetError> {
        let bytes = self.blob(id)?;
        if let Some(quota) = self.account.options.quota
            && self.account.used() + bytes.len() as u64 > quota
        {
            return Err(SetError::new("overQuota", format!("{} more bytes are too many", bytes.len())));
        }
        if self.options.reassigns_blobs {
            return Ok(self.account.put_blob(bytes.to_vec(), true));
        }
        Ok(id.to_owned())
    }

    /// A right that an object grants, e.g. `mayDelete`.
    pub(super) fn may(&self, kind: Kind, id: &str, right: &str) -> Result<(), SetError> {
        match self.account.get(kind, id).is_none_or(|object| object["myRights"][right] == Value::Bool(true)) {
            true => Ok(()),
            false => Err(SetError::new("forbidden", format!("{id} does not grant {right}"))),
        }
    }

    /// Notes a SetError that is the client's fault.
    pub(super) fn judge(&mut self, what: &str, error: &SetError) {
        if error.is_blame {
            let name = self.kind.schema().name;
            let at = error.properties.join(", ");
            self.blames.push(format!("{name} {what}: {} {at}: {}", error.kind, error.description));
        }
    }

    /// The error that a fault wants for the next object, if any.
    pub(super) fn twisted(&mut self) -> Option<SetError> {
        let (kind, left) = self.twist.set_error.as_mut()?;
        let kind = *kind;
        *left = left.checked_sub(1)?;
        let error = SetError::new(kind, "a fault of the test");
        Some(match kind {
            "blobNotFound" => error.with("notFound", json!([])),
            "alreadyExists" => error.with("existingId", "nobody"),
            _ => error,
        })
    }
}

/// The strings of an array.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A map, or null where it is empty: "or `null` if none".
pub(super) fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { map.into() }
}
