//! The messages that a query means: the one place where every verb asks.
//!
//! What the index cannot tell is read from the mails, on several threads, a batch at a time; so what was found already is
//! handed on while the rest is read, and who has enough after a few messages has few read for nothing.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};
use crate::format::SlotNo;
use crate::format::status::Status;
use crate::index::{Entries, Slot, Snapshot};
use crate::maildir::Maildir;
use crate::maildir::keywords::Keywords;
use crate::ops::list::message;
use crate::ops::locate::last_live;
use crate::ops::names::{Names, Wanted};
use crate::query::Query;
use crate::query::mail::Mail;
use crate::query::plan::{Known, Needs, Plan, Read};

/// Mails that are read in the first batch; later ones are larger.
const FIRST_BATCH: usize = 32;

/// Mails that are read in a batch at most.
const BATCH_MAX: usize = 2048;

/// Messages that wait for those before them.
const WAITING_MAX: usize = 1 << 16;

/// Threads for each core: some wait for the disk.
const THREADS_PER_CORE: usize = 4;

/// No more than so many mails are in memory at once.
const THREADS_MAX: usize = 16;

/// Takes a message that is meant; whether more are wanted. With where to report what is wrong with it.
pub type Found<'f> = dyn FnMut(Slot<'_>, &mut dyn FnMut(Error)) -> Result<bool> + 'f;

/// Calls `found` for each live message that is meant, in UID order, until it says that it has enough. Of which nobody can
/// say whether it is meant, because its bytes in the index are damaged or its mail cannot be read, goes to `bad`.
pub fn select(
    maildir: &Maildir,
    snapshot: &Snapshot<'_>,
    query: &Query,
    found: &mut Found<'_>,
    bad: &mut dyn FnMut(Error),
) -> Result<()> {
    let keywords = if query.has_keywords() { Keywords::read(maildir.root()) } else { Keywords::default() };
    let plan = query.plan(snapshot, last_live(snapshot), &keywords, bad)?;
    if plan.needs() == Needs::Status {
        // Nothing else is looked at: a million in a few milliseconds.
        for slot in snapshot.slots() {
            match slot.status() {
                Ok(status) if !status.has(Status::EXPUNGED) && plan.holds(&of_status(status)) == Some(true) => {
                    if !found(slot, bad)? {
                        break;
                    }
                }
                Ok(_) => {}
                Err(error) => bad(error),
            }
        }
        return Ok(());
    }
    let search = Search { maildir, snapshot, plan };
    let mut entries = snapshot.index().entries()?;
    let mut batch = Batch { size: FIRST_BATCH, ..Batch::default() };
    for slot in snapshot.between(search.plan.span()) {
        match search.by_index(&slot, &mut entries) {
            Ok(Some(false)) => {}
            // Nobody waits before it.
            Ok(Some(true)) if batch.waiting.is_empty() => {
                if !found(slot, bad)? {
                    return Ok(());
                }
            }
            Ok(meant) => {
                batch.unread += usize::from(meant.is_none());
                batch.waiting.push((slot.no(), meant));
                if batch.unread >= batch.size || batch.waiting.len() >= WAITING_MAX {
                    if !search.take(&mut batch, found, bad)? {
                        return Ok(());
                    }
                    batch.size = (batch.size * 4).min(BATCH_MAX);
                }
            }
            Err(error) => bad(error),
        }
    }
    search.take(&mut batch, found, bad).map(drop)
}

fn of_status(status: Status) -> Known<'static> {
    Known { status, slot: None, entry: None, mail: None }
}

/// Messages in UID order, from the first one on whose mail has to be read.
#[derive(Default)]
struct Batch {
    waiting: Vec<(SlotNo, Option<bool>)>,
    unread: usize,
    size: usize,
    /// One for each thread, kept from batch to batch: a listing that one had to make is made once.
    readers: Vec<Reader>,
}

struct Search<'s> {
    maildir: &'s Maildir,
    snapshot: &'s Snapshot<'s>,
    plan: Plan,
}

impl Search<'_> {
    /// Whether a message is meant, as far as the index tells. One that is gone is not.
    fn by_index(&self, slot: &Slot<'_>, entries: &mut Entries) -> Result<Option<bool>> {
        let mut known = of_status(slot.status()?);
        if known.status.has(Status::EXPUNGED) {
            return Ok(Some(false));
        }
        let settled = self.plan.holds(&known);
        if settled.is_some() {
            return Ok(settled);
        }
        known.slot = Some((slot.no(), slot.uid()?));
        let settled = self.plan.holds(&known);
        if settled.is_some() {
            return Ok(settled);
        }
        let entry = Read::new(entries.read(slot)?);
        Ok(self.plan.holds(&Known { entry: Some(&entry), ..known }))
    }

    /// The same with the mail read.
    fn by_mail(&self, slot: &Slot<'_>, reader: &mut Reader) -> Result<bool> {
        let message = message(slot, &mut reader.entries)?;
        if message.status.has(Status::EXPUNGED) {
            return Ok(false);
        }
        let wanted = Wanted::of(&message);
        let (slot, entry) = (Some((slot.no(), message.uid)), Read::new(message.entry));
        let known = Known { status: message.status, slot, entry: Some(&entry), mail: None };
        let (mut file, sub, name) = wanted.open(self.maildir, &mut reader.names)?;
        let unread = |source| Error::Io { path: self.maildir.path_of(sub, &name), doing: "cannot read", source };
        // The header may do: if the index had only cut a field, or of keys that are joined by `or`.
        let header = Mail::read_header(&mut file).map_err(unread)?;
        if let Some(meant) = self.plan.holds(&Known { mail: Some(&header), ..known }) {
            return Ok(meant);
        }
        let mail = header.read_on(&mut file).map_err(unread)?;
        Ok(self.plan.holds(&Known { mail: Some(&mail), ..known }).unwrap_or(false)) // all is known by now
    }

    /// Reads the mails of a batch and hands on what is meant; whether more is wanted.
    fn take(&self, batch: &mut Batch, found: &mut Found<'_>, bad: &mut dyn FnMut(Error)) -> Result<bool> {
        let unread: Vec<SlotNo> =
            batch.waiting.iter().filter(|(_, meant)| meant.is_none()).map(|(no, _)| *no).collect();
        let mut read = self.read(&unread, &mut batch.readers)?.into_iter();
        batch.unread = 0;
        for (no, meant) in batch.waiting.drain(..) {
            let meant = match meant {
                Some(meant) => Ok(meant),
                None => read.next().expect("an answer for each mail"),
            };
            match meant {
                Ok(true) => {
                    if !found(self.slot(no), bad)? {
                        return Ok(false);
                    }
                }
                Ok(false) => {}
                Err(error) => bad(error),
            }
        }
        Ok(true)
    }

    /// Answers for these messages, in their order.
    fn read(&self, unread: &[SlotNo], readers: &mut Vec<Reader>) -> Result<Vec<Result<bool>>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (cores * THREADS_PER_CORE).min(THREADS_MAX).min(unread.len());
        let next = AtomicUsize::new(0);
        let read_some = |reader: &mut Reader| {
            let mut answers = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&no) = unread.get(at) else { return answers };
                answers.push((at, self.by_mail(&self.slot(no), reader)));
            }
        };
        while readers.len() < threads {
            readers.push(Reader { entries: self.snapshot.index().entries()?, names: Names::default() });
        }
        let Some((here, others)) = readers.split_first_mut() else { return Ok(Vec::new()) };
        let mut answers = thread::scope(|scope| {
            let read_some = &read_some;
            // The system may allow fewer threads; this one is enough.
            let others = others.iter_mut().take(threads.saturating_sub(1));
            let others: Vec<_> = others
                .filter_map(|reader| thread::Builder::new().spawn_scoped(scope, move || read_some(reader)).ok())
                .collect();
            let mut answers = read_some(here);
            for other in others {
                answers.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            answers
        });
        answers.sort_unstable_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    fn slot(&self, no: SlotNo) -> Slot<'_> {
        self.snapshot.slot(no).expect("a slot of this snapshot")
    }
}

/// What a thread needs to read mails.
struct Reader {
    entries: Entries,
    names: Names,
}
