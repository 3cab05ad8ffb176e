//! What stands in `new/` and `cur/`, and whether it can have changed since.
//!
//! A directory read in pieces is not a snapshot: while another program renames, names that exist all the time are
//! missed (ext4, 50,000 files, a renamer beside it: every scan). One `getdents64` call that fits the whole directory
//! runs under the directory's own lock in the kernel and misses none. So a listing is one call into a buffer that is
//! large enough, and counts only if the next call says "end". A signal may split the call; that shows in the same way,
//! and the listing starts over.

use rustix::fs::{AtFlags, FileType, RawDir, SeekFrom, StatxFlags};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::maildir::{Sub, ns};
use crate::system;

/// A directory can be told to be unchanged only if its times were older than this when it was read: within one tick of
/// the file system's clock (up to 2 s, on FAT) a second change leaves no trace.
const SETTLES_AFTER_NS: i64 = 2_000_000_000;

/// Within one tick of the kernel's coarse clock (at most 10 ms) a local file system may give two changes the same time.
const TICK_NS: u64 = 10_000_000;

/// Tries before a directory that cannot be read in one call is given up.
const MAX_TRIES: usize = 64;

/// The names in a directory, at one moment.
#[derive(Debug, Default)]
pub struct Listing {
    bytes: Vec<u8>,
    names: Vec<NameAt>,
    /// Names that are no plain files, and what they are. Never opened.
    pub odd: Vec<(Vec<u8>, &'static str)>,
}

#[derive(Debug, Clone, Copy)]
struct NameAt {
    ino: u64,
    at: u32,
    len: u32,
}

/// One name of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The file name.
    pub name: &'a [u8],
    /// Its inode, as the directory has it.
    pub ino: u64,
}

impl Listing {
    /// Lists a directory. Names with a leading dot are none of ours (the Maildir page).
    pub fn read(dir: &Dir) -> Result<Listing> {
        let failed = |errno| Error::io("cannot list", dir.path())(errno);
        let stat = rustix::fs::fstat(dir).map_err(failed)?;
        let mut room = usize::try_from(stat.st_size).unwrap_or(0) * 3 / 2 + (256 << 10);
        for _ in 0..MAX_TRIES {
            match Listing::read_at_once(dir, room).map_err(failed)? {
                Some(listing) => return Ok(listing),
                // Too small, or split by a signal; twice the room costs nothing until it is used.
                None => room = room.saturating_mul(2).min(i32::MAX as usize),
            }
        }
        Err(Error::KeepsChanging { path: dir.path().to_path_buf() })
    }

    /// `None` if one call did not bring it all.
    fn read_at_once(dir: &Dir, room: usize) -> Result<Option<Listing>, Errno> {
        rustix::fs::seek(dir, SeekFrom::Start(0))?;
        let mut buffer = Box::new_uninit_slice(room);
        let mut raw = RawDir::new(dir, &mut buffer);
        let mut listing = Listing::default();
        let mut calls = 0;
        loop {
            calls += usize::from(raw.is_buffer_empty());
            let entry = match raw.next() {
                None => return Ok(Some(listing)),
                Some(Err(Errno::INVAL)) => return Ok(None), // not even one name fits
                Some(entry) => entry?,
            };
            if calls > 1 {
                return Ok(None);
            }
            listing.push(entry.file_name().to_bytes(), entry.ino(), entry.file_type());
        }
    }

    fn push(&mut self, name: &[u8], ino: u64, kind: FileType) {
        if name.starts_with(b".") {
            return;
        }
        let odd = match kind {
            // Some file systems do not tell; opening the mail will.
            FileType::RegularFile | FileType::Unknown => {
                self.names.push(NameAt { ino, at: self.bytes.len() as u32, len: name.len() as u32 });
                self.bytes.extend_from_slice(name);
                return;
            }
            FileType::Directory => "a directory",
            FileType::Symlink => "a symbolic link",
            FileType::Fifo => "a fifo",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        self.odd.push((name.to_vec(), odd));
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name at a position below [`Listing::len`].
    pub fn get(&self, position: usize) -> Listed<'_> {
        let NameAt { ino, at, len } = self.names[position];
        Listed { name: &self.bytes[at as usize..][..len as usize], ino }
    }

    /// All of them, in the directory's order.
    pub fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        (0..self.len()).map(|position| self.get(position))
    }
}

/// What a directory's inode says of it: which one it is, and when it last changed.
///
/// Compared for equality only: wall clocks go backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Time of birth in nanoseconds, 0 where the file system has none.
    pub btime_ns: i64,
    /// Time of the last change of its names, in nanoseconds.
    pub mtime_ns: i64,
    /// Time of the last change of its inode, in nanoseconds.
    pub ctime_ns: i64,
    /// Whether an equal stamp proves that nothing changed since.
    pub settled: bool,
}

impl Stamp {
    /// The stamp of `new/` or `cur/` now; `None` if it is not there. Anything else under that name is an error: a link to
    /// a directory is not followed, and must not look like an empty folder.
    pub fn now(root: &Dir, sub: Sub) -> Result<Option<Stamp>> {
        let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MTIME | StatxFlags::CTIME | StatxFlags::BTIME;
        let stat = match rustix::fs::statx(root, sub.as_str(), AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::io("cannot stat", root.path().join(sub.as_str()))(errno)),
        };
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory {
            let path = root.path().join(sub.as_str());
            return Err(Error::io("cannot list", path)(Errno::NOTDIR));
        }
        let clock = system::now();
        let mtime_ns = ns(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec.into());
        let ctime_ns = ns(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec.into());
        let settled_before = ns(clock.tv_sec, clock.tv_nsec).wrapping_sub(SETTLES_AFTER_NS);
        Ok(Some(Stamp {
            dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            btime_ns: ns(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec.into()),
            mtime_ns,
            ctime_ns,
            settled: mtime_ns < settled_before && ctime_ns < settled_before,
        }))
    }

    /// Whether this, recorded before a listing, proves that the listing still is true.
    pub fn proves(&self, now: &Stamp) -> bool {
        self.settled && Stamp { settled: true, ..*now } == *self
    }

    /// Whether the clock has ticked since the last change, so that every change from now on makes another stamp.
    pub fn has_ticked(&self) -> bool {
        let clock = system::now();
        let age = |time_ns| ns(clock.tv_sec, clock.tv_nsec).abs_diff(time_ns);
        age(self.mtime_ns) > TICK_NS && age(self.ctime_ns) > TICK_NS
    }

    /// Whether both are of one directory that did not change in between.
    pub fn is_same_state(&self, other: &Stamp) -> bool {
        Stamp { settled: self.settled, ..*other } == *self
    }

    /// Whether both are of one directory. A device number alone may change when a file system is mounted again.
    pub fn is_same_directory(&self, other: &Stamp) -> bool {
        (self.ino, self.btime_ns) == (other.ino, other.btime_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_listing_that_does_not_fit_one_call_starts_over() {
        let temp = tempfile::tempdir().unwrap();
        let names: BTreeSet<Vec<u8>> = (0..300).map(|n| format!("{n:0>100}").into_bytes()).collect();
        for name in &names {
            std::fs::write(temp.path().join(std::str::from_utf8(name).unwrap()), "").unwrap();
        }
        std::fs::write(temp.path().join(".hidden"), "").unwrap();
        std::fs::create_dir(temp.path().join("directory")).unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        assert!(Listing::read_at_once(&dir, 8 << 10).unwrap().is_none(), "8 KiB hold 70 of 300 names");
        assert!(Listing::read_at_once(&dir, 16).unwrap().is_none(), "16 bytes hold none");
        let listing = Listing::read(&dir).unwrap();
        assert_eq!(listing.iter().map(|l| l.name.to_vec()).collect::<BTreeSet<_>>(), names);
        assert_eq!(listing.odd, [(b"directory".to_vec(), "a directory")]);
    }

    #[test]
    fn a_stamp_proves_nothing_until_it_has_settled() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("new")).unwrap();
        std::fs::write(temp.path().join("cur"), "").unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let stamp = Stamp::now(&root, Sub::New).unwrap().unwrap();
        assert!(!stamp.settled && !stamp.proves(&stamp));
        let settled = Stamp { settled: true, ..stamp };
        assert!(settled.proves(&stamp));
        assert!(!settled.proves(&Stamp { ctime_ns: stamp.ctime_ns - 1, ..stamp }));
        for other in [Stamp { ino: stamp.ino + 1, ..stamp }, Stamp { dev: stamp.dev + 1, ..stamp }] {
            assert!(!settled.proves(&other), "another directory with the same times");
        }
        assert!(settled.is_same_directory(&Stamp { dev: 0, mtime_ns: 0, ..stamp }));
        for other in [Stamp { ino: stamp.ino + 1, ..stamp }, Stamp { btime_ns: stamp.btime_ns + 1, ..stamp }] {
            assert!(!settled.is_same_directory(&other), "an inode number is given out again");
        }
        assert!(Stamp::now(&root, Sub::Cur).is_err(), "a file is no directory");
    }

    #[test]
    fn a_stamp_settles_when_both_of_its_times_are_old() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let set_mtime = |sub: &str, time| {
            let directory = std::fs::File::open(temp.path().join(sub)).unwrap();
            directory.set_times(std::fs::FileTimes::new().set_modified(time)).unwrap();
        };
        let (now, hour) = (std::time::SystemTime::now(), std::time::Duration::from_hours(1));
        for (sub, mtime) in [("new", now - hour), ("cur", now + hour)] {
            std::fs::create_dir(temp.path().join(sub)).unwrap();
            set_mtime(sub, mtime);
        }
        let is_settled = |sub| Stamp::now(&root, sub).unwrap().unwrap().settled;
        assert!(!is_settled(Sub::New), "its mtime was put back a moment ago, which its ctime shows");
        while !is_settled(Sub::New) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(!is_settled(Sub::Cur), "its ctime is as old, its mtime is not");
    }
}
