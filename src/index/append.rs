//! Appending to an index file: in large pieces, with the space for each taken before it is written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::system;

/// Bytes that are handed to the system at a time.
const PIECE: usize = 1 << 20;

/// Entries that are not yet written, and where they go.
#[derive(Debug)]
pub(crate) struct Tail {
    pending: Vec<u8>,
    at: u64,
}

impl Tail {
    /// Appends from this offset on.
    pub(crate) fn new(at: u64) -> Tail {
        Tail { pending: Vec::new(), at }
    }

    /// Where the next entry goes.
    pub(crate) fn end(&self) -> u64 {
        self.at + self.pending.len() as u64
    }

    /// Takes an entry.
    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.pending.extend_from_slice(entry);
    }

    /// Whether it is time to write.
    pub(crate) fn is_large(&self) -> bool {
        self.pending.len() > PIECE
    }

    /// Whether everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Writes what is pending.
    pub(crate) fn write(&mut self, file: &File, path: impl Fn() -> PathBuf) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        reserve(file, self.at, self.pending.len() as u64, true).map_err(Error::io("cannot allocate", path()))?;
        file.write_all_at(&self.pending, self.at).map_err(|source| Error::Io {
            path: path(),
            doing: "cannot write",
            source,
        })?;
        self.at = self.end();
        self.pending.clear();
        Ok(())
    }
}

/// Takes disk space for bytes that are about to be stored. `keep_size` where a write follows that makes the file
/// longer; else the file becomes longer at once, with zeros.
pub(crate) fn reserve(file: &File, at: u64, len: u64, keep_size: bool) -> Result<(), Errno> {
    let flags = if keep_size { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() };
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, flags, at, len)) {
        // Not every file system can. A write fails by itself where the disk is full; for what is stored through a map,
        // zeros are written, which takes the space as well.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) if keep_size => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => system::write_zeros(file, at, len),
        done => done,
    }
}
