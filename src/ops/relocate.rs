//! Moves mail to another folder, or copies it there.
//!
//! The mail comes first, then the index of the folder that got it, then that of the folder that had it; each under its
//! own lock, and never both at once, so that two who move mail to and fro cannot wait for each other. Whoever is killed in
//! between leaves the mail in at least one folder; what the indexes do not know yet the next refresh of either sees.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Stat};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::Index;
use crate::index::find::ByBase;
use crate::index::publish::Writer;
use crate::lock::{Lock, Owner, Wait};
use crate::maildir::transfer::{Destination, Known, is_unchanged};
use crate::maildir::{Maildir, Sub};
use crate::ops::build::{OnProgress, Progress, Report};
use crate::ops::enter::{Entering, MANY};
use crate::ops::expunge::take_away;
use crate::ops::flag::{Plan, carry_out};
use crate::ops::list::message;
use crate::ops::names::{Dirs, Names, Wanted};
use crate::ops::rename::{Edit, Outcome};
use crate::refresh::is_fresh;

/// What becomes of the mail that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes.
    Move,
    /// It stays.
    Copy,
}

/// A mail in the folder that it was to get to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocated {
    /// The message that it was, or is, in the folder that it comes from.
    pub was_uid: Uid,
    /// The one that it is now; `None` if the folder has no index, or does not know it yet.
    pub uid: Option<Uid>,
    /// Its directory.
    pub sub: Sub,
    /// Its file name.
    pub name: Vec<u8>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Every message that was meant, and where it is now.
    pub messages: Vec<Relocated>,
    /// What could not be done; the rest was.
    pub failed: Vec<Error>,
    /// The index was brought up to date for it.
    pub refreshed: Option<Report>,
    /// Why it ended before all was done. What was done stays.
    pub stopped: Option<Error>,
    /// Why the index does not show yet that mail has gone; the next refresh will.
    pub behind: Option<Error>,
    /// Keywords that the other folder does not have.
    pub lost_keywords: Vec<String>,
    /// Letters of keywords were kept, and only one of the folders has names for them.
    pub unsure_keywords: bool,
}

/// Takes messages to another folder, which needs no index. They are found as for `flag`.
pub fn relocate(
    from: &mut Folder,
    to: &mut Folder,
    kind: Kind,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    if from.maildir().root().id()? == to.maildir().root().id()? {
        return Err(Error::SameFolder { path: to.path().to_path_buf() });
    }
    let maildirs = (Arc::clone(from.maildir()), Arc::clone(to.maildir()));
    let mut work = Work {
        kind,
        wait: plan.wait,
        maildir: &maildirs.0,
        destination: Destination::look(&maildirs.0, &maildirs.1, known(to)?)?,
        names: Names::default(),
        done: Done::default(),
    };
    let done = carry_out(from, plan, told, progress, &mut |from, edits, told, progress, outcome| {
        if plan.dry_run {
            work.rehearse(from, edits, outcome)
        } else {
            work.all(from, to, edits, told, progress, outcome)
        }
    });
    let Work { done: ours, destination, .. } = work;
    let done = match done {
        Ok(done) => done,
        Err(error) if ours.messages.is_empty() => return Err(error),
        Err(error) => crate::ops::flag::Done { stopped: Some(error), ..Default::default() },
    };
    Ok(Done {
        failed: done.failed,
        refreshed: done.refreshed,
        stopped: done.stopped,
        lost_keywords: destination.lost_keywords.into_iter().collect(),
        unsure_keywords: destination.unsure_keywords,
        ..ours
    })
}

struct Work<'m> {
    kind: Kind,
    wait: Wait,
    maildir: &'m Maildir,
    destination: Destination<'m>,
    names: Names,
    done: Done,
}

/// A mail that is there now, and where it was.
struct Moved {
    mail: Relocated,
    from: (Sub, Vec<u8>),
    status: Status,
}

impl Work<'_> {
    fn rehearse(&mut self, from: &mut Folder, edits: &[Edit], outcome: &mut Outcome) -> Result<()> {
        for (edit, wanted) in wanted(from, edits)? {
            let name = wanted.and_then(|wanted| {
                self.names.reach(self.maildir, &wanted, |dirs, sub, name| {
                    let there = is_there(self.maildir, &wanted, (dirs, sub, name))?;
                    Ok(there.map(|stat| (sub, name.to_vec(), stat)))
                })
            });
            match name {
                Ok((sub, name, stat)) => {
                    let name = self.destination.name_for(&name, &stat)?;
                    self.destination.add(&name);
                    self.done.messages.push(Relocated { was_uid: edit.uid, uid: None, sub, name });
                }
                Err(error) => outcome.failed.push((edit, error)),
            }
        }
        Ok(())
    }

    fn all(
        &mut self,
        from: &mut Folder,
        to: &mut Folder,
        edits: &[Edit],
        told: &mut dyn FnMut(Option<&Owner>),
        progress: OnProgress<'_>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let has_index = match to.complete_index() {
            Ok(_) => true,
            Err(Error::NoIndex { .. }) => false,
            Err(error) => return Err(error),
        };
        let mut left = wanted(from, edits)?;
        left.reverse();
        while !left.is_empty() && !outcome.interrupted {
            let lock = if has_index { Some(to.lock(self.kind.reason(), self.wait, told)?) } else { None };
            let mut moved = Vec::new();
            let total = edits.len();
            let ended = self.some(to, lock.as_ref(), &mut left, (progress, total), outcome, &mut moved);
            let ended = ended.and_then(|is_asked| match lock {
                Some(lock) if is_asked && !left.is_empty() => lock.give_way(),
                Some(lock) => lock.release(),
                None => Ok(()),
            });
            if self.kind == Kind::Move
                && let Err(error) = self.forget(from, &moved, told)
            {
                self.done.behind = Some(error);
            }
            self.done.messages.extend(moved.into_iter().map(|moved| moved.mail));
            ended?;
        }
        Ok(())
    }

    /// Under the lock of the folder that gets the mail, until somebody else asks for that.
    fn some(
        &mut self,
        to: &Folder,
        lock: Option<&Lock>,
        left: &mut Vec<(Edit, Result<Wanted>)>,
        (progress, total): (OnProgress<'_>, usize),
        outcome: &mut Outcome,
        moved: &mut Vec<Moved>,
    ) -> Result<bool> {
        let mut entering = lock.map(|lock| Entering::begin(to, lock)).transpose()?;
        let mut is_asked = false;
        let mut ended = Ok(());
        while !is_asked {
            if progress(Progress { done: total - left.len(), total }).is_break() {
                outcome.interrupted = true;
                break;
            }
            let Some((edit, wanted)) = left.pop() else { break };
            match wanted.and_then(|wanted| self.one(edit.uid, &wanted)) {
                Ok(one) => moved.push(one),
                Err(error) => {
                    outcome.failed.push((edit, error));
                    continue;
                }
            }
            let mail = &mut moved.last_mut().expect("it was just pushed").mail;
            if let (Some(entering), Some(lock)) = (&mut entering, lock) {
                match entering.enter(mail.sub, &mail.name) {
                    Ok(uid) => mail.uid = uid,
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                }
                if entering.batch_is_full() {
                    ended = self.destination.sync().and_then(|()| entering.publish());
                    is_asked = lock.is_asked()?;
                    if ended.is_err() {
                        break;
                    }
                }
            }
        }
        let finished = self.destination.sync().and_then(|()| entering.map_or(Ok(()), Entering::finish));
        if ended.is_err() || finished.is_err() {
            // Whether these numbers stand nobody can tell.
            for moved in moved.iter_mut() {
                moved.mail.uid = None;
            }
        }
        ended.and(finished).map(|()| is_asked)
    }

    /// One file.
    fn one(&mut self, was_uid: Uid, wanted: &Wanted) -> Result<Moved> {
        let Work { kind, maildir, destination, names, .. } = self;
        let is_it = |stat: &Stat| is_mail(wanted, stat);
        let (sub, name, new, copied) = names.reach(maildir, wanted, |dirs, sub, name| {
            let Some(stat) = is_there(maildir, wanted, (dirs, sub, name))? else { return Ok(None) };
            let dir = dirs.get(sub).map_err(Error::io("cannot open", maildir.path().join(sub.as_str())))?;
            let new = destination.name_for(name, &stat)?;
            if *kind == Kind::Move && destination.take(dir, name, sub, &new)?.is_some() {
                if destination.has(sub, &new, &is_it)? {
                    return Ok(Some((sub, name.to_vec(), new, None)));
                }
                // Another mail had taken its name at the last moment.
                destination.give_back(sub, &new, dir, name)?;
                return Ok(None);
            }
            let copied = destination.copy(dir, name, sub, &new, &is_it)?;
            Ok(copied.map(|copied| (sub, name.to_vec(), new, Some(copied))))
        })?;
        destination.add(&new);
        if let (Kind::Move, Some(copied)) = (*kind, copied) {
            // Whatever others have renamed it to since: only what was copied is removed.
            let removed = names.reach(maildir, wanted, |dirs, sub, name| {
                take_away(maildir, dirs, sub, name, &|stat| Ok(is_unchanged(&copied.original, stat))).map(Some)
            });
            // It must not be there twice, nor more often each time that this is tried. If it is not where it was, the copy may
            // be the only one.
            if let Err(error) = removed
                && names.reach(maildir, wanted, |dirs, sub, name| is_there(maildir, wanted, (dirs, sub, name))).is_ok()
            {
                destination.take_back(sub, &new, &copied.copy)?;
                return Err(error);
            }
        }
        Ok(Moved { mail: Relocated { was_uid, uid: None, sub, name: new }, from: (sub, name), status: wanted.status() })
    }

    /// The UIDs of what has gone die, unless it came back.
    fn forget(&self, from: &Folder, moved: &[Moved], told: &mut dyn FnMut(Option<&Owner>)) -> Result<()> {
        if moved.is_empty() {
            return Ok(());
        }
        for sub in Sub::ALL {
            self.maildir.sub(sub)?.sync()?;
        }
        let lock = from.lock(self.kind.reason(), self.wait, told)?;
        let mut writer = Writer::new(from.index_to_change()?, &lock)?;
        for Moved { mail, from: (sub, name), status: was } in moved {
            let dir = self.maildir.sub(*sub)?;
            if rustix::fs::statat(&dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                continue;
            }
            let slot = writer.snapshot()?.find_uid(mail.was_uid)?;
            let slot = slot.map(|slot| Ok::<_, Error>((slot.no(), slot.status()?))).transpose()?;
            // Another state means that somebody has looked since, and what he saw is newer: perhaps it came back.
            if let Some((no, _)) = slot.filter(|(_, status)| status == was) {
                writer.set_status(no, Status::EXPUNGED);
            }
        }
        writer.finish()?;
        lock.release()
    }
}

impl Kind {
    /// For the lock.
    fn reason(self) -> &'static str {
        match self {
            Kind::Move => "move",
            Kind::Copy => "copy",
        }
    }
}

/// Whether a name stands for the mail.
fn is_there(maildir: &Maildir, wanted: &Wanted, (dirs, sub, name): (&Dirs, Sub, &[u8])) -> Result<Option<Stat>> {
    let dir = dirs.get(sub).map_err(Error::io("cannot open", maildir.path().join(sub.as_str())))?;
    let stat = rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("cannot stat", maildir.path_of(sub, name)))?;
    Ok(is_mail(wanted, &stat).then_some(stat))
}

fn is_mail(wanted: &Wanted, stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && wanted.is(stat)
}

/// What the index knows of the base names of a folder.
fn known(to: &mut Folder) -> Result<Known<'static>> {
    let nothing = || Known { is_fresh: false, has: Box::new(|_, _| Ok(false)) };
    if to.complete_index().is_err() {
        return Ok(nothing());
    }
    let is_fresh = is_fresh(to)?;
    // An index of our own: the folder's is opened for writing meanwhile.
    let Some(mut index) = Index::open(to.dir(), false)? else { return Ok(nothing()) };
    let mut entries = index.entries()?;
    let (mut by_base, mut looked_up): (Option<ByBase>, usize) = (None, 0);
    let mut gone = None;
    let has = move |base: &[u8], stat: &Stat| {
        looked_up += 1;
        let snapshot = index.snapshot()?;
        let slot = if looked_up < MANY {
            snapshot.find_base(base, &mut entries)?
        } else {
            let by_base = match &mut by_base {
                Some(by_base) => by_base,
                none => none.insert(ByBase::new(&snapshot)?),
            };
            by_base.find(base, &snapshot, &mut entries)?
        };
        let Some(slot) = slot else {
            let gone = match &mut gone {
                Some(gone) => gone,
                none => none.insert(snapshot.gone()?),
            };
            return Ok(gone.contains(&snapshot.hash_of(base)));
        };
        Ok(is_fresh || !Wanted::of(&message(&slot, &mut entries)?).is_unchanged(stat))
    };
    Ok(Known { is_fresh, has: Box::new(has) })
}

/// What the files of messages must be.
fn wanted(from: &mut Folder, edits: &[Edit]) -> Result<Vec<(Edit, Result<Wanted>)>> {
    let path = from.path().to_path_buf();
    let snapshot = from.complete_index()?.snapshot()?;
    let mut entries = snapshot.index().entries()?;
    let mut all = Vec::with_capacity(edits.len());
    for edit in edits {
        let gone = || Error::NoMessage { path: path.clone(), wanted: format!("with UID {}", edit.uid) };
        let one = match snapshot.find_uid(edit.uid)? {
            Some(slot) => match message(&slot, &mut entries) {
                Ok(message) if !message.status.has(Status::EXPUNGED) => Ok(Wanted::of(&message)),
                Ok(_) => Err(gone()),
                Err(error) => Err(error),
            },
            None => Err(gone()),
        };
        all.push((*edit, one));
    }
    Ok(all)
}
