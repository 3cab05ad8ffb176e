//! A mail folder with its index and its lock: what every operation takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::format::header::Marks;
use crate::index::Index;
use crate::lock::{Lock, Owner, Presence, Wait, is_closing};
use crate::maildir::Maildir;

/// A mail folder.
#[derive(Debug)]
pub struct Folder {
    maildir: Arc<Maildir>,
    dir: Arc<Dir>,
    index: Option<Index>,
    stay: Stay,
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
        let dir = Arc::new(Dir::open(path)?);
        // A folder that has an index has been a Maildir; if its directories are gone that is for the guard to judge.
        let indexed = dir.id_of(crate::index::OFFSETS)?.is_some();
        Ok(Folder { maildir: Arc::new(Maildir::new(Arc::clone(&dir), indexed)?), dir, index: None, stay: Stay::No })
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
            && let Ok(Some(presence)) = Presence::enter(&self.dir, &self.maildir.access())
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

    /// Takes the folder lock. `told` hears once, before the first real wait, who holds it.
    pub fn lock(&self, reason: &str, wait: Wait, told: &mut dyn FnMut(Option<&Owner>)) -> Result<Lock> {
        Lock::acquire(&self.dir, reason, wait, self.maildir.access(), told)
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
