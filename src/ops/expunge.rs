//! Removes mail for good.
//!
//! What cannot be undone is done only to what was looked at: the file must have inode, size and time of delivery of the
//! mail that was indexed, before it is taken out of its directory and once more after that, when nobody else reaches it
//! any more. Then it is unlinked, and after that the UID dies. Whoever is killed in between leaves a mail that is gone,
//! which the next refresh sees, or, between two system calls, a file in `tmp/` that was to be removed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Stat};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::lock::Owner;
use crate::maildir::draft::Withdrawn;
use crate::maildir::{Maildir, Sub};
use crate::ops::build::OnProgress;
use crate::ops::flag::{Done, Plan, carry_out};
use crate::ops::names::{Dirs, Wanted};
use crate::ops::rename::{Edit, Outcome, Session, Step, rehearse_with, under_lock};

/// Removes messages. Of each it tells the UID that is dead now, and the name that the file had.
pub fn expunge(
    folder: &mut Folder,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    carry_out(folder, plan, told, progress, &mut |folder, edits, told, progress, outcome| {
        remove(folder, edits, plan, told, progress, outcome, &|_| Ok(()))
    })
}

/// Says of a message that has left its place already whether it may go for good.
pub(crate) type MayGo<'m> = dyn Fn(Uid) -> Result<()> + 'm;

/// The same for messages that were found already. Those that may not go are put back.
pub(crate) fn remove(
    folder: &mut Folder,
    edits: &[Edit],
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    outcome: &mut Outcome,
    may_go: &MayGo<'_>,
) -> Result<()> {
    if plan.dry_run {
        return rehearse_with(folder, edits, outcome, &|maildir, dirs, wanted, _, sub, name| {
            let is_it = find(maildir, dirs, wanted, sub, name)?;
            Ok(is_it.then(|| Step::staying(sub, name)))
        });
    }
    let work = |session: &mut Session<'_>, edit: &Edit| session.expunge(edit, may_go);
    under_lock(folder, edits, ("expunge", plan.wait), told, progress, outcome, &work)
}

impl Session<'_> {
    fn expunge(&mut self, edit: &Edit, may_go: &MayGo<'_>) -> Result<Step> {
        let (no, _, wanted) = self.wanted(edit)?;
        let Session { maildir, names, .. } = self;
        let step = names.reach(maildir, &wanted, |dirs, sub, name| {
            if !find(maildir, dirs, &wanted, sub, name)? {
                return Ok(None);
            }
            let is_it = |stat: &Stat| Ok(wanted.is_unchanged(stat) && may_go(edit.uid).map(|()| true)?);
            take_away(maildir, dirs, sub, name, &is_it).map(|()| Some(Step::staying(sub, name)))
        })?;
        self.change(no, Status::EXPUNGED);
        Ok(step)
    }
}

/// Whether a name stands for the mail that is meant; an error if that is not as it was.
fn find(maildir: &Maildir, dirs: &Dirs, wanted: &Wanted, sub: Sub, name: &[u8]) -> Result<bool> {
    let stat = dirs
        .get(sub)
        .and_then(|dir| rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW))
        .map_err(Error::io("cannot stat", maildir.path_of(sub, name)))?;
    match FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && wanted.is(&stat) {
        true if wanted.is_unchanged(&stat) => Ok(true),
        true => Err(Error::Changed { path: maildir.path_of(sub, name) }),
        false => Ok(false),
    }
}

/// Takes a mail away and removes it, if it is the one that `is_it` says when nobody else has it; else it is put back.
pub(crate) fn take_away(
    maildir: &Maildir,
    dirs: &Dirs,
    sub: Sub,
    name: &[u8],
    is_it: &dyn Fn(&Stat) -> Result<bool>,
) -> Result<()> {
    let dir = dirs.get(sub).map_err(Error::io("cannot open", maildir.path().join(sub.as_str())))?;
    let withdrawn = Withdrawn::take(maildir, dir, name)?;
    let changed = || Error::Changed { path: maildir.path_of(sub, name) };
    match withdrawn.stat().map_or(Ok(false), |stat| is_it(&stat)) {
        Ok(true) => withdrawn.remove(),
        refused => {
            withdrawn.put_back(dir, name)?;
            Err(refused.err().unwrap_or_else(changed))
        }
    }
}
