//! Which messages are meant: UID sets and the search language of IMAP (RFC 9051, 6.4.4).
//!
//! `parse` reads a query, `key` prints it, `plan` says of a message whether it is meant. The last of these goes from what
//! costs least to what costs most: the status word, the UID, the entry in the index, the header of the mail, all of it.

mod fold;
mod key;
pub mod mail;
pub mod message;
pub mod parse;
pub mod plan;
#[cfg(test)]
mod tests;
mod thread;
pub mod uidset;
mod when;
mod words;

use std::fmt;

use jiff::tz::TimeZone;

use crate::maildir::flags::Flags;
use key::Key;
pub use when::{Clock, Zone};

/// What a message must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    key: Key,
    /// Where days begin.
    zone: Zone,
}

impl Query {
    /// Every message.
    pub fn all() -> Query {
        Query { key: Key::ALL, zone: TimeZone::UTC.into() }
    }

    /// What has not been read.
    pub fn unseen() -> Query {
        Query { key: Key::Flag { letter: Flags::SEEN, set: false }, zone: TimeZone::UTC.into() }
    }
}

impl Default for Query {
    fn default() -> Query {
        Query::all()
    }
}

/// As it can be read again, by whoever has the same clock.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.key, f)
    }
}
