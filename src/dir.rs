//! A directory that was opened once, and the plain files in it.
//!
//! Every file of ours is opened and made through here, relative to the directory's descriptor, so that the folder may
//! be renamed under us, and never through a symbolic link or a second hard link, so that nobody can plant a name and
//! have us write into another file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, StatxFlags, Uid};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Who may read and write our files.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// The mode, whatever the umask.
    pub mode: Mode,
    /// Where root works in another user's folder, that user.
    pub owner: Option<Uid>,
    /// The group that the mode's group bits are meant for.
    pub group: Gid,
}

impl Access {
    /// What a directory grants to its group, and nobody else. Files that root makes in another user's directory belong to
    /// that user.
    pub fn as_in(directory: Option<&Stat>) -> Access {
        let (granted, user, group) = match directory {
            Some(stat) => (Mode::from_raw_mode(stat.st_mode), Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)),
            None => (Mode::empty(), rustix::process::geteuid(), rustix::process::getegid()),
        };
        Access {
            mode: Mode::RUSR | Mode::WUSR | granted & (Mode::RGRP | Mode::WGRP),
            owner: (rustix::process::geteuid().is_root() && !user.is_root()).then_some(user),
            group,
        }
    }
}

/// Which file a path names; equal as long as it is the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl From<&Stat> for FileId {
    fn from(stat: &Stat) -> FileId {
        FileId { dev: stat.st_dev, ino: stat.st_ino }
    }
}

impl Dir {
    /// Opens a directory; the path itself may lead through symbolic links.
    pub fn open(path: &Path) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("cannot open", path))?;
        Ok(Dir { fd, path: path.to_path_buf() })
    }

    /// Opens a directory in this one; never a symbolic link.
    pub fn sub(&self, name: impl AsRef<OsStr>) -> Result<Dir> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(Error::io("cannot open", &path))?;
        Ok(Dir { fd, path })
    }

    /// Opens a directory in this one, and makes it if it is not there, for the same group.
    pub fn sub_or_create(&self, name: impl AsRef<OsStr>) -> Result<Dir> {
        let name = name.as_ref();
        let stat = rustix::fs::fstat(&self.fd).map_err(Error::io("cannot stat", &self.path))?;
        let mode = Mode::RWXU | Mode::from_raw_mode(stat.st_mode) & Mode::RWXG;
        match rustix::fs::mkdirat(&self.fd, name, mode) {
            Ok(()) | Err(Errno::EXIST) => self.sub(name),
            Err(errno) => Err(Error::io("cannot create", self.path.join(name))(errno)),
        }
    }

    /// Where it was when it was opened; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    pub fn id(&self) -> Result<FileId> {
        let stat = rustix::fs::fstat(&self.fd).map_err(Error::io("cannot stat", &self.path))?;
        Ok(FileId::from(&stat))
    }

    /// The names in it, but for `.` and `..`. Where others rename meanwhile one may be missed; for mail there is
    /// [`Listing`](crate::maildir::listing::Listing).
    pub fn names(&self) -> Result<Vec<OsString>> {
        let failed = |errno| Error::io("cannot list", &self.path)(errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        Ok(names)
    }

    /// Opens a plain file of ours; `None` if the name is not there.
    pub fn open_file(&self, name: &str, write: bool) -> Result<Option<File>> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // NONBLOCK: a fifo planted under the name must not stop us.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let path = || self.path.join(name);
        loop {
            let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(self.not_ours(name)),
                Err(errno) => return Err(Error::io("cannot open", path())(errno)),
            };
            let stat = rustix::fs::fstat(&fd).map_err(Error::io("cannot stat", path()))?;
            match strange(&stat) {
                // Unlinked since: the name is gone, or stands for the file that has taken its place.
                Some(_) if stat.st_nlink == 0 => {}
                Some(found) => return Err(Error::NotOurs { path: path(), found }),
                None => return Ok(Some(File::from(fd))),
            }
        }
    }

    fn not_ours(&self, name: &str) -> Error {
        let found = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => strange(&stat).unwrap_or_else(|| "a file that changes".into()),
            Err(_) => "a name that changes".into(),
        };
        Error::NotOurs { path: self.path.join(name), found }
    }

    /// Makes a plain file that was not there before.
    pub fn create_file(&self, name: &str, access: &Access) -> Result<File> {
        let path = self.path.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(Error::io("cannot create", &path))?;
        own(fd.as_fd(), access).map_err(Error::io("cannot set the mode", &path))?;
        Ok(File::from(fd))
    }

    /// Opens a permanent file of ours, and makes it if it is not there.
    pub fn open_or_create(&self, name: &str, access: &Access) -> Result<File> {
        loop {
            if let Some(file) = self.open_file(name, true)? {
                return Ok(file);
            }
            match self.create_file(name, access) {
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                made => return made,
            }
        }
    }

    /// Makes a file without a name (`O_TMPFILE`), to be given one by [`Dir::link_unnamed`].
    pub fn create_unnamed(&self, access: &Access) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, ".", flags, Mode::RUSR | Mode::WUSR)?;
        own(fd.as_fd(), access)?;
        Ok(File::from(fd))
    }

    /// Gives a file made by [`Dir::create_unnamed`] its name; `EXIST` if that is taken.
    pub fn link_unnamed(&self, file: &File, name: impl AsRef<OsStr>) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(rustix::fs::CWD, source, &self.fd, name.as_ref(), AtFlags::SYMLINK_FOLLOW)
    }

    /// The file that a name stands for now; `None` if there is none.
    pub fn id_of(&self, name: &str) -> Result<Option<FileId>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileId::from(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("cannot stat", self.path.join(name))(errno)),
        }
    }

    /// Renames within the directory, over what is there.
    pub fn rename(&self, from: &str, to: impl AsRef<OsStr>) -> Result<()> {
        let to = to.as_ref();
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(Error::io("cannot rename to", self.path.join(to)))
    }

    /// Removes a name; done, too, if it was not there.
    pub fn unlink(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(self.not_ours(name)),
            Err(errno) => Err(Error::io("cannot remove", self.path.join(name))(errno)),
        }
    }

    /// Makes the names in it durable.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(Error::io("cannot sync", &self.path))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives a new file to those who may use it. Where its group cannot be given, nobody's group may.
fn own(fd: BorrowedFd<'_>, access: &Access) -> Result<(), Errno> {
    let Access { mode, owner, group } = *access;
    let is_right = rustix::fs::fstat(fd)?.st_gid == group.as_raw();
    let wanted = owner.is_some() || (!is_right && mode.intersects(Mode::RWXG));
    let given = !wanted || rustix::fs::fchown(fd, owner, Some(group)).is_ok();
    rustix::fs::fchmod(fd, if given || is_right { mode } else { mode - Mode::RWXG })
}

/// The file behind an open descriptor.
pub fn id_of_file(file: &File) -> Result<FileId, Errno> {
    Ok(FileId::from(&rustix::fs::fstat(file)?))
}

/// When a file was born, in nanoseconds since 1970; `None` where the file system does not know. No program can set it, so
/// a copy, or a file that was restored from a back-up, has another one.
pub fn born_ns(file: &File) -> Option<i64> {
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
    let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    known.then(|| crate::maildir::ns(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec.into()))
}

/// What makes a file none of ours; `None` for a plain file with one link.
fn strange(stat: &Stat) -> Option<String> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink == 1 => return None,
        FileType::RegularFile => format!("a file with {} links", stat.st_nlink),
        FileType::Directory => "a directory".into(),
        FileType::Symlink => "a symbolic link".into(),
        FileType::Fifo => "a fifo".into(),
        FileType::Socket => "a socket".into(),
        _ => "a device".into(),
    })
}
