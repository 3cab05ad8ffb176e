//! Small things that only the operating system knows.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::time::Timespec;

use crate::error::{Error, Result};
use crate::format::header::BootId;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Bytes read of a small file.
const SMALL_MAX: usize = 4096;

/// The id that the kernel draws at each boot.
pub(crate) fn boot_id() -> Result<BootId> {
    let text = boot_id_text().map_err(|source| Error::Io { path: BOOT_ID.into(), doing: "cannot read", source })?;
    let digits = text.chars().filter_map(|c| c.to_digit(16));
    Ok(digits.fold(0u128, |id, digit| id << 4 | u128::from(digit)).to_le_bytes())
}

/// The same as the kernel writes it. Read once: no process outlives it.
pub(crate) fn boot_id_text() -> io::Result<&'static str> {
    static TEXT: OnceLock<String> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(text);
    }
    let text = read_small(&File::open(BOOT_ID)?)?;
    Ok(TEXT.get_or_init(|| text.trim_end().to_string()))
}

/// The beginning of a small file, such as those in `/proc`, which have no size to go by, and are made anew with each look.
pub(crate) fn read_small(file: &File) -> io::Result<String> {
    let mut bytes = [0; SMALL_MAX];
    let mut len = 0;
    while len < SMALL_MAX {
        match file.read_at(&mut bytes[len..], len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
}

/// The permissions that new files of this process do not get.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    text.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o077)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(errno) => panic!("the kernel gives no random bytes: {errno}"),
        }
    }
    bytes
}

/// Seconds and nanoseconds since 1970 by the wall clock. From the standard library: the other way to ask looks for the
/// kernel's shortcut at each start.
pub(crate) fn now() -> Timespec {
    let at = |time: Duration| (time.as_secs() as i64, i64::from(time.subsec_nanos()));
    let (tv_sec, tv_nsec) = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => at(since),
        Err(before) => match at(before.duration()) {
            (seconds, 0) => (-seconds, 0),
            (seconds, nanoseconds) => (-seconds - 1, 1_000_000_000 - nanoseconds),
        },
    };
    Timespec { tv_sec, tv_nsec }
}

/// Makes part of a file zero, and its space taken.
pub(crate) fn write_zeros(file: &File, mut at: u64, mut len: u64) -> Result<(), Errno> {
    let zeros = [0; 4096];
    while len > 0 {
        let piece = len.min(zeros.len() as u64);
        file.write_all_at(&zeros[..piece as usize], at)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        (at, len) = (at + piece, len - piece);
    }
    Ok(())
}
