//! What ends the program from below: a page of a mapped file that is no longer there, or no memory.
//!
//! Our files are never cut while they are mapped, but other programs, full disks that lie and failing ones can take a page
//! away under us; then the kernel sends SIGBUS. It is told in one line, and the program ends at once, as if it had been
//! killed, which everything here survives: the lock goes with the process, and the next writer recovers. Whoever is not
//! to be killed by a signal, because a mail server returns mail then, gets the exit status that fits.
//!
//! The handlers do only what a signal handler may: system calls, atomics, and their own stack.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::{CWD, Mode, OFlags};
use signal_hook::consts::{SIGABRT, SIGBUS, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, exit};

use crate::cli::exit::Exit;

/// With what the program ends.
static STATUS: AtomicI32 = AtomicI32::new(Exit::Unusable.code() as i32);

/// A line of `/proc/self/maps` with the longest path there is.
const LINE: usize = 4096 + 128;

/// From now on these signals are told. A file that grows beyond what it may (`ulimit -f`) is an error of the call only.
pub fn tell() {
    // SAFETY: (1) `lost_page` does only what a signal handler may, and never unwinds: it makes system calls, and compares
    // bytes in an array of its own; (2) SIGBUS has an address where the kernel sent it because of a fault, which is only
    // looked at, never followed.
    let told = unsafe {
        signal_hook_registry::register_sigaction(SIGBUS, |info| {
            lost_page(if info.si_code > 0 { info.si_addr() as usize } else { 0 });
        })
    };
    // Where there is no handler the signal ends the program, too.
    drop(told);
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
}

/// From now on this is the status, also for who has no memory left, which the run-time ends with SIGABRT.
pub fn end_with(status: Exit) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    STATUS.store(status.code().into(), Ordering::Relaxed);
    ONCE.call_once(|| {
        // SAFETY: the handler loads an atomic and ends the process by a system call, which a signal handler may.
        let told = unsafe { signal_hook_registry::register(SIGABRT, || exit(STATUS.load(Ordering::Relaxed))) };
        drop(told);
    });
}

/// Tells which of our files it was, and ends the program. What is none of them is a bug, and dies of the signal.
fn lost_page(address: usize) {
    let mut line = [0; LINE];
    let path = mapped_at(address, &mut line);
    let name = path.and_then(|path| path.rsplit(|&byte| byte == b'/').next());
    let (Some(path), true) = (path, name.is_some_and(|name| name.starts_with(b"maildex."))) else {
        let _ = emulate_default_handler(SIGBUS);
        return;
    };
    // SAFETY: nothing closes the standard error of this process, and the run-time sees to it that there is one.
    let stderr = unsafe { BorrowedFd::borrow_raw(2) };
    for piece in [
        b"maildex: ".as_slice(),
        path,
        b": a part of it has gone, or cannot be read, while it was in use\nhint: see what is left with maildex check\n",
    ] {
        let _ = rustix::io::write(stderr, piece);
    }
    exit(STATUS.load(Ordering::Relaxed));
}

/// The file that is mapped at an address, without what could harm a terminal.
fn mapped_at(address: usize, line: &mut [u8; LINE]) -> Option<&[u8]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let maps = rustix::fs::openat(CWD, c"/proc/self/maps", flags, Mode::empty()).ok()?;
    let mut filled = 0;
    loop {
        let got = rustix::io::read(maps.as_fd(), &mut line[filled..]).ok()?;
        filled += got;
        // `7f00-7f10 rw-s 00000000 fe:00 1234    /path`
        while let Some(len) = line[..filled].iter().position(|&byte| byte == b'\n') {
            if is_within(address, &line[..len]) {
                let start = line[..len].iter().position(|&byte| byte == b'/')?;
                for byte in &mut line[start..len] {
                    if byte.is_ascii_control() {
                        *byte = b'?';
                    }
                }
                return Some(&line[start..len]);
            }
            line.copy_within(len + 1..filled, 0);
            filled -= len + 1;
        }
        if got == 0 || filled == line.len() {
            return None;
        }
    }
}

/// Whether a line of `/proc/self/maps` is of this address.
fn is_within(address: usize, line: &[u8]) -> bool {
    let mut bounds = [0usize; 2];
    let mut bound = 0;
    for &byte in line {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) => bounds[bound] = bounds[bound] << 4 | digit as usize,
            (None, b'-') if bound == 0 => bound = 1,
            _ => break,
        }
    }
    bound == 1 && (bounds[0]..bounds[1]).contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_found_by_any_address_in_it() {
        assert!(is_within(0x7f00, b"7f00-7f10 rw-s 00000000 fe:00 1234    /path"));
        assert!(is_within(0x7f0f, b"7f00-7f10 rw-s 00000000 fe:00 1234    /path"));
        assert!(!is_within(0x7f10, b"7f00-7f10 rw-s 00000000 fe:00 1234    /path"));
        assert!(
            !is_within(0x7eff, b"7f00-7f10 rw-s 00000000 fe:00 1234    /path")
                && !is_within(0, b"")
                && !is_within(0, b"0")
        );
        let mut line = [0; LINE];
        let here = a_map_is_found_by_any_address_in_it as fn() as usize;
        let program = std::env::current_exe().unwrap();
        assert_eq!(mapped_at(here, &mut line), Some(program.as_os_str().as_encoded_bytes()));
        assert_eq!(mapped_at(0, &mut line), None);
    }
}
