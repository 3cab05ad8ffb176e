//! A mail that is being written: in `tmp/`, under a name that nobody else has, and moved to its place when it is whole
//! and durable (<https://cr.yp.to/proto/maildir.html>).

use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use crate::dir::{Access, Dir};
use crate::error::{Error, Result};
use crate::maildir::Maildir;
use crate::system;

/// Where mail is written.
pub const TMP: &str = "tmp";

/// A mail in `tmp/`; removed when dropped before it was put in place. It has no name until then where that can be had
/// (`O_TMPFILE`), so that a writer that is killed leaves nothing.
#[derive(Debug)]
pub struct Draft {
    tmp: Dir,
    base: String,
    file: File,
    /// It has a name in `tmp/`, the base.
    is_named: bool,
}

impl Draft {
    /// Begins a mail.
    pub fn begin(maildir: &Maildir, access: &Access) -> Result<Draft> {
        let tmp = maildir.root().sub(TMP)?;
        let base = unique_base();
        let (file, is_named) = match tmp.create_unnamed(access) {
            Ok(file) if can_be_linked(&file) => (file, false),
            _ => (tmp.create_file(&base, access)?, true),
        };
        Ok(Draft { tmp, base, file, is_named })
    }

    /// Takes the contents, to their end. Returns how many bytes there are.
    pub fn write(&mut self, contents: &mut dyn Read) -> Result<u64> {
        let failed = |doing, path: &str| {
            let path = self.tmp.path().join(path);
            move |source: io::Error| Error::Io { path, doing, source }
        };
        let mut buffer = vec![0; 64 << 10];
        let mut len = 0;
        loop {
            let read = match contents.read(&mut buffer) {
                Ok(0) => return Ok(len),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::Io { path: "standard input".into(), doing: "cannot read", source }),
            };
            self.file.write_all(&buffer[..read]).map_err(failed("cannot write", &self.base))?;
            len += read as u64;
        }
    }

    /// Takes the contents of another file, shared with it where the file system can do that.
    pub fn copy(&mut self, from: &mut File) -> Result<()> {
        let path = || self.tmp.path().join(&self.base);
        let copied = io::copy(from, &mut self.file).map(drop);
        copied.map_err(|source| Error::Io { path: path(), doing: "cannot write", source })
    }

    /// Sets its time of delivery, and its mode if it is to have that of another mail; and makes it durable.
    pub fn finish(&self, received: SystemTime, mode: Option<Mode>) -> Result<()> {
        self.set(received, mode)?;
        self.file.sync_all().map_err(|source| self.unfinished(source))
    }

    /// The same without making it durable, for who does that with many at once.
    pub(crate) fn set(&self, received: SystemTime, mode: Option<Mode>) -> Result<()> {
        let times = FileTimes::new().set_modified(received);
        let done = mode.map_or(Ok(()), |mode| rustix::fs::fchmod(&self.file, mode)).map_err(io::Error::from);
        done.and_then(|()| self.file.set_times(times)).map_err(|source| self.unfinished(source))
    }

    fn unfinished(&self, source: io::Error) -> Error {
        Error::Io { path: self.tmp.path().join(&self.base), doing: "cannot finish", source }
    }

    /// Makes it durable, with all that was written to its file system.
    pub(crate) fn sync_all(&self) -> Result<()> {
        rustix::fs::syncfs(&self.file).map_err(Error::io("cannot sync", self.tmp.path()))
    }

    /// What it is by now.
    pub fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.file).map_err(Error::io("cannot stat", self.tmp.path().join(&self.base)))
    }

    /// The file, to be read from its beginning.
    pub fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    /// Its base name; there is no other mail with that.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Moves it to its place, with what is to follow its base name, and makes that durable. Returns its file name.
    pub fn place(self, dir: &Dir, info: &[u8]) -> Result<Vec<u8>> {
        let name = [self.base.as_bytes(), info].concat();
        self.place_as(dir, &name).map(|()| name)
    }

    /// The same under any name that is not taken.
    pub fn place_as(self, dir: &Dir, name: &[u8]) -> Result<()> {
        let path = || dir.path().join(OsStr::from_bytes(name));
        self.link_as(dir, name).map_err(|errno| Error::io("cannot put in place", path())(errno))?;
        if let Err(error) = dir.sync() {
            // What failed must not be left beside the mail that it was to replace.
            let _ = rustix::fs::unlinkat(dir, OsStr::from_bytes(name), AtFlags::empty());
            return Err(error);
        }
        Ok(())
    }

    /// The same for who syncs the directory later.
    pub(crate) fn link_as(mut self, dir: &Dir, name: &[u8]) -> Result<(), Errno> {
        if self.is_named {
            rename_new(&self.tmp, self.base.as_bytes(), dir, name)?;
        } else {
            dir.link_unnamed(&self.file, OsStr::from_bytes(name))?;
        }
        self.is_named = false;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.is_named {
            let _ = self.tmp.unlink(&self.base);
        }
    }
}

/// Whether a file without a name can get one: by way of `/proc`, which may be missing.
fn can_be_linked(file: &File) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{}", file.as_raw_fd())).is_ok()
}

/// Mail that has left its place, in `tmp/`, where nobody takes it for mail; removed when dropped.
#[derive(Debug)]
pub struct Withdrawn {
    tmp: Dir,
    base: String,
    is_gone: bool,
}

impl Withdrawn {
    /// Takes a mail away.
    pub fn take(maildir: &Maildir, dir: &Dir, name: &[u8]) -> Result<Withdrawn> {
        let (tmp, base) = (maildir.root().sub(TMP)?, unique_base());
        let path = || dir.path().join(OsStr::from_bytes(name));
        rename_new(dir, name, &tmp, base.as_bytes()).map_err(|errno| Error::io("cannot take away", path())(errno))?;
        Ok(Withdrawn { tmp, base, is_gone: false })
    }

    /// What it is, now that nobody else reaches it.
    pub fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.tmp, &self.base, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Removes it, and says if that cannot be.
    pub fn remove(mut self) -> Result<()> {
        self.is_gone = true;
        self.tmp.unlink(&self.base)
    }

    /// Puts it back. If that cannot be it stays in `tmp/`, for it may be the only one.
    pub fn put_back(mut self, dir: &Dir, name: &[u8]) -> Result<()> {
        self.is_gone = true;
        rename_new(&self.tmp, self.base.as_bytes(), dir, name)
            .map_err(Error::io("cannot put back", self.tmp.path().join(&self.base)))
    }
}

impl Drop for Withdrawn {
    fn drop(&mut self) {
        if !self.is_gone {
            let _ = self.tmp.unlink(&self.base);
        }
    }
}

/// Renames a mail, and never over another file: `EXIST`.
pub fn rename_new(from_dir: &Dir, from: &[u8], to_dir: &Dir, to: &[u8]) -> Result<(), Errno> {
    let (from, to) = (OsStr::from_bytes(from), OsStr::from_bytes(to));
    match rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
        // A file system that cannot rename so: a second name is never made over a file either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())?;
            // Somebody else may have renamed or removed it meanwhile. Then that counts, and the mail must not be there twice.
            rustix::fs::unlinkat(from_dir, from, AtFlags::empty())
                .inspect_err(|_| _ = rustix::fs::unlinkat(to_dir, to, AtFlags::empty()))
        }
        renamed => renamed,
    }
}

/// A base name that was never used: time, microseconds, process, how many it made, and random bits, which tell processes
/// of two containers apart; then the host.
pub(crate) fn unique_base() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let now = system::now();
    let (seconds, micros) = (now.tv_sec, now.tv_nsec / 1000);
    let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let random = u32::from_ne_bytes(system::random());
    let host = rustix::system::uname().nodename().to_string_lossy().replace('/', "\\057").replace(':', "\\072");
    // What would be read as flags or as a sync program's mark has no place in a base name.
    let host: String = host.chars().filter(|c| !c.is_control() && !",;!".contains(*c)).take(100).collect();
    format!("{seconds}.M{micros}P{process}Q{made}R{random:08x}.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::name::{Name, stem};

    #[test]
    fn base_names_are_never_the_same_and_are_nothing_else() {
        let (one, other) = (unique_base(), unique_base());
        assert_ne!(one, other);
        for base in [one, other] {
            assert!(Name::parse(base.as_bytes()).is_bare() && stem(base.as_bytes()) == base.as_bytes(), "{base}");
            assert!(base.len() < 200 && !base.contains('/') && !base.starts_with('.'), "{base}");
        }
    }
}
