//! How to write an account: look at what is there, then create, change and destroy, with one outcome for each object.
//!
//! A [`Sink`] knows nothing of archives. It is sync and object safe; one that speaks to a server hides its runtime
//! behind these calls. Objects are those of JMAP, which are the archive's own nouns: so there is nothing to translate
//! between the two, and everything that has to be decided (what matches what, what is missing, what is too much) is
//! decided outside, where no server is needed to test it.

pub mod jmap;

use crate::error::Result;
use crate::format::jmap::Object;
use crate::model::{Digest, Id, ObjectType};

pub use crate::protocol::jmap::Content;

/// What stands in an object of ours in the place of `blobId`: the number of bytes that a [`BlobProvider`] has. At the top of
/// an object or anywhere in it.
pub const BLOB: &str = "@blob";

/// An email as a listing of the target shows it: little, since there may be very many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEmail {
    pub id: String,
    pub size: u64,
    /// Seconds since 1970.
    pub received: i64,
    /// What its header is recognised by.
    pub key: RemoteKey,
    /// Ids of its mailboxes, sorted.
    pub mailboxes: Vec<String>,
    /// Sorted.
    pub keywords: Vec<String>,
}

/// What a target says of the identity of an email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteKey {
    /// Its Message-IDs, as the target reads them.
    Ids(Vec<String>),
    /// The target reads none out of it.
    Nothing,
}

/// Gives the bytes that objects refer to with [`BLOB`].
pub trait BlobProvider: Send + Sync {
    /// The bytes, proved. An error is the error of the objects that have them.
    fn open(&self, blob: Id) -> Result<Content>;

    /// How many bytes there are, without reading them.
    fn size(&self, blob: Id) -> Result<u64>;
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new object.
    Create(Object),
    /// New values of properties; null takes one away. A name like `mailboxIds/m1` reaches into a property.
    Update(String, Object),
    Destroy(String),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; of a creation with its id, and perhaps a remark about what the target did not take.
    Done(String, Option<String>),
    /// The target has it already, it says, under this id if it says so.
    Exists(Option<String>, String),
    /// The target does not take it, and will not the next time.
    Refused(String),
    /// It cannot take any more: larger ones need not be tried.
    Full(String),
    /// Nobody knows whether it was done: look again.
    Unknown(String),
}

/// What the target says of names and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Octets of a mailbox's name.
    pub mailbox_name: usize,
    /// Octets of a file's name.
    pub file_name: usize,
    /// Characters that no file's name may have.
    pub file_characters: String,
    /// Names that no file may have.
    pub file_names: Vec<String>,
    /// Octets of a script's name.
    pub script_name: usize,
    /// Bytes of a message, a script or a file.
    pub upload: u64,
    /// What the address of a ParticipantIdentity is called.
    pub calendar_address: &'static str,
}

/// What is asked of all objects of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What they are recognised by, and where they lie.
    Keys,
    /// Everything.
    All,
}

/// An account that can be looked at and written to.
pub trait Sink: Send {
    /// The account, for messages.
    fn name(&self) -> String;

    /// The user's own addresses, in lower case, as far as the target says: what it calls the account and the login.
    fn addresses(&self) -> Vec<String>;

    /// Why no object of a type can be written; `None` if it can.
    fn lacks(&self, kind: ObjectType) -> Option<String>;

    /// What it says of names and numbers.
    fn rules(&self) -> Rules;

    /// So many objects are to be written from now on: what the user is told of them while the target makes us wait.
    fn expect(&mut self, objects: u64);

    /// All objects of a type but emails. The flag says whether the target named all of them.
    fn objects(&mut self, kind: ObjectType, detail: Detail) -> Result<(Vec<Object>, bool)>;

    /// True if objects of a type came since they were looked at first, and not from this run; or if that cannot be told.
    fn has_strangers(&mut self, kind: ObjectType) -> Result<bool>;

    /// Waits until the target does not work on objects of a type any more, as far as that shows.
    fn rest(&mut self, kind: ObjectType) -> Result<()>;

    /// All emails. The second look of a run costs only what changed. The flag says whether the target named all of them.
    fn emails(&mut self) -> Result<(Vec<RemoteEmail>, bool)>;

    /// The header fields Message-ID, From, Subject, Date and To of these emails, each as a header block.
    fn headers(&mut self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>>;

    /// The digests of these blobs of the target; `None` for one that cannot be read.
    fn digests(&mut self, blobs: &[String]) -> Result<Vec<Option<Digest>>>;

    /// Does what is to be done, at most `batch` objects in one request, and says what became of each, in no order.
    /// What got no outcome when it ends was not tried.
    ///
    /// Errors: the target is lost, or the user wants the run to end. Outcomes that are known then were told.
    fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()>;

    /// Makes an object the default of its type, or a script the active one (`None`: no script).
    fn choose(&mut self, kind: ObjectType, id: Option<&str>) -> Result<std::result::Result<(), String>>;
}
