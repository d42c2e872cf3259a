//! What changes the account of [`super::fake_imap`]: APPEND, STORE, EXPUNGE, and mailboxes.

use super::fake_imap::{Mail, State, contains, mail, mailbox, next};

const OK: &[u8] = b"$TAG OK done\r\n";

/// True for a command that changes something.
pub(crate) fn changes(command: &str) -> bool {
    let words = [
        "APPEND ",
        "CREATE ",
        "DELETE ",
        "SUBSCRIBE ",
        "UNSUBSCRIBE ",
        "UID STORE ",
        "UID EXPUNGE ",
        "UID COPY ",
        "EXPUNGE",
    ];
    words.iter().any(|word| command.starts_with(word))
}

impl State {
    /// Does what a command says; its literals stand for `{}` in it.
    pub(super) fn change(&mut self, command: &str, literals: &[Vec<u8>], open: Option<usize>) -> Vec<u8> {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "APPEND" => self.append(rest, literals),
            "CREATE" => {
                let name = rest.split(" (USE").next().unwrap_or_default().trim_matches('"');
                if self.find(name).is_some() {
                    return b"$TAG NO [ALREADYEXISTS] there is one\r\n".to_vec();
                }
                let mut made = mailbox(name, Vec::new());
                if let Some((_, usage)) = rest.split_once("(USE (") {
                    made.attributes = usage.trim_end_matches(')').to_owned();
                }
                self.boxes.push(made);
                OK.to_vec()
            }
            "DELETE" => {
                let at = self.find(rest).expect("a mailbox");
                self.boxes.remove(at);
                OK.to_vec()
            }
            "SUBSCRIBE" => {
                self.subscribed.push(rest.trim_matches('"').to_owned());
                OK.to_vec()
            }
            "UNSUBSCRIBE" => {
                self.subscribed.retain(|name| name != rest.trim_matches('"'));
                OK.to_vec()
            }
            "UID" => self.change_messages(rest, open.expect("an open mailbox")),
            _ => b"$TAG BAD a plain EXPUNGE removes what others have marked\r\n".to_vec(),
        }
    }

    fn append(&mut self, rest: &str, literals: &[Vec<u8>]) -> Vec<u8> {
        let (name, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote"),
            None => rest.split_once(' ').expect("a name"),
        };
        let Some(at) = self.find(name) else { return b"$TAG NO [TRYCREATE] none\r\n".to_vec() };
        assert!(literals.len() == 1 || self.has("MULTIAPPEND"), "one message in a command: {rest}");
        for late in std::mem::take(&mut self.late) {
            let uid = next(&self.boxes[at]);
            self.boxes[at].mails.push(Mail { uid, ..late });
        }
        let first = next(&self.boxes[at]);
        for (bytes, said) in literals.iter().zip(rest.split("{}")) {
            self.uploaded += bytes.len();
            let flags =
                said.split_once('(').and_then(|(_, flags)| flags.split_once(')')).map_or("", |(flags, _)| flags);
            let date = said.split('"').nth(1);
            let mut new: Mail = mail(next(&self.boxes[at]), &(self.made)(bytes));
            new.flags = self.kept(flags);
            new.date = date.map_or(new.date, str::to_owned);
            self.boxes[at].mails.push(new);
        }
        if is_lost(&mut self.lost) {
            return b"CLOSE".to_vec();
        }
        self.stored(&format!("APPENDUID {} {first}:{}", self.validity_of(at), next(&self.boxes[at]) - 1))
    }

    fn validity_of(&self, at: usize) -> u32 {
        self.boxes[at].validity.unwrap_or_default()
    }

    /// Of these flags those that mailboxes keep.
    fn kept(&self, flags: &str) -> String {
        let Some(permanent) = self.permanent else { return flags.to_owned() };
        let is_known = |flag: &&str| permanent.split(' ').any(|known| known == *flag || known == "\\*");
        let flags = flags.split(' ').filter(is_known);
        flags.collect::<Vec<_>>().join(" ")
    }

    /// The answer to a command that stored messages.
    fn stored(&self, code: &str) -> Vec<u8> {
        let code = if self.has("UIDPLUS") { format!("[{code}] ") } else { String::new() };
        format!("$TAG OK {code}done\r\n").into_bytes()
    }

    fn copy(&mut self, set: &str, name: &str, at: usize) -> Vec<u8> {
        let Some(to) = self.find(name) else { return b"$TAG NO [TRYCREATE] none\r\n".to_vec() };
        let mails: Vec<Mail> = self.boxes[at].mails.iter().filter(|mail| contains(set, mail.uid)).cloned().collect();
        let (mut from, first) = (Vec::new(), next(&self.boxes[to]));
        for mail in mails {
            from.push(mail.uid.to_string());
            let uid = next(&self.boxes[to]);
            self.boxes[to].mails.push(Mail { uid, ..mail });
        }
        if from.is_empty() {
            return OK.to_vec();
        }
        if is_lost(&mut self.lost_copies) {
            return b"CLOSE".to_vec();
        }
        let last = next(&self.boxes[to]) - 1;
        self.stored(&format!("COPYUID {} {} {first}:{last}", self.validity_of(to), from.join(",")))
    }

    fn change_messages(&mut self, rest: &str, at: usize) -> Vec<u8> {
        let mut words = rest.splitn(4, ' ');
        let (word, set) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (what, flags) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if word == "COPY" {
            return self.copy(set, rest.splitn(3, ' ').nth(2).unwrap_or_default(), at);
        }
        let flags = &self.kept(flags.trim_matches(['(', ')']));
        if word == "EXPUNGE" {
            assert!(self.has("UIDPLUS"), "nobody said that UID EXPUNGE is known");
            self.boxes[at].mails.retain(|mail| !(contains(set, mail.uid) && mail.flags.contains("\\Deleted")));
            return OK.to_vec();
        }
        for mail in self.boxes[at].mails.iter_mut().filter(|mail| contains(set, mail.uid)) {
            mail.flags = match what.starts_with('+') {
                true => format!("{} {flags}", mail.flags).trim().to_owned(),
                false => flags.to_owned(),
            };
        }
        OK.to_vec()
    }
}

/// True if an answer is to get lost; counts it.
fn is_lost(count: &mut usize) -> bool {
    let is_lost = *count > 0;
    *count = count.saturating_sub(1);
    is_lost
}
