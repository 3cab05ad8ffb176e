//! The lockfile: made, waited for, taken over from the dead, looked at, and removed. The rule it follows stands in
//! [`super`].

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

use super::ask::{Wish, is_wanted};
use super::owner::Owner;
use super::wait;
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
    id: FileId,
    /// Carries the flock.
    pub(super) file: File,
    since: Instant,
    released: bool,
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
        Contender { dir, reason, access, in_place: false }.acquire(wait, told)
    }

    /// Fails with [`Error::LockLost`] if the lockfile is no longer this lock's; to be called before each publish.
    pub fn check(&self) -> Result<()> {
        if self.dir.id_of(LOCKFILE)? == Some(self.id) {
            return Ok(());
        }
        Err(Error::LockLost { path: self.dir.path().join(LOCKFILE) })
    }

    /// Whether it is time to let go, because somebody else wants it and we had our turn; to be called between two pieces
    /// of work. Who lets go then does so by [`Lock::give_way`].
    pub fn is_asked(&self) -> Result<bool> {
        Ok(self.since.elapsed() >= TURN && is_wanted(&self.dir)?)
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
        let removed = self.check().and_then(|()| self.dir.unlink(LOCKFILE));
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
        match fs2::FileExt::try_lock_shared(&file) {
            Ok(()) => {
                unlock(&file);
                return Ok(Holder::Nobody);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => owner = Owner::of(&file),
            Err(error) => return Err(cannot("cannot lock", dir)(error)),
        }
    }
    Ok(Holder::Somebody(owner.map(Box::new)))
}

/// Somebody who wants the lock.
pub(super) struct Contender<'a> {
    pub(super) dir: &'a Arc<Dir>,
    pub(super) reason: &'a str,
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
        let until = match wait {
            Wait::For(time) => Instant::now().checked_add(time),
            Wait::Forever => None,
        };
        let left = || until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let mut told = Some(told);
        let mut wish = None;
        loop {
            let refusal = match self.attempt()? {
                Ok(lock) => return Ok(lock),
                Err(refusal) => refusal,
            };
            if left().is_zero() {
                let owner = refusal.owner.map(Box::new);
                let asked = matches!(wish, Some(Some(_)));
                return Err(Error::Locked { path: self.dir.path().to_path_buf(), owner, asked });
            }
            if let Some(told) = told.take() {
                wish = Some(Wish::new(self.dir, &self.access)?);
                told(refusal.owner.as_ref());
            }
            match refusal.file.and_then(|file| wait::for_flock(file, left())) {
                Some(file) => self.bury(&file)?,
                None => thread::sleep(pause().min(left())),
            }
        }
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
        let owner = Owner::here(self.reason).map_err(Error::io("cannot name the owner of", self.path()))?;
        if !self.in_place
            && let Ok(file) = self.dir.create_unnamed(&self.access)
        {
            let lock = self.lock(file)?;
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
        let lock = self.lock(file)?;
        match lock.check() {
            Err(Error::LockLost { .. }) => return Ok(None),
            checked => checked?,
        }
        self.write(&lock, owner)?;
        Ok(Some(lock))
    }

    /// A lock that removes the lockfile when dropped, if the name stands for this file by then.
    fn lock(&self, file: File) -> Result<Lock> {
        let id = self.id_of(&file)?;
        Ok(Lock { dir: Arc::clone(self.dir), id, file, since: Instant::now(), released: false })
    }

    fn write(&self, lock: &Lock, owner: &Owner) -> Result<()> {
        (&lock.file).write_all(owner.text().as_bytes()).map_err(cannot("cannot write", self.dir))
    }

    fn id_of(&self, file: &File) -> Result<FileId> {
        id_of_file(file).map_err(Error::io("cannot stat", self.path()))
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(LOCKFILE)
    }

    fn try_lock(&self, file: &File) -> Result<bool> {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(cannot("cannot lock", self.dir)(error)),
        }
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
