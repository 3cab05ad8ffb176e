//! Bringing the index up to date with the folder, without being fooled by who else works on it.
//!
//! The rules: a directory whose stamp proves that nothing changed is not listed. A listing is whole or is made again.
//! A mail is called gone only when two whole listings in a row do not have it, and its name cannot be found by lstat; and
//! when `new/` may have changed between the listings of the two directories, so that the mail can have moved to and fro
//! unseen, only when all passes miss it.
//! A UID stays with a mail only as long as base name, and inode or contents, prove that it is the same one. And if
//! most mail is gone at once and the directory is another one, that is an unmounted disk and not a clean-up.

mod adopt;
pub(crate) mod join;
mod pass;
pub(crate) mod read;
mod rebuild;
mod report;

use std::ops::ControlFlow;

use crate::error::{Damage, Error, Result};
use crate::folder::Folder;
use crate::index::Index;
use crate::index::generation::{NewGeneration, Start, first_identity, remove_others};
use crate::index::publish::Writer;
use crate::index::recover::{self, Found};
use crate::index::salvage::Salvage;
use crate::lock::{Lock, Owner, Wait};
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;

pub use adopt::{Adopted, Answer, Conflict, Here, Refusal};
pub(crate) use adopt::{adopt, adopt_anew, preview};
use pass::Refresh;
pub use rebuild::{Fate, Rebuild};
pub use report::Report;

/// How far to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// List both directories, whatever their stamps say; to heal, look at every entry, too.
    pub full: bool,
    /// Believe it, however many messages are gone.
    pub accept_removals: bool,
    /// Where the index is damaged, make it again from what is sound, if no UID is lost by that.
    pub heal: bool,
    /// Leave [`Report::total`] at 0: to count the messages means to look at each, which costs more than all else where
    /// nothing has changed.
    pub uncounted: bool,
}

/// How far a refresh has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Mails read in this pass.
    pub done: usize,
    /// Mails to be read in this pass.
    pub total: usize,
}

/// Hears how far it is and says whether to go on. What was read until then is published in any case.
pub type OnProgress<'p> = &'p mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Whether the stamps prove that the index shows the folder as it is. After a crash they prove nothing: stamps may have
/// reached the disk, and flags not.
pub fn is_fresh(folder: &mut Folder) -> Result<bool> {
    let index = folder.index()?;
    if index.is_copy() || index.was_interrupted()? {
        return Ok(false);
    }
    let recorded = Sub::ALL.map(|sub| folder.index().map(|index| index.header().stamp(sub)));
    for (sub, recorded) in Sub::ALL.into_iter().zip(recorded) {
        let now = Stamp::now(folder.maildir().root(), sub)?;
        let proved = match (recorded?, now) {
            (Some(recorded), Some(now)) => recorded.proves(&now),
            _ => false,
        };
        if !proved {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the mail was copied since it was last listed, as from a back-up: its directories are others.
fn is_elsewhere(folder: &Folder, recorded: [Option<Stamp>; 2]) -> Result<bool> {
    let mut known = 0;
    for (sub, before) in Sub::ALL.into_iter().zip(recorded) {
        let (Some(before), Some(now)) = (before, Stamp::now(folder.maildir().root(), sub)?) else { continue };
        if before.is_same_directory(&now) {
            return Ok(false);
        }
        known += 1;
    }
    Ok(known > 0)
}

/// Brings the index up to date, or makes it.
pub fn refresh(
    folder: &Folder,
    options: Options,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Report> {
    refresh_after("build", folder, options, wait, told, progress, &mut |_, _| Ok(ControlFlow::Continue(())))
}

/// What is to be done under the lock before a refresh; `Break` if that is all.
type First<'f> = &'f mut dyn FnMut(&Lock, OnProgress<'_>) -> Result<ControlFlow<()>>;

/// The same for an operation of another name that does something first. Nobody else writes in between.
pub(crate) fn refresh_after(
    reason: &str,
    folder: &Folder,
    options: Options,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    first: First<'_>,
) -> Result<Report> {
    let mut so_far = SoFar::default();
    loop {
        let touched = folder.touched()?;
        let lock = folder.lock(reason, wait, &mut |owner| {
            so_far.has_waited = true;
            told(owner);
        })?;
        if so_far.turns == 0 && first(&lock, progress)?.is_break() {
            lock.release()?;
            return Ok(so_far.report);
        }
        let mut turn = |damage| refresh_locked(folder, options, &lock, touched, damage, &mut so_far, progress);
        let mut done = turn(None);
        if let (Err(Error::Damaged(damage)), true) = (&done, options.heal) {
            let damage = damage.clone();
            done = turn(Some(damage));
        }
        match done? {
            End::Asked => lock.give_way()?,
            end => {
                so_far.report.interrupted = end == End::Stopped;
                lock.release()?;
                return Ok(so_far.report);
            }
        }
        so_far.turns += 1;
    }
}

/// Why a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is done.
    Whole,
    /// Whoever hears the progress wants no more.
    Stopped,
    /// Somebody else wants the lock.
    Asked,
}

/// What a refresh keeps of its earlier turns, between which others had the lock. Of the index that is nothing.
#[derive(Debug, Default)]
pub(crate) struct SoFar {
    turns: usize,
    /// Others want the lock, too: we had to wait for it.
    has_waited: bool,
    report: Report,
    /// Messages that the index had before.
    live_before: Option<usize>,
    /// Of mail that is compared only because of [`Options::full`], what was compared, in order of arrival. Without this
    /// a build that is asked again and again would never come to an end.
    compared: Option<(u64, Vec<u8>)>,
}

fn refresh_locked(
    folder: &Folder,
    options: Options,
    lock: &Lock,
    touched: i64,
    damage: Option<Damage>,
    so_far: &mut SoFar,
    progress: OnProgress<'_>,
) -> Result<End> {
    // The lock is held and nothing has been read yet: whoever hears this may defer signals.
    let _ = progress(Progress { done: 0, total: 0 });
    let index = match recover::open(folder.dir(), damage)? {
        Found::Index(index) => *index,
        Found::Nothing => {
            let identity = first_identity(touched);
            let first = NewGeneration::begin(folder.dir(), lock, folder.access(), identity)?;
            first.commit(&Start::without_history(0, false))?;
            so_far.report.created = true;
            reopen(folder)?
        }
        Found::Broken(why) => {
            let mut rebuild = Rebuild::plan(folder, Salvage::collect(folder.dir())?)?;
            rebuild.carry_out(folder, options.accept_removals, lock)?;
            so_far.report.uids_lost = rebuild.renumbered().len();
            so_far.report.uids_unsure = !rebuild.is_whole();
            so_far.report.rebuilt = Some(why);
            reopen(folder)?
        }
    };
    let mut writer = Writer::new(index, lock)?;
    so_far.report.copied |= writer.was_copy();
    remove_others(folder.dir(), writer.index().identity().generation)?;
    if options.heal {
        writer.snapshot()?.verify(options.full && so_far.turns == 0)?;
    }
    let mut refresh = Refresh::new(folder, options, lock, writer, so_far, progress)?;
    let end = refresh.run()?;
    refresh.finish()?;
    Ok(end)
}

/// The generation that was just made; a killed one of an earlier time is completed first.
fn reopen(folder: &Folder) -> Result<Index> {
    match recover::open(folder.dir(), None)? {
        Found::Index(index) => Ok(*index),
        Found::Nothing | Found::Broken(_) => Err(Error::KeepsChanging { path: folder.file(crate::index::OFFSETS) }),
    }
}
