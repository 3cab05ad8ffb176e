//! From the messages that a user names to slots of the index.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::find::ByBase;
use crate::index::{Entries, Slot, Snapshot};
use crate::maildir::name::base_of;
use crate::maildir::{Maildir, Sub};
use crate::query::message::MessageRef;
use crate::query::uidset::UidSet;

/// From so many base names on a table pays.
const MANY: usize = 4;

/// Tells which paths lead into a folder.
#[derive(Debug)]
pub struct Inside<'m> {
    maildir: &'m Maildir,
    subs: Option<[Option<PathBuf>; 2]>,
    /// The answer for the last directory; paths mostly come from one.
    last: Option<(PathBuf, Option<Sub>)>,
}

impl<'m> Inside<'m> {
    /// Of this folder.
    pub fn new(maildir: &'m Maildir) -> Inside<'m> {
        Inside { maildir, subs: None, last: None }
    }

    /// The directory that a path's directory is. The file itself need not be there; its flags may have changed.
    pub fn sub(&mut self, mail: &Path) -> Result<Sub> {
        let parent = mail.parent().unwrap_or(Path::new(""));
        let sub = match &self.last {
            Some((last, sub)) if last == parent => *sub,
            _ => {
                let real = std::fs::canonicalize(parent).ok();
                let subs = self.subs.get_or_insert_with(|| {
                    Sub::ALL.map(|sub| std::fs::canonicalize(self.maildir.path().join(sub.as_str())).ok())
                });
                let is_it = |sub: &Sub| real.is_some() && subs[*sub as usize] == real;
                let sub = Sub::ALL.into_iter().find(is_it);
                self.last = Some((parent.to_path_buf(), sub));
                sub
            }
        };
        let expected = || format!("a mail in {}", self.maildir.path().display());
        sub.ok_or_else(|| Error::Outside { path: mail.to_path_buf(), expected: expected() })
    }

    /// Whether all messages may be of the folder: a path that leads out of it is refused before anything is done.
    pub fn check<'w>(&mut self, wanted: impl IntoIterator<Item = &'w MessageRef>) -> Result<()> {
        wanted.into_iter().try_for_each(|wanted| match wanted {
            MessageRef::Path(path) => self.sub(path).map(drop),
            MessageRef::Uids(_) | MessageRef::Base(_) => Ok(()),
        })
    }
}

/// Groups paths of mails below a directory by their folders, in the order in which these come up. What is no path, or
/// leads out of the directory, goes to `bad`.
pub fn by_folder(
    root: &Path,
    wanted: Vec<MessageRef>,
    bad: &mut dyn FnMut(Error),
) -> Result<Vec<(PathBuf, Vec<MessageRef>)>> {
    let real_root =
        std::fs::canonicalize(root).map_err(|source| Error::Io { path: root.into(), doing: "cannot open", source })?;
    let mut groups: Vec<(PathBuf, PathBuf, Vec<MessageRef>)> = Vec::new();
    for wanted in wanted {
        let folder = match &wanted {
            MessageRef::Path(path) => path.parent().and_then(Path::parent),
            MessageRef::Uids(_) | MessageRef::Base(_) => None,
        };
        // `cur/1` in the folder itself.
        let folder = folder.map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
        if let Some((_, last, group)) = groups.last_mut()
            && folder == Some(last)
        {
            group.push(wanted);
            continue;
        }
        let real = folder.and_then(|folder| Some((folder, std::fs::canonicalize(folder).ok()?)));
        let Some((folder, real)) = real.filter(|(_, real)| real.starts_with(&real_root)) else {
            let path = wanted.as_path().to_path_buf();
            bad(Error::Outside { path, expected: format!("the path of a mail in a folder below {}", root.display()) });
            continue;
        };
        match groups.iter_mut().find(|(known, ..)| *known == real) {
            Some((.., group)) => group.push(wanted),
            None => groups.push((real, folder.to_path_buf(), vec![wanted])),
        }
    }
    Ok(groups.into_iter().map(|(_, folder, group)| (folder, group)).collect())
}

/// Whether a mail that was not found may be in the folder all the same, so that a refresh finds it.
pub(crate) fn may_be_elsewhere(error: &Error) -> bool {
    matches!(error, Error::NoMessage { .. } | Error::OtherMail { .. } | Error::Changed { .. })
}

/// Finds the messages that a user names, in one snapshot.
pub struct Locator<'s, 'm> {
    snapshot: Snapshot<'s>,
    inside: Inside<'m>,
    by_base: Option<ByBase>,
    /// Base names looked for.
    names: usize,
}

impl<'s, 'm> Locator<'s, 'm> {
    /// Finds messages of a folder in a snapshot of its index.
    pub fn new(maildir: &'m Maildir, snapshot: Snapshot<'s>) -> Locator<'s, 'm> {
        Locator { snapshot, inside: Inside::new(maildir), by_base: None, names: 0 }
    }

    /// The slots of a message that was named, in UID order. A UID that was named by itself and is not there, a name that
    /// is not known, or the path of another file or of one in another folder goes to `missing`, and the rest goes on.
    pub fn locate(
        &mut self,
        entries: &mut Entries,
        wanted: &MessageRef,
        missing: &mut dyn FnMut(Error),
    ) -> Result<Vec<SlotNo>> {
        let unknown = |wanted| Error::NoMessage { path: self.inside.maildir.path().to_path_buf(), wanted };
        let base = match wanted {
            MessageRef::Uids(set) => {
                for uid in set.singles() {
                    let slot = self.snapshot.find_uid(uid)?;
                    if slot.map(|slot| slot.status()).transpose()?.is_none_or(|status| status.has(Status::EXPUNGED)) {
                        missing(unknown(format!("with UID {uid}")));
                    }
                }
                return in_set(&self.snapshot, set);
            }
            MessageRef::Path(path) => {
                if let Err(outside) = self.inside.sub(path) {
                    missing(outside);
                    return Ok(Vec::new());
                }
                base_of(path.file_name().unwrap_or_default().as_bytes())
            }
            MessageRef::Base(name) => base_of(name),
        };
        let Some(slot) = self.find_base(base, entries)? else {
            missing(unknown(format!("with the base name {}", String::from_utf8_lossy(base))));
            return Ok(Vec::new());
        };
        if let MessageRef::Path(path) = wanted
            && self.is_another_file(path, &slot)?
        {
            missing(Error::OtherMail { path: path.clone() });
            return Ok(Vec::new());
        }
        Ok(vec![slot.no()])
    }

    fn find_base(&mut self, base: &[u8], entries: &mut Entries) -> Result<Option<Slot<'s>>> {
        self.names += 1;
        if self.names < MANY {
            return self.snapshot.find_base(base, entries);
        }
        let by_base = match &mut self.by_base {
            Some(by_base) => by_base,
            none => none.insert(ByBase::new(&self.snapshot)?),
        };
        by_base.find(base, &self.snapshot, entries)
    }

    /// Whether a path names a file now, and that is not the one that was indexed: a second one with its base name.
    fn is_another_file(&mut self, path: &Path, slot: &Slot<'_>) -> Result<bool> {
        let sub = self.inside.sub(path)?;
        let name = path.file_name().unwrap_or(OsStr::new(""));
        let dir = self.inside.maildir.root();
        match rustix::fs::statat(dir, Path::new(sub.as_str()).join(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_ino != slot.inode()),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::io("cannot stat", path)(errno)),
        }
    }
}

fn in_set(snapshot: &Snapshot<'_>, set: &UidSet) -> Result<Vec<SlotNo>> {
    // Who names one UID after the other does not want the dead ones at the end walked over each time.
    let last = if set.has_last() { last_live(snapshot) } else { None };
    let from = match set.first() {
        Some(first) => snapshot.first_from(first)?.map_or(snapshot.len(), |slot| slot.no().0),
        None => 0,
    };
    let to = match set.last() {
        Some(last) => snapshot.first_from(last)?.map_or(snapshot.len(), |slot| slot.no().0 + 1),
        None => snapshot.len(),
    };
    let mut found = Vec::new();
    for no in (from..to.min(snapshot.len())).map(SlotNo) {
        let slot = snapshot.slot(no).expect("a slot of this snapshot");
        if !slot.status()?.has(Status::EXPUNGED) && set.contains(slot.uid()?, last) {
            found.push(no);
        }
    }
    Ok(found)
}

/// The largest UID of a live message, which `*` stands for. Damaged slots do not count; who walks over them tells.
pub fn last_live(snapshot: &Snapshot<'_>) -> Option<Uid> {
    let live = |slot: &Slot<'_>| slot.status().is_ok_and(|status| !status.has(Status::EXPUNGED));
    snapshot.slots().rev().filter(live).find_map(|slot| slot.uid().ok())
}
