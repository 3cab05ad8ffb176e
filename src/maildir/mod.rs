//! The folder as other programs see it: directories, names, flags, headers.
//!
//! Everybody else may rename, deliver and delete at any time. Nothing in here remembers anything; what it returns was
//! true at one moment during the call.

pub mod change;
pub mod draft;
pub mod flags;
pub mod keywords;
pub mod listing;
pub mod mime;
pub mod name;
pub mod short;
pub mod summary;
pub mod transfer;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::dir::{Access, Dir};
use crate::error::{Error, Result};

/// The two directories of a Maildir that hold mail. `tmp/` holds mail that is being written and is never looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sub {
    /// Delivered, not yet seen by a mail reader.
    New,
    /// Taken up by a mail reader.
    Cur,
}

impl Sub {
    /// Both, in the order in which they are listed: mail moves from `new/` to `cur/`, so it is met at least once.
    pub const ALL: [Sub; 2] = [Sub::New, Sub::Cur];

    /// Its name in the folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sub::New => "new",
            Sub::Cur => "cur",
        }
    }
}

/// A Maildir that was opened.
#[derive(Debug)]
pub struct Maildir {
    root: Arc<Dir>,
}

impl Maildir {
    /// Takes a folder that has at least one of `new/` and `cur/`, or, if `even_if_empty`, any folder.
    pub fn new(root: Arc<Dir>, even_if_empty: bool) -> Result<Maildir> {
        let maildir = Maildir { root };
        if !even_if_empty && !Sub::ALL.into_iter().any(|sub| maildir.sub(sub).is_ok()) {
            return Err(Error::NotAMaildir { path: maildir.path().to_path_buf() });
        }
        Ok(maildir)
    }

    /// The folder.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// The same, for those who keep it.
    pub fn dir(&self) -> &Arc<Dir> {
        &self.root
    }

    /// Where the folder was when it was opened.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Opens `new/` or `cur/`. Not kept open: another directory may stand there the next time.
    pub fn sub(&self, sub: Sub) -> Result<Dir> {
        self.root.sub(sub.as_str())
    }

    /// Who may use files of ours: what `cur/` grants to its group, and nobody else. Files that root makes in another
    /// user's folder belong to that user.
    pub fn access(&self) -> Access {
        let stat = rustix::fs::statat(&self.root, Sub::Cur.as_str(), AtFlags::SYMLINK_NOFOLLOW)
            .or_else(|_| rustix::fs::fstat(&*self.root));
        Access::as_in(stat.ok().as_ref())
    }

    /// The path of a mail, for people and scripts.
    pub fn path_of(&self, sub: Sub, name: &[u8]) -> PathBuf {
        self.path().join(sub.as_str()).join(OsStr::from_bytes(name))
    }
}

/// Opens a mail for reading: a plain file, never through a symbolic link, and without ever waiting for a fifo.
pub fn open_mail(dir: &Dir, name: &[u8]) -> Result<(File, Stat), Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(dir, OsStr::from_bytes(name), flags, Mode::empty());
    let fd = rustix::io::retry_on_intr(open)?;
    let stat = rustix::fs::fstat(&fd)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((File::from(fd), stat)),
        _ => Err(Errno::LOOP),
    }
}

/// A file's mtime in nanoseconds since 1970; for mail that is the time of delivery.
pub fn mtime_ns(stat: &Stat) -> i64 {
    ns(stat.st_mtime, stat.st_mtime_nsec as i64)
}

/// Seconds and nanoseconds in one number. Times beyond the year 2262 wrap, which is still good for `!=`.
pub(crate) fn ns(sec: i64, nsec: i64) -> i64 {
    sec.wrapping_mul(1_000_000_000).wrapping_add(nsec)
}

/// Whether two times of delivery are the same. Some programs that copy or unpack keep whole seconds only.
pub(crate) fn is_same_time(a_ns: i64, b_ns: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    let whole = a_ns.rem_euclid(SECOND) == 0 || b_ns.rem_euclid(SECOND) == 0;
    a_ns == b_ns || (whole && a_ns.div_euclid(SECOND) == b_ns.div_euclid(SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_opened_and_a_fifo_does_not_stop_us() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        std::fs::write(temp.path().join("mail"), "x").unwrap();
        std::os::unix::fs::symlink("mail", temp.path().join("link")).unwrap();
        std::fs::create_dir(temp.path().join("directory")).unwrap();
        rustix::fs::mknodat(&dir, "fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
        assert!(open_mail(&dir, b"mail").is_ok());
        for (name, errno) in
            [("link", Errno::LOOP), ("directory", Errno::LOOP), ("fifo", Errno::LOOP), ("socket", Errno::NXIO)]
        {
            assert_eq!(open_mail(&dir, name.as_bytes()).err(), Some(errno), "{name}");
        }
    }
}
