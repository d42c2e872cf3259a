//! From a mail address to the servers of its account, before anything secret is known: SRV records (RFC 6186, RFC 8314,
//! RFC 6764, RFC 8620, RFC 5804), well-known URLs, and the files that mail programs configure themselves with.
//!
//! Nothing of it logs in, and only services with TLS are found. What the DNS says can be forged, so a service of
//! another domain is marked: the user has to know whether it is the provider's (RFC 6186 section 6).

mod autoconfig;
mod found;
mod search;

pub use found::{Discovered, FoundService, ServiceKind};
pub use search::{Discovery, discover, domain_of};
