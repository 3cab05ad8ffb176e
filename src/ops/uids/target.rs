//! Where a list of UIDs is written to: a file that takes its place when it is whole, and none that is precious.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use crate::dir::{Access, Dir};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::maildir::Sub;
use crate::system;
use crate::uidlist::Format;

/// Our files begin with this.
const OURS: &[u8] = b"maildex.";

/// What a path leads to.
pub(super) enum Target {
    /// A pipe, a terminal, a device: is just written to.
    Stream(File),
    /// The list that another program keeps in the folder.
    Neighbour(Format),
    /// Any other file.
    File(Place),
}

/// A name in a directory.
pub(super) struct Place {
    pub(super) dir: Arc<Dir>,
    pub(super) name: OsString,
}

impl Target {
    /// Looks where a path leads, and refuses what must not be overwritten.
    pub(super) fn of(folder: &Folder, path: &Path) -> Result<Target> {
        let failed = |doing| move |source| Error::Io { path: path.to_path_buf(), doing, source };
        let refuse = |what| Err(Error::NotATarget { path: path.to_path_buf(), what });
        if let Ok(found) = fs::metadata(path)
            && !found.is_file()
        {
            let file = fs::OpenOptions::new().write(true).open(path);
            return file.map(Target::Stream).map_err(failed("cannot write"));
        }
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        // A link stays one: the file that it leads to is replaced.
        let real = if is_link { fs::canonicalize(path).map_err(failed("cannot follow"))? } else { path.to_path_buf() };
        let Some(name) = real.file_name() else { return refuse("is no name of a file") };
        let parent = real.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let dir = Arc::new(Dir::open(parent)?);
        let (here, root) = (dir.id()?, folder.maildir().root());
        if Sub::ALL.into_iter().any(|sub| root.sub(sub.as_str()).is_ok_and(|sub| sub.id().ok() == Some(here))) {
            return refuse("is mail, or would be taken for it");
        }
        let (in_folder, beside_index) = (here == root.id()?, here == folder.dir().id()?);
        if (in_folder || beside_index) && name.as_bytes().starts_with(OURS) {
            return refuse("has a name that is kept for the files of the index");
        }
        if let Some(format) = neighbour(name) {
            return match (in_folder, is_link) {
                (true, false) => Ok(Target::Neighbour(format)),
                (true, true) => refuse("leads to the list that another program keeps in the folder"),
                (false, _) if dir.sub("cur").is_ok() => refuse("is the list that a program keeps of another folder"),
                (false, _) => Ok(Target::File(Place { dir, name: name.to_os_string() })),
            };
        }
        if in_folder && is_precious(&real)? {
            return refuse("is a file in the folder that is no list of UIDs");
        }
        Ok(Target::File(Place { dir, name: name.to_os_string() }))
    }
}

/// The format in which a program keeps its list under this name.
fn neighbour(name: &OsStr) -> Option<Format> {
    Format::ALL.into_iter().find(|format| format.file_name().is_some_and(|file| name == file))
}

/// Whether there is something else than a list.
fn is_precious(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(64).read_to_end(&mut start)) {
        Ok(0) => Ok(false),
        Ok(_) => Ok(Format::of(&start).is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { path: path.into(), doing: "cannot read", source }),
    }
}

/// A file that is being written, to take the place of another one when it is whole. Until then it has no name where that
/// can be had, so that a writer that is killed leaves nothing.
pub(super) struct Replacement {
    place: Place,
    file: File,
    tmp: String,
    is_named: bool,
    before: Option<Stat>,
}

impl Replacement {
    /// Begins it. Mode and owner are those of the file that is there, else as `access` says, else the usual ones.
    pub(super) fn begin(place: Place, access: Option<Access>) -> Result<Replacement> {
        let before = match rustix::fs::statat(&*place.dir, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Some(stat),
            Ok(_) => return Err(Error::NotATarget { path: place.path(), what: "is no plain file" }),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(Error::io("cannot stat", place.path())(errno)),
        };
        let mode = Mode::from_raw_mode(before.map_or(0o666 & !system::umask(), |stat| stat.st_mode & 0o7777));
        let usual = || Access { mode, owner: None, group: rustix::process::getegid() };
        let access = before.map(|_| usual()).or(access).unwrap_or_else(usual);
        let tmp = format!(".maildex-uids.{}", std::process::id());
        place.dir.unlink(&tmp)?;
        let (file, is_named) = match place.dir.create_unnamed(&access) {
            Ok(file) => (file, false),
            Err(_) => (place.dir.create_file(&tmp, &access)?, true),
        };
        Ok(Replacement { place, file, tmp, is_named, before })
    }

    /// To be written to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Puts it in place, durably.
    pub(super) fn finish(mut self) -> Result<()> {
        let Replacement { place, file, .. } = &self;
        let failed = |doing| Error::io(doing, place.path());
        if let Some(before) = &self.before {
            let (uid, gid) = (before.st_uid, before.st_gid);
            let now = rustix::fs::fstat(file).map_err(failed("cannot stat"))?;
            if (now.st_uid, now.st_gid) != (uid, gid) {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::fchown(file, uid, gid).map_err(failed("cannot give the new file the owner of"))?;
            }
            let mode = Mode::from_raw_mode(before.st_mode & 0o7777);
            rustix::fs::fchmod(file, mode).map_err(failed("cannot set the mode"))?;
        }
        rustix::fs::fsync(file).map_err(failed("cannot sync"))?;
        if !self.is_named {
            place.dir.link_unnamed(file, &self.tmp).map_err(failed("cannot put in place"))?;
            self.is_named = true;
        }
        self.place.dir.rename(&self.tmp, &self.place.name)?;
        self.is_named = false;
        self.place.dir.sync()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.is_named {
            let _ = self.place.dir.unlink(&self.tmp);
        }
    }
}

impl Place {
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }
}
