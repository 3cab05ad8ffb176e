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
const PATIENCE: Duration = Duration::from_millis(10);

/// Between the two looks of a probe: another probe is over by then.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// The wish to have the lock; ends when dropped.
#[derive(Debug)]
pub(super) struct Wish {
    file: File,
}

impl Wish {
    /// Asks. `None` if a stranger has the file for itself: then nobody is asked, and the wait goes on even so.
    pub(super) fn new(dir: &Dir, access: &Access) -> Result<Option<Wish>> {
        let file = dir.open_or_create(ASK, access)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match fs2::FileExt::try_lock_shared(&file) {
                Ok(()) => break,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot_lock(dir, ASK)(error)),
                Err(_) if Instant::now() > until => return Ok(None),
                Err(_) => thread::sleep(BETWEEN_LOOKS),
            }
        }
        let wish = Wish { file };
        ring(&wish.file).map_err(Error::io("cannot touch", dir.path().join(ASK)))?;
        Ok(Some(wish))
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        unlock(&self.file);
    }
}

/// Sets a file's times to now, which is what those who watch it hear.
pub(super) fn ring(file: &File) -> Result<(), rustix::io::Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now })
}

/// Whether somebody wants the lock of the folder `dir`.
pub fn is_wanted(dir: &Dir) -> Result<bool> {
    // A descriptor of its own: one that carried our own wish would find nothing.
    let Some(file) = dir.open_file(ASK, false)? else { return Ok(false) };
    for look in 0..2 {
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {
                unlock(&file);
                return Ok(false);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot_lock(dir, ASK)(error)),
            // Refused once it may have been by another probe.
            Err(_) if look == 0 => thread::sleep(BETWEEN_LOOKS),
            Err(_) => {}
        }
    }
    Ok(true)
}

pub(super) fn cannot_lock(dir: &Dir, name: &str) -> impl FnOnce(std::io::Error) -> Error {
    let path = dir.path().join(name);
    move |source| Error::Io { path, doing: "cannot lock", source }
}
