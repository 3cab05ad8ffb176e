//! A mail folder with its index and its lock: what every operation takes.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::dir::{Access, Dir};
use crate::error::{Error, Result};
use crate::format::header::Marks;
use crate::index::Index;
use crate::index::recover::{self, Found};
use crate::lock::{Behalf, Lock, Owner, Presence, Wait, check_held, is_closing, is_lock_id, key_of};
use crate::maildir::Maildir;
use crate::network;

/// With what a folder is opened, besides its path.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// Our files are not beside the mail, but in a directory of their own in this one.
    pub index_dir: Option<PathBuf>,
    /// Ids of locks, of this and other folders, that other processes hold for us to work under.
    pub lock_ids: Vec<String>,
}

/// A mail folder.
#[derive(Debug)]
pub struct Folder {
    maildir: Arc<Maildir>,
    dir: Arc<Dir>,
    index: Option<Index>,
    stay: Stay,
    setting: Setting,
}

/// Whether the folder is kept open for long, so that a compaction has to ask.
#[derive(Debug)]
enum Stay {
    /// For one operation only.
    No,
    /// It is, and others can see that.
    Open { _presence: Presence },
    /// It is, but somebody has asked to close.
    Closed,
}

impl Folder {
    /// Opens a Maildir, with or without an index.
    pub fn open(path: &Path) -> Result<Folder> {
        Folder::open_with(path, &Setting::default())
    }

    /// The same where the index is elsewhere, or locks are held for us.
    pub fn open_with(path: &Path, setting: &Setting) -> Result<Folder> {
        let root = Arc::new(Dir::open(path)?);
        let dir = match &setting.index_dir {
            Some(index_dir) => Arc::new(own_dir(index_dir, path)?),
            None => Arc::clone(&root),
        };
        network::refuse(&dir)?;
        // A folder that has an index has been a Maildir; if its directories are gone that is for the guard to judge.
        let indexed = dir.id_of(crate::index::OFFSETS)?.is_some();
        let maildir = Arc::new(Maildir::new(root, indexed)?);
        Ok(Folder { maildir, dir, index: None, stay: Stay::No, setting: setting.clone() })
    }

    /// Says that this folder is kept open, for programs that run for long. They call [`Folder::attend`] whenever
    /// `maildex.close` was touched, and before they use the folder after a while.
    pub fn stay_open(&mut self) -> Result<()> {
        if matches!(self.stay, Stay::No) {
            self.stay = Stay::Closed;
        }
        self.attend()
    }

    /// Answers a compaction: closes the index while somebody asks for that, and comes back afterwards. Takes no lock and
    /// never waits.
    pub fn attend(&mut self) -> Result<()> {
        if self.is_asked_to_close()? {
            self.close();
        } else {
            self.come_back();
        }
        Ok(())
    }

    /// Whether somebody asks to close the index.
    pub fn is_asked_to_close(&self) -> Result<bool> {
        Ok(!matches!(self.stay, Stay::No) && is_closing(&self.dir)?)
    }

    /// Whether it is closed because of that, and nobody waits for this program.
    pub fn is_closed(&self) -> bool {
        matches!(self.stay, Stay::Closed)
    }

    fn close(&mut self) {
        if let Stay::Open { .. } = self.stay {
            self.index = None;
            self.stay = Stay::Closed;
        }
    }

    /// Keeps the folder open again; where it was asked to close just now, that is for the next look. Whoever may only read
    /// the folder keeps nobody from compacting it.
    pub fn come_back(&mut self) {
        if let Stay::Closed = self.stay
            && let Ok(Some(presence)) = Presence::enter(&self.dir, &self.access())
        {
            self.stay = Stay::Open { _presence: presence };
        }
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        self.maildir.path()
    }

    /// The mail itself.
    pub fn maildir(&self) -> &Arc<Maildir> {
        &self.maildir
    }

    /// The directory of the index files.
    pub fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// The index, for reading: opened once, and again when another file has taken its place.
    pub fn index(&mut self) -> Result<&mut Index> {
        let current = match &self.index {
            Some(index) => index.is_current()?,
            None => false,
        };
        if !current {
            self.index = Index::open(&self.dir, false)?;
        }
        self.index.as_mut().ok_or_else(|| Error::NoIndex { path: self.maildir.path().to_path_buf() })
    }

    /// The index, once the first build has finished; before that a listing would be short.
    pub fn complete_index(&mut self) -> Result<&mut Index> {
        let path = self.path().to_path_buf();
        let index = self.index()?;
        if index.marks()?.has(Marks::COMPLETE) { Ok(index) } else { Err(Error::Unfinished { path }) }
    }

    /// The index of a finished build, for writing, under the lock; what a killed writer left is completed. For verbs that
    /// change an index and never make or mend one.
    pub fn index_to_change(&self) -> Result<Index> {
        let path = || self.path().to_path_buf();
        match recover::open(&self.dir, None)? {
            Found::Index(index) if index.marks()?.has(Marks::COMPLETE) => Ok(*index),
            Found::Index(_) => Err(Error::Unfinished { path: path() }),
            Found::Nothing => Err(Error::NoIndex { path: path() }),
            Found::Broken(why) => Err(Error::NeedsBuild { path: path(), why }),
        }
    }

    /// Who may use our files.
    pub fn access(&self) -> Access {
        match self.setting.index_dir {
            Some(_) => Access::as_in(rustix::fs::fstat(&*self.dir).ok().as_ref()),
            None => self.maildir.access(),
        }
    }

    /// The lock to write under: the folder's own, or the one that another process holds for us. `told` hears once, before
    /// the first real wait, who holds it.
    pub fn lock(&self, reason: &str, wait: Wait, told: &mut dyn FnMut(Option<&Owner>)) -> Result<Lock> {
        match self.given_lock()? {
            Some(id) => Lock::under(&self.dir, id, wait, self.access()),
            None => Lock::acquire(&self.dir, reason, wait, self.access(), told),
        }
    }

    /// Takes the folder lock for another process, of which this one is the guard; see [`crate::lock`].
    pub fn lock_for(
        &self,
        behalf: &Behalf,
        reason: &str,
        wait: Wait,
        told: &mut dyn FnMut(Option<&Owner>),
    ) -> Result<Lock> {
        Lock::acquire_for(&self.dir, reason, Some(behalf), wait, self.access(), told)
    }

    /// The id of this folder's lock that another process holds for us. An error if it no longer does, which the caller
    /// must hear of: it believes that nobody else writes.
    pub fn given_lock(&self) -> Result<Option<&str>> {
        if let Some(id) = self.setting.lock_ids.iter().find(|id| !is_lock_id(id)) {
            return Err(Error::BadLockId { id: id.clone() });
        }
        let key = key_of(self.dir.id()?);
        let mut given = None;
        for id in self.setting.lock_ids.iter().filter(|id| id.starts_with(&key)) {
            // Of several the one that is held: an earlier one was perhaps released.
            given = match (check_held(&self.dir, id), given) {
                (Ok(()), _) => return Ok(Some(id)),
                (Err(error @ Error::StaleLock { .. }), None) => Some(error),
                (Err(Error::StaleLock { .. }), earlier) => earlier,
                (Err(error), _) => return Err(error),
            };
        }
        given.map_or(Ok(None), Err)
    }

    /// When names in the folder last changed, in seconds since 1970.
    pub(crate) fn touched(&self) -> Result<i64> {
        let stat = rustix::fs::fstat(&*self.dir).map_err(Error::io("cannot stat", self.path()))?;
        Ok(stat.st_mtime)
    }

    /// The path of a file in the folder; for messages.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// The directory for our files of the folder `path` in `index_dir`; made if it is not there. Its name is that of the
/// folder's real path, so that all who name the folder, in whatever way, meet there.
fn own_dir(index_dir: &Path, path: &Path) -> Result<Dir> {
    let failed = |path: &Path, doing| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, doing, source }
    };
    let real = fs::canonicalize(path).map_err(failed(path, "cannot find out the real path"))?;
    let hash = Sha256::digest(real.as_os_str().as_bytes());
    let name = format!("{:016x}", hash.iter().take(8).fold(0, |name, &byte| name << 8 | u64::from(byte)));
    DirBuilder::new().recursive(true).mode(0o700).create(index_dir).map_err(failed(index_dir, "cannot create"))?;
    Dir::open(index_dir)?.sub_or_create(&name)
}
