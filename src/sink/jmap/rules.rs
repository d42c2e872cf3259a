//! What the account says of names and numbers.

use super::account::Jmap;
use crate::protocol::jmap::capability;
use serde_json::Value;

/// Limits of the account, and words that differ between drafts.
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
    /// What the address of a ParticipantIdentity is called.
    pub calendar_address: &'static str,
}

impl Jmap {
    /// The rules of the account (RFC 8621 section 1.3.1, RFC 9661 section 1.3, draft-ietf-jmap-filenode).
    pub(super) fn rules(&self) -> Rules {
        let octets = |capability: &str, name: &str, default: u64| {
            self.number(capability, name).unwrap_or(default).clamp(1, 1 << 16) as usize
        };
        let texts = |name: &str| {
            let list = self.says(capability::FILENODE, name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_lowercase).collect()
        };
        let characters = self.says(capability::FILENODE, "forbiddenNameChars").and_then(Value::as_str);
        Rules {
            mailbox_name: octets(capability::MAIL, "maxSizeMailboxName", 255),
            file_name: octets(capability::FILENODE, "maxSizeFileNodeName", 255),
            file_characters: characters.unwrap_or("/").to_owned(),
            file_names: texts("forbiddenNodeNames"),
            script_name: octets(capability::SIEVE, "maxSizeScriptName", 512),
            calendar_address: self.calendar_address,
        }
    }
}
