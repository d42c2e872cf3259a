//! Names of capabilities (RFC 8620 section 9.4 and the registry that it makes).

/// RFC 8620
pub const CORE: &str = "urn:ietf:params:jmap:core";
/// RFC 8621 section 1.3.1
pub const MAIL: &str = "urn:ietf:params:jmap:mail";
/// RFC 8621 section 1.3.2
pub const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
/// RFC 8621 section 1.3.3
pub const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
/// RFC 9661 section 1.1
pub const SIEVE: &str = "urn:ietf:params:jmap:sieve";
/// RFC 9610 section 1.4.1
pub const CONTACTS: &str = "urn:ietf:params:jmap:contacts";
/// draft-ietf-jmap-calendars section 1.5.1
pub const CALENDARS: &str = "urn:ietf:params:jmap:calendars";
/// draft-ietf-jmap-filenode
pub const FILENODE: &str = "urn:ietf:params:jmap:filenode";
/// RFC 9670 section 1.5.1
pub const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
/// RFC 9404 section 3
pub const BLOB: &str = "urn:ietf:params:jmap:blob";
/// What Cyrus 3.6 has of RFC 9404: it is older than that.
pub const BLOB_CYRUS: &str = "https://cyrusimap.org/ns/jmap/blob";
/// RFC 9425 section 2
pub const QUOTA: &str = "urn:ietf:params:jmap:quota";
