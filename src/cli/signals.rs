//! SIGINT and SIGTERM while the index is written: finish the batch in hand, let go of the lock, then die of the signal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};

static ASKED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on the signals only say that it is time to end; see [`asked`]. Called when work begins, so that until then
/// (while waiting for the lock) they end the program at once.
pub fn defer() {
    ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // If it fails, the signal ends the program at once, which the next writer can deal with.
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&asked), signal as usize);
        }
        asked
    });
}

/// Whether a signal has come.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed) != 0)
}

/// Dies of the signal that has come, so that a shell sees it.
pub fn die_if_asked() {
    if let Some(signal) = ASKED.get().map(|asked| asked.load(Ordering::Relaxed)).filter(|&signal| signal != 0) {
        let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
    }
}
