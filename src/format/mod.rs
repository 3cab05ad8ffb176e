//! The bytes of our files, version 1: no I/O, no `unsafe`.
//!
//! Two kinds of data, two files. What never changes is an [`entry`] in the index file, read-only and with a CRC. What
//! changes is small and dense, a column of a [`block`] in the offsets file, changed by one aligned store.
//! Everything is little-endian. Each table stands once, in the module that implements it.

pub mod block;
pub mod entry;
pub mod field;
pub mod header;
pub mod status;
pub mod word;

use std::fmt;
use std::num::NonZeroU32;

/// An IMAP UID (RFC 9051, 2.3.1.1): never 0, never given to a second mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The first one.
    pub const FIRST: Uid = Uid(NonZeroU32::MIN);
    /// The last one.
    pub const LAST: Uid = Uid(NonZeroU32::MAX);

    /// `None` for 0.
    pub const fn new(uid: u32) -> Option<Uid> {
        match NonZeroU32::new(uid) {
            Some(uid) => Some(Uid(uid)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a message in the offsets file, from 0. Slots are in UID order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotNo(pub u32);

impl SlotNo {
    /// The block it is in.
    pub(crate) const fn block(self) -> usize {
        self.0 as usize / block::SLOTS
    }

    /// Its row in that block.
    pub(crate) const fn row(self) -> usize {
        self.0 as usize % block::SLOTS
    }
}
