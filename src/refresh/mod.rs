//! Bringing the index up to date with the folder, without being fooled by who else works on it.
//!
//! The rules: a directory whose stamp proves that nothing changed is not listed. A listing is whole or is made again.
//! A mail is called gone only when two whole listings in a row do not have it, and its name cannot be found by lstat; and
//! when `new/` may have changed between the listings of the two directories, so that the mail can have moved to and fro
//! unseen, only when all passes miss it.
//! A UID stays with a mail only as long as base name, and inode or contents, prove that it is the same one. And if
//! most mail is gone at once and the directory is another one, that is an unmounted disk and not a clean-up.

mod join;
mod pass;
mod read;
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

use pass::Refresh;
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
    if folder.index()?.was_interrupted()? {
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

/// Brings the index up to date, or makes it.
pub fn refresh(
    folder: &Folder,
    options: Options,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Report> {
    let touched = folder.touched()?;
    let lock = folder.lock("build", wait, told)?;
    let mut done = refresh_locked(folder, options, &lock, touched, None, progress);
    if let (Err(Error::Damaged(damage)), true) = (&done, options.heal) {
        let damage = damage.clone();
        done = refresh_locked(folder, options, &lock, touched, Some(damage), progress);
    }
    let released = lock.release();
    let report = done?;
    released?;
    Ok(report)
}

fn refresh_locked(
    folder: &Folder,
    options: Options,
    lock: &Lock,
    touched: i64,
    damage: Option<Damage>,
    progress: OnProgress<'_>,
) -> Result<Report> {
    let mut report = Report::default();
    // The lock is held and nothing has been read yet: whoever hears this may defer signals.
    let _ = progress(Progress { done: 0, total: 0 });
    let index = match recover::open(folder.dir(), damage)? {
        Found::Index(index) => *index,
        Found::Nothing => {
            let identity = first_identity(touched);
            let first = NewGeneration::begin(folder.dir(), lock, folder.maildir().access(), identity)?;
            first.commit(&Start::without_history(0, false))?;
            report.created = true;
            reopen(folder)?
        }
        Found::Broken(why) => {
            report.uids_lost = rebuild::rebuild(folder, &Salvage::collect(folder.dir())?, options, lock)?;
            report.rebuilt = Some(why);
            reopen(folder)?
        }
    };
    let mut writer = Writer::new(index, lock)?;
    remove_others(folder.dir(), writer.index().identity().generation)?;
    if options.heal {
        writer.snapshot()?.verify(options.full)?;
    }
    let mut refresh = Refresh::new(folder, options, writer, report, progress)?;
    let interrupted = refresh.run()?.is_break();
    let (mut writer, mut report) = refresh.end();
    report.interrupted = interrupted;
    writer.publish()?;
    report.total = writer.live()?;
    writer.finish()?;
    Ok(report)
}

/// The generation that was just made; a killed one of an earlier time is completed first.
fn reopen(folder: &Folder) -> Result<Index> {
    match recover::open(folder.dir(), None)? {
        Found::Index(index) => Ok(*index),
        Found::Nothing | Found::Broken(_) => Err(Error::KeepsChanging { path: folder.file(crate::index::OFFSETS) }),
    }
}
