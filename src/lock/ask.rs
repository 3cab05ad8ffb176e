//! Asking the holder to let go.
//!
//! Whoever waits for the lock holds a shared flock on `maildex.ask` meanwhile, and has touched it once, which wakes those
//! who watch it. A holder that cannot get an exclusive flock on it is asked. So there is nothing to parse, and a wish
//! ends with whoever had it, however that one ended.

use std::fs::File;
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::lockfile::unlock;
use crate::dir::{Access, Dir};
use crate::error::{Error, Result};

/// The file on which whoever wants the lock holds a shared flock; permanent and empty.
pub const ASK: &str = "maildex.ask";

/// A probe has the file for a moment; so long a wish is tried again.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Between the two looks of a probe: another probe is over by then.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// A flock, shared or exclusive; let go of when dropped.
#[derive(Debug)]
pub(super) struct Held(File);

/// The wish to have the lock; ends when dropped.
#[derive(Debug)]
pub(super) struct Wish {
    shared: Held,
}

impl Wish {
    /// Asks. `None` if a stranger has the file for itself: then nobody is asked, and the wait goes on even so.
    pub(super) fn new(dir: &Dir, access: &Access) -> Result<Option<Wish>> {
        Wish::on(ASK, dir, access)
    }

    /// The same with another file, for another wish.
    pub(super) fn on(name: &str, dir: &Dir, access: &Access) -> Result<Option<Wish>> {
        let Some(shared) = share(name, dir, access)? else { return Ok(None) };
        ring(&shared.0).map_err(Error::io("cannot touch", dir.path().join(name)))?;
        Ok(Some(Wish { shared }))
    }
}

impl Wish {
    /// Ends it, and lets those who watch the file hear that.
    pub(super) fn end(self) {
        unlock(&self.shared.0);
        let _ = ring(&self.shared.0); // it is courtesy; they hear of other things, too
    }
}

/// A shared flock on a permanent, empty file. `None` if somebody has the file for itself, and not only for a moment.
pub(super) fn share(name: &str, dir: &Dir, access: &Access) -> Result<Option<Held>> {
    let file = dir.open_or_create(name, access)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match fs2::FileExt::try_lock_shared(&file) {
            Ok(()) => return Ok(Some(Held(file))),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot_lock(dir, name)(error)),
            Err(_) if Instant::now() > until => return Ok(None),
            Err(_) => thread::sleep(BETWEEN_LOOKS),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Sets a file's times to now, which is what those who watch it hear.
pub(super) fn ring(file: &File) -> Result<(), rustix::io::Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now })
}

/// Whether somebody wants the lock of the folder `dir`.
pub fn is_wanted(dir: &Dir) -> Result<bool> {
    is_wished(ASK, dir)
}

/// Whether somebody has a [`Wish`] on this file.
pub(super) fn is_wished(name: &str, dir: &Dir) -> Result<bool> {
    Ok(matches!(alone(name, dir)?, Alone::No))
}

/// What came of a try to have one of these files for oneself.
#[derive(Debug)]
pub(super) enum Alone {
    /// Nobody has a flock on it; here is an exclusive one. `None` where the file was never made.
    Yes(Option<Held>),
    /// Somebody has.
    No,
}

/// Tries to have one of these files for oneself. A descriptor of its own is used for that: one that carried a shared flock
/// of ours would find nothing.
pub(super) fn alone(name: &str, dir: &Dir) -> Result<Alone> {
    let Some(file) = dir.open_file(name, false)? else { return Ok(Alone::Yes(None)) };
    for look in 0..2 {
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => return Ok(Alone::Yes(Some(Held(file)))),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot_lock(dir, name)(error)),
            // Refused once it may have been by another probe.
            Err(_) if look == 0 => thread::sleep(BETWEEN_LOOKS),
            Err(_) => {}
        }
    }
    Ok(Alone::No)
}

pub(super) fn cannot_lock(dir: &Dir, name: &str) -> impl FnOnce(std::io::Error) -> Error {
    let path = dir.path().join(name);
    move |source| Error::Io { path, doing: "cannot lock", source }
}
