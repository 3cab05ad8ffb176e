//! Lets a test kill the program before any one of its stores into a mapped file.
//!
//! System calls can be stopped from outside, stores into a map cannot: nothing but the program itself sees them. With
//! the feature `failpoints` the environment variable `MAILDEX_KILL_AT=N` ends the process with SIGKILL just before its
//! Nth store. Without the feature this is nothing at all.

#[cfg(feature = "failpoints")]
pub(crate) fn reached() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static KILL_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("MAILDEX_KILL_AT").ok().and_then(|n| n.parse().ok()));
    static SEEN: AtomicU64 = AtomicU64::new(0);

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

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reached() {}
