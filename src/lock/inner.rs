//! Working under a lock that another process holds for us: nested verbs.
//!
//! `lock run` and `lock acquire` hold the lock for others and write nothing themselves. Who was given the lock's id works
//! under it, one at a time: **it has an exclusive flock on `maildex.inner`, and, having that, has seen the lockfile with
//! that id and flocked.** Every new holder of the lock waits once for that flock before it works, so it never meets a
//! nested verb that has outlived its lock; and a nested verb that comes later finds another id and is refused. A nested
//! verb never removes the lockfile and never lets go of the lock. It only lets its siblings in, who ring by touching
//! `maildex.inner`, again and again while they wait: a bell that was missed rings soon again.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use super::ask::{PATIENCE, ring};
use super::lockfile::{Kind, LOCKFILE, Lock, Wait, refused, try_lock, unlock};
use super::owner::{Owner, holders};
use super::wait::{self, Deadline};
use crate::dir::{Access, Dir, id_of_file};
use crate::error::{Error, Result};

/// The file whose flock nested verbs take turns with; permanent and empty.
pub const INNER: &str = "maildex.inner";

/// Siblings that wait ring so often.
const RING_AGAIN: Duration = Duration::from_millis(100);

impl Lock {
    /// Works under the lock `id` of the folder `dir`, which another process holds, or fails with [`Error::StaleLock`] if
    /// it is no longer held.
    pub fn under(dir: &Arc<Dir>, id: &str, wait: Wait, access: Access) -> Result<Lock> {
        let deadline = Deadline::after(wait);
        loop {
            check_held(dir, id)?;
            let file = dir.open_or_create(INNER, &access)?;
            let file = if try_lock(&file, dir, INNER)? {
                file
            } else {
                let turn = |error| Error::io("cannot touch", dir.path().join(INNER))(error);
                ring(&file).map_err(turn)?;
                if deadline.is_over() {
                    return Err(busy(dir, &file));
                }
                match wait::for_flock(file, deadline.left().min(RING_AGAIN)) {
                    Some(file) => file,
                    None => continue,
                }
            };
            let file_id = id_of_file(&file).map_err(Error::io("cannot stat", dir.path().join(INNER)))?;
            if dir.id_of(INNER)? != Some(file_id) {
                continue; // removed by hand; the flock goes with the file
            }
            let rang = last_ring(&file, dir)?;
            let lock = Lock::new(dir, Kind::Under { rang }, id, file, file_id);
            check_held(dir, id)?;
            return Ok(lock);
        }
    }
}

/// When the bell of the siblings was last heard.
pub(super) fn last_ring(file: &File, dir: &Dir) -> Result<(i64, u64)> {
    let stat = rustix::fs::fstat(file).map_err(Error::io("cannot stat", dir.path().join(INNER)))?;
    Ok((stat.st_mtime, stat.st_mtime_nsec as u64))
}

/// Fails unless the lockfile carries this id and is flocked.
pub fn check_held(dir: &Dir, id: &str) -> Result<()> {
    let stale = || Error::StaleLock { path: dir.path().join(LOCKFILE), id: id.into() };
    let file = dir.open_file(LOCKFILE, false)?.ok_or_else(stale)?;
    // Without a look at the process: that is for messages.
    if Owner::id_in(&file).as_deref() != Some(id) || !refused(&file, dir)? {
        return Err(stale());
    }
    Ok(())
}

/// A new holder of the lock waits until nobody works under an earlier one, whose holder is dead or has let go.
pub(super) fn wait_for_nested(dir: &Dir, deadline: &Deadline) -> Result<()> {
    loop {
        let Some(file) = dir.open_file(INNER, false)? else { return Ok(()) };
        if try_lock(&file, dir, INNER)? {
            unlock(&file);
            return Ok(());
        }
        // Somebody with an old id has it for a moment, even if he will be refused.
        if let Some(file) = wait::for_flock(file, deadline.left().max(PATIENCE)) {
            unlock(&file);
            return Ok(());
        }
        if deadline.is_over() {
            let Some(file) = dir.open_file(INNER, false)? else { return Ok(()) };
            return Err(busy(dir, &file));
        }
    }
}

fn busy(dir: &Dir, file: &File) -> Error {
    Error::Locked { path: dir.path().to_path_buf(), owner: None, holders: holders(file), asked: false }
}
