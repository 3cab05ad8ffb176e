//! Lists messages in an order.

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};
use crate::ops::Message;
use crate::ops::locate::last_live;
use crate::query::Query;

/// By what to order. Equal ones stay in UID order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// UID: the order in which the index met them.
    #[default]
    Uid,
    /// The `Date:` field.
    Date,
    /// When the mail was delivered.
    Arrival,
    /// Bytes.
    Size,
    /// The `From:` field, as text.
    From,
    /// The subject, without `Re:` and the like.
    Subject,
}

/// Which messages, and in what order.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Which.
    pub query: Query,
    /// By what to order.
    pub sort: Sort,
    /// From the other end.
    pub reverse: bool,
    /// No more than so many, from the start of the order.
    pub limit: Option<usize>,
    /// No more than so many, from the end of the order.
    pub last: Option<usize>,
}

/// Calls `visit` for each message that is meant. Messages whose bytes in the index are damaged are handed to `bad`, and
/// the rest goes on. Returns how many were visited.
pub fn list(
    snapshot: &Snapshot<'_>,
    selection: &Selection,
    visit: &mut dyn FnMut(&Message<'_>) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<usize> {
    let mut entries = snapshot.index().entries()?;
    let last_uid = last_live(snapshot);
    let mut visited = 0;
    let mut show = |slot: &Slot<'_>, entries: &mut Entries, bad: &mut dyn FnMut(Error)| {
        match message(slot, entries) {
            // A writer may have changed it since it was chosen.
            Ok(message) if !message.status.has(Status::EXPUNGED) => {
                visited += 1;
                visit(&message)?;
            }
            Ok(_) => {}
            Err(error) => bad(error),
        }
        Ok::<_, Error>(())
    };
    // In UID order nothing need be remembered.
    if selection.sort == Sort::Uid && !selection.reverse && selection.last.is_none() {
        let mut left = selection.limit.unwrap_or(usize::MAX);
        for slot in snapshot.slots() {
            if left == 0 {
                break;
            }
            if is_meant(&slot, &selection.query, last_uid, bad) {
                show(&slot, &mut entries, bad)?;
                left -= 1;
            }
        }
        return Ok(visited);
    }
    let mut chosen: Vec<SlotNo> = Vec::new();
    for slot in snapshot.slots() {
        if is_meant(&slot, &selection.query, last_uid, bad) {
            chosen.push(slot.no());
        }
    }
    order(&mut chosen, snapshot, selection.sort, &mut entries, bad);
    if selection.reverse {
        chosen.reverse();
    }
    chosen.truncate(selection.limit.unwrap_or(usize::MAX));
    let skip = chosen.len().saturating_sub(selection.last.unwrap_or(usize::MAX));
    for &no in &chosen[skip..] {
        let slot = snapshot.slot(no).expect("a slot of this snapshot");
        show(&slot, &mut entries, bad)?;
    }
    Ok(visited)
}

/// Reads one message. The change number comes first: if a change comes in between, it is older than the status, and the
/// change will be told once more rather than never.
pub fn message<'e>(slot: &Slot<'_>, entries: &'e mut Entries) -> Result<Message<'e>> {
    let change = slot.changed()?;
    let status = slot.status()?;
    Ok(Message { uid: slot.uid()?, status, change, inode: slot.inode(), entry: entries.read(slot)? })
}

fn is_meant(slot: &Slot<'_>, query: &Query, last: Option<Uid>, bad: &mut dyn FnMut(Error)) -> bool {
    let meant =
        slot.status().and_then(|status| Ok(!status.has(Status::EXPUNGED) && query.matches(slot, status, last)?));
    meant.unwrap_or_else(|error| {
        bad(error);
        false
    })
}

fn order(
    chosen: &mut [SlotNo],
    snapshot: &Snapshot<'_>,
    sort: Sort,
    entries: &mut Entries,
    bad: &mut dyn FnMut(Error),
) {
    let mut by = |key: fn(&Message<'_>) -> Key| {
        chosen.sort_by_cached_key(|&no| {
            let slot = snapshot.slot(no).expect("a slot of this snapshot");
            match message(&slot, entries) {
                Ok(message) => key(&message),
                Err(error) => {
                    bad(error);
                    Key::Number(i64::MAX)
                }
            }
        });
    };
    match sort {
        Sort::Uid => {}
        Sort::Date => {
            by(|message| Key::Number(message.entry.date.unwrap_or(message.entry.received_ns / 1_000_000_000)));
        }
        Sort::Arrival => by(|message| Key::Number(message.entry.received_ns)),
        Sort::Size => by(|message| Key::Number(message.entry.size as i64)),
        Sort::From => by(|message| Key::Text(message.entry.from.to_lowercase())),
        Sort::Subject => by(|message| Key::Text(base_subject(message.entry.subject).to_lowercase())),
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

/// The subject without reply and forward marks (RFC 5256, 2.1, in short).
fn base_subject(subject: &str) -> &str {
    let mut rest = subject.trim();
    while let Some((mark, after)) = rest.split_once(':') {
        match mark.trim().to_ascii_lowercase().as_str() {
            "re" | "fw" | "fwd" | "aw" | "wg" | "sv" => rest = after.trim_start(),
            _ => break,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_marks_do_not_count() {
        assert_eq!(base_subject(" Re: AW:Fwd: lunch: when?"), "lunch: when?");
        assert_eq!(base_subject("Re:"), "");
    }
}
