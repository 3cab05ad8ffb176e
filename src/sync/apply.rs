//! What the joined state says, done to the folders here: as differences from what was applied last, on the names that are
//! found now. Whoever changes mail meanwhile is right, and is heard at the next scan.
//!
//! First mail comes, under the numbers that the state gives it; then mail goes. So of mail that moves there is one at any
//! time. Each step looks whether it was done already: a run that is killed is completed by the next one.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::find::ByBase;
use crate::index::publish::Writer;
use crate::lock::Owner;
use crate::maildir::change::FlagChange;
use crate::maildir::name::Name;
use crate::ops::build::{OnProgress, Progress, Report};
use crate::ops::list::message;
use crate::ops::locate::may_be_elsewhere;
use crate::ops::names::{Names, Wanted};
use crate::ops::rename::{Edit, Outcome, rename};
use crate::sync::arrive::{Arrival, Numbers, Source, Supply};
use crate::sync::join::Numbering;
use crate::sync::local::{Known, LocalFolder, Shown};
use crate::sync::scan::{GUARDED_FROM, Held, Manner, is_folder_name};
use crate::sync::state::{FolderId, Guid, State};
use crate::sync::trash::Trash;

/// What was done, and what not.
#[derive(Debug, Default)]
pub struct Applied {
    /// Mails that came.
    pub received: usize,
    /// Mails with new flags.
    pub flags: usize,
    /// Mails that came from another folder here.
    pub moved: usize,
    /// Mails that were removed.
    pub removed: usize,
    /// Folders that were made.
    pub made: usize,
    /// Folders that were removed.
    pub unmade: usize,
    /// Mails that have another number: folder, mail, old, new.
    pub renumbered: Vec<(FolderId, Guid, u32, u32)>,
    /// Folders that have another UIDVALIDITY: old and new.
    pub other_validity: Vec<(PathBuf, u32, u32)>,
    /// Removals that were held back.
    pub held: Vec<Held>,
    /// What could not be done; the rest was.
    pub failed: Vec<Error>,
    /// What was noticed where an index was brought up to date.
    pub reports: Vec<(PathBuf, Report)>,
    /// Others gave out numbers in between; look, join and apply again.
    pub again: bool,
}

/// Does it.
pub(super) struct Apply<'a> {
    pub root: &'a Path,
    pub manner: &'a Manner<'a>,
    pub state: &'a State,
    /// What stands in the folders, as far as was seen.
    pub folders: &'a mut BTreeMap<FolderId, LocalFolder>,
    pub supply: Supply<'a>,
    pub trash: &'a Trash,
    pub told: &'a mut dyn FnMut(&Path, Option<&Owner>),
    pub progress: OnProgress<'a>,
    pub done: Applied,
    /// So much is to go in all folders together that nothing goes.
    pub all_held: bool,
}

impl Apply<'_> {
    /// Applies the state. What fails in one folder does not stop the others.
    pub fn run(mut self) -> Applied {
        // Of each folder, in order.
        let mut places: BTreeMap<FolderId, Vec<Guid>> = BTreeMap::new();
        for (guid, mail) in &self.state.mails {
            for folder in mail.places.keys() {
                places.entry(*folder).or_default().push(*guid);
            }
        }
        let wanted = |id: &FolderId| places.get(id).map_or(&[][..], |guids| guids);
        let is_there = |id: &FolderId| {
            places.contains_key(id) || self.state.folders.get(id).is_some_and(|folder| !folder.dots.is_empty())
        };
        let (there, gone): (Vec<_>, Vec<_>) = self.state.folders.keys().copied().partition(is_there);
        // Most folders are as they should be.
        let (filled, there): (Vec<_>, Vec<_>) = there.into_iter().partition(|id| self.is_filled(*id, wanted(id)));
        let others = self.folders.iter().filter(|(id, _)| filled.binary_search(id).is_err());
        let lost = others.flat_map(|(_, folder)| folder.mails.values()).filter(|known| self.is_lost(known)).count();
        let of = self.folders.values().map(|folder| folder.mails.len()).sum();
        self.all_held = self.is_too_much(lost, of);
        for id in &there {
            let done = self.make(*id).and_then(|()| self.fill(*id, wanted(id)));
            self.done.failed.extend(done.err());
        }
        for id in there.iter().chain(&gone) {
            let done = self.expunge(*id, wanted(id));
            self.done.failed.extend(done.err());
        }
        // The innermost first.
        let mut gone: Vec<_> = gone.into_iter().filter(|id| self.folders.contains_key(id)).collect();
        gone.sort_by_key(|id| std::cmp::Reverse(self.folders[id].name.len()));
        for id in gone {
            let done = self.unmake(id);
            self.done.failed.extend(done.err());
        }
        self.done
    }

    /// Whether a mail is nowhere any more.
    fn is_lost(&self, known: &Known) -> bool {
        known.guid.is_some_and(|guid| !self.state.mails.contains_key(&guid))
    }

    fn is_too_much(&self, lost: usize, of: usize) -> bool {
        !self.manner.accept_removals && lost > GUARDED_FROM && lost * 2 > of
    }

    pub(super) fn path(&self, id: FolderId) -> PathBuf {
        self.root.join(OsStr::from_bytes(&self.folders[&id].name))
    }

    /// Makes a folder that is not here.
    fn make(&mut self, id: FolderId) -> Result<()> {
        if self.folders.contains_key(&id) {
            return Ok(());
        }
        let name = &self.state.folders[&id].name;
        if !is_folder_name(name) || FolderId::of(name) != id {
            let found = format!("another replica has a folder that cannot be one here: {}", name.escape_ascii());
            return Err(Error::Sync {
                path: self.root.into(),
                found,
                advice: "it is left out; rename it there".into(),
            });
        }
        let mut dir = Dir::open(self.root)?;
        for part in name.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
            dir = dir.sub_or_create(OsStr::from_bytes(part))?;
        }
        for sub in ["tmp", "new", "cur"] {
            dir.sub_or_create(sub)?;
        }
        self.folders.insert(id, LocalFolder { name: name.clone(), ..LocalFolder::default() });
        self.done.made += 1;
        Ok(())
    }

    /// Whether a folder is as it should be, as far as that can be seen without a table.
    fn is_filled(&self, id: FolderId, wanted: &[Guid]) -> bool {
        let (Some(here), there) = (self.folders.get(&id), &self.state.folders[&id]) else { return false };
        let known = || here.mails.iter().filter_map(|(uid, known)| Some((*uid, known.guid?, known.shown)));
        let is_as_told = |guid: &Guid, shown: Shown| {
            self.state.mails.get(guid).is_some_and(|mail| Shown::of_mail(mail).is_done_by(shown))
        };
        self.manner.numbering == Numbering::Eager
            && (here.uid_validity, here.uid_next) == (there.uid_validity, u64::from(there.uid_next))
            && wanted.len() == there.uids.len()
            && known().map(|(uid, guid, _)| (uid, guid)).eq(there.uids.iter().map(|(uid, guid)| (*uid, *guid)))
            && known().all(|(_, guid, shown)| is_as_told(&guid, shown))
    }

    /// Flags, mail that comes, and numbers.
    fn fill(&mut self, id: FolderId, wanted: &[Guid]) -> Result<()> {
        let path = self.path(id);
        if !path.is_dir() {
            return Ok(()); // held back by the guard
        }
        let (here, there) = (&self.folders[&id], &self.state.folders[&id]);
        let numbers: HashMap<Guid, u32> = match self.manner.numbering {
            Numbering::Eager => there.uids.iter().map(|(uid, guid)| (*guid, *uid)).collect(),
            Numbering::Lazy => HashMap::new(),
        };
        let is_eager = self.manner.numbering == Numbering::Eager;
        let is_new_index = here.uid_validity == 0;
        let anew = is_eager && !is_new_index && here.uid_validity != there.uid_validity;
        let known: HashMap<Guid, u32> =
            here.mails.iter().filter_map(|(uid, known)| Some((known.guid?, *uid))).collect();
        let (mut edits, mut arrivals) = (Vec::new(), Vec::new());
        for guid in wanted {
            let (mail, number) = (&self.state.mails[guid], numbers.get(guid).copied());
            let Some(&uid) = known.get(guid) else {
                arrivals.push(Arrival { guid: *guid, number, source: Source::Away });
                continue;
            };
            let (was, is) = (here.mails[&uid].shown, Shown::of_mail(mail));
            if !is.is_done_by(was) {
                let to_cur = is.cur && !was.cur;
                let uid = Uid::new(uid).expect("a UID that an index gave out");
                let change = FlagChange::of(is.flags.without(was.flags), was.flags.without(is.flags));
                edits.push(Edit { uid, change, to_cur });
            }
            if number.is_some_and(|number| anew || number != uid) {
                arrivals.push(Arrival { guid: *guid, number, source: Source::Here(uid) });
            }
        }
        let is_behind = is_eager && u64::from(there.uid_next) > here.uid_next;
        let was_touched = !edits.is_empty() || !arrivals.is_empty() || is_behind || anew || is_new_index;
        if !edits.is_empty() {
            self.edit_flags(id, &path, &edits)?;
        }
        if !arrivals.is_empty() || is_behind || anew || is_new_index {
            let numbers = match (is_eager, anew) {
                (false, _) => Numbers::Own,
                (true, false) => Numbers::Given,
                (true, true) => Numbers::Anew,
            };
            self.arrive(id, arrivals, numbers)?;
        }
        if was_touched { self.look_again(id) } else { Ok(()) }
    }

    fn edit_flags(&mut self, id: FolderId, path: &Path, edits: &[Edit]) -> Result<()> {
        let folder = Folder::open_with(path, self.manner.setting)?;
        let mut outcome = Outcome::default();
        let told = &mut *self.told;
        let done =
            rename(&folder, edits, ("sync", self.manner.wait), &mut |o| told(path, o), self.progress, &mut outcome);
        let here = self.folders.get_mut(&id).expect("the folder that is filled");
        for renamed in outcome.messages {
            let known = here.mails_mut().get_mut(&renamed.uid.get()).expect("a mail that was to be changed");
            if let Some(mail) = known.guid.and_then(|guid| self.state.mails.get(&guid)) {
                let is = Shown::of_mail(mail);
                known.shown = Shown { cur: is.cur || known.shown.cur, ..is };
            }
            self.done.flags += usize::from(renamed.from.is_some());
        }
        // What is gone, or another mail by now, is for the next scan.
        self.done.failed.extend(outcome.failed.into_iter().map(|(_, error)| error).filter(|e| !may_be_elsewhere(e)));
        done
    }

    /// Sees whether the index shows what should stand in the folder now. Else the next scan looks at all of it.
    pub(super) fn look_again(&mut self, id: FolderId) -> Result<()> {
        let path = self.path(id);
        let mut folder = Folder::open_with(&path, self.manner.setting)?;
        let last = folder.complete_index()?.last_given()?;
        let index = folder.complete_index()?;
        let identity = index.identity().clone();
        let snapshot = index.snapshot()?;
        let here = self.folders.get_mut(&id).expect("the folder that is looked at");
        (here.index, here.uid_validity) = (identity.id, identity.uid_validity);
        here.uid_next = u64::from(last.max(snapshot.last_uid()?.map_or(0, Uid::get))) + 1;
        let mut known = here.mails.iter();
        let mut is_same = true;
        for slot in snapshot.slots() {
            let status = slot.status()?;
            if is_same && !status.has(Status::EXPUNGED) {
                let uid = slot.uid()?.get();
                is_same = known.next().is_some_and(|(known, mail)| *known == uid && mail.shown == Shown::of(status));
            }
        }
        let is_same = is_same && known.next().is_none();
        here.counter = if is_same { snapshot.counter() } else { 0 };
        Ok(())
    }

    /// Mail that others have removed.
    fn expunge(&mut self, id: FolderId, wanted: &[Guid]) -> Result<()> {
        let Some(here) = self.folders.get(&id) else { return Ok(()) };
        let is_away = |known: &Known| known.guid.is_some_and(|guid| wanted.binary_search(&guid).is_err());
        let away: Vec<(u32, Known)> =
            here.mails.iter().filter(|(_, known)| is_away(known)).map(|(uid, known)| (*uid, *known)).collect();
        let path = self.path(id);
        if away.is_empty() || !path.is_dir() {
            return Ok(());
        }
        let (lost, of) = (away.iter().filter(|(_, known)| self.is_lost(known)).count(), here.mails.len());
        if lost > 0 && (self.all_held || self.is_too_much(lost, of)) {
            self.done.held.push(Held { folder: path, gone: lost, of, here: false });
            self.folders.get_mut(&id).expect("it was just there").counter = 0;
            return Ok(());
        }
        let folder = Folder::open_with(&path, self.manner.setting)?;
        let told = &mut *self.told;
        let lock = folder.lock("sync", self.manner.wait, &mut |owner| told(&path, owner))?;
        let _ = (self.progress)(Progress { done: 0, total: away.len() });
        let mut writer = Writer::new(folder.index_to_change()?, &lock)?;
        let mut names = Names::default();
        let mut entries = writer.index().entries()?;
        let mut dealt_with = Vec::new();
        for (uid, known) in away {
            let slot = Uid::new(uid).map(|uid| writer.snapshot()?.find_uid(uid)).transpose()?.flatten();
            let Some(slot) = slot.filter(|slot| slot.status().is_ok_and(|status| !status.has(Status::EXPUNGED))) else {
                dealt_with.push(uid);
                continue;
            };
            let (no, wanted) = (slot.no(), Wanted::of(&message(&slot, &mut entries)?));
            let keep = known.guid.filter(|_| self.is_lost(&known));
            let taken = names.reach(folder.maildir(), &wanted, |dirs, sub, name| {
                let path = || folder.maildir().path_of(sub, name);
                let dir = dirs.get(sub).map_err(|errno| Error::io("cannot open", path())(errno))?;
                let stat = rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| Error::io("cannot stat", path())(errno))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !wanted.is(&stat) {
                    return Ok(None);
                }
                // Its flags were changed since: what that means is for the next scan to say.
                if Name::parse(name).flags != known.shown.flags {
                    return Ok(Some(false));
                }
                if let Some(guid) = keep {
                    self.trash.keep(guid, &self.folders[&id].name, name, dir)?;
                }
                rustix::fs::unlinkat(dir, OsStr::from_bytes(name), AtFlags::empty())
                    .map_err(|errno| Error::io("cannot remove", path())(errno))?;
                Ok(Some(true))
            });
            match taken {
                Ok(true) => {
                    writer.set_status(no, Status::EXPUNGED);
                    self.done.removed += usize::from(keep.is_some());
                    dealt_with.push(uid);
                }
                Ok(false) => self.done.again = true,
                Err(error) if may_be_elsewhere(&error) => {}
                Err(error) => self.done.failed.push(error),
            }
        }
        writer.finish()?;
        lock.release()?;
        let here = self.folders.get_mut(&id).expect("it was just there");
        for uid in dealt_with {
            here.mails_mut().remove(&uid);
        }
        self.look_again(id)
    }

    /// Removes a folder that is empty, as far as it is one of ours. What others keep in it stays.
    fn unmake(&mut self, id: FolderId) -> Result<()> {
        let path = self.path(id);
        let here = &self.folders[&id];
        if here.name.is_empty() || !here.mails.is_empty() {
            return Ok(());
        }
        let dir = match Dir::open(&path) {
            Ok(dir) => dir,
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                self.folders.remove(&id);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (at, sub) in ["new", "cur", "tmp"].iter().enumerate() {
            match rustix::fs::unlinkat(&dir, *sub, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                // Somebody has put mail there: then it is a folder again, and the next scan tells.
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    for sub in &["new", "cur", "tmp"][..at] {
                        dir.sub_or_create(sub)?;
                    }
                    self.folders.remove(&id);
                    return Ok(());
                }
                Err(errno) => return Err(Error::io("cannot remove", path.join(sub))(errno)),
            }
        }
        for name in dir.names()?.iter().filter_map(|name| name.to_str()) {
            if name.starts_with("maildex.") {
                dir.unlink(name)?;
            }
        }
        // Folders below it, and what other programs keep there, may keep it.
        let _ = std::fs::remove_dir(&path);
        self.folders.remove(&id);
        self.done.unmade += 1;
        Ok(())
    }

    /// UIDs of mails by the base names of their files.
    pub(super) fn uids_of(
        &self,
        id: FolderId,
        wanted: impl IntoIterator<Item = (Guid, Vec<u8>)>,
    ) -> Result<Vec<(u32, Known)>> {
        let mut folder = Folder::open_with(&self.path(id), self.manner.setting)?;
        let snapshot = folder.complete_index()?.snapshot()?;
        let (by_base, mut entries) = (ByBase::new(&snapshot)?, snapshot.index().entries()?);
        let mut found = Vec::new();
        for (guid, base) in wanted {
            if let Some(slot) = by_base.find(&base, &snapshot, &mut entries)? {
                let (uid, size) = (slot.uid()?.get(), entries.read(&slot)?.size);
                let shown = self.state.mails.get(&guid).map(|mail| Shown::of_mail(mail)).unwrap_or_default();
                found.push((uid, Known { guid: Some(guid), size, shown }));
            }
        }
        Ok(found)
    }
}
