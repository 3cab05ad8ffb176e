//! How many messages.

use crate::error::Result;
use crate::format::status::Status;
use crate::index::Snapshot;
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
