//! `vandelay find` over the corpora, against what Python's email package and html.parser read in the same messages: every word
//! of every message is in the index, and nothing else is; and the program finds exactly the messages that have what is asked.

use crate::common::corpora::corpora;
use crate::common::{Dice, deliver, has, ok, soak};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Corpora of mail, each with how many of its messages are read; all with --soak.
const MAIL: [(&str, usize); 5] = [
    ("mail-edge", 450),
    ("mail-linux-man", 80),
    ("mail-mbox", 80),
    ("mail-spamassassin", 250),
    ("mail-usrp-users", 60),
];

/// The fields of messages: columns of the index, the last one of a table of its own.
const FIELDS: [&str; 5] = ["sender", "recipient", "subject", "attachment", "body"];

/// The names that only the tree gives to attachments. They are of no field of the message; `attachment:` finds them all the same.
const GIVEN: usize = FIELDS.len();

/// What two readers may disagree on, in fields of messages; each was looked at, over all of the corpora.
///
/// Broken HTML, where html.parser and the WHATWG standard disagree on what a stray `<` or an attribute without its end
/// hides (5 of 18,804 messages); a vowel sign of Thaana, which Python takes for an accent (1).
const UNLIKE_MAX: usize = 6;

/// Messages that Python's parser itself calls malformed: boundaries that are missing or there twice, header lines without a
/// colon, base64 that is none. It gives up on the parts, and takes the header for ended elsewhere.
const MALFORMED_MAX: usize = 70;

/// Fields whose bytes are not of the charset that they name, or that name none: Vandelay guesses, Python does not.
const DOUBTED_MAX: usize = 150;

/// A message as Python reads it.
struct Read {
    id: i64,
    /// The words of each field, in order.
    words: [Vec<String>; 5],
    is_doubted: [bool; 5],
    is_malformed: bool,
}

impl Read {
    fn new(line: &str) -> Read {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let name = value["file"].as_str().expect("a path").rsplit('/').next().expect("a name");
        let has = |list: &str, name: &str| value[list].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let words = |field: &str| value[field].as_str().unwrap_or_default().split(' ').filter(|word| !word.is_empty());
        let failed = value["error"].is_string();
        Read {
            id: name.split('.').nth(1).and_then(|id| id.parse().ok()).expect("the number of a message"),
            words: FIELDS.map(|field| words(field).map(str::to_owned).collect()),
            is_doubted: FIELDS.map(|field| failed || has("doubts", field)),
            is_malformed: failed || value["defects"].as_array().is_some_and(|all| !all.is_empty()),
        }
    }
}

/// An archive of messages of the corpora, with its index, and what Python reads in them.
struct Proof {
    _dir: tempfile::TempDir,
    archive: PathBuf,
    messages: Vec<Read>,
}

impl Proof {
    fn new() -> Proof {
        let dir = tempfile::tempdir().expect("a directory");
        let (mail, archive, out) = (dir.path().join("mail"), dir.path().join("a.sqlite"), dir.path().join("out"));
        let mut seen = BTreeSet::new();
        for (name, most) in MAIL {
            for corpus in corpora(name) {
                let all = messages(&corpus.files(), name);
                let step = if soak() { 1 } else { all.len().div_ceil(most) };
                for message in all.into_iter().step_by(step).filter(|message| !message.is_empty()) {
                    let digest = blake3::hash(&message);
                    if seen.insert(*digest.as_bytes()) {
                        let at = 1_600_000_000 + seen.len();
                        deliver(&mail.join(format!(".{name}")), &format!("{at}.M{}.h:2,S", seen.len()), &message);
                    }
                }
            }
        }
        ok(&["-q", "import", "maildir", text(&mail), text(&archive)]);
        ok(&["-q", "extract", text(&archive), "mail", "--into", text(&out)]);
        // An import may leave the rest of the index to the first search.
        ok(&["-q", "find", "--count", text(&archive), "nothing"]);
        let read: Vec<Child> = MAIL.iter().map(|(name, _)| python(&out.join("mail").join(name))).collect();
        let mut messages = Vec::new();
        for child in read {
            let said = child.wait_with_output().expect("python3 ends");
            messages.extend(String::from_utf8(said.stdout).expect("UTF-8").lines().map(Read::new));
        }
        assert_eq!(messages.len(), seen.len(), "Python reads every message");
        Proof { _dir: dir, archive, messages }
    }

    /// The words in the index, by message and field.
    fn indexed(&self) -> HashMap<(i64, usize), BTreeSet<String>> {
        let index = PathBuf::from(format!("{}.search", text(&self.archive)));
        let conn = rusqlite::Connection::open(index).expect("an index");
        conn.execute_batch(
            "CREATE VIRTUAL TABLE temp.head_words USING fts5vocab(main, heads, instance);
             CREATE VIRTUAL TABLE temp.body_words USING fts5vocab(main, bodies, instance)",
        )
        .expect("tables of words");
        let mut found: HashMap<(i64, usize), BTreeSet<String>> = HashMap::new();
        for sql in ["SELECT doc, col, term FROM head_words", "SELECT doc, 'body', term FROM body_words"] {
            let mut statement = conn.prepare(sql).expect("a table of words");
            let mut rows = statement.query([]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let field: String = row.get(1).expect("a column");
                let field = FIELDS.iter().position(|known| *known == field).unwrap_or(GIVEN);
                let word = row.get(2).expect("a word");
                found.entry((row.get(0).expect("a number"), field)).or_default().insert(word);
            }
        }
        found
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The messages in files; an mbox is split where a line begins with `From `.
fn messages(files: &[(String, Vec<u8>)], corpus: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        if [".json", ".gz", ".bz2", ".xz", ".lz", ".zip", ".ics", ".vcf"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let is_mbox = (corpus == "mail-mbox" || name.ends_with(".mbox")) && bytes.starts_with(b"From ");
        let starts: Vec<usize> =
            memchr::memmem::find_iter(bytes, b"\nFrom ").filter(|_| is_mbox).map(|at| at + 1).collect();
        let ends = starts.iter().copied().chain([bytes.len()]);
        let starts = [0].into_iter().chain(starts.iter().copied());
        found.extend(starts.zip(ends).map(|(start, end)| bytes[start..end].to_vec()));
    }
    found
}

fn python(folder: &Path) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/find_reference.py");
    let mut command = Command::new("python3");
    command.args(["-W", "ignore", script]).arg(folder).stdout(Stdio::piped()).spawn().expect("python3 starts")
}

#[test]
fn every_word_is_found_and_nothing_else() {
    if !has("python3") {
        return;
    }
    let mut proof = Proof::new();
    let indexed = proof.indexed();
    let (mut clean, mut malformed, mut doubted) = (Vec::new(), 0, 0);
    let (mut words, mut wrong, mut unlike) = (0, 0, BTreeSet::new());
    for message in &proof.messages {
        for (field, name) in FIELDS.iter().enumerate() {
            let expected: BTreeSet<&str> = message.words[field].iter().map(String::as_str).collect();
            let none = BTreeSet::new();
            let found: BTreeSet<&str> =
                indexed.get(&(message.id, field)).unwrap_or(&none).iter().map(String::as_str).collect();
            words += expected.len();
            if expected == found {
                continue;
            }
            match (message.is_malformed, message.is_doubted[field]) {
                (true, _) => malformed += 1,
                (_, true) => doubted += 1,
                _ => {
                    let missing: Vec<_> = expected.difference(&found).take(8).collect();
                    let extra: Vec<_> = found.difference(&expected).take(8).collect();
                    wrong += expected.symmetric_difference(&found).count();
                    unlike.insert(message.id);
                    clean.push(format!(
                        "m{} {name}: not found {missing:?}, found without being there {extra:?}",
                        message.id
                    ));
                }
            }
        }
    }
    println!(
        "{} messages, {words} words: {} fields differ, {malformed} of malformed messages, {doubted} of doubtful charsets",
        proof.messages.len(),
        clean.len()
    );
    assert!(words > 1_000 * proof.messages.len().min(100), "{words} words");
    assert!(clean.len() <= UNLIKE_MAX && wrong * 1_000 < words, "{wrong} words in {}", clean.join("\n"));
    assert!(malformed <= MALFORMED_MAX && doubted <= DOUBTED_MAX, "{malformed} malformed, {doubted} doubted");
    proof.messages.retain(|message| !unlike.contains(&message.id));
    queries_find_exactly_what_has_them(&proof, &indexed);
}

// --- queries ----------------------------------------------------------------------------------------------------------

/// What is asked, and which messages have it as Python reads them.
struct Asked {
    query: String,
    /// The fields that are looked at.
    fields: &'static [usize],
    phrase: Vec<String>,
    is_prefix: bool,
}

impl Asked {
    fn is_in(&self, words: &[String]) -> bool {
        words.windows(self.phrase.len()).any(|window| {
            let (end, wanted) = (window.len() - 1, &self.phrase);
            let is_end =
                if self.is_prefix { window[end].starts_with(&wanted[end]) } else { window[end] == wanted[end] };
            is_end && window[..end] == wanted[..end]
        })
    }
}

/// Scripts whose words are pairs of characters in the index.
fn is_unspaced(word: &str) -> bool {
    word.chars().any(|c| matches!(c, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{e01}'..='\u{e4e}'))
}

type Words = HashMap<(i64, usize), BTreeSet<String>>;

fn queries_find_exactly_what_has_them(proof: &Proof, indexed: &Words) {
    let asked = sample(proof, if soak() { 4_000 } else { 160 });
    let half = asked.len().div_ceil(2);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = asked
            .chunks(half)
            .map(|chunk| scope.spawn(|| chunk.iter().flat_map(|one| differs(proof, indexed, one)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    assert!(wrong.is_empty(), "{} of {} queries:\n{}", wrong.len(), asked.len(), wrong.join("\n"));
}

/// Words, phrases, prefixes and pieces of unspaced text of messages that both readers read alike.
fn sample(proof: &Proof, count: usize) -> Vec<Asked> {
    const KINDS: [(&str, &[usize]); 6] = [
        ("", &[0, 1, 2, 3, 4]),
        ("from:", &[0]),
        ("to:", &[1]),
        ("subject:", &[2]),
        ("attachment:", &[3]),
        ("body:", &[4]),
    ];
    let mut dice = Dice(18);
    let sure: Vec<&Read> =
        proof.messages.iter().filter(|one| !one.is_malformed && !one.is_doubted.contains(&true)).collect();
    let unspaced: Vec<&Read> =
        sure.iter().copied().filter(|one| one.words[4].iter().any(|word| is_unspaced(word))).collect();
    let mut asked = Vec::new();
    while asked.len() < count {
        let from = if asked.len() % 6 == 0 && !unspaced.is_empty() { &unspaced } else { &sure };
        let message = from[dice.below(from.len())];
        let (prefix, fields) = KINDS[if dice.below(2) == 0 { 0 } else { dice.below(6) }];
        let words = &message.words[fields[dice.below(fields.len())]];
        if words.is_empty() {
            continue;
        }
        let mut at = dice.below(words.len());
        if from.len() == unspaced.len() {
            at = words.iter().position(|word| is_unspaced(word)).unwrap_or(at);
        }
        let length = if dice.below(3) == 0 { 2 + dice.below(3) } else { 1 };
        let phrase = words[at..(at + length).min(words.len())].to_vec();
        // Pairs of characters are the index's own, and are asked for as a piece of text below.
        if phrase.iter().any(|word| is_unspaced(word)) {
            asked.extend(piece(prefix, fields, &phrase));
        } else {
            asked.push(plain(prefix, fields, phrase, &mut dice));
        }
    }
    asked
}

fn plain(prefix: &str, fields: &'static [usize], mut phrase: Vec<String>, dice: &mut Dice) -> Asked {
    let mut is_prefix = false;
    if phrase.len() == 1 && phrase[0].len() > 4 && phrase[0].is_ascii() && dice.below(3) == 0 {
        is_prefix = true;
        let length = 3 + dice.below(phrase[0].len() - 3);
        phrase[0].truncate(length);
    }
    let mut typed = phrase.join(" ");
    if dice.below(2) == 0 && typed.is_ascii() {
        typed = typed.to_uppercase();
    }
    let star = if is_prefix { "*" } else { "" };
    let query = if is_prefix { format!("{prefix}{typed}{star}") } else { format!("{prefix}\"{typed}\"") };
    Asked { query, fields, phrase, is_prefix }
}

/// Pairs of characters that stand in a row, as the text that they are of.
fn piece(prefix: &str, fields: &'static [usize], pairs: &[String]) -> Option<Asked> {
    let pairs: Vec<String> = pairs.iter().take_while(|pair| pair.chars().count() == 2).cloned().collect();
    let is_row = pairs.windows(2).all(|two| two[0].chars().nth(1) == two[1].chars().next());
    if pairs.is_empty() || !is_row || !pairs.iter().all(|pair| is_unspaced(pair)) {
        return None;
    }
    let typed: String = pairs[..1]
        .iter()
        .cloned()
        .chain(pairs[1..].iter().filter_map(|pair| pair.chars().nth(1)).map(String::from))
        .collect();
    Some(Asked { query: format!("{prefix}{typed}"), fields, phrase: pairs, is_prefix: false })
}

/// What is wrong with the answer to a query. Messages that the readers read differently are left out.
fn differs(proof: &Proof, indexed: &Words, asked: &Asked) -> Option<String> {
    let said = ok(&["-q", "find", "--json", "--limit", "0", text(&proof.archive), &asked.query]);
    let mut found = BTreeSet::new();
    for line in said.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        found.extend(value["id"].as_i64().filter(|_| value["message_type"] == "found"));
    }
    let by_id: BTreeMap<i64, &Read> = proof.messages.iter().map(|one| (one.id, one)).collect();
    let is_sure = |id: &i64| {
        let Some(one) = by_id.get(id) else { return false };
        let is_named =
            asked.fields == [3] && indexed.get(&(*id, GIVEN)).is_some_and(|words| words.iter().any(|word| word != "✓"));
        !one.is_malformed && !is_named && !asked.fields.iter().any(|field| one.is_doubted[*field])
    };
    let found: BTreeSet<i64> = found.into_iter().filter(is_sure).collect();
    let has = |one: &&Read| asked.fields.iter().any(|field| asked.is_in(&one.words[*field]));
    let expected: BTreeSet<i64> = proof.messages.iter().filter(has).map(|one| one.id).filter(is_sure).collect();
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    let extra: Vec<_> = found.difference(&expected).take(5).collect();
    (found != expected).then(|| format!("{}: not found {missing:?}, found without being there {extra:?}", asked.query))
}
