//! What a user can ask for: one file each, without a word about terminals.

pub mod build;
pub mod cat;
pub mod changes;
pub mod check;
pub mod compact;
pub mod count;
pub mod dedupe;
pub mod deliver;
pub mod demo;
pub mod dump;
mod enter;
pub mod expunge;
pub mod flag;
pub mod inc;
pub mod list;
pub mod locate;
pub mod names;
pub mod order;
pub mod relocate;
pub mod rename;
pub mod repair;
pub mod replace;
pub mod select;
pub mod show;
pub mod stat;
pub mod sync;
pub mod uids;

use crate::format::Uid;
use crate::format::entry::Entry;
use crate::format::status::Status;

/// A message: what may change, and what does not.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its UID.
    pub uid: Uid,
    /// Flags and state, as they were when it was looked at.
    pub status: Status,
    /// The number of its last change.
    pub change: u64,
    /// Inode of its file when it was last listed.
    pub inode: u64,
    /// What the index keeps of the mail.
    pub entry: Entry<'a>,
}

impl Message<'_> {
    /// When it was delivered, in seconds since 1970; `None` for a mail that could not be opened.
    pub fn received(&self) -> Option<i64> {
        (!self.status.has(Status::UNREADABLE)).then(|| self.entry.received_ns.div_euclid(1_000_000_000))
    }
}
