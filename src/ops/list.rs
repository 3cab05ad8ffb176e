//! Lists messages in an order.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};
use crate::maildir::Maildir;
use crate::ops::Message;
use crate::ops::order::{Sort, order};
use crate::ops::select::select;
use crate::query::Query;
use crate::threads::Threads;

/// Which messages, and in what order.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Which.
    pub query: Query,
    /// By what to order; with `threads` the first messages of threads, and those that answer the same one.
    pub sort: Sort,
    /// From the other end. Of threads the last comes first, and in each a reply still behind what it answers.
    pub reverse: bool,
    /// No more than so many, from the start of the order.
    pub limit: Option<usize>,
    /// No more than so many, from the end of the order.
    pub last: Option<usize>,
    /// By threads, each with the place of its messages; then limits count threads.
    pub threads: bool,
}

/// Where a message stands in its thread, as far as that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InThread {
    /// The message that stands for the thread: its topmost, whether that is listed or not.
    pub first: Uid,
    /// How many messages above it are listed.
    pub depth: u32,
    /// Whether another one answers the same message, and is listed further down.
    pub has_next: bool,
    /// Whether it is the first of its thread in the listing. If one more has no message above it, the first of all is
    /// missing.
    pub begins: bool,
}

/// Calls `visit` for each message that is meant, with its place if threads were asked for. Messages whose bytes in the
/// index are damaged are handed to `bad`, each once, and the rest goes on. Returns how many were visited.
pub fn list(
    maildir: &Maildir,
    snapshot: &Snapshot<'_>,
    selection: &Selection,
    visit: &mut dyn FnMut(&Message<'_>, Option<&InThread>) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<usize> {
    let mut told = HashSet::new();
    let bad: &mut dyn FnMut(Error) = &mut |error| {
        if told.insert(error.to_string()) {
            bad(error);
        }
    };
    let mut entries = snapshot.index().entries()?;
    let mut visited = 0;
    let mut show = |slot: &Slot<'_>, place: Option<&InThread>, bad: &mut dyn FnMut(Error), entries: &mut Entries| {
        match message(slot, entries) {
            // A writer may have changed it since it was chosen.
            Ok(message) if !message.status.has(Status::EXPUNGED) => {
                visited += 1;
                visit(&message, place)?;
            }
            Ok(_) => {}
            Err(error) => bad(error),
        }
        Ok::<_, Error>(())
    };
    let Selection { sort, reverse, limit, last, threads, .. } = *selection;
    // In UID order nothing need be remembered.
    if sort == Sort::Uid && !reverse && last.is_none() && !threads {
        let mut left = limit.unwrap_or(usize::MAX);
        if left > 0 {
            let mut found = |slot: Slot<'_>, bad: &mut dyn FnMut(Error)| {
                show(&slot, None, bad, &mut entries)?;
                left -= 1;
                Ok(left > 0)
            };
            select(maildir, snapshot, &selection.query, &mut found, bad)?;
        }
        return Ok(visited);
    }
    let is_by_thread = threads || sort == Sort::Thread;
    // Before anything is chosen: what lives then has lived now.
    let all = if is_by_thread { Some(Threads::of(snapshot, bad)?) } else { None };
    let mut chosen: Vec<SlotNo> = Vec::new();
    let mut found = |slot: Slot<'_>, _: &mut dyn FnMut(Error)| {
        chosen.push(slot.no());
        Ok(true)
    };
    select(maildir, snapshot, &selection.query, &mut found, bad)?;
    let chosen = order(chosen, snapshot, sort, &mut entries, bad);
    let Some(all) = all else {
        let mut chosen = chosen;
        if reverse {
            chosen.reverse();
        }
        for &no in cut(&chosen, limit, last) {
            show(&snapshot.slot(no).expect("a slot of this snapshot"), None, bad, &mut entries)?;
        }
        return Ok(visited);
    };
    let places = all.arrange(&chosen.iter().map(|no| no.0).collect::<Vec<_>>());
    let mut groups: Vec<_> = places.chunk_by(|_, next| !next.begins).collect();
    if reverse {
        groups.reverse();
    }
    // Without the tree each message counts by itself.
    let (of_threads, of_messages) = if threads { ((limit, last), (None, None)) } else { ((None, None), (limit, last)) };
    let places = cut(&groups, of_threads.0, of_threads.1).concat();
    for place in cut(&places, of_messages.0, of_messages.1) {
        let slot = snapshot.slot(SlotNo(place.number)).expect("a slot of this snapshot");
        let first = all.first(place.number).and_then(|first| snapshot.slot(SlotNo(first))).unwrap_or(slot).uid()?;
        let in_thread = InThread { first, depth: place.depth, has_next: place.has_next, begins: place.begins };
        show(&slot, Some(&in_thread).filter(|_| threads), bad, &mut entries)?;
    }
    Ok(visited)
}

/// The first so many, and of these the last so many.
fn cut<T>(items: &[T], limit: Option<usize>, last: Option<usize>) -> &[T] {
    let items = &items[..items.len().min(limit.unwrap_or(usize::MAX))];
    &items[items.len() - items.len().min(last.unwrap_or(usize::MAX))..]
}

/// Reads one message. The change number comes first: if a change comes in between, it is older than the status, and the
/// change will be told once more rather than never.
pub fn message<'e>(slot: &Slot<'_>, entries: &'e mut Entries) -> Result<Message<'e>> {
    let change = slot.changed()?;
    let status = slot.status()?;
    Ok(Message { uid: slot.uid()?, status, change, inode: slot.inode(), entry: entries.read(slot)? })
}
