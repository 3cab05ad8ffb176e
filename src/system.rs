//! Small things that only the operating system knows.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::format::header::BootId;

/// The id that the kernel draws at each boot (`/proc/sys/kernel/random/boot_id`).
pub(crate) fn boot_id() -> Result<BootId> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH).map_err(|source| Error::Io {
        path: PATH.into(),
        doing: "cannot read",
        source,
    })?;
    let digits = text.chars().filter_map(|c| c.to_digit(16));
    Ok(digits.fold(0u128, |id, digit| id << 4 | u128::from(digit)).to_le_bytes())
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

/// Seconds and nanoseconds since 1970 by the wall clock.
pub(crate) fn now() -> rustix::time::Timespec {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime)
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
