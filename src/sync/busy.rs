//! One sync at a time for a repository, and what a killed one left there.
//!
//! The lock is a flock, which ends with its holder. Programs of git that write hold it, too: if we are killed, one of them
//! may still be about to move a ref, and the next run must not begin before it has ended.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::error::{Error, Result};

/// The lock, in the repository.
const LOCK: &str = "maildex.lock";

/// How long the programs of git that a killed run has left get to end. They are about to: nobody talks to them any more.
const ORPHANS: Duration = Duration::from_mins(1);

/// A lock of a ref is held for less than a moment.
const REF_LOCK: Duration = Duration::from_mins(10);

/// Takes the lock of a repository and mends what a killed run left.
pub(super) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let failed = |doing| {
        let path = path.clone();
        move |source| Error::Io { path, doing, source }
    };
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(failed("cannot open"))?;
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if !is_held_by_maildex(&mut file) && start.elapsed() < ORPHANS => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::WOULDBLOCK) => return Err(Error::SyncBusy { path: dir.to_path_buf() }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("cannot lock", path)(errno)),
        }
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(failed("cannot write"))?;
    clean(dir);
    Ok(file)
}

/// Whether the process that took the lock is there. If it is not, those that have the lock from it are.
fn is_held_by_maildex(file: &mut File) -> bool {
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match text.trim().parse().ok().and_then(Pid::from_raw) {
        Some(pid) => !matches!(test_kill_process(pid), Err(Errno::SRCH)),
        // It is just writing it.
        None => true,
    }
}

/// Removes what git leaves when it, or the machine, is stopped: locks of refs, which would stop it for ever, and reports of
/// streams that ended too early. What cannot be removed will be git's error where it is in the way.
fn clean(dir: &Path) {
    const REFS: [&str; 4] =
        ["refs/maildex/r", "refs/maildex/peer", "refs/maildex/joined/r", "refs/maildex/joined/peer"];
    for below in [""].iter().chain(&REFS) {
        for entry in fs::read_dir(dir.join(below)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let is_report = below.is_empty() && name.starts_with(b"fast_import_crash_");
            let is_lock = name.ends_with(b".lock") && name != LOCK.as_bytes();
            if is_report || is_lock && entry.metadata().and_then(|found| found.modified()).is_ok_and(is_old) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether nobody can be at work on what was last written then.
fn is_old(modified: SystemTime) -> bool {
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::new(up.tv_sec.try_into().unwrap_or(0), 0);
    modified.elapsed().is_ok_and(|age| age > REF_LOCK || age > up + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(Error::SyncBusy { .. })));
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn what_a_killed_run_has_started_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = lock(dir.path()).unwrap();
        // A child that has the lock from a process that is gone, and ends when its input does.
        fs::write(dir.path().join(LOCK), format!("{}\n", i32::MAX)).unwrap();
        let held = file.as_fd().try_clone_to_owned().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(held).spawn().unwrap();
        drop(file);
        let path = dir.path().to_path_buf();
        let waits = std::thread::spawn(move || lock(&path).map(drop));
        drop(child.stdin.take());
        child.wait().unwrap();
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn old_locks_of_refs_are_removed_and_fresh_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let refs = dir.path().join("refs/maildex/r");
        fs::create_dir_all(&refs).unwrap();
        let (old, fresh, report) = (refs.join("a.lock"), refs.join("b.lock"), dir.path().join("fast_import_crash_77"));
        for path in [&old, &fresh, &report, &refs.join("c")] {
            fs::write(path, "").unwrap();
        }
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        File::options().write(true).open(&old).unwrap().set_modified(hour_ago).unwrap();
        File::options().write(true).open(&fresh).unwrap().set_modified(SystemTime::now() + REF_LOCK).unwrap();
        lock(dir.path()).unwrap();
        assert!(!old.exists() && !report.exists());
        assert!(fresh.exists() && refs.join("c").exists());
    }
}
