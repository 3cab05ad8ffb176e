//! Lets a test kill the program before any one of its stores into a mapped file, or look at the files there.
//!
//! System calls can be stopped from outside, stores into a map cannot: nothing but the program itself sees them. With
//! the feature `failpoints` the environment variable `MAILDEX_KILL_AT=N` ends the process with SIGKILL just before its
//! Nth store, and [`watched`] calls a test's own function before each store and after each sync of this thread. Without
//! the feature this is nothing at all.

#[cfg(feature = "failpoints")]
mod points {
    use std::cell::RefCell;
    use std::fs::File;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What a writer does.
    #[derive(Debug, Clone, Copy)]
    pub enum Step<'f> {
        /// It is about to store a word into a map.
        Store,
        /// All that it has written to this file is durable.
        Synced(&'f File),
    }

    type Watcher = Box<dyn FnMut(Step<'_>)>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    /// Calls `watcher` at each step that this thread takes in `act`.
    pub fn watched<T>(watcher: Watcher, act: impl FnOnce() -> T) -> T {
        WATCHER.set(Some(watcher));
        let done = act();
        WATCHER.set(None);
        done
    }

    fn step(step: Step<'_>) {
        WATCHER.with_borrow_mut(|watcher| {
            if let Some(watcher) = watcher {
                watcher(step);
            }
        });
    }

    pub(crate) fn reached() {
        static KILL_AT: LazyLock<Option<u64>> =
            LazyLock::new(|| std::env::var("MAILDEX_KILL_AT").ok().and_then(|n| n.parse().ok()));
        static SEEN: AtomicU64 = AtomicU64::new(0);

        step(Step::Store);
        if let Some(kill_at) = *KILL_AT
            && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == kill_at
        {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }

    pub(crate) fn synced(file: &File) {
        step(Step::Synced(file));
    }
}

#[cfg(feature = "failpoints")]
pub use points::{Step, watched};
#[cfg(feature = "failpoints")]
pub(crate) use points::{reached, synced};

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reached() {}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn synced(_: &std::fs::File) {}
