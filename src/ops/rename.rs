//! Renames mails and mirrors that in the index: the one way in which maildex itself changes a flag or takes up new mail.
//!
//! The name is the truth, so it comes first; the status word and the change number follow in the order of
//! `src/index/publish.rs`. Whoever is killed in between leaves names that the next refresh reads.
//!
//! A rename never replaces a file (`RENAME_NOREPLACE`): a mail under the new name would be gone. Where others rename the
//! same mail, only the letters that were asked for are changed in the name that it has by then.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::publish::{BATCH, Writer};
use crate::index::{Entries, Slot};
use crate::lock::{Lock, Owner, Wait};
use crate::maildir::change::FlagChange;
use crate::maildir::draft::rename_new;
use crate::maildir::name::Name;
use crate::maildir::{Maildir, Sub};
use crate::ops::build::{OnProgress, Progress};
use crate::ops::list::message;
use crate::ops::names::{Dirs, Names, Wanted};

/// What is to become of a message's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// The message.
    pub uid: Uid,
    /// Flags to set and to clear; setting one takes the mail to `cur/`.
    pub change: FlagChange,
    /// To `cur/` even without a flag.
    pub to_cur: bool,
}

/// A message that has its name now, renamed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The message.
    pub uid: Uid,
    /// Its directory.
    pub sub: Sub,
    /// Its file name.
    pub name: Vec<u8>,
    /// Where it was before, if it was renamed.
    pub from: Option<(Sub, Vec<u8>)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Those that have the name they were to have.
    pub messages: Vec<Renamed>,
    /// Those that have not, and why.
    pub failed: Vec<(Edit, Error)>,
    /// It was asked to stop; the rest was not looked at.
    pub interrupted: bool,
}

impl Outcome {
    fn take(&mut self, edit: &Edit, step: Result<Step>) {
        match step {
            Ok(Step { from, to }) => {
                let from = (from != to).then_some(from);
                self.messages.push(Renamed { uid: edit.uid, sub: to.0, name: to.1, from });
            }
            Err(error) => self.failed.push((*edit, error)),
        }
    }
}

/// Does it all under the lock, which others may have in between. One that fails never stops the rest. Where an error does,
/// `outcome` has what was done before it.
pub fn rename(
    folder: &Folder,
    edits: &[Edit],
    (reason, wait): (&str, Wait),
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    under_lock(folder, edits, (reason, wait), told, progress, outcome, &|session, edit| session.edit(edit))
}

/// What is done to one message.
pub(crate) type Work<'w> = dyn Fn(&mut Session<'_>, &Edit) -> Result<Step> + 'w;

/// Does something to each message under the lock, and so that others can have that in between.
pub(crate) fn under_lock(
    folder: &Folder,
    edits: &[Edit],
    (reason, wait): (&str, Wait),
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    outcome: &mut Outcome,
    work: &Work<'_>,
) -> Result<()> {
    let mut left = edits;
    while !left.is_empty() && !outcome.interrupted {
        let lock = folder.lock(reason, wait, told)?;
        let mut session = Session::begin(folder, &lock)?;
        let mut is_asked = false;
        while let Some((edit, rest)) = left.split_first()
            && !is_asked
        {
            let done = edits.len() - left.len();
            if progress(Progress { done, total: edits.len() }).is_break() {
                outcome.interrupted = true;
                break;
            }
            outcome.take(edit, work(&mut session, edit));
            left = rest;
            is_asked = session.batch_is_full() && session.publish().and_then(|()| lock.is_asked())?;
        }
        session.finish()?;
        if is_asked && !left.is_empty() { lock.give_way() } else { lock.release() }?;
    }
    Ok(())
}

/// What [`rename`] would do.
pub fn rehearse(folder: &mut Folder, edits: &[Edit], outcome: &mut Outcome) -> Result<()> {
    rehearse_with(folder, edits, outcome, &step)
}

/// What would be done to a file; `None` if it is another mail.
pub(crate) type Look<'l> = dyn Fn(&Maildir, &Dirs, &Wanted, &Edit, Sub, &[u8]) -> Result<Option<Step>> + 'l;

/// Looks for the file of each message, and at what would be done to it.
pub(crate) fn rehearse_with(folder: &mut Folder, edits: &[Edit], outcome: &mut Outcome, look: &Look<'_>) -> Result<()> {
    let maildir = std::sync::Arc::clone(folder.maildir());
    let snapshot = folder.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut names = Names::default();
    for edit in edits {
        let slot = snapshot.find_uid(edit.uid)?;
        let step = wanted(slot, None, &mut entries, &maildir, edit.uid).and_then(|(_, _, wanted)| {
            names.reach(&maildir, &wanted, |dirs, sub, name| look(&maildir, dirs, &wanted, edit, sub, name))
        });
        outcome.take(edit, step);
    }
    Ok(())
}

/// The index, open for writing, under the lock.
pub(crate) struct Session<'a> {
    pub(crate) maildir: &'a Maildir,
    writer: Writer<'a>,
    entries: Entries,
    pub(crate) names: Names,
    /// What the next publish will store.
    pending: HashMap<SlotNo, Status>,
    batch: Instant,
}

impl<'a> Session<'a> {
    fn begin(folder: &'a Folder, lock: &'a Lock) -> Result<Session<'a>> {
        let writer = Writer::new(folder.index_to_change()?, lock)?;
        Ok(Session {
            maildir: folder.maildir(),
            entries: writer.index().entries()?,
            writer,
            names: Names::default(),
            pending: HashMap::new(),
            batch: Instant::now(),
        })
    }

    /// A live message, and what its file must be.
    pub(crate) fn wanted(&mut self, edit: &Edit) -> Result<(SlotNo, Status, Wanted)> {
        let Session { maildir, writer, entries, pending, .. } = self;
        let slot = writer.snapshot()?.find_uid(edit.uid)?;
        wanted(slot, Some(pending), entries, maildir, edit.uid)
    }

    /// What the next publish stores of a message.
    pub(crate) fn change(&mut self, no: SlotNo, status: Status) {
        self.writer.set_status(no, status);
        self.pending.insert(no, status);
    }

    fn edit(&mut self, edit: &Edit) -> Result<Step> {
        let (no, status, wanted) = self.wanted(edit)?;
        let Session { maildir, names, .. } = self;
        let step = names.reach(maildir, &wanted, |dirs, sub, name| {
            let step = step(maildir, dirs, &wanted, edit, sub, name)?;
            step.map(|step| step.take(maildir, dirs).map(|()| step)).transpose()
        })?;
        let (sub, name) = &step.to;
        let kept = Status::UNREADABLE.with(Status::EMPTY);
        let after = Status::of_name(*sub, &Name::parse(name)).with(status.only(kept));
        if after != status {
            self.change(no, after);
        }
        Ok(step)
    }

    fn finish(self) -> Result<()> {
        self.writer.finish()
    }

    fn batch_is_full(&self) -> bool {
        self.batch.elapsed() > BATCH
    }

    fn publish(&mut self) -> Result<()> {
        self.writer.publish()?;
        self.pending.clear();
        self.batch = Instant::now();
        Ok(())
    }
}

/// A live message, and what its file must be.
fn wanted(
    slot: Option<Slot<'_>>,
    pending: Option<&HashMap<SlotNo, Status>>,
    entries: &mut Entries,
    maildir: &Maildir,
    uid: Uid,
) -> Result<(SlotNo, Status, Wanted)> {
    let missing = || Error::NoMessage { path: maildir.path().to_path_buf(), wanted: format!("with UID {uid}") };
    let slot = slot.ok_or_else(missing)?;
    let mut message = message(&slot, entries)?;
    if let Some(&status) = pending.and_then(|pending| pending.get(&slot.no())) {
        message.status = status;
    }
    if message.status.has(Status::EXPUNGED) {
        return Err(missing());
    }
    Ok((slot.no(), message.status, Wanted::of(&message)))
}

/// A mail's name, and the one that it is to get.
pub(crate) struct Step {
    from: (Sub, Vec<u8>),
    to: (Sub, Vec<u8>),
}

/// What an edit does to the file of a message; `None` if it is another mail.
fn step(maildir: &Maildir, dirs: &Dirs, wanted: &Wanted, edit: &Edit, sub: Sub, name: &[u8]) -> Result<Option<Step>> {
    let path = || maildir.path_of(sub, name);
    let stat = dirs
        .get(sub)
        .and_then(|dir| rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW))
        .map_err(|errno| Error::io("cannot stat", path())(errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !wanted.is(&stat) {
        return Ok(None);
    }
    let to_cur = edit.to_cur || edit.change.sets();
    let edited = edit
        .change
        .edit(name, to_cur && sub == Sub::New)
        .map_err(|refusal| Error::CannotFlag { path: path(), refusal })?;
    let to = if to_cur { Sub::Cur } else { sub };
    Ok(Some(Step { from: (sub, name.to_vec()), to: (to, edited) }))
}

impl Step {
    /// Of a mail whose name does not change.
    pub(crate) fn staying(sub: Sub, name: &[u8]) -> Step {
        Step { from: (sub, name.to_vec()), to: (sub, name.to_vec()) }
    }

    /// Renames the mail, unless it has that name already.
    fn take(&self, maildir: &Maildir, dirs: &Dirs) -> Result<()> {
        let Step { from: (from_sub, from), to: (to_sub, to) } = self;
        if self.from == self.to {
            return Ok(());
        }
        let (Ok(from_dir), Ok(to_dir)) = (dirs.get(*from_sub), dirs.get(*to_sub)) else {
            return Err(Error::io("cannot rename into", maildir.path().join(to_sub.as_str()))(Errno::NOTDIR));
        };
        rename_new(from_dir, from, to_dir, to).map_err(|errno| {
            let path = maildir.path_of(*from_sub, from);
            match errno {
                Errno::EXIST => Error::Taken { path, taken: maildir.path_of(*to_sub, to) },
                errno => Error::io("cannot rename", path)(errno),
            }
        })
    }
}
