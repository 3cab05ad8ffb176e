//! Holding the lock for another process: what the wrapper of a command and the guard of a shell have in common.
//!
//! Both sleep until the process that they hold it for has ended, until somebody asks for the lock, or until they are
//! told something by a signal. Nothing is polled: a pidfd says that a process has ended, whatever its pid is by then, and
//! inotify hears the bell of `maildex.ask`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::ask::{ASK, is_wanted};
use super::dovecot::Dotlock;
use super::lockfile::{Holder, LOCKFILE, holder};
use super::owner::{Behalf, Owner, holds};
use crate::dir::{Access, Dir};
use crate::error::{Error, Result};

/// Dovecot's lock is touched so often, lest Dovecot take it for a dead one's.
const TOUCH: Duration = Duration::from_secs(10);

/// A process, safe from another one's getting its pid.
#[derive(Debug)]
pub struct Process {
    fd: OwnedFd,
}

impl Process {
    /// A process that runs. One that has ended and is not yet waited for will do.
    pub fn open(pid: i32) -> Result<Process> {
        let failed = Error::io("cannot watch", format!("process {pid}"));
        let pid = Pid::from_raw(pid).filter(|pid| pid.as_raw_pid() > 0).ok_or(Errno::SRCH);
        let fd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        fd.map(|fd| Process { fd }).map_err(failed)
    }

    /// Sends a signal; done, too, if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match pidfd_send_signal(&self.fd, signal) {
            Err(Errno::SRCH) => Ok(()),
            done => done,
        }
    }

    /// Waits until it has ended. `false` if it has not by then.
    pub fn wait(&self, time: Duration) -> Result<bool, Errno> {
        let until = Instant::now() + time;
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match poll(&mut fds, Some(&timespec(left))) {
                Err(Errno::INTR) => {}
                ended => return Ok(ended? > 0),
            }
        }
    }
}

/// What a [`Guard`] woke for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The process has ended.
    Ended,
    /// Somebody wants the lock.
    Asked,
    /// One of the other descriptors can be read: which one.
    Told(usize),
    /// Dovecot, or somebody by hand, has taken Dovecot's lock away.
    DotlockLost,
}

/// Whoever holds a lock for a process.
#[derive(Debug)]
pub struct Guard<'d> {
    dir: &'d Dir,
    process: &'d Process,
    bell: Option<Bell>,
    dotlock: Option<Dotlock>,
    touched: Instant,
}

/// Hears when `maildex.ask` is touched.
#[derive(Debug)]
struct Bell {
    inotify: OwnedFd,
    /// It may have rung before we listened.
    look_first: bool,
    /// What is watched is this very file.
    _file: File,
}

impl<'d> Guard<'d> {
    /// Watches `process`; with `access` given also whether somebody wants the lock of the folder `dir`.
    pub fn new(
        dir: &'d Dir,
        process: &'d Process,
        access: Option<&Access>,
        dotlock: Option<Dotlock>,
    ) -> Result<Guard<'d>> {
        let bell = access.map(|access| Bell::new(dir, access)).transpose()?;
        Ok(Guard { dir, process, bell, dotlock, touched: Instant::now() })
    }

    /// Sleeps until something happens; `others` are looked at, too.
    pub fn next(&mut self, others: &[BorrowedFd<'_>]) -> Result<Event> {
        loop {
            if self.bell.as_mut().is_some_and(|bell| std::mem::take(&mut bell.look_first)) && is_wanted(self.dir)? {
                return Ok(Event::Asked);
            }
            if let Some(dotlock) = &self.dotlock
                && self.touched.elapsed() >= TOUCH
            {
                self.touched = Instant::now();
                if !dotlock.touch()? {
                    self.dotlock = None;
                    return Ok(Event::DotlockLost);
                }
            }
            let timeout = self
                .dotlock
                .as_ref()
                .map(|_| timespec((self.touched + TOUCH).saturating_duration_since(Instant::now())));
            let mut fds = vec![PollFd::new(&self.process.fd, PollFlags::IN)];
            fds.extend(others.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
            fds.extend(self.bell.as_ref().map(|bell| PollFd::new(&bell.inotify, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("cannot wait for", self.dir.path())(errno)),
            }
            match fds.iter().position(|fd| !fd.revents().is_empty()) {
                None => {}
                Some(0) => return Ok(Event::Ended),
                Some(at) if at <= others.len() => return Ok(Event::Told(at - 1)),
                Some(_) => {
                    drop(fds);
                    if let Some(bell) = &mut self.bell {
                        bell.drain();
                    }
                    // It may have been touched by anybody.
                    if is_wanted(self.dir)? {
                        return Ok(Event::Asked);
                    }
                }
            }
        }
    }
}

impl Bell {
    fn new(dir: &Dir, access: &Access) -> Result<Bell> {
        let failed = || Error::io("cannot watch", dir.path().join(ASK));
        let file = dir.open_or_create(ASK, access)?;
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).map_err(failed())?;
        // The file that was just opened, whatever its name stands for by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        inotify::add_watch(&inotify, path, inotify::WatchFlags::ATTRIB).map_err(failed())?;
        Ok(Bell { inotify, look_first: true, _file: file })
    }

    /// All that has come counts as one ring.
    fn drain(&mut self) {
        let mut bytes = [0; 1024];
        while rustix::io::read(self.inotify.as_fd(), &mut bytes).is_ok_and(|read| read > 0) {}
    }
}

/// Why [`release`] released nothing.
#[derive(Debug)]
pub enum NotReleased {
    /// Nobody holds the lock.
    Free,
    /// Somebody else holds it, or it is none that a guard holds, or its guard cannot be reached: why, in words.
    Refused(Option<Box<Owner>>, String),
}

/// Has the guard of a folder's lock let go of it. With `id` only if it is that lock. Nothing is signalled that is not
/// proved to be the guard: same boot and pid namespace, started when the lockfile says, and with the lockfile's flock.
pub fn release(dir: &Dir, id: Option<&str>, wait: Duration) -> Result<Result<(), NotReleased>> {
    let owner = match holder(dir)? {
        Holder::Nobody => return Ok(Err(NotReleased::Free)),
        Holder::Somebody(None) => {
            return Ok(Err(NotReleased::Refused(None, "its lockfile does not say who holds it".into())));
        }
        Holder::Somebody(Some(owner)) => owner,
    };
    let refused = |owner, why: &str| Ok(Err(NotReleased::Refused(Some(owner), why.into())));
    if id.is_some_and(|id| id != owner.id) {
        return refused(owner, "that lock is another one");
    }
    if owner.behalf.is_none() {
        return refused(owner, "it was not taken by lock acquire, and ends with that process");
    }
    if !owner.is_near() {
        return refused(owner, "its guard is in another container or on another host");
    }
    // First the descriptor, then the look at the process: so they are the same one.
    let guard = match Process::open(owner.pid) {
        Ok(guard) => guard,
        Err(error) => return refused(owner, &error.to_string()),
    };
    if owner.started == 0 || Behalf::of(owner.pid).is_none_or(|process| process.started != owner.started) {
        return refused(owner, "its guard has ended, and another process inherited the lock");
    }
    let Some(file) = dir.open_file(LOCKFILE, false)? else { return Ok(Err(NotReleased::Free)) };
    if !holds(&file, owner.pid) {
        return refused(owner, "the process that it names does not hold it, as far as can be seen");
    }
    if let Err(errno) = guard.signal(Signal::TERM) {
        return refused(owner, &format!("cannot signal its guard: {errno}"));
    }
    match guard.wait(wait) {
        Ok(true) => Ok(Ok(())),
        _ => refused(owner, "its guard was told, but has not ended yet"),
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}
