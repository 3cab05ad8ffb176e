//! Finds mail that is there more than once, and passes the flags of the others on to the one that is kept.
//!
//! Of each message only a key of 16 bytes is remembered, and where it is, so a million of them take 24 MB. Mails are read
//! only where size and header are equal, and then to the last byte.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hash};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType};
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::entry::Entry;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Index, Snapshot};
use crate::lock::{Owner, Wait};
use crate::maildir::Maildir;
use crate::maildir::change::FlagChange;
use crate::maildir::flags::Flags;
use crate::maildir::summary::Fields;
use crate::ops::build::{OnProgress, Options, Progress, Report, build, freshen};
use crate::ops::expunge;
use crate::ops::flag::{Done, Plan, carry_out};
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
    // Opened once, for both passes: numbers of slots are others when somebody has compacted.
    let mut indexes = Vec::with_capacity(folders.len());
    for folder in folders.iter_mut() {
        folder.complete_index()?;
        let missing = || Error::NoIndex { path: folder.path().to_path_buf() };
        indexes.push(Index::open(folder.dir(), false)?.ok_or_else(missing)?);
    }
    for (at, index) in indexes.iter_mut().enumerate() {
        let snapshot = index.snapshot()?;
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
                By::MessageId if !is_an_id(&message.entry) => continue,
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
    for index in &mut indexes {
        readers.push((index.snapshot()?.index().entries()?, Names::default()));
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
            let (maildir, index) = (folders[at].maildir(), &mut indexes[at]);
            match look(maildir, index.snapshot()?, SlotNo(no), (entries, names), by) {
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

/// Whether a `Message-ID:` tells mails apart: not where only the beginning of it is known.
fn is_an_id(entry: &Entry<'_>) -> bool {
    !matches!(entry.message_id, "" | "<>") && !entry.cut.contains(Fields::MESSAGE_ID)
}

/// UID and flags of a message, and what its contents are known by.
fn look(
    maildir: &Maildir,
    snapshot: Snapshot<'_>,
    no: SlotNo,
    (entries, names): (&mut Entries, &mut Names),
    by: By,
) -> Result<Option<(Uid, Flags, Vec<u8>)>> {
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
    let (mut file, sub, name) = wanted.open(maildir, names)?;
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

/// The mails that stay, looked at once more for each one that goes. That is done when the one that goes has left its place:
/// so of two who each keep what the other removes at least one sees that, and so does who meets one mail by two ways.
#[derive(Debug)]
pub struct Keepers {
    by: By,
    kept: HashMap<Place, Place>,
    wanted: HashMap<Place, Wanted>,
    folders: Vec<(Arc<Maildir>, RefCell<Names>)>,
}

impl Keepers {
    /// Those of groups whose flags are united.
    pub fn of(folders: &mut [Folder], groups: &[Group], by: By) -> Result<Keepers> {
        let places = groups.iter().flat_map(|group| group.others.iter().map(|&other| (other, group.kept)));
        let mut keepers =
            Keepers { by, kept: places.collect(), wanted: HashMap::with_capacity(groups.len()), folders: Vec::new() };
        for (at, folder) in folders.iter_mut().enumerate() {
            keepers.folders.push((Arc::clone(folder.maildir()), RefCell::default()));
            let snapshot = folder.complete_index()?.snapshot()?;
            let mut entries = snapshot.index().entries()?;
            for place in groups.iter().map(|group| group.kept).filter(|kept| kept.folder == at) {
                // One that is missing here is not there; what was to go for it stays.
                if let Some(slot) = snapshot.find_uid(place.uid)? {
                    keepers.wanted.insert(place, Wanted::of(&message(&slot, &mut entries)?));
                }
            }
        }
        Ok(keepers)
    }

    /// Which one stays.
    pub fn kept(&self, going: Place) -> Option<Place> {
        self.kept.get(&going).copied()
    }

    /// The messages of a folder that go, in UID order.
    pub fn going(&self, folder: usize) -> Vec<Uid> {
        let mut uids: Vec<_> = self.kept.keys().filter(|going| going.folder == folder).map(|going| going.uid).collect();
        uids.sort_unstable();
        uids
    }

    /// An error if the one that stays is not there, or is not as it was compared.
    fn look(&self, going: Place) -> Result<()> {
        let kept = self.kept.get(&going).and_then(|kept| Some((kept, self.wanted.get(kept)?)));
        let Some((kept, wanted)) = kept else {
            let (maildir, _) = &self.folders[going.folder];
            let wanted = format!("that stays for UID {}", going.uid);
            return Err(Error::NoMessage { path: maildir.path().to_path_buf(), wanted });
        };
        let (maildir, names) = &self.folders[kept.folder];
        names.borrow_mut().reach(maildir, wanted, |dirs, sub, name| {
            let stat = dirs
                .get(sub)
                .and_then(|dir| rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW))
                .map_err(Error::io("cannot stat", maildir.path_of(sub, name)))?;
            let is_it = match self.by {
                By::Content => wanted.is_unchanged(&stat),
                By::MessageId => wanted.is(&stat),
            };
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            Ok((is_file && is_it).then_some(()))
        })
    }
}

/// Removes messages of a folder for which another one stays.
pub fn remove(
    folder: &mut Folder,
    at: usize,
    keepers: &Keepers,
    plan: &Plan<'_>,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    carry_out(folder, plan, told, progress, &mut |folder, edits, told, progress, outcome| {
        let may_go = |uid| keepers.look(Place { folder: at, uid });
        expunge::remove(folder, edits, plan, told, progress, outcome, &may_go)
    })
}
