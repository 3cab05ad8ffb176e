//! SIGINT and SIGTERM while the index is written: finish the batch in hand, let go of the lock, then die of the signal.
//! And signals as something to wait for, for those who hold the lock for others.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};

struct Deferred {
    /// The signal that has come, or 0.
    asked: Arc<AtomicUsize>,
    /// Signals end the program at once again.
    over: Arc<AtomicBool>,
}

static DEFERRED: OnceLock<Deferred> = OnceLock::new();

/// From now on the signals only say that it is time to end; see [`asked`]. Called when work begins, so that until then
/// (while waiting for the lock) they end the program at once.
pub fn defer() {
    let deferred = DEFERRED.get_or_init(|| {
        let deferred = Deferred { asked: Arc::default(), over: Arc::default() };
        let ignored = ignored();
        for signal in [SIGINT, SIGTERM].into_iter().filter(|&signal| ignored & (1 << (signal - 1)) == 0) {
            // If it fails, the signal ends the program at once, which the next writer can deal with.
            let over = Arc::clone(&deferred.over);
            if signal_hook::flag::register_conditional_default(signal, over).is_ok() {
                let _ = signal_hook::flag::register_usize(signal, Arc::clone(&deferred.asked), signal as usize);
            }
        }
        deferred
    });
    deferred.over.store(false, Ordering::Relaxed);
}

/// Whether a signal has come.
pub fn asked() -> bool {
    DEFERRED.get().is_some_and(|deferred| deferred.asked.load(Ordering::Relaxed) != 0)
}

/// The work is done: dies of the signal that has come meanwhile, so that a shell sees it, or of the next one at once.
pub fn resume() {
    let Some(deferred) = DEFERRED.get() else { return };
    deferred.over.store(true, Ordering::Relaxed);
    let signal = deferred.asked.load(Ordering::Relaxed);
    if signal != 0 {
        let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
    }
}

/// From now on each signal makes its stream readable, and does nothing else. Signals that are ignored stay so.
pub fn listen(signals: &[i32]) -> io::Result<Vec<(i32, UnixStream)>> {
    let ignored = ignored();
    let mut heard = Vec::new();
    for &signal in signals.iter().filter(|&&signal| ignored & (1 << (signal - 1)) == 0) {
        let (ours, theirs) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal, theirs)?;
        heard.push((signal, ours));
    }
    Ok(heard)
}

/// The signals that whoever started us wants ignored, as a shell does that has put us into the background of a script: a
/// bit each, from 1 on.
fn ignored() -> u64 {
    // One large read: the kernel makes the whole text anew at each.
    let mut status = String::with_capacity(8192);
    let _ = File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut status));
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
