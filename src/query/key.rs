//! The search keys, and how they are written. What is printed reads as the same query.

use std::fmt;

use crate::maildir::Sub;
use crate::maildir::flags::Flags;
use crate::query::uidset::UidSet;
use crate::query::when::{Order, When};

/// One search key. The parser makes them in one form only: no list of one, no list of its own kind within a list, no
/// `not` before a key that can be turned by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter in the file name is there, or is not.
    Flag { letter: Flags, set: bool },
    /// The same of the letter that `dovecot-keywords` gives this name.
    Keyword { name: String, set: bool },
    /// Where the file is.
    In(Sub),
    /// The file has no bytes.
    Zero,
    /// Its UID is in the set.
    Uids(UidSet),
    /// It is in the thread of one of these.
    Thread(UidSet),
    /// A field of the header holds a text. The name is in lower case.
    Field { name: String, text: String },
    /// Its Message-ID is this one.
    MessageId(String),
    /// When it was delivered.
    Received { order: Order, when: When },
    /// When it was sent.
    Sent { order: Order, when: When },
    /// More bytes than this.
    Larger(u64),
    /// Fewer bytes than this.
    Smaller(u64),
    /// The text holds this.
    Body(String),
    /// Header or text hold this.
    Text(String),
    /// The key does not hold.
    Not(Box<Key>),
    /// All of them hold; of none: every message.
    All(Vec<Key>),
    /// One of them holds.
    Any(Vec<Key>),
}

/// Names of the flags that have some: set, not set, and other words for both.
pub(super) const FLAGS: [(Flags, &str, &str); 8] = [
    (Flags::REPLIED, "answered", "unanswered"),
    (Flags::TRASHED, "deleted", "undeleted"),
    (Flags::DRAFT, "draft", "undraft"),
    (Flags::FLAGGED, "flagged", "unflagged"),
    (Flags::PASSED, "passed", "unpassed"),
    (Flags::SEEN, "seen", "unseen"),
    // As `flag` calls it, too.
    (Flags::TRASHED, "trashed", "untrashed"),
    (Flags::REPLIED, "replied", "unreplied"),
];

/// Fields that have a key of their own.
pub(super) const FIELDS: [&str; 5] = ["bcc", "cc", "from", "subject", "to"];

impl Key {
    /// Every message.
    pub(super) const ALL: Key = Key::All(Vec::new());

    /// All of these.
    pub(super) fn all_of(keys: Vec<Key>) -> Key {
        let mut flat = Vec::with_capacity(keys.len());
        for key in keys {
            match key {
                Key::All(keys) => flat.extend(keys),
                key => flat.push(key),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Key::All(flat) }
    }

    /// One of these, of which there is at least one.
    pub(super) fn any_of(keys: Vec<Key>) -> Key {
        let mut flat = Vec::with_capacity(keys.len());
        for key in keys {
            match key {
                Key::Any(keys) => flat.extend(keys),
                key => flat.push(key),
            }
        }
        if flat.len() == 1 { flat.swap_remove(0) } else { Key::Any(flat) }
    }

    /// What this key does not mean.
    pub(super) fn negated(self) -> Key {
        match self {
            Key::Flag { letter, set } => Key::Flag { letter, set: !set },
            Key::Keyword { name, set } => Key::Keyword { name, set: !set },
            Key::In(Sub::New) => Key::In(Sub::Cur),
            Key::In(Sub::Cur) => Key::In(Sub::New),
            Key::Not(key) => *key,
            key => Key::Not(Box::new(key)),
        }
    }

    /// Where one key is wanted, several go into parentheses.
    fn fmt_one(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::All(keys) if !keys.is_empty() => write!(f, "({self})"),
            key => fmt::Display::fmt(key, f),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let un = |set: &bool| if *set { "" } else { "un" };
        match self {
            Key::Flag { letter, set } => match FLAGS.iter().find(|(flag, ..)| flag == letter) {
                Some((_, name, unset)) => f.write_str(if *set { name } else { unset }),
                None => write!(f, "{}keyword {letter}", un(set)),
            },
            Key::Keyword { name, set } => write!(f, "{}keyword {}", un(set), Quoted(name)),
            Key::In(Sub::New) => f.write_str("new"),
            Key::In(Sub::Cur) => f.write_str("old"),
            Key::Zero => f.write_str("zero"),
            Key::Uids(set) => set.fmt(f),
            Key::Thread(set) => write!(f, "thread {set}"),
            Key::Field { name, text } if FIELDS.contains(&name.as_str()) => write!(f, "{name} {}", Quoted(text)),
            Key::Field { name, text } => write!(f, "header {} {}", Quoted(name), Quoted(text)),
            Key::MessageId(id) => write!(f, "messageid {}", Quoted(id)),
            Key::Received { order, when } => write!(f, "{order} {when}"),
            Key::Sent { order, when } => write!(f, "sent{order} {when}"),
            Key::Larger(bytes) => write!(f, "larger {bytes}"),
            Key::Smaller(bytes) => write!(f, "smaller {bytes}"),
            Key::Body(text) => write!(f, "body {}", Quoted(text)),
            Key::Text(text) => write!(f, "text {}", Quoted(text)),
            Key::Not(key) => {
                f.write_str("not ")?;
                key.fmt_one(f)
            }
            Key::All(keys) if keys.is_empty() => f.write_str("all"),
            Key::All(keys) => keys.iter().enumerate().try_for_each(|(n, key)| {
                f.write_str(if n == 0 { "" } else { " " })?;
                key.fmt(f)
            }),
            // The last but one needs no `or` before it: that of the one before takes two.
            Key::Any(keys) => keys.iter().enumerate().try_for_each(|(n, key)| {
                f.write_str(if n == 0 { "" } else { " " })?;
                f.write_str(if n + 1 < keys.len() { "or " } else { "" })?;
                key.fmt_one(f)
            }),
        }
    }
}

/// A text, in quotes if it would not be read as one word without them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let breaks = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '(' | ')');
        if !self.0.is_empty() && !self.0.contains(breaks) {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
