//! What changed since: the difference between what somebody knows already and what the index says now.
//!
//! A slot has the number of its last change, an entry that of the change which brought it. So whatever happened to a
//! message since a token is told as one event, with the state that came of it. Nothing is missed, and nothing is told
//! twice, unless the listener was interrupted and begins again with a token that it had before.
//!
//! A writer stores a change number, then the status, and the counter after all of them. So here the counter is loaded
//! first, and of a slot its number, then its status, then the number again. Changes beyond the counter are left for the
//! next time; but a message whose arrival is due is told now, even if it has changed again meanwhile: the next time it
//! would pass for one that is known.

use std::collections::HashMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::format::header::IndexId;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};
use crate::ops::Message;

/// Up to where somebody knows the changes of an index. For others it is one word without a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    id: IndexId,
    at: At,
}

/// A place in the order of events: change number, then UID. Of one change removals come last, so that who hears that a
/// mail got another UID has not yet dropped what he knows of the old one.
type At = (u64, u64);

/// Added to the UID of a message that was removed.
const REMOVED: u64 = 1 << 32;

/// The end of a change.
const END: u64 = 2 * REMOVED;

/// Added to END and the UID in a token of who began with nothing and has come so far among the changes that are not known
/// one by one: of the messages up to this UID he knows all of these.
const BEGUN: u64 = END + 1;

impl Token {
    /// Of who knows nothing yet, of any index.
    pub const START: Token = Token { id: [0; 16], at: (0, 0) };

    /// Everything that a snapshot shows.
    pub fn of(snapshot: &Snapshot<'_>) -> Token {
        Token { id: snapshot.index().identity().id, at: (snapshot.counter(), END) }
    }

    /// Reads one; `None` if it is none.
    pub fn parse(text: &str) -> Option<Token> {
        if text == "0" {
            return Some(Token::START);
        }
        let mut parts = text.split('.');
        let (id, change, uid) = (parts.next()?, parts.next()?, parts.next());
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
        let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u128::from_str_radix(id, 16).ok().filter(|_| is_id)?.to_be_bytes();
        let within = uid.map_or(Some(END), number).filter(|&within| within <= BEGUN + END)?;
        parts.next().is_none().then_some(Token { id, at: (number(change)?, within) })
    }

    /// Whether it was given out by this index, or knows of none.
    pub fn is_of(&self, id: &IndexId) -> bool {
        *self == Token::START || self.id == *id
    }

    /// Fails if the index does not know what changed since.
    fn check(&self, snapshot: &Snapshot<'_>) -> Result<()> {
        let refused = |why| Err(Error::Token { path: snapshot.index().dir().path().to_path_buf(), why });
        let oldest = snapshot.index().header().oldest().unwrap_or(u64::MAX);
        let (change, within) = self.at;
        // Removals of the oldest change are forgotten, and come last in it.
        let too_old = change < oldest || (change == oldest && within < END);
        match () {
            () if *self == Token::START => Ok(()),
            () if !self.is_of(&snapshot.index().identity().id) => refused("it is of another index"),
            () if change > snapshot.counter() => refused("it is newer than the index, which must be an old copy"),
            () if too_old => refused("it is too old: what changed since is not known one by one"),
            () => Ok(()),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Token::START {
            return f.write_str("0");
        }
        let (change, within) = self.at;
        write!(f, "{:032x}.{change}", u128::from_be_bytes(self.id))?;
        if within == END { Ok(()) } else { write!(f, ".{within}") }
    }
}

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It came, or could not be read until now.
    Added,
    /// Its flags changed.
    Flags,
    /// Its file went from `new/` to `cur/` or back, or got another base name; the flags may be others, too.
    Moved,
    /// It is gone.
    Removed,
}

impl Kind {
    /// Its name for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Added => "added",
            Kind::Flags => "flags",
            Kind::Moved => "moved",
            Kind::Removed => "removed",
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub struct Event<'a> {
    /// What.
    pub kind: Kind,
    /// The message as it is now. Of one that is gone flags and directory are not known any more.
    pub message: Message<'a>,
    /// Of an added message: the UID that its mail had before, which is dead now.
    pub was_uid: Option<Uid>,
    /// Up to and with this event.
    pub token: Token,
}

/// An event that is due.
struct Due {
    at: At,
    no: SlotNo,
    kind: Kind,
}

/// What a slot said at one moment.
struct Look {
    /// Where its last change stands in the order of events.
    changed: At,
    moved: bool,
    expunged: bool,
    /// Where its arrival stands.
    added: At,
}

/// A message that is dead by now.
struct Dead {
    no: SlotNo,
    died: u64,
}

/// Calls `visit` for each event since a token, in the order in which tokens go, and returns the token after all of them.
/// Messages whose bytes in the index are damaged are handed to `bad`, and the rest goes on.
pub fn changes(
    snapshot: &Snapshot<'_>,
    since: &Token,
    visit: &mut dyn FnMut(&Event<'_>) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<Token> {
    since.check(snapshot)?;
    // Who begins with nothing need not know the changes one by one.
    let has_begun = *since == Token::START || since.at.1 > END;
    let unknown = if has_begun { snapshot.index().header().oldest().unwrap_or(0) } else { 0 };
    let mut entries = snapshot.index().entries()?;
    let mut due = Vec::new();
    let mut dead = Graves::default();
    for slot in snapshot.slots() {
        match look(&slot, since.at, unknown, &mut entries) {
            Ok(Some(look)) => {
                if look.expunged {
                    dead.push(&slot, look.changed.0);
                }
                due.extend(judge(&slot, &look, since.at, snapshot.counter()));
            }
            Ok(None) => {}
            Err(error) => bad(error),
        }
    }
    due.sort_unstable_by_key(|due| due.at);
    let id = snapshot.index().identity().id;
    for Due { at, no, kind } in due {
        let slot = snapshot.slot(no).expect("a slot of this snapshot");
        let token = Token { id, at };
        let told = dead.was_uid(&slot, kind, snapshot, since.at, &mut entries).and_then(|was_uid| {
            let message = crate::ops::list::message(&slot, &mut entries)?;
            Ok((was_uid, message))
        });
        match told {
            // Gone since it was looked at; that is for the next time.
            Ok((_, message)) if kind != Kind::Removed && message.status.has(Status::EXPUNGED) => {}
            Ok((was_uid, message)) => visit(&Event { kind, message, was_uid, token })?,
            Err(error) => bad(error),
        }
    }
    Ok(Token::of(snapshot))
}

/// Looks at a slot; `None` if nothing has happened to it since. Changes up to `unknown` count as one.
fn look(slot: &Slot<'_>, since: At, unknown: u64, entries: &mut Entries) -> Result<Option<Look>> {
    loop {
        let before = slot.last_change()?;
        if before.number.max(unknown) < since.0 {
            return Ok(None);
        }
        let expunged = slot.status()?.has(Status::EXPUNGED);
        let uid = u64::from(slot.uid()?.get());
        let place = |change, within| if change <= unknown { (unknown, BEGUN + uid) } else { (change, within) };
        let changed = place(before.number, if expunged { REMOVED + uid } else { uid });
        let is_due = changed > since;
        let added = if is_due { place(entries.read(slot)?.added, uid) } else { changed };
        if slot.last_change()? == before {
            return Ok(is_due.then_some(Look { changed, moved: before.moved, expunged, added }));
        }
    }
}

/// The event that is due for a slot.
fn judge(slot: &Slot<'_>, look: &Look, since: At, counter: u64) -> Option<Due> {
    let is_known = look.added <= since;
    let (at, kind) = match (look.expunged, is_known) {
        (true, false) => return None, // came and went
        (true, true) => (look.changed, Kind::Removed),
        (false, false) => (look.added, Kind::Added),
        (false, true) if look.moved => (look.changed, Kind::Moved),
        (false, true) => (look.changed, Kind::Flags),
    };
    (at.0 <= counter).then_some(Due { at, no: slot.no(), kind })
}

/// Messages that have died since, by what a mail keeps when it gets another UID: its base name, or its inode.
#[derive(Default)]
struct Graves {
    by_hash: HashMap<u64, Vec<Dead>>,
    by_inode: HashMap<u64, Vec<Dead>>,
}

impl Graves {
    fn push(&mut self, slot: &Slot<'_>, died: u64) {
        let no = slot.no();
        self.by_hash.entry(slot.hash()).or_default().push(Dead { no, died });
        if slot.inode() != 0 {
            self.by_inode.entry(slot.inode()).or_default().push(Dead { no, died });
        }
    }

    /// The UID under which the listener knows the mail of an added message, if it had another one. A UID that came and
    /// went in between leads on to the one before it.
    fn was_uid(
        &self,
        slot: &Slot<'_>,
        kind: Kind,
        snapshot: &Snapshot<'_>,
        since: At,
        entries: &mut Entries,
    ) -> Result<Option<Uid>> {
        let mut heir = *slot;
        while kind == Kind::Added
            && let Some(dead) = self.predecessor(&heir, snapshot, entries)?
        {
            let uid = dead.uid()?;
            if (entries.read(&dead)?.added, u64::from(uid.get())) <= since {
                return Ok(Some(uid));
            }
            heir = dead;
        }
        Ok(None)
    }

    /// The message with a smaller UID that died when this one came, or later, and was the same mail, or had its name.
    fn predecessor<'a>(
        &self,
        heir: &Slot<'a>,
        snapshot: &Snapshot<'a>,
        entries: &mut Entries,
    ) -> Result<Option<Slot<'a>>> {
        if let Some(was_uid) = entries.read(heir)?.was_uid {
            let dead = |slot: &Slot<'_>| {
                slot.no() < heir.no() && slot.status().is_ok_and(|status| status.has(Status::EXPUNGED))
            };
            return Ok(snapshot.find_uid(was_uid)?.filter(dead));
        }
        let with_name = self.by_hash.get(&heir.hash());
        let with_file = self.by_inode.get(&heir.inode());
        if with_name.is_none() && with_file.is_none() {
            return Ok(None);
        }
        let entry = entries.read(heir)?;
        let (added, base) = (entry.added, entry.base.to_vec());
        let same_mail = (entry.size, entry.received_ns, entry.header_crc, entry.unreadable);
        let mut found: Option<Slot<'a>> = None;
        for dead in with_name.into_iter().chain(with_file).flatten() {
            let slot = snapshot.slot(dead.no).expect("a slot of this snapshot");
            let is_later = found.is_none_or(|found| found.no() < dead.no);
            if dead.no >= heir.no() || dead.died < added || !is_later {
                continue;
            }
            let entry = entries.read(&slot)?;
            // An inode is given out again; a mail that was moved to another name is still the same.
            let is_same = (entry.size, entry.received_ns, entry.header_crc, false) == same_mail && !entry.unreadable;
            if entry.base == base || (slot.inode() == heir.inode() && is_same) {
                found = Some(slot);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        for at in [(0, END), (17, 3), (17, REMOVED + 3), (17, BEGUN + 3), (1_700_000_000_000_000, END)] {
            let token = Token { id: [0xab; 16], at };
            assert_eq!(Token::parse(&token.to_string()), Some(token), "{token}");
        }
        assert_eq!(Token::parse(&Token::START.to_string()), Some(Token::START));
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        let id = "ab".repeat(16);
        let wrong = ["", "1", "x", ".1", "0.1", "00", " 0", &id, &format!("{id}.")];
        for text in wrong.into_iter().chain([
            &*format!("{id}.+1"),
            &format!("{id}.1."),
            &format!("{id}.1.2.3"),
            &format!("{id}.1.99999999999"),
            &format!("+{}.1", &id[1..]),
        ]) {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}
