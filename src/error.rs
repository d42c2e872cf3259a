//! The one error type: what failed, who is to blame, and what to try next.
//!
//! Every fallible function of the library returns [`Result`]. The [`ErrorKind`] of an error decides the exit code of the
//! program ([`ErrorKind::exit_code`]) and the errno a mounted file answers with ([`ErrorKind::errno`]); both tables stand here
//! and nowhere else.

use std::fmt;

/// What the library returns when it can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, a pattern, a date or a path given by the user makes no sense.
    Usage,
    /// A server cannot be reached, or TLS or the protocol failed.
    Connection,
    /// The account was not found on the server.
    Account,
    /// The archive holds another source of this kind (`--same-account`, `--allow-source-change`).
    SourceChanged,
    /// The run finished, but some object failed or is not understood, or nothing was stored. Running again resumes.
    Partial,
    /// The user said no at a prompt.
    Declined,
    /// The archive or a local file could not be read or written.
    Storage,
    /// Stored bytes or references are damaged.
    Damaged,
    /// A guard stopped the run before it removed more than allowed.
    Guard,
    /// There is no archive at this path, or the file is not one.
    NoArchive,
    /// Another program holds the archive.
    Locked,
    /// Credentials are missing or were refused.
    Credentials,
    /// The user interrupted the run.
    Interrupted,
    /// No such path in the tree.
    NotFound,
    /// A path goes through something that is not a directory.
    NotADirectory,
    /// A directory was read as a file.
    IsADirectory,
    /// The object cannot be shown (its stored form is not convertible).
    Unreadable,
    /// The snapshot that is being read was dropped by `forget` meanwhile.
    Forgotten,
}

impl ErrorKind {
    /// The exit code of the program. 0-7 are those of Vandelay 1.x.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Usage | ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => 1,
            ErrorKind::Connection => 2,
            ErrorKind::Account => 3,
            ErrorKind::SourceChanged => 4,
            ErrorKind::Partial => 5,
            ErrorKind::Declined => 6,
            ErrorKind::Storage | ErrorKind::Unreadable | ErrorKind::Forgotten => 7,
            ErrorKind::Damaged => 8,
            ErrorKind::Guard => 9,
            ErrorKind::NoArchive => 10,
            ErrorKind::Locked => 11,
            ErrorKind::Credentials => 12,
            ErrorKind::Interrupted => 130,
        }
    }

    /// The errno that a request on the mounted tree answers with.
    pub fn errno(self) -> i32 {
        match self {
            ErrorKind::NotFound => libc::ENOENT,
            ErrorKind::NotADirectory => libc::ENOTDIR,
            ErrorKind::IsADirectory => libc::EISDIR,
            ErrorKind::Locked => libc::EAGAIN,
            ErrorKind::Usage => libc::EINVAL,
            ErrorKind::Forgotten => libc::ESTALE,
            _ => libc::EIO,
        }
    }

    /// A stable name for `--json`.
    pub fn token(self) -> &'static str {
        match self {
            ErrorKind::Usage => "usage",
            ErrorKind::Connection => "connection",
            ErrorKind::Account => "account",
            ErrorKind::SourceChanged => "source-changed",
            ErrorKind::Partial => "partial",
            ErrorKind::Declined => "declined",
            ErrorKind::Storage => "storage",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Guard => "guard",
            ErrorKind::NoArchive => "no-archive",
            ErrorKind::Locked => "locked",
            ErrorKind::Credentials => "credentials",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::NotFound => "not-found",
            ErrorKind::NotADirectory => "not-a-directory",
            ErrorKind::IsADirectory => "is-a-directory",
            ErrorKind::Unreadable => "unreadable",
            ErrorKind::Forgotten => "forgotten",
        }
    }
}

/// An error: one line that says what failed, and perhaps a line that says what to do next.
#[derive(Debug)]
pub struct Error {
    /// Its class.
    pub kind: ErrorKind,
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `what` names the thing and the reason in one line without a final period.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Error {
        Error { kind, what: what.into(), hint: None, cause: None }
    }

    /// Adds what the user can do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error below this one; it is shown behind a colon.
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.cause = Some(cause.into());
        self
    }

    /// A local file that could not be read or written. The kind follows from the system's error.
    pub fn io(what: impl Into<String>, cause: std::io::Error) -> Error {
        let hint = match cause.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => {
                Some("free some space on that file system, then run the command again: it continues where it stopped")
            }
            Some(libc::EROFS) => Some("the file system is mounted read-only"),
            Some(libc::EACCES | libc::EPERM) => Some("check the owner and the permissions of that path"),
            _ => None,
        };
        let error = Error::new(ErrorKind::Storage, what).because(cause);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// True if the same thing may succeed a little later: a line that broke, a server that is away or wants to be left
    /// in peace. False for refused certificates, refused credentials and violations of a protocol.
    pub fn is_transient(&self) -> bool {
        let is_io = self.cause.as_deref().is_some_and(|cause| cause.is::<std::io::Error>());
        self.kind == ErrorKind::Connection && is_io
    }

    /// What to do next, if there is something to say.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// True if after this error nothing more will come of a source, however often it is asked in this run.
pub(super) fn is_final(error: &Error) -> bool {
    error.is_transient() || matches!(error.kind, ErrorKind::Credentials | ErrorKind::Interrupted)
}
