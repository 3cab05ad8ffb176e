//! A tour on made-up mail: what an index is for, in three seconds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::entry::ENTRY_MIN;
use crate::format::status::Status;
use crate::index::{Index, Snapshot, index_name};
use crate::lock::{Owner, Wait};
use crate::maildir::Maildir;
use crate::maildir::flags::Flags;
use crate::ops::Message;
use crate::ops::build::{Options, Progress, Report, build};
use crate::ops::check::{Finding, Severity, check};
use crate::ops::count::count;
use crate::ops::list::{InThread, Selection, list};
use crate::ops::order::Sort;
use crate::ops::repair::{self, Repaired, repair};
use crate::query::Query;
use crate::sample::{self, Made};

/// How long the build takes that somebody else interrupts, and in how many steps.
const SLOW: Duration = Duration::from_millis(700);
const SLOW_STEPS: usize = 500;

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
    /// A build that was slowed down has let another program set a flag.
    Asked {
        /// Of this message.
        uid: Uid,
        /// After so many messages it let go.
        at: usize,
        /// Of so many that it went through in the end.
        of: usize,
        /// How long the other program took, waiting included.
        took: Duration,
    },
    /// A byte of the index was changed, and a check found it.
    Broken(&'s Finding),
    /// It was mended.
    Repaired {
        /// What was done.
        done: &'s Repaired,
        /// Messages that have the UID that they had before.
        same: usize,
        /// Of so many.
        of: usize,
        /// How long it took.
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

    let mut folder = Folder::open(path)?;
    let (report, took) = timed(|| build(&folder, Options::default(), wait, told, building))?;
    tell(&Step::Built(&report, took))?;

    let mut reader = Folder::open(path)?;
    let ((unseen_count, total), took) = timed(|| {
        // By flags alone no mail is read, so none can be bad.
        let mut count = |query: &Query| count(&mut reader, query, &mut |_| ());
        Ok((count(&Query::unseen())?, count(&Query::all())?))
    })?;
    tell(&Step::Counted { unseen: unseen_count, total, took })?;
    let snapshot = reader.complete_index()?.snapshot()?;
    let uid = newest(folder.maildir(), &snapshot, &mut |message| tell(&Step::Listed(message)))?;

    let slot = snapshot.find_uid(uid)?.ok_or_else(|| gone(path, uid))?;
    let before = slot.status()?.flags();
    let ((), took) = timed(|| guide.borrow_mut().set_flagged(path, uid))?;
    let after = slot.status()?.flags();
    tell(&Step::Flagged { uid, before, after, took })?;

    let first = snapshot.slots().next().map_or(Ok(uid), |slot| slot.uid())?;
    if let Some((at, of, took)) = ask(&folder, wait, &mut || guide.borrow_mut().set_flagged(path, first))? {
        tell(&Step::Asked { uid: first, at, of, took })?;
    }

    let hasher = RandomState::new();
    let uids = bases(&snapshot, &hasher)?;
    let lock = folder.lock("demo", wait, told)?;
    break_a_byte(&folder, snapshot.find_uid(uid)?.ok_or_else(|| gone(path, uid))?.entry_at())?;
    lock.release()?;
    let mut broken = None;
    check(&folder, false, &mut |finding| {
        if finding.severity == Severity::Damage {
            broken = Some(finding.clone());
        }
    })?;
    if let Some(finding) = &broken {
        tell(&Step::Broken(finding))?;
    }
    let (done, took) = timed(|| repair(&mut folder, repair::Options::default(), wait, told, building))?;
    let again = bases(&reader.complete_index()?.snapshot()?, &hasher)?;
    let same = again.iter().filter(|(uid, base)| uids.get(uid) == Some(base)).count();
    tell(&Step::Repaired { done: &done, same, of: uids.len(), took })?;
    Ok(uid)
}

/// Builds anew, slowly, and has another program write in the middle of it. Where the build let go, of how many messages,
/// and how long the other one took; `None` if the build was over before it was asked.
fn ask(folder: &Folder, wait: Wait, write: &mut dyn FnMut() -> Result<()>) -> Result<Option<(usize, usize, Duration)>> {
    let (at, total, let_go) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let written = AtomicBool::new(false);
    let mut slowly = |progress: Progress| {
        // Each turn begins with this.
        if progress.total == 0 {
            let_go.fetch_max(at.load(Ordering::Relaxed), Ordering::Relaxed);
            return ControlFlow::Continue(());
        }
        total.fetch_max(progress.total, Ordering::Relaxed);
        at.fetch_max(progress.done, Ordering::Relaxed);
        let steps = total.load(Ordering::Relaxed).min(SLOW_STEPS);
        if progress.done.is_multiple_of(progress.total.div_ceil(steps)) {
            // Near its end it slows down even more for whoever is late.
            let late = progress.done > progress.total / 10 * 9 && !written.load(Ordering::Relaxed);
            thread::sleep(if late { SLOW / 10 } else { SLOW / steps as u32 });
        }
        ControlFlow::Continue(())
    };
    let options = Options { full: true, ..Options::default() };
    let (took, built) = thread::scope(|scope| {
        let builder = scope.spawn(|| build(folder, options, wait, &mut |_| (), &mut slowly));
        while at.load(Ordering::Relaxed) <= total.load(Ordering::Relaxed) / 10 && !builder.is_finished() {
            thread::sleep(SLOW / 100);
        }
        let took = timed(write);
        written.store(true, Ordering::Relaxed);
        (took, builder.join())
    });
    let ((), took) = took?;
    built.expect("a build does not panic")?;
    let let_go = let_go.into_inner();
    Ok((let_go > 0).then_some((let_go, total.into_inner(), took)))
}

/// Changes a byte of the entry at an offset, as a bad disk does.
fn break_a_byte(folder: &Folder, entry_at: u64) -> Result<()> {
    let reader = Index::open(folder.dir(), false)?.ok_or_else(|| Error::NoIndex { path: folder.path().into() })?;
    let name = index_name(reader.identity().generation);
    let Some(file) = folder.dir().open_file(&name, true)? else {
        return Err(Error::NoIndex { path: folder.path().into() });
    };
    let at = entry_at + ENTRY_MIN as u64; // the first one of its text
    let mut byte = [0];
    let change = file.read_exact_at(&mut byte, at).and_then(|()| file.write_all_at(&[!byte[0]], at));
    change.map_err(|source| Error::Io { path: folder.file(&name), doing: "cannot write", source })
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let since = Instant::now();
    Ok((work()?, since.elapsed()))
}

/// Tells of the newest messages that have not been read, and returns the last one; if all are read, the last of all.
fn newest(maildir: &Maildir, snapshot: &Snapshot<'_>, tell: &mut dyn FnMut(&Message<'_>) -> Result<()>) -> Result<Uid> {
    let mut last = None;
    let selection = Selection { query: Query::unseen(), sort: Sort::Date, last: Some(SHOWN), ..Selection::default() };
    let mut damaged = Ok(());
    let visit = &mut |message: &Message<'_>, _: Option<&InThread>| {
        last = Some(message.uid);
        tell(message)
    };
    list(maildir, snapshot, &selection, visit, &mut |error| damaged = Err(error))?;
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
