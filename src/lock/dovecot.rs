//! Dovecot's own lock, `dovecot-uidlist.lock`, for work beside which Dovecot must stand off: renaming or compressing mail.
//! And `tmp/courier.lock`, the same for Courier (with `IMAP_USELOCKS=1`, the default), which makes it in the same way.
//!
//! A dotlock: a file with `pid:host` in it, made under its name only if that is free. Dovecot overrides one whose
//! process is dead on its own host, and one of another host that has not changed for two minutes. So do we, by the same
//! rules; therefore it is touched from time to time.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::Pid;

use super::ask::ring;
use super::lockfile::Wait;
use super::wait::Deadline;
use crate::dir::{Access, Dir, FileId, id_of_file};
use crate::error::{Error, Result};
use crate::maildir::draft::TMP;

/// Dovecot holds it while it writes its list of UIDs.
pub const DOVECOT_LOCK: &str = "dovecot-uidlist.lock";

/// Courier holds it, in `tmp/`, while it looks what there is.
pub const COURIER_LOCK: &str = "courier.lock";

/// Dovecot holds it briefly and nothing says when it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A younger one's process is not looked at: it may be about to write its pid.
const YOUNG: Duration = Duration::from_secs(2);

/// One whose process cannot be looked at counts as dead after this without a change.
const STALE: Duration = Duration::from_mins(2);

/// Dovecot's lock, held by this process; let go of when dropped.
#[derive(Debug)]
pub struct Dotlock {
    dir: Arc<Dir>,
    name: &'static str,
    id: FileId,
    file: File,
}

impl Dotlock {
    /// Takes Dovecot's lock of a Maildir, or fails with [`Error::DovecotLock`] when `wait` is over.
    pub fn acquire(dir: &Arc<Dir>, access: &Access, wait: Wait) -> Result<Dotlock> {
        Dotlock::acquire_named(dir, DOVECOT_LOCK, access, wait)
    }

    /// Takes Courier's lock of a Maildir.
    pub fn acquire_couriers(dir: &Arc<Dir>, access: &Access, wait: Wait) -> Result<Dotlock> {
        Dotlock::acquire_named(&Arc::new(dir.sub(TMP)?), COURIER_LOCK, access, wait)
    }

    fn acquire_named(dir: &Arc<Dir>, name: &'static str, access: &Access, wait: Wait) -> Result<Dotlock> {
        let deadline = Deadline::after(wait);
        loop {
            if let Some(file) = create(dir, name, access)? {
                let id = id_of_file(&file).map_err(Error::io("cannot stat", dir.path().join(name)))?;
                return Ok(Dotlock { dir: Arc::clone(dir), name, id, file });
            }
            let other = match Other::look(dir, name) {
                Ok(Some(other)) => other,
                Ok(None) => continue,
                // Where Dovecot links its lock to its name it has two links for a moment.
                Err(Error::NotOurs { found, .. }) if found.ends_with("links") && !deadline.is_over() => {
                    thread::sleep(LOOK_AGAIN.min(deadline.left()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if other.is_dead() && other.remove(dir, name)? {
                continue;
            }
            if deadline.is_over() {
                let path = dir.path().join(name);
                return Err(Error::DovecotLock { path, holder: other.text });
            }
            thread::sleep(LOOK_AGAIN.min(deadline.left()));
        }
    }

    /// Says that it is still held. `false` if it no longer is ours.
    pub fn touch(&self) -> Result<bool> {
        ring(&self.file).map_err(Error::io("cannot touch", self.dir.path().join(self.name)))?;
        Ok(self.dir.id_of(self.name)? == Some(self.id))
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        if self.dir.id_of(self.name).is_ok_and(|id| id == Some(self.id)) {
            // What is left behind names a dead process, and Dovecot removes it.
            let _ = self.dir.unlink(self.name);
        }
    }
}

/// Makes it with its text; `None` if the name is taken.
fn create(dir: &Dir, name: &str, access: &Access) -> Result<Option<File>> {
    let text = format!("{}:{}", rustix::process::getpid().as_raw_nonzero(), host());
    let write = |mut file: &File| {
        file.write_all(text.as_bytes()).map_err(|source| Error::Io {
            path: dir.path().join(name),
            doing: "cannot write",
            source,
        })
    };
    if let Ok(file) = dir.create_unnamed(access) {
        write(&file)?;
        match dir.link_unnamed(&file, name) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::EXIST) => return Ok(None),
            Err(_) => {} // no /proc, or no hard links
        }
    }
    match dir.create_file(name, access) {
        Err(error) if error.errno() == Some(Errno::EXIST) => Ok(None),
        made => made.and_then(|file| write(&file).map(|()| Some(file))),
    }
}

/// Somebody else's.
struct Other {
    file: File,
    text: String,
    unchanged: Duration,
}

impl Other {
    fn look(dir: &Dir, name: &str) -> Result<Option<Other>> {
        let failed = |source| Error::Io { path: dir.path().join(name), doing: "cannot read", source };
        let Some(mut file) = dir.open_file(name, false)? else { return Ok(None) };
        let mut text = Vec::new();
        (&mut file).take(512).read_to_end(&mut text).map_err(failed)?;
        let changed = file.metadata().and_then(|meta| meta.modified()).map_err(failed)?;
        // A time to come is no reason to take it away.
        let unchanged = SystemTime::now().duration_since(changed).unwrap_or_default();
        Ok(Some(Other { file, text: String::from_utf8_lossy(&text).trim_end().into(), unchanged }))
    }

    fn is_dead(&self) -> bool {
        let here = self.text.split_once(':').filter(|(_, name)| *name == host());
        let pid = here.and_then(|(pid, _)| pid.parse().ok()).filter(|pid| *pid > 0).and_then(Pid::from_raw);
        match pid.map(rustix::process::test_kill_process) {
            Some(Err(Errno::SRCH)) => self.unchanged > YOUNG,
            Some(_) => false,
            None => self.unchanged > STALE,
        }
    }

    /// `false` if another one stands there by now.
    fn remove(&self, dir: &Dir, name: &str) -> Result<bool> {
        let same = dir.id_of(name)? == id_of_file(&self.file).ok();
        if same {
            dir.unlink(name)?;
            // As Dovecot does: two who override at once must not remove each other's new one.
            thread::sleep(LOOK_AGAIN);
        }
        Ok(same)
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
