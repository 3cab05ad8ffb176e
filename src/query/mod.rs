//! Which messages are meant: UID sets and the search keys of IMAP (RFC 9051, 6.4.4).

pub mod message;
pub mod parse;
pub mod uidset;

use crate::error::Result;
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::Slot;
use crate::maildir::flags::Flags;

use uidset::UidSet;

/// What a message must be: all of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    keys: Vec<Key>,
}

/// One search key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// Among the bits in the mask, the status has these.
    Status { mask: u64, bits: u64 },
    /// Its UID is in the set.
    Uids(UidSet),
    /// The key does not hold.
    Not(Box<Key>),
}

impl Key {
    fn flag(flags: Flags, set: bool) -> Key {
        Key::Status { mask: flags.bits(), bits: if set { flags.bits() } else { 0 } }
    }

    fn state(state: Status, set: bool) -> Key {
        Key::Status { mask: state.bits(), bits: if set { state.bits() } else { 0 } }
    }

    fn matches(&self, slot: &Slot<'_>, status: Status, last: Option<Uid>) -> Result<bool> {
        Ok(match self {
            Key::Status { mask, bits } => status.bits() & mask == *bits,
            Key::Uids(set) => set.contains(slot.uid()?, last),
            Key::Not(key) => !key.matches(slot, status, last)?,
        })
    }
}

impl Query {
    /// Every message.
    pub fn all() -> Query {
        Query::default()
    }

    /// Whether a live message is meant. `last` is the largest UID of the folder, which `*` stands for.
    pub fn matches(&self, slot: &Slot<'_>, status: Status, last: Option<Uid>) -> Result<bool> {
        for key in &self.keys {
            if !key.matches(slot, status, last)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
