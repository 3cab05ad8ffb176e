//! What happened in the folders here since they were last looked at, as changes of the state.
//!
//! A folder is brought up to date as every verb does it, and then compared with what stood there ([`Local`]), by UID: a UID
//! never comes to mean another mail, so what is known of it need not be read again. Mail is read once, when it is new.
//!
//! A difference is a change only if the folder also differs from the state: what a run that was killed has applied already
//! is no news.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::format::Uid;
use crate::format::header::IndexId;
use crate::format::status::Status;
use crate::index::Snapshot;
use crate::index::publish::last_of_original;
use crate::lock::{Owner, Wait};
use crate::maildir::flags::Flags;
use crate::maildir::name::{own_fields, stem};
use crate::ops::build::{OnProgress, Options, Progress, Report, build};
use crate::ops::list::message;
use crate::ops::names::{Names, Wanted};
use crate::refresh::is_fresh;
use crate::sync::guid::Hasher;
use crate::sync::join::{Burnt, Numbering, pairs};
use crate::sync::local::{Known, Local, LocalFolder, Shown};
use crate::sync::numbers;
use crate::sync::peer::MAIL_MAX;
use crate::sync::state::{FolderId, Guid, ReplicaId, State};
use crate::sync::text::{base_trouble, folder_trouble};
use crate::tree;

/// The guard judges removals only from so many on.
pub(super) const GUARDED_FROM: usize = 20;

/// How a scan is done.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'s> {
    /// How folders are opened.
    pub setting: &'s Setting,
    /// How long to wait for the lock of a folder.
    pub wait: Wait,
    /// Believe it, however much mail is gone.
    pub accept_removals: bool,
    /// Whether numbers are told to the others, and taken from them.
    pub numbering: Numbering,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The folders as they are.
    pub folders: BTreeMap<FolderId, LocalFolder>,
    /// Mails that came.
    pub added: usize,
    /// Mails whose flags changed.
    pub flags: usize,
    /// Mails that went to another folder, or got another name.
    pub moved: usize,
    /// Mails that are gone.
    pub removed: usize,
    /// Removals that were held back.
    pub held: Vec<Held>,
    /// Mail that cannot be told to others, and why.
    pub stays: Vec<(PathBuf, &'static str)>,
    /// What was noticed where an index was brought up to date.
    pub reports: Vec<(PathBuf, Report)>,
    /// Directories that could not be looked into.
    pub unreadable: Vec<Error>,
    /// Numbers that died because they were given to other mail here than elsewhere.
    pub burnt: Vec<Burnt>,
}

/// Removals that were held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The folder.
    pub folder: PathBuf,
    /// Mails that are gone.
    pub gone: usize,
    /// Of so many.
    pub of: usize,
    /// They are gone here; else another replica has removed them.
    pub here: bool,
}

/// Takes base name and contents of mail that the repository does not have.
pub type OnMail<'m> = &'m mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// The guid of a mail of this base name.
pub(super) fn guid_of(base: &[u8], contents: &[u8]) -> Guid {
    let mut hasher = Hasher::new(base);
    hasher.update(contents);
    hasher.finish()
}

/// A folder that was looked at.
struct Looked {
    path: PathBuf,
    id: FolderId,
    now: LocalFolder,
    /// Mail that is to be read: UID, and what its name says.
    unread: Vec<(u32, Shown)>,
    /// Mail that is in the folder, and was in it with another name, or in one that had its index; with what its name says now.
    known: Vec<(u32, Known)>,
    /// Mail that is gone.
    gone: Vec<(u32, Known)>,
    /// The index that was here is lost, and with it numbers that nobody was told of.
    is_lost: bool,
}

/// A mail that was not there before.
struct Fresh {
    folder: FolderId,
    guid: Guid,
    base: Vec<u8>,
    shown: Shown,
    /// Seconds since 1970.
    delivered: u64,
}

/// The path of a folder below the mail root, as it is told to others; `None` if it cannot be a folder there.
pub(super) fn folder_name(root: &Path, path: &Path) -> Option<Vec<u8>> {
    let name = path.strip_prefix(root).ok()?.as_os_str().as_bytes();
    is_folder_name(name).then(|| name.to_vec())
}

/// Whether a directory of this name can be made below a mail root: no way out of it, nothing that a Maildir or maildex has
/// there.
pub(crate) fn is_folder_name(name: &[u8]) -> bool {
    folder_trouble(name).is_none()
}

/// Whether a file of this base name can be made in a Maildir.
pub(super) fn is_base(base: &[u8]) -> bool {
    base_trouble(base).is_none() && !base.contains(&b':') && !stem(base).is_empty()
}

/// Looks at the folders of a replica.
pub struct Scanner<'a> {
    /// The mail root.
    pub root: &'a Path,
    /// How.
    pub manner: &'a Manner<'a>,
    /// Who tells.
    pub me: ReplicaId,
    /// What stood in the folders.
    pub local: &'a Local,
    /// Hears of waiting for the lock of a folder.
    pub told: &'a mut dyn FnMut(&Path, Option<&Owner>),
    /// Hears how far it is.
    pub progress: OnProgress<'a>,
    /// What was found.
    pub found: Scan,
}

impl Scanner<'_> {
    /// Looks at all folders below the mail root and tells the state what happened in them.
    pub fn scan(mut self, state: &mut State, mail: OnMail<'_>) -> Result<Scan> {
        let tree = tree::find(self.root)?;
        let mut found = Vec::new();
        for path in tree.folders {
            match folder_name(self.root, &path) {
                Some(name) => found.push((path, FolderId::of(&name), name)),
                None => self.found.stays.push((path, "its name cannot be a folder's on another machine")),
            }
        }
        let is_hidden = |name: &[u8]| {
            let path = self.root.join(OsStr::from_bytes(name));
            tree.unreadable.iter().filter_map(Error::path).any(|above| path.starts_with(above))
        };
        let here: HashSet<FolderId> = found.iter().map(|(_, id, _)| *id).collect();
        let local = self.local;
        let not_found = local.folders.iter().filter(|(id, _)| !here.contains(id));
        let (hidden, away): (Vec<_>, Vec<_>) =
            not_found.map(|(id, folder)| (*id, folder)).partition(|(_, folder)| is_hidden(&folder.name));
        self.found.folders.extend(hidden.into_iter().map(|(id, folder)| (id, folder.clone())));
        self.found.unreadable = tree.unreadable;
        let mut looked = Vec::new();
        for (path, id, name) in found {
            // A directory that was renamed has its index with it.
            let donor = |index| away.iter().find(|(_, folder)| folder.index == index).map(|(_, folder)| *folder);
            looked.push(self.look(&path, id, name, &donor)?);
        }
        let gone = looked.iter().flat_map(|folder| folder.gone.iter().map(|gone| gone.1));
        let gone = Gone::collect(gone.chain(away.iter().flat_map(|(_, folder)| folder.mails.values().copied())), state);
        let mut fresh = Vec::new();
        for folder in &mut looked {
            folder.take_known(local.folders.get(&folder.id), state, &mut fresh);
        }
        let total = looked.iter().map(|folder| folder.unread.len()).sum();
        let mut reading = Reading { gone: &gone, mail, fresh, done: 0, total };
        for folder in looked.iter_mut().filter(|folder| !folder.unread.is_empty()) {
            self.read(folder, state, &mut reading)?;
        }
        let fresh = reading.fresh;
        for folder in &looked {
            state.make_folder(self.me, &folder.now.name, folder.now.uid_validity);
            let numbers = state.folders.get(&folder.id).map(|known| (known.uid_validity, known.uid_next));
            if let Some((uid_validity, uid_next)) = numbers.filter(|_| folder.is_lost)
                && uid_validity != folder.now.uid_validity
            {
                state.raise_uid_next(folder.id, last_of_original(uid_next - 1) + 1);
            }
        }
        self.take_up(state, &fresh, &gone);
        for folder in &looked {
            self.tell_flags(folder, state);
        }
        self.remove(state, &mut looked, &away, &fresh);
        self.found.folders.extend(looked.into_iter().map(|folder| (folder.id, folder.now)));
        if self.manner.numbering == Numbering::Eager {
            numbers::tell(state, &mut self.found)?;
        }
        Ok(self.found)
    }

    /// Brings a folder up to date and compares it with what stood there.
    fn look<'l>(
        &mut self,
        path: &Path,
        id: FolderId,
        name: Vec<u8>,
        donor: &dyn Fn(IndexId) -> Option<&'l LocalFolder>,
    ) -> Result<Looked> {
        let (manner, told) = (self.manner, &mut *self.told);
        let before = self.local.folders.get(&id);
        let mut folder = Folder::open_with(path, manner.setting)?;
        if !matches!(is_fresh(&mut folder), Ok(true)) {
            let options = Options { accept_removals: manner.accept_removals, heal: true, full: false, uncounted: true };
            let report = build(&folder, options, manner.wait, &mut |owner| told(path, owner), self.progress)?;
            if report.interrupted {
                return Err(stopped(path));
            }
            self.found.reports.push((path.to_path_buf(), report));
        }
        let last = folder.complete_index()?.last_given()?;
        let index = folder.complete_index()?;
        let (index_id, uid_validity) = (index.identity().id, index.identity().uid_validity);
        let snapshot = index.snapshot()?;
        let uid_next = u64::from(last.max(snapshot.last_uid()?.map_or(0, Uid::get))) + 1;
        let is_same = |before: &LocalFolder| (before.index, before.uid_validity) == (index_id, uid_validity);
        if let Some(before) = before.filter(|before| is_same(before) && before.counter == snapshot.counter()) {
            let now = LocalFolder { uid_next, ..before.clone() };
            let path = path.to_path_buf();
            return Ok(Looked { path, id, now, unread: vec![], known: vec![], gone: vec![], is_lost: false });
        }
        let own = before.filter(|before| is_same(before));
        let with_numbers = own.or_else(|| donor(index_id).filter(|donor| is_same(donor)));
        let mut looked = compare(&snapshot, with_numbers, own.is_some())?;
        // Numbers of another index say nothing of this one: all is read, and known again by what it is.
        if let Some(before) = before.filter(|before| !is_same(before)) {
            looked.gone = before.mails.iter().map(|(uid, known)| (*uid, *known)).collect();
            looked.is_lost = before.uid_validity != 0 && before.uid_validity != uid_validity;
        } else if before.is_none() {
            looked.gone.clear();
        }
        let counter = snapshot.counter();
        let mails = std::mem::take(&mut looked.now.mails);
        looked.now = LocalFolder { name, index: index_id, counter, uid_validity, uid_next, count: 0, mails };
        looked.path = path.to_path_buf();
        looked.id = id;
        Ok(looked)
    }

    /// Reads mail that is not known.
    fn read(&mut self, looked: &mut Looked, state: &State, reading: &mut Reading<'_>) -> Result<()> {
        let before = self.local.folders.get(&looked.id);
        let stays = &mut self.found.stays;
        let mut folder = Folder::open_with(&looked.path, self.manner.setting)?;
        let maildir = std::sync::Arc::clone(folder.maildir());
        let snapshot = folder.complete_index()?.snapshot()?;
        let (mut entries, mut names) = (snapshot.index().entries()?, Names::default());
        let mut here: HashSet<Guid> = looked.now.mails.values().filter_map(|known| known.guid).collect();
        let was_here: HashSet<Guid> =
            before.iter().flat_map(|before| before.mails.values()).filter_map(|known| known.guid).collect();
        let mut contents = Vec::new();
        for (uid, shown) in std::mem::take(&mut looked.unread) {
            reading.done += 1;
            if (self.progress)(Progress { done: reading.done, total: reading.total }).is_break() {
                return Err(stopped(&looked.path));
            }
            let slot = Uid::new(uid).map(|uid| snapshot.find_uid(uid)).transpose()?.flatten();
            let Some(slot) = slot else { continue };
            let message = message(&slot, &mut entries)?;
            let base = message.entry.base.to_vec();
            let delivered = u64::try_from(message.entry.received_ns / 1_000_000_000).unwrap_or(0);
            contents.clear();
            let read = Wanted::of(&message).open(&maildir, &mut names).and_then(|(mut file, sub, name)| {
                let failed = |source| Error::Io { path: maildir.path_of(sub, &name), doing: "cannot read", source };
                file.read_to_end(&mut contents).map_err(failed)
            });
            match read {
                Ok(_) => {}
                // Gone again, or changed under our hands: that is for the next run.
                Err(Error::NoMessage { .. } | Error::OtherMail { .. } | Error::KeepsChanging { .. }) => {
                    looked.now.counter = 0;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let size = contents.len() as u64;
            let why = if !is_base(&base) {
                Some("no other machine could have a file of that name")
            } else if size > MAIL_MAX {
                Some("it is longer than 1 GiB")
            } else {
                None
            };
            if let Some(why) = why {
                stays.push((looked.path.join(OsStr::from_bytes(&base)), why));
                looked.now.mails_mut().insert(uid, Known { guid: None, size, shown });
                continue;
            }
            let own = guid_of(&base, &contents);
            let guid = if reading.gone.shown.contains_key(&own) || was_here.contains(&own) {
                own
            } else {
                reading.gone.with(&contents).find(|guid| !here.contains(guid)).unwrap_or(own)
            };
            if !here.insert(guid) {
                stays.push((looked.path.join(OsStr::from_bytes(&base)), "the same mail is in the folder already"));
                looked.now.mails_mut().insert(uid, Known { guid: None, size, shown });
                continue;
            }
            if !state.mails.contains_key(&guid) {
                (reading.mail)(&base, &contents)?;
            }
            looked.now.mails_mut().insert(uid, Known { guid: Some(guid), size, shown });
            let base = [stem(&base), &own_fields(&base)].concat();
            reading.fresh.push(Fresh { folder: looked.id, guid, base, shown, delivered });
        }
        Ok(())
    }

    /// Flags that changed of mail that was there before.
    fn tell_flags(&mut self, looked: &Looked, state: &mut State) {
        let Some(before) = self.local.folders.get(&looked.id) else { return };
        if Arc::ptr_eq(&before.mails, &looked.now.mails) {
            return;
        }
        // Where the index is another one mail has other numbers.
        let mut by_guid: Option<HashMap<Guid, Shown>> = None;
        for (_, was, is) in pairs(&before.mails, &looked.now.mails).filter(|(_, was, is)| was != is) {
            let Some((guid, shown)) = is.and_then(|known| Some((known.guid?, known.shown))) else { continue };
            let same_uid = was.filter(|was| was.guid == Some(guid)).map(|was| was.shown);
            let was = same_uid.or_else(|| {
                let all = || before.mails.values().filter_map(|known| Some((known.guid?, known.shown)));
                by_guid.get_or_insert_with(|| all().collect()).get(&guid).copied()
            });
            if let Some(was) = was.filter(|was| *was != shown) {
                self.found.flags += usize::from(change_flags(self.me, state, guid, was, shown));
            }
        }
    }

    /// Mail that came to a folder.
    fn take_up(&mut self, state: &mut State, fresh: &[Fresh], gone: &Gone) {
        for Fresh { folder, guid, base, shown, delivered } in fresh {
            let was = gone.shown.get(guid).copied();
            let is_there = state.mails.get(guid).is_some_and(|mail| mail.places.contains_key(folder));
            if !is_there {
                state.add(self.me, *folder, *guid, base);
                state.was_delivered(*guid, *delivered);
                if was.is_some() { self.found.moved += 1 } else { self.found.added += 1 }
            }
            // Of mail that moved what changed on the way; of a copy, or of what a killed run has put there, what it has more.
            change_flags(self.me, state, *guid, was.unwrap_or_default(), *shown);
        }
    }

    /// Mail that is gone, and folders that are.
    fn remove(&mut self, state: &mut State, looked: &mut [Looked], away: &[(FolderId, &LocalFolder)], fresh: &[Fresh]) {
        let (local, me, scan) = (self.local, self.me, &mut self.found);
        let moved: HashSet<Guid> = fresh.iter().map(|fresh| fresh.guid).collect();
        let is_gone = |state: &State, id: FolderId, known: &Known| {
            known.guid.filter(|guid| state.mails.get(guid).is_some_and(|mail| mail.places.contains_key(&id)))
        };
        let is_too_much = |gone: usize, of: usize| !self.manner.accept_removals && gone > GUARDED_FROM && gone * 2 > of;
        let mut total = 0;
        let count = |state: &State, id, mails: &mut dyn Iterator<Item = &Known>| {
            mails.filter_map(|known| is_gone(state, id, known)).filter(|guid| !moved.contains(guid)).count()
        };
        for folder in looked.iter() {
            total += count(state, folder.id, &mut folder.gone.iter().map(|(_, known)| known));
        }
        for (id, folder) in away {
            total += count(state, *id, &mut folder.mails.values());
        }
        let all_mails = local.folders.values().map(|folder| folder.mails.len()).sum();
        // Where no folder is left at all the disk is not there.
        let is_away = looked.is_empty() && !self.manner.accept_removals;
        let all_held = is_away || is_too_much(total, all_mails);
        for folder in looked {
            let gone: Vec<(u32, Known)> = std::mem::take(&mut folder.gone);
            if gone.is_empty() {
                continue;
            }
            let here: HashSet<Guid> = folder.now.mails.values().filter_map(|known| known.guid).collect();
            let is_elsewhere = |known: &Known| known.guid.is_none_or(|guid| here.contains(&guid));
            let lost: Vec<_> = gone.into_iter().filter(|(_, known)| !is_elsewhere(known)).collect();
            let (gone, of) = (
                count(state, folder.id, &mut lost.iter().map(|(_, known)| known)),
                local.folders.get(&folder.id).map_or(0, |before| before.mails.len()),
            );
            if gone > 0 && (all_held || is_too_much(gone, of)) {
                scan.held.push(Held { folder: folder.path.clone(), gone, of, here: true });
                folder.now.counter = 0;
                folder.now.mails_mut().extend(lost);
                continue;
            }
            let guids: BTreeSet<Guid> = lost.iter().filter_map(|(_, known)| is_gone(state, folder.id, known)).collect();
            scan.removed += gone;
            state.remove(me, folder.id, &guids);
        }
        for (id, folder) in away {
            let gone = count(state, *id, &mut folder.mails.values());
            if gone > 0 && (all_held || is_too_much(gone, folder.mails.len())) {
                let path = self.root.join(OsStr::from_bytes(&folder.name));
                scan.held.push(Held { folder: path, gone, of: folder.mails.len(), here: true });
                scan.folders.insert(*id, (*folder).clone());
                continue;
            }
            let guids: BTreeSet<Guid> = folder.mails.values().filter_map(|known| is_gone(state, *id, known)).collect();
            scan.removed += gone;
            state.remove(me, *id, &guids);
            // Mail that came there elsewhere, and not yet here, keeps the folder.
            if state.mail_in(*id).next().is_none() {
                state.remove_folder(me, *id);
            }
        }
    }
}

/// What is read, and what is done with it.
struct Reading<'r> {
    gone: &'r Gone,
    mail: OnMail<'r>,
    fresh: Vec<Fresh>,
    done: usize,
    total: usize,
}

/// Somebody wants no more.
fn stopped(path: &Path) -> Error {
    Error::Sync {
        path: path.to_path_buf(),
        found: "stopped".into(),
        advice: "nothing was changed; the next run begins anew".into(),
    }
}

/// Compares an index with what is known of its numbers, or of some of them. Both rise.
fn compare(snapshot: &Snapshot<'_>, before: Option<&LocalFolder>, is_own: bool) -> Result<Looked> {
    let nothing = BTreeMap::new();
    let mails = before.map_or(&nothing, |before| &before.mails);
    let mut mails = mails.iter().map(|(uid, known)| (*uid, *known)).peekable();
    let (mut unread, mut known, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for slot in snapshot.slots() {
        let status = slot.status()?;
        if status.has(Status::EXPUNGED) {
            continue;
        }
        let (uid, shown) = (slot.uid()?.get(), Shown::of(status));
        gone.extend(std::iter::from_fn(|| mails.next_if(|(known, _)| *known < uid)));
        match mails.next_if(|(known, _)| *known == uid) {
            Some((_, before)) if is_own && before.shown == shown => {}
            Some((_, before)) => known.push((uid, Known { shown, ..before })),
            // What has no bytes is still being written, and what cannot be read may be one day.
            None if status.has(Status::UNREADABLE) || status.has(Status::EMPTY) => {}
            None => unread.push((uid, shown)),
        }
    }
    gone.extend(mails);
    let (path, id, mut now) = (PathBuf::new(), FolderId(0), LocalFolder::default());
    if let Some(before) = before.filter(|_| is_own) {
        now.mails = Arc::clone(&before.mails);
        for (uid, _) in &gone {
            now.mails_mut().remove(uid);
        }
    }
    Ok(Looked { path, id, now, unread, known, gone, is_lost: false })
}

/// Mail that is gone somewhere: it may have come up elsewhere.
struct Gone {
    shown: HashMap<Guid, Shown>,
    by_size: HashMap<u64, Vec<(Guid, Vec<u8>)>>,
}

impl Gone {
    fn collect(gone: impl Iterator<Item = Known>, state: &State) -> Gone {
        let (mut shown, mut by_size) = (HashMap::new(), HashMap::<u64, Vec<(Guid, Vec<u8>)>>::new());
        for known in gone {
            let Some((guid, mail)) = known.guid.and_then(|guid| Some((guid, state.mails.get(&guid)?))) else {
                continue;
            };
            shown.insert(guid, known.shown);
            by_size.entry(known.size).or_default().push((guid, stem(&mail.base).to_vec()));
        }
        Gone { shown, by_size }
    }

    /// The mail that is gone, and has these contents: mutt and others give mail that they move another name.
    fn with(&self, contents: &[u8]) -> impl Iterator<Item = Guid> {
        let candidates = self.by_size.get(&(contents.len() as u64)).into_iter().flatten();
        candidates.filter(|(guid, stem)| guid_of(stem, contents) == *guid).map(|(guid, _)| *guid)
    }
}

impl Looked {
    /// Mail whose number is known. In a directory that was renamed it is new to the folder all the same.
    fn take_known(&mut self, before: Option<&LocalFolder>, state: &State, fresh: &mut Vec<Fresh>) {
        for (uid, known) in &self.known {
            let mail = known.guid.and_then(|guid| state.mails.get(&guid));
            if let Some(before) = before {
                let was = before.mails.get(uid).map_or(known.shown, |before| before.shown);
                let is_there = mail.is_some_and(|mail| mail.places.contains_key(&self.id));
                // Another replica has removed it, which is not done here yet. Who wants to keep it adds it anew.
                if known.guid.is_some() && !is_there && is_to_stay(was.flags, known.shown.flags) {
                    self.unread.push((*uid, known.shown));
                    self.now.mails_mut().remove(uid);
                    continue;
                }
            } else if let (Some(guid), Some(mail)) = (known.guid, mail) {
                let (base, delivered) = (mail.base.clone(), mail.delivered);
                fresh.push(Fresh { folder: self.id, guid, base, shown: known.shown, delivered });
            }
            self.now.mails_mut().insert(*uid, *known);
        }
    }
}

/// Whether a change of flags says that the mail is to be kept, whoever has removed it.
fn is_to_stay(was: Flags, is: Flags) -> bool {
    is.without(was).contains(Flags::FLAGGED) || was.without(is).contains(Flags::TRASHED)
}

/// Tells the letters that changed; others may have changed other ones. Whether any did.
fn change_flags(me: ReplicaId, state: &mut State, guid: Guid, was: Shown, is: Shown) -> bool {
    let Some(mail) = state.mails.get(&guid) else { return false };
    let [was, is] = [was, is].map(|shown| shown.letters().collect::<BTreeSet<u8>>());
    let cleared = |letter: &u8| was.contains(letter) && !is.contains(letter);
    let mut letters: BTreeSet<u8> = mail.letters().filter(|letter| !cleared(letter)).collect();
    letters.extend(is.difference(&was));
    let letters: Vec<u8> = letters.into_iter().collect();
    state.set_flags(me, guid, &letters) > 0
}
