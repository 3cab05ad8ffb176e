//! Finds mail that is there more than once, and passes the flags of the others on to the one that is kept.
//!
//! Of each message only a key of 16 bytes is remembered, and where it is, so a million of them take 24 MB. Mails are read
//! only where size and header are equal, and then to the last byte.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::io::Read;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::Entries;
use crate::lock::{Owner, Wait};
use crate::maildir::change::FlagChange;
use crate::maildir::flags::Flags;
use crate::ops::build::{OnProgress, Options, Progress, Report, build, freshen};
use crate::ops::list::message;
use crate::ops::names::{Names, Wanted};
use crate::ops::rename::{Edit, Outcome, rename};
use crate::refresh::is_fresh;

/// What makes two mails one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum By {
    /// All their bytes.
    #[default]
    Content,
    /// Their `Message-ID:`, whatever else they hold.
    MessageId,
}

/// A message in one of the folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The folder, by its number.
    pub folder: usize,
    /// The message.
    pub uid: Uid,
}

/// Messages that are one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The one that stays: the first that is not marked as trashed, by folder and UID.
    pub kept: Place,
    /// The others.
    pub others: Vec<Place>,
    /// Flags that one of the others has, and the one that stays has not.
    pub flags: Flags,
}

/// A key, and whose it is: folder and slot.
type Key = (u128, u32, u32);

/// Brings an index up to date, before anything is looked for.
pub fn prepare(
    folder: &mut Folder,
    dry_run: bool,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Option<Report>> {
    folder.complete_index()?;
    match dry_run {
        true => Ok(freshen(folder, progress)?.1),
        false if is_fresh(folder)? => Ok(None),
        false => build(folder, Options::default(), wait, told, progress).map(Some),
    }
}

/// Finds what is there more than once. Mail that cannot be read, or was changed since it was indexed, is in no group; it
/// goes to `bad`. So does a message that is damaged in the index.
pub fn find(
    folders: &mut [Folder],
    by: By,
    progress: OnProgress<'_>,
    bad: &mut dyn FnMut(Error),
) -> Result<Vec<Group>> {
    let seed = std::collections::hash_map::RandomState::new();
    let (one, other) = (seed.hash_one(1), seed.hash_one(2));
    let mut keys: Vec<Key> = Vec::new();
    for (at, folder) in folders.iter_mut().enumerate() {
        let snapshot = folder.complete_index()?.snapshot()?;
        let mut entries = snapshot.index().entries()?;
        for slot in snapshot.slots() {
            let message = match message(&slot, &mut entries) {
                Ok(message) => message,
                Err(error) => {
                    bad(error);
                    continue;
                }
            };
            let status = message.status;
            if [Status::EXPUNGED, Status::UNREADABLE, Status::EMPTY].into_iter().any(|bit| status.has(bit)) {
                continue;
            }
            let key = match by {
                By::Content => u128::from(message.entry.size) << 32 | u128::from(message.entry.header_crc),
                By::MessageId if message.entry.message_id.is_empty() => continue,
                By::MessageId => {
                    let mut hasher = SipHasher13::new_with_keys(one, other);
                    message.entry.message_id.hash(&mut hasher);
                    hasher.finish128().as_u128()
                }
            };
            keys.push((key, at as u32, slot.no().0));
        }
    }
    keys.sort_unstable();
    let total = keys.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1).map(<[Key]>::len).sum();
    let mut readers = Vec::with_capacity(folders.len());
    for folder in folders.iter_mut() {
        readers.push((folder.complete_index()?.snapshot()?.index().entries()?, Names::default()));
    }
    let (mut groups, mut done) = (Vec::new(), 0);
    for run in keys.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        let mut same: BTreeMap<Vec<u8>, Vec<(Place, Flags)>> = BTreeMap::new();
        for &(_, at, no) in run {
            done += 1;
            if progress(Progress { done, total }).is_break() {
                return Ok(Vec::new());
            }
            let at = at as usize;
            let (entries, names) = &mut readers[at];
            match look(&mut folders[at], SlotNo(no), entries, names, by) {
                Ok(Some((uid, flags, digest))) => {
                    same.entry(digest).or_default().push((Place { folder: at, uid }, flags));
                }
                Ok(None) => {}
                Err(error) => bad(error),
            }
        }
        groups.extend(same.into_values().filter(|same| same.len() > 1).map(|same| Group::of(&same)));
    }
    groups.sort_unstable_by_key(|group| group.kept);
    Ok(groups)
}

/// UID and flags of a message, and what its contents are known by.
fn look(
    folder: &mut Folder,
    no: SlotNo,
    entries: &mut Entries,
    names: &mut Names,
    by: By,
) -> Result<Option<(Uid, Flags, Vec<u8>)>> {
    let maildir = Arc::clone(folder.maildir());
    let snapshot = folder.complete_index()?.snapshot()?;
    let Some(slot) = snapshot.slot(no) else { return Ok(None) };
    let message = message(&slot, entries)?;
    if message.status.has(Status::EXPUNGED) {
        return Ok(None);
    }
    let (uid, flags) = (message.uid, message.status.flags());
    if by == By::MessageId {
        return Ok(Some((uid, flags, Vec::new())));
    }
    let wanted = Wanted::of(&message);
    let (mut file, sub, name) = wanted.open(&maildir, names)?;
    let path = || maildir.path_of(sub, &name);
    if !rustix::fs::fstat(&file).is_ok_and(|stat| wanted.is_unchanged(&stat)) {
        return Err(Error::Changed { path: path() });
    }
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((uid, flags, digest.finalize().to_vec()))),
            Ok(read) => digest.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { path: path(), doing: "cannot read", source }),
        }
    }
}

impl Group {
    fn of(same: &[(Place, Flags)]) -> Group {
        let kept = same.iter().position(|(_, flags)| !flags.contains(Flags::TRASHED)).unwrap_or(0);
        let (place, has) = same[kept];
        let mut flags = Flags::NONE;
        for (other, others) in same {
            // Letters of keywords mean something else in another folder.
            let foreign = if other.folder == place.folder { Flags::NONE } else { others.keywords() };
            flags = flags.union(others.without(foreign));
        }
        let flags = flags.without(Flags::TRASHED.union(Flags::DRAFT)).without(has);
        let others = same.iter().map(|(other, _)| *other).filter(|other| *other != place).collect();
        Group { kept: place, others, flags }
    }
}

/// Gives those that stay the flags of the others. Groups in which that cannot be done, or the one that stays is not there
/// any more, are left out: nothing may be removed for them.
pub fn unite(
    folders: &mut [Folder],
    groups: &mut Vec<Group>,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
    bad: &mut dyn FnMut(Error),
) -> Result<()> {
    let mut lost = HashSet::new();
    for (at, folder) in folders.iter_mut().enumerate() {
        let of_folder = groups.iter().filter(|group| group.kept.folder == at);
        let edits: Vec<_> = of_folder
            .map(|group| Edit { uid: group.kept.uid, change: FlagChange::of(group.flags, Flags::NONE), to_cur: false })
            .collect();
        let mut outcome = Outcome::default();
        // Whoever needs no flag is looked for, too.
        if !edits.is_empty() {
            rename(folder, &edits, ("dedupe", wait), told, progress, &mut outcome)?;
        }
        let found: HashSet<_> = outcome.messages.iter().map(|message| message.uid).collect();
        lost.extend(
            edits.iter().map(|edit| edit.uid).filter(|uid| !found.contains(uid)).map(|uid| Place { folder: at, uid }),
        );
        outcome.failed.into_iter().for_each(|(_, error)| bad(error));
    }
    groups.retain(|group| !lost.contains(&group.kept));
    Ok(())
}
