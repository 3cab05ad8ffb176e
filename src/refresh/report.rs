//! What a refresh did and noticed.

use std::io;
use std::path::PathBuf;

/// What a refresh did and noticed.
#[derive(Debug, Default)]
pub struct Report {
    /// There was no index before.
    pub created: bool,
    /// Why the index had to be made again from what was left of it.
    pub rebuilt: Option<String>,
    /// UIDs that died in that, although a file with their base name is there, because nothing proved that it is the
    /// same mail.
    pub uids_lost: usize,
    /// Damaged stretches may have held messages that nobody knows of any more; if so, their mail got new UIDs.
    pub uids_unsure: bool,
    /// The index is a copy: of another folder's, or from a back-up. UIDs were skipped, and tokens from before are refused.
    pub copied: bool,
    /// Messages in the index now, if they were to be counted.
    pub total: usize,
    /// Messages that came.
    pub added: usize,
    /// Messages whose flags changed.
    pub flags: usize,
    /// Messages that moved from `new/` to `cur/`.
    pub moved: usize,
    /// Messages that are gone.
    pub removed: usize,
    /// Messages that a sync program renamed; they kept their UIDs.
    pub renamed: usize,
    /// Messages whose contents were replaced under the same name: the old UID is dead, there is a new one.
    pub replaced: usize,
    /// Messages that could be read at last; they kept their UIDs.
    pub healed: usize,
    /// Mails without a UID, because all have been given out.
    pub unnumbered: usize,
    /// Mails of 0 bytes.
    pub empty: usize,
    /// Mails in whose header no field is known.
    pub headless: usize,
    /// Mails that cannot be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Files with the base name of another one: the one that is indexed, and the one that is not.
    pub twins: Vec<(PathBuf, PathBuf)>,
    /// Names that are no plain files, and what they are.
    pub odd: Vec<(PathBuf, &'static str)>,
    /// Removals held back: how many, of how many messages.
    pub guarded: Option<(usize, usize)>,
    /// It was asked to stop; the rest is for the next time.
    pub interrupted: bool,
}

impl Report {
    /// Whether every message could be dealt with.
    pub fn is_clean(&self) -> bool {
        self.unreadable.is_empty()
            && self.twins.is_empty()
            && self.guarded.is_none()
            && self.uids_lost == 0
            && self.unnumbered == 0
    }
}
