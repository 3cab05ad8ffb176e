//! A tour on made-up mail: what an index is for, in three seconds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::{OFFSETS, Snapshot};
use crate::lock::{Owner, Wait};
use crate::maildir::flags::Flags;
use crate::ops::Message;
use crate::ops::build::{Options, Progress, Report, build};
use crate::ops::count::count;
use crate::ops::list::{Selection, Sort, list};
use crate::query::Query;
use crate::sample::{self, Made};

/// Messages that are shown.
const SHOWN: usize = 5;

/// A stop of the tour, and how long it took to get there.
#[derive(Debug)]
pub enum Step<'s> {
    /// The mail is there.
    Made(Made, Duration),
    /// The index was made, too.
    Built(&'s Report, Duration),
    /// How many have not been read.
    Counted {
        /// So many.
        unseen: u64,
        /// Of so many.
        total: u64,
        /// By mapping the index and looking at each.
        took: Duration,
    },
    /// One of the newest that have not been read.
    Listed(&'s Message<'s>),
    /// Another program has set a flag, and a reader that had mapped the index before saw it.
    Flagged {
        /// Of this message.
        uid: Uid,
        /// What the reader saw first.
        before: Flags,
        /// And then.
        after: Flags,
        /// How long the other program took.
        took: Duration,
    },
    /// A file of the index was lost and made again.
    Rebuilt {
        /// What was done.
        report: &'s Report,
        /// Messages that have the UID that they had before.
        same: usize,
        /// How long the making took.
        took: Duration,
    },
}

/// What the tour needs from whoever leads it.
pub trait Guide {
    /// Sets a flag, as another program: what is shown is that one sees what another does.
    fn set_flagged(&mut self, folder: &Path, uid: Uid) -> Result<()>;
    /// Tells of a stop.
    fn tell(&mut self, step: &Step<'_>) -> Result<()>;
    /// Hears who has the lock while it is waited for.
    fn waiting(&mut self, owner: Option<&Owner>);
    /// Hears how much of the mail is written. Nothing is lost if the program ends just then.
    fn making(&mut self, progress: Progress);
    /// Hears how far a build is, and says whether to go on.
    fn building(&mut self, progress: Progress) -> ControlFlow<()>;
}

/// Makes a sample folder of so many messages, see [`sample::make`], and goes through the stops. `wait` is for each lock.
/// Returns a message that is worth a look.
pub fn demo(path: &Path, messages: u32, wait: Wait, guide: &mut dyn Guide) -> Result<Uid> {
    let guide = RefCell::new(guide);
    let tell = |step: &Step<'_>| guide.borrow_mut().tell(step);
    let told = &mut |owner: Option<&Owner>| guide.borrow_mut().waiting(owner);
    let building = &mut |progress| guide.borrow_mut().building(progress);

    let since = Instant::now();
    let made = sample::make(path, messages, wait, told, &mut |progress| {
        guide.borrow_mut().making(Progress { done: progress.done, total: progress.total });
    })?;
    tell(&Step::Made(made, since.elapsed()))?;

    let folder = Folder::open(path)?;
    let (report, took) = timed(|| build(&folder, Options::default(), wait, told, building))?;
    tell(&Step::Built(&report, took))?;

    let mut reader = Folder::open(path)?;
    let unseen = Query::parse(["unseen"])?;
    let ((unseen_count, total), took) = timed(|| {
        let snapshot = reader.complete_index()?.snapshot()?;
        Ok((count(&snapshot, &unseen)?, count(&snapshot, &Query::default())?))
    })?;
    tell(&Step::Counted { unseen: unseen_count, total, took })?;
    let snapshot = reader.complete_index()?.snapshot()?;
    let uid = newest(&snapshot, unseen, &mut |message| tell(&Step::Listed(message)))?;

    let slot = snapshot.find_uid(uid)?.ok_or_else(|| gone(path, uid))?;
    let before = slot.status()?.flags();
    let ((), took) = timed(|| guide.borrow_mut().set_flagged(path, uid))?;
    let after = slot.status()?.flags();
    tell(&Step::Flagged { uid, before, after, took })?;

    let hasher = RandomState::new();
    let uids = bases(&snapshot, &hasher)?;
    let lock = folder.lock("demo", wait, told)?;
    folder.dir().unlink(OFFSETS)?;
    lock.release()?;
    let options = Options { heal: true, ..Options::default() };
    let (report, took) = timed(|| build(&folder, options, wait, told, building))?;
    let again = bases(&reader.complete_index()?.snapshot()?, &hasher)?;
    let same = again.iter().filter(|(uid, base)| uids.get(uid) == Some(base)).count();
    tell(&Step::Rebuilt { report: &report, same, took })?;
    Ok(uid)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let since = Instant::now();
    Ok((work()?, since.elapsed()))
}

/// Tells of the newest messages that have not been read, and returns the last one; if all are read, the last of all.
fn newest(snapshot: &Snapshot<'_>, unseen: Query, tell: &mut dyn FnMut(&Message<'_>) -> Result<()>) -> Result<Uid> {
    let mut last = None;
    let selection = Selection { query: unseen, sort: Sort::Date, last: Some(SHOWN), ..Selection::default() };
    let mut damaged = Ok(());
    let visit = &mut |message: &Message<'_>| {
        last = Some(message.uid);
        tell(message)
    };
    list(snapshot, &selection, visit, &mut |error| damaged = Err(error))?;
    damaged?;
    match last {
        Some(uid) => Ok(uid),
        None => {
            snapshot.last_uid()?.ok_or_else(|| Error::NoIndex { path: snapshot.index().dir().path().to_path_buf() })
        }
    }
}

fn gone(path: &Path, uid: Uid) -> Error {
    Error::NoMessage { path: path.to_path_buf(), wanted: format!("with UID {uid}") }
}

/// UIDs, and a hash of the base name of each.
fn bases(snapshot: &Snapshot<'_>, hasher: &RandomState) -> Result<HashMap<Uid, u64>> {
    let mut entries = snapshot.index().entries()?;
    let mut bases = HashMap::new();
    for slot in snapshot.slots() {
        if !slot.status()?.has(Status::EXPUNGED) {
            let entry = entries.read(&slot)?;
            bases.insert(entry.uid, hasher.hash_one(entry.base));
        }
    }
    Ok(bases)
}
