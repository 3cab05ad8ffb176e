//! Mail that another replica has removed, kept for a while: outside the mail root, in files that a person can read without
//! maildex. `GUID.mail` is the mail, with its time of delivery; `GUID.from` says which folder and file name it had, and is as old
//! as the removal.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::maildir::open_mail;
use crate::sync::state::Guid;

/// How long mail is kept.
pub const KEPT: Duration = Duration::from_hours(30 * 24);

/// The directory.
#[derive(Debug)]
pub struct Trash {
    path: PathBuf,
}

/// A mail in it.
#[derive(Debug)]
pub struct Trashed {
    /// Which.
    pub guid: Guid,
    /// The folder that it was in, below the mail root.
    pub folder: Vec<u8>,
    /// The file name that it had.
    pub name: Vec<u8>,
    /// When it was removed here.
    pub removed: SystemTime,
    /// When it was delivered.
    pub delivered: SystemTime,
}

impl Trash {
    /// In this directory, which is made when something is to be kept.
    pub fn at(path: PathBuf) -> Trash {
        Trash { path }
    }

    fn file(&self, guid: Guid, kind: &str) -> PathBuf {
        self.path.join(format!("{guid}.{kind}"))
    }

    /// Keeps a copy of a mail, durably.
    pub(super) fn keep(&self, guid: Guid, folder: &[u8], name: &[u8], dir: &Dir) -> Result<()> {
        let failed = |doing, path: PathBuf| move |source: io::Error| Error::Io { path, doing, source };
        let mail = dir.path().join(OsStr::from_bytes(name));
        let (mut file, _) = open_mail(dir, name).map_err(|errno| Error::Io {
            path: mail,
            doing: "cannot open",
            source: errno.into(),
        })?;
        fs::create_dir_all(&self.path).map_err(failed("cannot create", self.path.clone()))?;
        let from = [folder, b"\n", name, b"\n"].concat();
        let delivered = file.metadata().and_then(|meta| meta.modified()).ok();
        for (kind, contents) in [("from", &mut &*from as &mut dyn io::Read), ("mail", &mut file)] {
            let path = self.file(guid, kind);
            let written = File::create(&path).and_then(|mut out| {
                io::copy(contents, &mut out)?;
                out.flush()?;
                if let Some(delivered) = delivered.filter(|_| kind == "mail") {
                    out.set_modified(delivered)?;
                }
                out.sync_all()
            });
            written.map_err(failed("cannot write", path))?;
        }
        File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(failed("cannot sync", self.path.clone()))
    }

    /// What is in it, the oldest first.
    pub fn list(&self) -> Result<Vec<Trashed>> {
        let failed = |source| Error::Io { path: self.path.clone(), doing: "cannot list", source };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut trashed = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let guid = name.as_bytes().strip_suffix(b".mail").and_then(Guid::parse);
            let (Some(guid), Ok(meta)) = (guid, entry.metadata()) else { continue };
            let delivered = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let removed = fs::metadata(self.file(guid, "from")).and_then(|meta| meta.modified()).unwrap_or(delivered);
            let from = fs::read(self.file(guid, "from")).unwrap_or_default();
            let mut lines = from.strip_suffix(b"\n").unwrap_or(&from).splitn(2, |&b| b == b'\n');
            let (folder, name) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            trashed.push(Trashed { guid, folder: folder.to_vec(), name: name.to_vec(), removed, delivered });
        }
        trashed.sort_by_key(|trashed| (trashed.removed, trashed.guid));
        Ok(trashed)
    }

    /// The contents of a mail in it.
    pub fn read(&self, guid: Guid) -> Result<Vec<u8>> {
        let path = self.file(guid, "mail");
        fs::read(&path).map_err(|source| Error::Io { path, doing: "cannot read", source })
    }

    /// Forgets a mail.
    pub fn forget(&self, guid: Guid) -> Result<()> {
        for kind in ["mail", "from"] {
            let path = self.file(guid, kind);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Io { path, doing: "cannot remove", source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets what has been in it for long enough. How many.
    pub fn clean(&self, kept: Duration) -> Result<usize> {
        let now = SystemTime::now();
        let is_old = |trashed: &Trashed| now.duration_since(trashed.removed).is_ok_and(|age| age > kept);
        let old: Vec<_> = self.list()?.into_iter().filter(is_old).collect();
        old.iter().try_for_each(|trashed| self.forget(trashed.guid))?;
        Ok(old.len())
    }
}

impl Trashed {
    /// The path that it had below the mail root, without `new` or `cur`.
    pub fn path(&self) -> PathBuf {
        Path::new(OsStr::from_bytes(&self.folder)).join(OsString::from_vec(self.name.clone()))
    }
}
