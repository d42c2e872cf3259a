//! What a search finds.

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceKind {
    /// Mail, over IMAP.
    Imap,
    /// Everything, over JMAP.
    Jmap,
    /// Calendars, over CalDAV.
    CalDav,
    /// Address books, over CardDAV.
    CardDav,
    /// Sieve scripts, over ManageSieve.
    ManageSieve,
}

impl ServiceKind {
    /// All of them.
    pub const ALL: [ServiceKind; 5] =
        [ServiceKind::Imap, ServiceKind::Jmap, ServiceKind::CalDav, ServiceKind::CardDav, ServiceKind::ManageSieve];

    /// The word for it, which is the command of its import, too.
    pub fn name(self) -> &'static str {
        match self {
            ServiceKind::Imap => "imap",
            ServiceKind::Jmap => "jmap",
            ServiceKind::CalDav => "caldav",
            ServiceKind::CardDav => "carddav",
            ServiceKind::ManageSieve => "managesieve",
        }
    }
}

/// A service of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundService {
    /// What it is for.
    pub kind: ServiceKind,
    /// What an import takes as `--url`. TLS is its scheme's.
    pub url: String,
    /// The login name, where what was found says it.
    pub user: Option<String>,
    /// True where only tokens of OAuth 2.0 are taken.
    pub wants_token: bool,
    /// Who says so: `the SRV record _imaps._tcp.example.com`.
    pub origin: String,
    /// Its host, if that is not below the registrable domain of the address.
    pub foreign: Option<String>,
    /// The user says that the other domain is the provider's.
    pub is_confirmed: bool,
}

impl FoundService {
    /// True if the login may go there: it is of the address's own domain, or the user says that it is the provider's.
    pub fn is_used(&self) -> bool {
        self.foreign.is_none() || self.is_confirmed
    }
}

/// The outcome of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// At most one of each kind.
    pub services: Vec<FoundService>,
    /// What had no answer of use, and why, in words.
    pub unanswered: Vec<String>,
}

impl Discovered {
    /// The service of a kind.
    pub fn of(&self, kind: ServiceKind) -> Option<&FoundService> {
        self.services.iter().find(|service| service.kind == kind)
    }
}
