//! Who belongs to the threads of some messages, as `list --threads` has them.

use crate::error::{Error, Result};
use crate::format::{SlotNo, Uid};
use crate::index::Snapshot;
use crate::query::uidset::UidSet;
use crate::threads::Threads;

/// Some threads of a folder.
#[derive(Debug)]
pub(super) struct SomeThreads {
    all: Threads,
    /// Of each message whether its thread is meant and it stands for it.
    is_meant: Vec<bool>,
}

impl SomeThreads {
    /// The threads of these messages; of those that are gone, none. What cannot be read goes to `bad`.
    pub(super) fn of(
        wanted: &UidSet,
        last: Option<Uid>,
        snapshot: &Snapshot<'_>,
        bad: &mut dyn FnMut(Error),
    ) -> Result<SomeThreads> {
        let all = Threads::of(snapshot, bad)?;
        let mut is_meant = vec![false; snapshot.len() as usize];
        for slot in snapshot.slots() {
            let Some(first) = all.first(slot.no().0) else { continue };
            // A damaged one is told by who looks at each.
            if slot.uid().is_ok_and(|uid| wanted.contains(uid, last)) {
                is_meant[first as usize] = true;
            }
        }
        Ok(SomeThreads { all, is_meant })
    }

    pub(super) fn contains(&self, no: SlotNo) -> bool {
        self.all.first(no.0).is_some_and(|first| self.is_meant[first as usize])
    }
}
