//! How many messages.

use crate::error::Result;
use crate::format::status::Status;
use crate::index::Snapshot;
use crate::maildir::flags::Flags;
use crate::ops::locate::last_live;
use crate::query::Query;

/// Counts the live messages that a query means.
pub fn count(snapshot: &Snapshot<'_>, query: &Query) -> Result<u64> {
    let last = last_live(snapshot);
    let mut count = 0;
    for slot in snapshot.slots() {
        let status = slot.status()?;
        count += u64::from(!status.has(Status::EXPUNGED) && query.matches(&slot, status, last)?);
    }
    Ok(count)
}

/// How many messages there are of some kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Without the flag for "read".
    pub unseen: u64,
    /// Marked by the user.
    pub flagged: u64,
}

/// Counts, among the live messages that a query means, those of each kind.
pub fn counts(snapshot: &Snapshot<'_>, query: &Query) -> Result<Counts> {
    let last = last_live(snapshot);
    let mut counts = Counts::default();
    for slot in snapshot.slots() {
        let status = slot.status()?;
        if !status.has(Status::EXPUNGED) && query.matches(&slot, status, last)? {
            counts.total += 1;
            counts.unseen += u64::from(!status.flags().contains(Flags::SEEN));
            counts.flagged += u64::from(status.flags().contains(Flags::FLAGGED));
        }
    }
    Ok(counts)
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.total += other.total;
        self.unseen += other.unseen;
        self.flagged += other.flagged;
    }
}
