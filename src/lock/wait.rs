//! Waiting until a lockfile's flock is let go.
//!
//! A blocking flock wakes at once when the holder releases or dies, but knows no time limit: so a helper thread blocks,
//! and whoever wants the lock waits for the helper. A helper cannot be called off; if everybody gave up it stays
//! blocked, and closes the file when it wakes. There is one for each file, however many wait or gave up: a program that
//! tries every second while the lock is held for a day has one thread, not 86,400.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::mpsc::{self, SendError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::lockfile::{Wait, unlock};
use crate::dir::{FileId, id_of_file};

/// When a wait is over.
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(wait: Wait) -> Deadline {
        Deadline(match wait {
            Wait::For(time) => Instant::now().checked_add(time),
            Wait::Forever => None,
        })
    }

    pub(super) fn left(&self) -> Duration {
        self.0.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

static HELPERS: Mutex<Vec<Helper>> = Mutex::new(Vec::new());

struct Helper {
    /// Its file; the helper has it open, so the inode number cannot come to mean another one.
    id: FileId,
    waiters: Vec<Waiter>,
}

struct Waiter {
    hand_over: Sender<File>,
    /// Dead once the waiter has given up.
    listens: Weak<()>,
}

fn helpers() -> MutexGuard<'static, Vec<Helper>> {
    HELPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits at most `time` for the flock of `file`, which somebody holds, and gives the file back with it. `None` says: look
/// again. The time is up, or another waiter of this process got it, or no thread was to be had.
pub(super) fn for_flock(file: File, time: Duration) -> Option<File> {
    let (hand_over, arrival) = mpsc::channel();
    let listening = Arc::new(());
    enlist(file, Waiter { hand_over, listens: Arc::downgrade(&listening) })?;
    arrival.recv_timeout(time).ok()
}

/// Joins the helper that blocks on this file, or starts one.
fn enlist(file: File, waiter: Waiter) -> Option<()> {
    let id = id_of_file(&file).ok()?;
    let mut helpers = helpers();
    if let Some(helper) = helpers.iter_mut().find(|helper| helper.id == id) {
        helper.waiters.retain(|waiter| waiter.listens.strong_count() > 0);
        helper.waiters.push(waiter);
    } else {
        thread::Builder::new().name("maildex-lock".into()).spawn(move || help(file, id)).ok()?;
        helpers.push(Helper { id, waiters: vec![waiter] });
    }
    Some(())
}

fn help(mut file: File, id: FileId) {
    let mut flocked = fs2::FileExt::lock_exclusive(&file);
    while flocked.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
        flocked = fs2::FileExt::lock_exclusive(&file);
    }
    let mut helpers = helpers();
    let waiters = match helpers.iter().position(|helper| helper.id == id) {
        Some(at) => helpers.swap_remove(at).waiters,
        None => Vec::new(),
    };
    if flocked.is_ok() {
        for waiter in waiters {
            match waiter.hand_over.send(file) {
                // The others find their channels closed, and look again.
                Ok(()) => return,
                Err(SendError(back)) => file = back,
            }
        }
        unlock(&file);
    }
}

/// How many wait for this file; `None` if it has no helper.
#[cfg(test)]
pub(super) fn waiting_for(id: FileId) -> Option<usize> {
    helpers().iter().find(|helper| helper.id == id).map(|helper| helper.waiters.len())
}
