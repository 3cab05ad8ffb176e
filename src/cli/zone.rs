//! The time zone of whoever reads.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::tz::TimeZone;

/// Where zones lie, unless `TZDIR` says otherwise.
const ZONES: &str = "/usr/share/zoneinfo";

/// A larger file is no zone.
const FILE_MAX: u64 = 1 << 20;

/// Local time: what `TZ` names, else that of the system.
///
/// A zone's file is opened by its name. The database of the time crate, which would find it whatever its case, reads all
/// of the directory first, and that takes longer than most of our commands.
pub fn local() -> TimeZone {
    std::env::var_os("TZ").and_then(|name| named(&name)).unwrap_or_else(TimeZone::system)
}

/// The zone of a file; `None` for what is no name of one, such as `UTC-9`.
fn named(name: &OsStr) -> Option<TimeZone> {
    let bytes = name.as_bytes();
    let path = Path::new(OsStr::from_bytes(bytes.strip_prefix(b":").unwrap_or(bytes)));
    if path.as_os_str().is_empty() {
        return None;
    }
    let directory = std::env::var_os("TZDIR").unwrap_or_else(|| ZONES.into());
    let file = Path::new(&directory).join(path); // an absolute path stays as it is
    let meta = std::fs::metadata(&file).ok().filter(|meta| meta.is_file() && meta.len() <= FILE_MAX);
    let data = meta.and_then(|_| std::fs::read(&file).ok())?;
    TimeZone::tzif(&path.to_string_lossy(), &data).ok()
}
