//! What a replica knows: which mail is where, with which flags, under which UID.
//!
//! | part | is | joined |
//! |---|---|---|
//! | folders, and mail in them | an observed-remove set without tombstones: each add has a [`Dot`] | in both: kept; in one: dots that the other has seen, and lacks, are dropped |
//! | flags of a mail | a causal length for each letter: odd is set, even is clear | the larger |
//! | when a mail was delivered | seconds since 1970; 0 is not known | the earlier |
//! | UIDs of a folder | for each number: undecided (from UIDNEXT on) < live < dead | the larger; live under two mails is dead |
//!
//! "Below UIDNEXT and not listed" is the memory of dead numbers: nothing of an expunged mail is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A replica: 64 random bits. A restored or copied one takes a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// A mail: the first 128 bits of SHA-256 of the text of its base name before the first comma, a NUL, and its contents. The
/// same name with other contents is another mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// A folder: the first 64 bits of SHA-256 of its path below the mail root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(pub u64);

/// One add: the replica, and its counter then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who added.
    pub replica: ReplicaId,
    /// Its so-manieth change, from 1.
    pub counter: u64,
}

/// A letter that no name shows: the mail is in `cur/`, so somebody has seen that it came. It goes with the flags. Where it is
/// cleared, because a mail reader has put mail back into `new/`, nothing is done elsewhere.
pub const CUR: u8 = b'*';

/// What a replica knows of one mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// Its base name without what belongs to one folder (`,U=`, `,FMD5=`); bytes, not text.
    pub base: Vec<u8>,
    /// Letters that were ever set, [`CUR`] among them: how often each was toggled. Odd is set.
    pub flags: BTreeMap<u8, u32>,
    /// When it was delivered, in seconds since 1970: IMAP's INTERNALDATE, the mtime of its file. 0 if nobody has said.
    pub delivered: u64,
    /// The folders that it is in, and the adds that put it there. Never an empty set.
    pub places: BTreeMap<FolderId, BTreeSet<Dot>>,
}

/// What a replica knows of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its path below the mail root; empty for the root itself. Bytes, not text.
    pub name: Vec<u8>,
    /// The adds that made it; none if it was removed and holds no mail. What is known of its numbers stays for ever.
    pub dots: BTreeSet<Dot>,
    /// UIDVALIDITY. Of two that differ, which happens at a first meeting only, that of who has given out numbers counts, else
    /// the larger one, with its numbers.
    pub uid_validity: u32,
    /// All numbers below it are decided.
    pub uid_next: u32,
    /// The live ones.
    pub uids: BTreeMap<u32, Guid>,
}

/// What a replica knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Of each replica, how many of its changes are in here.
    pub versions: BTreeMap<ReplicaId, u64>,
    /// Mail that is in some folder. States that come of each other share what they have in common.
    pub mails: BTreeMap<Guid, Arc<Mail>>,
    /// Folders.
    pub folders: BTreeMap<FolderId, Folder>,
}
