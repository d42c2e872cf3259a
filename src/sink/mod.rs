//! How to write an account: look at what is there, then create, change and destroy, with one outcome for each object.
//!
//! Items of the model go out to a [`Sink`] as they come in from a [`crate::source::Source`]. A sink makes a [`Draft`] of
//! each: what it will be recognised by at the target, and the object in the target's own form (an object of JMAP, the
//! source's own bytes), which only the sink reads. What the target has comes as [`Remote`]s, in the same way. Everything
//! that has to be decided (what matches what, what is missing, what is too much) is decided outside, in
//! [`crate::export`], where no server is needed to test it.
//!
//! A sink is sync and object safe; one that speaks to a server hides its runtime behind these calls.

pub mod dav;
pub mod imap;
pub mod jmap;
pub mod managesieve;

use crate::error::{ErrorKind, Result};
use crate::format::jmap::Object;
use crate::model::objects::{NodeType, Properties};
use crate::model::{Digest, Id, ObjectType};
use std::collections::BTreeSet;

pub use crate::net::http::Content;

/// An object of an archive, as a sink is shown it.
#[derive(Debug, Clone)]
pub struct StoredItem<'r> {
    /// Its row.
    pub row: Id,
    /// With references to containers as rows of the archive.
    pub properties: Properties<'r>,
    /// Its bytes: those of a script or a file; of a card or an event the source's own, where the archive has them.
    pub blob: Option<BlobRef>,
    /// What they are, of a script.
    pub digest: Option<Digest>,
    /// Properties that no source told, by JMAP's names: their values say nothing.
    pub untold: BTreeSet<String>,
    /// A file that is a program.
    pub is_executable: bool,
}

/// Bytes that an archive has for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobRef {
    /// A blob.
    Blob(Id),
    /// A card or an event by its row: the source's own bytes, else what is made of its JSON.
    Original(ObjectType, Id),
}

/// Gives the bytes that objects refer to.
pub trait BlobProvider: Send + Sync {
    /// The bytes, proved. An error is the error of the objects that have them.
    fn open(&self, blob: BlobRef) -> Result<Content>;

    /// What is made of the JSON of a card or an event, for a target that does not take its source's bytes. `None` where these
    /// are made of it anyway.
    fn converted(&self, blob: BlobRef) -> Result<Option<Content>>;

    /// How many bytes there are, without reading them.
    fn size(&self, blob: BlobRef) -> Result<u64>;

    /// What they are, without reading them. `None` where the archive does not know.
    fn digest(&self, blob: BlobRef) -> Option<Digest>;
}

/// The bytes, or what is wrong with them in the archive.
///
/// Errors: they cannot be read now: no room for a copy, or the snapshot is gone.
fn opened(supply: &dyn BlobProvider, blob: BlobRef) -> Result<std::result::Result<Content, String>> {
    match supply.open(blob) {
        Ok(content) => Ok(Ok(content)),
        Err(error) if error.kind == ErrorKind::Damaged => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// An object of an archive in the form of the target.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What it is recognised by among the objects of its type, beside the container that it lies in.
    pub key: String,
    /// What people know it by; of a container, a script and a file the name that the target lets it have.
    pub label: String,
    /// The name as the archive has it, of containers and files.
    pub raw: String,
    /// Its role, where the target knows such a role.
    pub role: Option<String>,
    /// What sort of a file it is, where the target has one name for a file or a directory.
    pub node: Option<NodeType>,
    /// The default of its type, or the active script.
    pub is_chosen: bool,
    /// What of the object the target does not take.
    pub remark: Option<String>,
    /// Bytes that go beside it.
    pub blob: Option<BlobRef>,
    /// The object in the target's form, without references to others. Only the sink reads it.
    pub body: Object,
    /// Properties of the body whose values say nothing: never a reason to change what a target has.
    pub untold: BTreeSet<String>,
}

impl Draft {
    /// Gives a container the name of another draft.
    pub fn rename(&mut self, other: Draft) {
        self.key = other.key;
        self.label = other.label;
        self.body.extend(other.body);
    }
}

/// Why an object has no form that the target takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoDraft {
    /// The archive's JSON of it cannot be read.
    Unreadable,
    /// The target has no place for what it is.
    Unplaced {
        /// Why, in words for the user.
        reason: String,
        /// What people know it by.
        label: String,
    },
}

/// Where an object lies, by ids of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The mailbox or directory around a mailbox, a directory or a file; `None` at the top.
    pub parent: Option<String>,
    /// The calendars of an event, the address books of a card.
    pub containers: Vec<String>,
    /// The role that a container gets.
    pub role: Option<String>,
}

/// An object at the target that is no email.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// The name that the target gave it: what changes refer to.
    pub id: String,
    /// What it is recognised by: equal to [`Draft::key`] of what is the same object.
    pub key: String,
    /// Its name, to the letter, of containers, scripts and files.
    pub name: String,
    /// What people know it by.
    pub label: String,
    /// JMAP role in lower case (`inbox`, `sent`, …), of a container.
    pub role: Option<String>,
    /// What sort of a file it is; `None` where that need not be the same for it to be the same file.
    pub node: Option<NodeType>,
    /// The id of the mailbox or directory that it lies in.
    pub parent: Option<String>,
    /// Ids of the containers that it lies in, sorted.
    pub containers: Vec<String>,
    /// The default of its type, or the active script; `None` where the target does not say.
    pub is_chosen: Option<bool>,
    /// It is never removed, whatever the archive holds: it has a role, it is the default, the target made it itself, or
    /// does not let it go.
    pub is_kept: bool,
    /// There is always one, and the user has not written anything into it.
    pub is_blank: bool,
    /// The object in the target's form. Only the sink reads it.
    pub body: Object,
}

/// How the bytes of a file at the target compare with those of the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileState {
    /// They are the same, as far as the target tells.
    #[default]
    Same,
    /// Size and date do not tell it: [`Sink::look_inside`] does.
    Unsure,
    /// Only the beginning is there: an upload broke off. Before [`Sink::look_inside`] that is a guess.
    Begun,
    /// They are others.
    Other,
}

/// What has to change at an object of the target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// New values in the target's form. Only the sink reads it.
    pub body: Object,
    /// The containers that it has to lie in, where these are others.
    pub containers: Option<Vec<String>>,
    /// The bytes that it gets in the place of its own, where the target keeps bytes.
    pub blob: Option<BlobRef>,
    /// What is known of its bytes, of a file.
    pub state: FileState,
}

impl Patch {
    /// True if nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty() && self.containers.is_none() && self.blob.is_none()
    }
}

/// How a target keeps what lies in several containers: a message in several mailboxes, an event in several calendars, a card
/// in several address books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filing {
    /// As one object in all of them (JMAP).
    Once,
    /// As one copy in each of them (IMAP, CalDAV, CardDAV).
    Copies,
}

/// An email as a listing of the target shows it: little, since there may be very many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEmail {
    /// The name that the target gave it: what changes refer to.
    pub id: String,
    /// In bytes, as the target counts them.
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

/// A message to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEmail {
    /// The row of its bytes in the archive.
    pub blob: Id,
    /// Ids of the mailboxes that it goes into: one where the target keeps [`Filing::Copies`].
    pub mailboxes: Vec<String>,
    /// As the archive has them: the sink takes those that [`Sink::keyword`] gives.
    pub keywords: Vec<String>,
    /// When it arrived; `None`: the target chooses.
    pub received: Option<jiff::Timestamp>,
    /// The same bytes are to be stored more than once, as copies in other mailboxes.
    pub has_copies: bool,
    /// An email that the target has of the same message, with these keywords and this time of arrival, in another mailbox.
    pub copy_of: Option<String>,
}

/// New places and keywords of an email; `None` where they stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmailUpdate {
    /// Ids of all mailboxes that it lies in from now on.
    pub mailboxes: Option<Vec<String>>,
    /// All keywords that it has from now on.
    pub keywords: Option<Vec<String>>,
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new object: its body, its bytes, and where it goes.
    Create(Object, Option<BlobRef>, Location),
    /// A new message.
    CreateEmail(NewEmail),
    /// New values for the object with this id.
    Update(String, Patch),
    /// New places and keywords for the email with this id.
    UpdateEmail(String, EmailUpdate),
    /// The object or email with this id goes.
    Destroy(String),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; of a creation with its id, and perhaps a remark about what the target did not take.
    Done(String, Option<String>),
    /// A message that is there now, made by the target from another one: nothing was sent. Perhaps with a remark.
    Copied(Option<String>),
    /// The target does not take what would have to change, for this reason, and the rest is as it should be.
    Same(String),
    /// The target has it already, it says, under this id if it says so.
    Exists(Option<String>, String),
    /// The target does not take it, and will not the next time.
    Refused(String),
    /// The target keeps what it made itself: a default calendar, an identity of the login.
    Kept(String),
    /// It cannot take any more: larger ones need not be tried.
    Full(String),
    /// It is not known whether it was done: look again.
    Unknown(String),
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

    /// The kind of source ([`crate::model::SourceIdent`]) that the same account is when it is imported: keys of its items
    /// are ids here.
    fn source_kind(&self) -> &'static str;

    /// Where objects are written to, in words for the user, if that is another place than the one that the user named.
    fn place(&self) -> Option<String> {
        None
    }

    /// Why no object of a type can be written; `None` if it can.
    fn lacks(&self, kind: ObjectType) -> Option<String>;

    /// How an object that lies in several containers is kept.
    fn filing(&self) -> Filing;

    /// Looks at what drafts of these types depend on.
    fn prepare(&mut self, kinds: &[ObjectType]) -> Result<()>;

    /// An object of an archive in the form of the target. Emails have none.
    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft>;

    /// A container of this name, which only the export needs.
    fn container(&self, kind: ObjectType, name: &str) -> Draft;

    /// The name of a new mailbox without what some servers refuse in one; `None` if it has nothing of that.
    fn plain_name(&self, _name: &str) -> Option<String> {
        None
    }

    /// Why the target takes no mailbox of this name, as far as that can be asked: nothing is changed.
    fn name_refusal(&mut self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// What the target makes of a keyword of an email (in lower case); `None` if it takes no such keyword.
    fn keyword(&self, keyword: &str) -> Option<String>;

    /// Says how many objects are to be written from now on: the number is shown while the target makes the run wait.
    fn expect(&mut self, objects: u64);

    /// All objects of a type but emails. The flag says whether the target named all of them.
    fn objects(&mut self, kind: ObjectType, detail: Detail) -> Result<(Vec<Remote>, bool)>;

    /// Learns what bytes some objects hold, so that [`Sink::difference`] sees where these are others.
    fn look_inside(&mut self, remotes: &mut [Remote], places: &[usize]) -> Result<()>;

    /// What makes `theirs` what `ours` is: with everything that the target normalises taken for the same. `containers` are
    /// those that it should lie in; `None` leaves it where it is.
    fn difference(
        &self,
        kind: ObjectType,
        ours: &Draft,
        containers: Option<Vec<String>>,
        theirs: &Remote,
        supply: &dyn BlobProvider,
    ) -> Patch;

    /// Asks the target what it would say to an object that is created or changed, and changes nothing. `None` where it has no
    /// answer to that.
    fn check(&mut self, _kind: ObjectType, _ours: &Draft, _supply: &dyn BlobProvider) -> Result<Option<Outcome>> {
        Ok(None)
    }

    /// True if objects of a type came since they were looked at first, and not from this run; or if that cannot be told.
    fn has_strangers(&mut self, kind: ObjectType) -> Result<bool>;

    /// Waits until the target does not work on objects of a type any more, as far as that shows.
    fn rest(&mut self, kind: ObjectType) -> Result<()>;

    /// All emails, or where the target can tell them apart only those in these mailboxes. The second look of a run costs only
    /// what changed. Those of one mailbox are in the order in which they came, where the target keeps [`Filing::Copies`]. The
    /// flag says whether the target named all of them.
    fn emails(&mut self, mailboxes: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)>;

    /// The header fields Message-ID, From, Subject, Date and To of these emails, each as a header block.
    fn headers(&mut self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>>;

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
