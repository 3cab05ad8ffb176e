//! How many messages.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::index::Slot;
use crate::maildir::flags::Flags;
use crate::ops::select::select;
use crate::query::Query;

/// Counts the live messages that a query means. Mails that cannot be read go to `bad`.
pub fn count(folder: &mut Folder, query: &Query, bad: &mut dyn FnMut(Error)) -> Result<u64> {
    let mut count = 0;
    each(folder, query, &mut |_| count += 1, bad)?;
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

/// Counts, among the live messages that a query means, those of each kind. Mails that cannot be read go to `bad`.
pub fn counts(folder: &mut Folder, query: &Query, bad: &mut dyn FnMut(Error)) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut add = |status: Status| {
        counts.total += 1;
        counts.unseen += u64::from(!status.flags().contains(Flags::SEEN));
        counts.flagged += u64::from(status.flags().contains(Flags::FLAGGED));
    };
    each(folder, query, &mut add, bad)?;
    Ok(counts)
}

/// A number that leaves out what is damaged would be a wrong one.
fn each(folder: &mut Folder, query: &Query, visit: &mut dyn FnMut(Status), bad: &mut dyn FnMut(Error)) -> Result<()> {
    let maildir = Arc::clone(folder.maildir());
    let mut damaged = None;
    let mut found = |slot: Slot<'_>, _: &mut dyn FnMut(Error)| {
        visit(slot.status()?);
        Ok(true)
    };
    select(&maildir, &folder.complete_index()?.snapshot()?, query, &mut found, &mut |error| match error {
        Error::Damaged(_) => damaged = damaged.take().or(Some(error)),
        error => bad(error),
    })?;
    damaged.map_or(Ok(()), Err)
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.total += other.total;
        self.unseen += other.unseen;
        self.flagged += other.flagged;
    }
}
