//! The lockfile: made, waited for, taken over from the dead, looked at, and removed. The rule it follows stands in
//! [`super`].

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

use super::ask::{Wish, cannot_lock, is_wanted};
use super::inner::{INNER, last_ring, wait_for_nested};
use super::owner::{Behalf, Owner, holders};
use super::wait::{self, Deadline};
use crate::dir::{Access, Dir, FileId, id_of_file};
use crate::error::{Error, Result};

/// The lockfile of a folder.
pub const LOCKFILE: &str = "maildex.lock";

/// How often one try looks again because the name changed hands in between.
const LOOKS: usize = 10;

/// Nobody has to let go sooner.
pub const TURN: Duration = Duration::from_millis(100);

/// Whoever gave way stays away so long. Who has waited needs less, so it wins.
const AWAY: Duration = Duration::from_millis(60);

/// How long to wait for a lock that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// So long; zero means one try, which still takes over from a dead holder.
    For(Duration),
    /// Until it is ours.
    Forever,
}

/// The lock of one folder; let go of when dropped.
#[derive(Debug)]
pub struct Lock {
    dir: Arc<Dir>,
    kind: Kind,
    /// The lock's own id; of a nested verb the one that it works under.
    id: String,
    /// Carries the flock.
    pub(super) file: File,
    file_id: FileId,
    since: Instant,
    released: bool,
}

/// Whose lock it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Ours: the file is the lockfile.
    Own,
    /// Another process's, under which we work: the file is `maildex.inner`. When its bell rang last, before it was ours.
    Under { rang: (i64, u64) },
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Own => LOCKFILE,
            Kind::Under { .. } => INNER,
        }
    }
}

/// Who holds a folder's lock, as [`holder`] saw it.
#[derive(Debug)]
pub enum Holder {
    /// Nobody; a dead holder's lockfile may still be there.
    Nobody,
    /// Somebody, and what the lockfile says of it, if that can be read.
    Somebody(Option<Box<Owner>>),
}

impl Lock {
    /// Takes the lock of the folder `dir`, or fails with [`Error::Locked`] when `wait` is over.
    ///
    /// `reason` is shown to others who want the lock; it may be empty. `access` is the lockfile's. `told` is called once,
    /// before the first real wait, with what is known of the holder.
    pub fn acquire(
        dir: &Arc<Dir>,
        reason: &str,
        wait: Wait,
        access: Access,
        told: &mut dyn FnMut(Option<&Owner>),
    ) -> Result<Lock> {
        Lock::acquire_for(dir, reason, None, wait, access, told)
    }

    /// The same by a guard, for another process.
    pub fn acquire_for(
        dir: &Arc<Dir>,
        reason: &str,
        behalf: Option<&Behalf>,
        wait: Wait,
        access: Access,
        told: &mut dyn FnMut(Option<&Owner>),
    ) -> Result<Lock> {
        Contender { dir, reason, behalf, access, in_place: false }.acquire(wait, told)
    }

    pub(super) fn new(dir: &Arc<Dir>, kind: Kind, id: &str, file: File, file_id: FileId) -> Lock {
        let (dir, id) = (Arc::clone(dir), id.to_string());
        Lock { dir, kind, id, file, file_id, since: Instant::now(), released: false }
    }

    /// The id by which nested verbs know it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Fails with [`Error::LockLost`] if the lockfile is no longer this lock's; to be called before each publish.
    pub fn check(&self) -> Result<()> {
        // Who works under a lock is alone as long as it has `maildex.inner`, even if that lock has ended meanwhile.
        let name = self.kind.name();
        if self.dir.id_of(name)? == Some(self.file_id) {
            return Ok(());
        }
        Err(Error::LockLost { path: self.dir.path().join(name) })
    }

    /// Makes `fd` another descriptor of the lock, which children inherit: the lock then lasts until they, too, have
    /// ended or it was released.
    pub fn hand_down(&self, fd: &mut OwnedFd) -> Result<()> {
        rustix::io::dup2(&self.file, fd).map_err(Error::io("cannot duplicate", self.dir.path().join(LOCKFILE)))
    }

    /// Whether it is time to let go, because somebody else wants it and we had our turn; to be called between two pieces
    /// of work. Who lets go then does so by [`Lock::give_way`].
    pub fn is_asked(&self) -> Result<bool> {
        Ok(self.since.elapsed() >= TURN
            && match self.kind {
                Kind::Own => is_wanted(&self.dir)?,
                // To let go of the lock itself is the business of who holds it. Siblings are let in.
                Kind::Under { rang } => last_ring(&self.file, &self.dir)? != rang,
            })
    }

    /// How long it has been ours.
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// Lets go because somebody asked, and stays away until that one has had time to take it. Then it may be taken again,
    /// with everything opened anew: nothing that is remembered from before counts.
    pub fn give_way(self) -> Result<()> {
        self.release()?;
        thread::sleep(AWAY);
        Ok(())
    }

    /// Lets go, and says if that failed or if the lock was lost before.
    pub fn release(mut self) -> Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.released, true) {
            return Ok(());
        }
        // A stranger's lockfile under the name is not ours to remove.
        let removed = match self.kind {
            Kind::Own => self.check().and_then(|()| self.dir.unlink(LOCKFILE)),
            Kind::Under { .. } => self.check(),
        };
        unlock(&self.file);
        removed
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whatever fails here, closing the file ends the flock and what is left counts as a dead holder's.
        let _ = self.let_go();
    }
}

/// Looks who holds the lock of the folder `dir`. Takes it from nobody, but a try in that very moment may be refused once.
pub fn holder(dir: &Dir) -> Result<Holder> {
    let Some(file) = dir.open_file(LOCKFILE, false)? else { return Ok(Holder::Nobody) };
    // Twice: others may hold the flock of a dead one's file for the moment that it takes them to remove it.
    let mut owner = None;
    for _ in 0..2 {
        if !refused(&file, dir)? {
            return Ok(Holder::Nobody);
        }
        owner = Owner::of(&file);
    }
    Ok(Holder::Somebody(owner.map(Box::new)))
}

/// The processes that hold the flock of the lockfile, as far as they can be seen: pid and command line.
pub fn holding(dir: &Dir) -> Result<Vec<(i32, String)>> {
    Ok(dir.open_file(LOCKFILE, false)?.map_or_else(Vec::new, |file| holders(&file)))
}

/// Whether somebody has the exclusive flock of a lockfile.
pub(super) fn refused(file: &File, dir: &Dir) -> Result<bool> {
    match fs2::FileExt::try_lock_shared(file) {
        Ok(()) => {
            unlock(file);
            Ok(false)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(cannot_lock(dir, LOCKFILE)(error)),
    }
}

pub(super) fn try_lock(file: &File, dir: &Dir, name: &str) -> Result<bool> {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(cannot_lock(dir, name)(error)),
    }
}

/// Removes a dead holder's lockfile. `false` if there was none; whoever holds the lock is not touched, and comes back
/// in the error.
pub fn break_stale(dir: &Arc<Dir>, access: Access) -> Result<bool> {
    let contender = Contender { dir, reason: "", behalf: None, access, in_place: false };
    for _ in 0..LOOKS {
        let Some(file) = dir.open_file(LOCKFILE, false)? else { return Ok(false) };
        if contender.try_lock(&file)? {
            contender.bury(&file)?;
            return Ok(true);
        }
        let owner = Owner::of(&file);
        if contender.try_lock(&file)? {
            contender.bury(&file)?;
            return Ok(true);
        }
        if dir.id_of(LOCKFILE)? == Some(contender.id_of(&file)?) {
            return Err(contender.locked(Some(&file), owner, false));
        }
    }
    Err(contender.locked(None, None, false))
}

/// Somebody who wants the lock.
pub(super) struct Contender<'a> {
    pub(super) dir: &'a Arc<Dir>,
    pub(super) reason: &'a str,
    pub(super) behalf: Option<&'a Behalf>,
    pub(super) access: Access,
    /// Makes the lockfile under its name at once, as if files without a name could not be had.
    pub(super) in_place: bool,
}

/// What a try ran into.
struct Refusal {
    /// The lockfile, to wait for; none if the name changed hands all the time.
    file: Option<File>,
    owner: Option<Owner>,
}

impl Contender<'_> {
    pub(super) fn acquire(&self, wait: Wait, told: &mut dyn FnMut(Option<&Owner>)) -> Result<Lock> {
        let deadline = Deadline::after(wait);
        let mut told = Some(told);
        let mut wish = None;
        loop {
            let refusal = match self.attempt()? {
                Ok(lock) => {
                    drop(wish);
                    wait_for_nested(self.dir, &deadline)?;
                    return Ok(lock);
                }
                Err(refusal) => refusal,
            };
            if deadline.is_over() {
                return Err(self.locked(refusal.file.as_ref(), refusal.owner, matches!(wish, Some(Some(_)))));
            }
            if let Some(told) = told.take() {
                wish = Some(Wish::new(self.dir, &self.access)?);
                told(refusal.owner.as_ref());
            }
            match refusal.file.and_then(|file| wait::for_flock(file, deadline.left())) {
                Some(file) => self.bury(&file)?,
                None => thread::sleep(pause().min(deadline.left())),
            }
        }
    }

    /// Says who has it.
    fn locked(&self, file: Option<&File>, owner: Option<Owner>, asked: bool) -> Error {
        // Where the text says nothing, those who have the flock can perhaps be named.
        let holders = if owner.is_none() { file.map_or_else(Vec::new, holders) } else { Vec::new() };
        Error::Locked { path: self.dir.path().to_path_buf(), owner: owner.map(Box::new), holders, asked }
    }

    /// One try, without waiting for anybody.
    fn attempt(&self) -> Result<Result<Lock, Refusal>> {
        for look in 1..=LOOKS {
            let file = match self.dir.open_file(LOCKFILE, false) {
                Ok(Some(file)) => file,
                Ok(None) => match self.create()? {
                    Some(lock) => return Ok(Ok(lock)),
                    None => continue,
                },
                // Root makes the lockfile in place for another user: for a moment it belongs to root.
                Err(error) if error.errno() == Some(Errno::ACCESS) && look < LOOKS => {
                    thread::yield_now();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.try_lock(&file)? {
                self.bury(&file)?;
                continue;
            }
            let owner = Owner::of(&file);
            // Refused twice: the first time it may have been a probe, or somebody about to bury a dead one's file.
            if self.try_lock(&file)? {
                self.bury(&file)?;
                continue;
            }
            return Ok(Err(Refusal { file: Some(file), owner }));
        }
        Ok(Err(Refusal { file: None, owner: None }))
    }

    /// Removes the lockfile whose flock we got, and drops that flock. Its holder is dead, or has let go: then the name
    /// is gone or stands for the next one's file, and stays.
    fn bury(&self, file: &File) -> Result<()> {
        if self.dir.id_of(LOCKFILE)? == Some(self.id_of(file)?) {
            self.dir.unlink(LOCKFILE)?;
        }
        unlock(file);
        Ok(())
    }

    /// Makes the lockfile; `None` if another was quicker.
    fn create(&self) -> Result<Option<Lock>> {
        let owner = Owner::here(self.dir.id()?, self.reason, self.behalf)
            .map_err(Error::io("cannot name the owner of", self.path()))?;
        if !self.in_place
            && let Ok(file) = self.dir.create_unnamed(&self.access)
        {
            let lock = self.lock(file, &owner.id)?;
            if self.try_lock(&lock.file)? {
                self.write(&lock, &owner)?;
                match self.dir.link_unnamed(&lock.file, LOCKFILE) {
                    Ok(()) => return Ok(Some(lock)),
                    Err(Errno::EXIST) => return Ok(None),
                    // No /proc, or a file system without hard links.
                    Err(_) => {}
                }
            }
        }
        self.create_in_place(&owner)
    }

    /// Makes the lockfile under its name, where files without a name cannot be had or cannot be linked. Until it has its
    /// flock others take it for a dead one's and may remove it; so the name is looked at once more, under the flock.
    /// Whatever is wrong with the folder is reported from here.
    fn create_in_place(&self, owner: &Owner) -> Result<Option<Lock>> {
        let file = match self.dir.create_file(LOCKFILE, &self.access) {
            Err(error) if error.errno() == Some(Errno::EXIST) => return Ok(None),
            made => made?,
        };
        if !self.try_lock(&file)? {
            return Ok(None);
        }
        let lock = self.lock(file, &owner.id)?;
        match lock.check() {
            Err(Error::LockLost { .. }) => return Ok(None),
            checked => checked?,
        }
        self.write(&lock, owner)?;
        Ok(Some(lock))
    }

    /// A lock that removes the lockfile when dropped, if the name stands for this file by then.
    fn lock(&self, file: File, id: &str) -> Result<Lock> {
        let file_id = self.id_of(&file)?;
        Ok(Lock::new(self.dir, Kind::Own, id, file, file_id))
    }

    fn write(&self, lock: &Lock, owner: &Owner) -> Result<()> {
        match (&lock.file).write_all(owner.text().as_bytes()) {
            // The text is for people, and removing mail must be possible just when the disk is full. What there is of it
            // is no text then, and the holder is named by /proc.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(()),
            written => written.map_err(cannot("cannot write", self.dir)),
        }
    }

    fn id_of(&self, file: &File) -> Result<FileId> {
        id_of_file(file).map_err(Error::io("cannot stat", self.path()))
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(LOCKFILE)
    }

    fn try_lock(&self, file: &File) -> Result<bool> {
        try_lock(file, self.dir, LOCKFILE)
    }
}

/// Drops the flock. Closing would do, but for a child that another thread is just starting: until its exec it has the
/// descriptor, too.
pub(super) fn unlock(file: &File) {
    let _ = fs2::FileExt::unlock(file);
}

fn cannot(doing: &'static str, dir: &Dir) -> impl FnOnce(io::Error) -> Error {
    let path = dir.path().join(LOCKFILE);
    move |source| Error::Io { path, doing, source }
}

/// A random 5 to 50 ms.
fn pause() -> Duration {
    let mut random = [0; 4];
    let _ = rustix::rand::getrandom(&mut random, GetRandomFlags::empty());
    Duration::from_micros(5_000 + u64::from(u32::from_le_bytes(random) % 45_001))
}
