//! The order of a listing.

use crate::error::Error;
use crate::format::SlotNo;
use crate::index::{Entries, Snapshot};
use crate::maildir::short;
use crate::ops::Message;
use crate::ops::list::message;

/// By what to order. Equal ones stay in UID order. Case of letters does not count, in any locale alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// UID: the order in which the index met them.
    #[default]
    Uid,
    /// The `Date:` field; time of delivery where there is none.
    Date,
    /// When the mail was delivered.
    Arrival,
    /// Bytes.
    Size,
    /// The sender's name, or address where there is no name.
    From,
    /// The subject, without `Re:` and the like.
    Subject,
    /// Threads by the date of their first mail, each reply behind what it answers.
    Thread,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

impl Sort {
    fn key(self, message: &Message<'_>) -> Key {
        let entry = &message.entry;
        match self {
            Sort::Uid => Key::Number(message.uid.get().into()),
            Sort::Date | Sort::Thread => Key::Number(date(message)),
            Sort::Arrival => Key::Number(entry.received_ns),
            Sort::Size => Key::Number(entry.size as i64),
            Sort::From => Key::Text(short::name(entry.from).to_lowercase()),
            Sort::Subject => Key::Text(short::base_subject(entry.subject).to_lowercase()),
        }
    }
}

/// When a message was sent, in seconds since 1970, as far as anybody knows.
pub fn date(message: &Message<'_>) -> i64 {
    message.entry.date.unwrap_or(message.entry.received_ns.div_euclid(1_000_000_000))
}

/// Puts messages in order. What cannot be read is handed to `bad` and left out.
pub fn order(
    chosen: Vec<SlotNo>,
    snapshot: &Snapshot<'_>,
    sort: Sort,
    entries: &mut Entries,
    bad: &mut dyn FnMut(Error),
) -> Vec<SlotNo> {
    if sort == Sort::Uid {
        return chosen;
    }
    let mut keyed = Vec::with_capacity(chosen.len());
    for no in chosen {
        let slot = snapshot.slot(no).expect("a slot of this snapshot");
        match message(&slot, entries) {
            Ok(message) => keyed.push((sort.key(&message), no)),
            Err(error) => bad(error),
        }
    }
    keyed.sort();
    keyed.into_iter().map(|(_, no)| no).collect()
}
