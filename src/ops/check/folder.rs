//! The index against the names in the folder, and what is odd about these.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use hashbrown::HashTable;
use rustix::fs::{AtFlags, FileType};

use super::{Check, Row, Severity, shown};
use crate::dir::Dir;
use crate::error::{Damage, Error, Result};
use crate::format::SlotNo;
use crate::format::status::Status;
use crate::index::Column;
use crate::maildir::Sub;
use crate::maildir::draft::TMP;
use crate::maildir::listing::{Listed, Listing, Stamp};
use crate::maildir::name::Name;
use crate::system::now;

/// What is left in `tmp/` for so long is nobody's any more (the Maildir page).
const TMP_SECONDS: i64 = 36 * 60 * 60;

/// So many differences between index and folder are told one by one.
const EACH: usize = 1000;

/// What other programs keep beside the mail, by the beginning of the name, and whose it is.
const NEIGHBOURS: &[(&str, &str)] = &[
    (".mbsyncstate", "mbsync"),
    (".uidvalidity", "mbsync"),
    (".isyncuidmap", "mbsync"),
    (".mu", "mu"),
    (".notmuch", "notmuch"),
    (".offlineimap", "OfflineIMAP"),
    ("courierimap", "Courier"),
    ("dovecot", "Dovecot"),
    ("maildirfolder", "Maildir++"),
    ("maildirsize", "Maildir++ quota"),
    ("subscriptions", "Dovecot"),
];

/// Names of both directories, by the hash of their base.
pub(super) struct Names {
    listings: [Listing; 2],
    table: HashTable<Place>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) sub: Sub,
    position: u32,
    hash: u64,
    is_known: bool,
}

/// Live messages and the names of their files.
pub(super) struct Matches {
    pub(super) names: Names,
    pub(super) found: Vec<(SlotNo, Place)>,
}

/// What the index does not have as the folder has it.
#[derive(Default)]
struct Behind {
    added: usize,
    gone: usize,
    changed: usize,
    /// What would be damage if the index is not merely behind.
    damage: Vec<Damage>,
}

impl Names {
    fn list(folder: &crate::folder::Folder) -> Result<Names> {
        let list = |sub| match folder.maildir().sub(sub) {
            Ok(dir) => Listing::read(&dir),
            Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => Ok(Listing::default()),
            Err(error) => Err(error),
        };
        Ok(Names { listings: [list(Sub::New)?, list(Sub::Cur)?], table: HashTable::new() })
    }

    pub(super) fn listed(&self, place: &Place) -> Listed<'_> {
        self.listings[place.sub as usize].get(place.position as usize)
    }

    /// The name with a hash; of several the one on this inode.
    fn find(&self, hash: u64, ino: u64) -> Option<Place> {
        let with_hash = || self.table.iter_hash(hash).filter(|place| place.hash == hash);
        with_hash().find(|place| self.listed(place).ino == ino).or_else(|| with_hash().next()).copied()
    }

    fn mark(&mut self, of: &Place) {
        let is_it = |place: &Place| (place.sub, place.position) == (of.sub, of.position);
        if let Some(place) = self.table.find_mut(of.hash, is_it) {
            place.is_known = true;
        }
    }
}

impl Check<'_> {
    pub(super) fn folder(&mut self) -> Result<Matches> {
        let before = self.stamps()?;
        let counter = self.counter();
        let mut names = Names::list(self.folder)?;
        self.odd_names(&mut names);
        self.directories(&before);
        let proved = Sub::ALL.map(|sub| self.proves(sub, before[sub as usize]));
        let mut behind = Behind::default();
        let found = self.compare(&mut names, proved, &mut behind);
        self.not_indexed(&names, proved, &mut behind);
        let is_calm = self.is_calm() && self.counter() == counter && self.stamps()? == before;
        self.tell_behind(behind, is_calm);
        self.tmp()?;
        self.neighbours()?;
        Ok(Matches { names, found })
    }

    fn stamps(&self) -> Result<[Option<Stamp>; 2]> {
        let root = self.folder.maildir().root();
        Ok([Stamp::now(root, Sub::New)?, Stamp::now(root, Sub::Cur)?].map(|stamp| {
            // Whether it has settled by now says nothing about a change.
            stamp.map(|stamp| Stamp { settled: true, ..stamp })
        }))
    }

    /// Whether the index has taken this state of a directory up.
    fn proves(&self, sub: Sub, now: Option<Stamp>) -> bool {
        let recorded = self.header().and_then(|header| header.stamp(sub));
        self.is_calm() && matches!((recorded, now), (Some(recorded), Some(now)) if recorded.proves(&now))
    }

    fn path_of(&self, sub: Sub, name: &[u8]) -> PathBuf {
        self.folder.maildir().path_of(sub, name)
    }

    /// Takes the names up, and tells which of them are odd.
    fn odd_names(&mut self, names: &mut Names) {
        let key = self.index.identity().cloned();
        for sub in Sub::ALL {
            for (name, what) in names.listings[sub as usize].odd.clone() {
                self.note("odd-file", self.path_of(sub, &name), None, format!("{what}, left alone"));
            }
            for position in 0..names.listings[sub as usize].len() as u32 {
                let place = Place { sub, position, hash: 0, is_known: false };
                let name = names.listed(&place).name.to_vec();
                self.odd_name(sub, &name);
                let Some(key) = &key else { continue };
                let base = Name::parse(&name).base;
                let place = Place { hash: key.hash(base), ..place };
                let same =
                    |other: &Place| other.hash == place.hash && Name::parse(names.listed(other).name).base == base;
                let twin = names.table.iter_hash(place.hash).find(|other| same(other)).copied();
                if let Some(twin) = twin
                    && let Some(path) = self.twin_of(names, &twin, &place)
                {
                    let what = format!("a second file with the base name of {}; one of them is indexed", shown(&path));
                    let hint = format!("look at both; this gives the other one a new name: {}", self.rename());
                    self.note_with("duplicate", self.path_of(sub, &name), None, what, Some(hint));
                }
                names.table.insert_unique(place.hash, place, |place| place.hash);
            }
        }
    }

    /// The path of a name, if it is there and the other one is, too: mail that moves while the two directories are listed
    /// is met twice.
    fn twin_of(&self, names: &Names, twin: &Place, other: &Place) -> Option<PathBuf> {
        let is_there = |place: &Place| {
            let dir = self.folder.maildir().sub(place.sub).ok()?;
            let name = OsStr::from_bytes(names.listed(place).name);
            rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()
        };
        let (a, b) = (is_there(twin)?, is_there(other)?);
        (a.st_ino != b.st_ino || a.st_nlink > 1).then(|| self.path_of(twin.sub, names.listed(twin).name))
    }

    fn odd_name(&mut self, sub: Sub, name: &[u8]) {
        let Name { base, info, flags } = Name::parse(name);
        let letters = info.get(1..).and_then(|rest| rest.strip_prefix(b"2,"));
        let letters = letters.map(|rest| rest.split(|&byte| byte == b',').next().unwrap_or_default());
        let path = self.path_of(sub, name);
        if base.is_empty() {
            self.note("no-base", path.clone(), None, "a name without a base: nothing stands before the flags");
        }
        match letters {
            Some(letters) if !letters.is_sorted_by(|a, b| a < b) => {
                let severity = Severity::Note;
                let (found, expected) = (String::from_utf8_lossy(letters).into_owned(), flags.to_string());
                let what = "flag letters out of order, or twice".into();
                self.tell(&super::Finding {
                    severity,
                    kind: "flag-order",
                    path,
                    at: None,
                    what,
                    found,
                    expected,
                    hint: Some(format!("this puts them in order: {}", self.rename())),
                });
            }
            None if sub == Sub::Cur => self.note("no-flags", path, None, "a name in cur/ without `:2,` and flags"),
            _ => {}
        }
    }

    fn directories(&mut self, stamps: &[Option<Stamp>; 2]) {
        for sub in Sub::ALL.into_iter().filter(|sub| stamps[*sub as usize].is_none()) {
            let hint =
                format!("is everything mounted? if not, make it: mkdir {}/{}", self.shown_folder(), sub.as_str());
            let path = self.folder.path().join(sub.as_str());
            self.note_with("no-directory", path, None, "no such directory", Some(hint));
        }
    }

    /// What gives mail better names.
    fn rename(&self) -> String {
        format!("maildex repair {} --normalise-names", self.shown_folder())
    }

    fn shown_folder(&self) -> String {
        shown(self.folder.path())
    }

    /// Live messages against the names.
    fn compare(&mut self, names: &mut Names, proved: [bool; 2], behind: &mut Behind) -> Vec<(SlotNo, Place)> {
        let mut found = Vec::new();
        for no in (0..self.uids.len() as u32).map(SlotNo) {
            let Some(row) = Row::load(&self.index, no) else { break };
            let (Some(uid), Some(status)) = (row.uid, row.live()) else { continue };
            let Some(place) = names.find(row.hash, row.inode) else {
                behind.gone += 1;
                if proved == [true, true] {
                    let (what, expected) =
                        (format!("status of slot {}", no.0), "EXPUNGED, for no file has that base name");
                    behind.push(|| {
                        self.wrong(Column::Status.at(no), &what, format!("that UID {uid} is there"), expected)
                    });
                }
                continue;
            };
            names.mark(&place);
            found.push((no, place));
            let listed = names.listed(&place);
            self.states(status, place.sub, listed.name, uid.get());
            let named = Status::of_name(place.sub, &Name::parse(listed.name));
            let is = status.without_contents();
            let is_proved = proved[place.sub as usize] && proved[status.sub() as usize];
            if named != is {
                behind.changed += 1;
                let (is, should) =
                    (is.to_string(), format!("{named}, as the name has it: {}", shown_name(listed.name)));
                if is_proved {
                    behind.push(|| self.wrong(Column::Status.at(no), &format!("status of slot {}", no.0), is, should));
                }
            } else if row.inode != listed.ino {
                behind.changed += 1;
                let (what, expected) = (format!("inode of slot {}", no.0), listed.ino.to_string());
                if is_proved {
                    behind.push(|| self.wrong(Column::Inode.at(no), &what, row.inode.to_string(), expected));
                }
            }
        }
        found
    }

    /// Mail that has nothing in it, or could not be read.
    fn states(&mut self, status: Status, sub: Sub, name: &[u8], uid: u32) {
        if status.has(Status::EMPTY) {
            let what = format!("UID {uid} has no bytes, or had none when it was indexed");
            self.note("empty", self.path_of(sub, name), None, what);
        }
        if status.has(Status::UNREADABLE) {
            let what = format!("UID {uid} could not be read when it was indexed");
            self.note_with("unreadable", self.path_of(sub, name), None, what, Some(self.build()));
        }
    }

    /// Names that no message has.
    fn not_indexed(&mut self, names: &Names, proved: [bool; 2], behind: &mut Behind) {
        if self.index.identity().is_none() || self.uids.contains(&0) {
            return; // nobody can tell whose they are
        }
        let mut unknown: Vec<_> = names.table.iter().filter(|place| !place.is_known).copied().collect();
        unknown.sort_unstable_by_key(|place| (place.sub, place.position));
        for place in unknown {
            behind.added += 1;
            let name = names.listed(&place).name;
            if proved[place.sub as usize] && self.is_mail(place.sub, name) {
                let found = "no message with this base name".into();
                let (what, expected) = ("mail".into(), format!("one, for {} was listed", place.sub.as_str()));
                behind.push(|| Damage { path: self.path_of(place.sub, name), at: 0, what, found, expected });
            }
        }
    }

    fn is_mail(&self, sub: Sub, name: &[u8]) -> bool {
        let Ok(dir) = self.folder.maildir().sub(sub) else { return false };
        let stat = rustix::fs::statat(&dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// Differences are damage only where nothing has changed since the index was brought up to date.
    fn tell_behind(&mut self, behind: Behind, is_calm: bool) {
        let Behind { added, gone, changed, damage } = behind;
        let is_damage = is_calm && !damage.is_empty();
        if is_damage {
            for damage in damage {
                self.damage("folder", damage);
            }
        } else if added + gone + changed > 0 {
            let what = format!(
                "the index is behind the folder, which is no damage: {added} new, {gone} gone, {changed} changed"
            );
            self.detail("behind", self.folder.path().to_path_buf(), what, Some(self.build()));
        }
    }

    /// What was left in `tmp/`.
    fn tmp(&mut self) -> Result<()> {
        let dir = match self.folder.maildir().root().sub(TMP) {
            Ok(dir) => dir,
            Err(error) => {
                let hint = format!("mail cannot be delivered without it: mkdir {}/{TMP}", self.shown_folder());
                let what = match error {
                    Error::Io { source, .. } => format!("cannot be opened: {source}"),
                    error => error.to_string(),
                };
                self.note_with("no-directory", self.folder.path().join(TMP), None, what, Some(hint));
                return Ok(());
            }
        };
        let now = now().tv_sec;
        for name in dir.names()? {
            if let Ok(stat) = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                let age = now.saturating_sub(stat.st_mtime.max(stat.st_atime));
                if age > TMP_SECONDS {
                    let what = format!("left behind {} hours ago by a delivery that did not finish", age / 3600);
                    let path = dir.path().join(&name);
                    let hint = format!("nobody needs it any more: rm {}", shown(&path));
                    self.note_with("tmp", path, None, what, Some(hint));
                }
            }
        }
        Ok(())
    }

    /// What other programs keep here.
    fn neighbours(&mut self) -> Result<()> {
        let root: &Dir = self.folder.maildir().root();
        let mut files = Vec::new();
        for name in root.names()? {
            let owner = NEIGHBOURS.iter().find(|(begins, _)| name.as_bytes().starts_with(begins.as_bytes()));
            files.extend(owner.map(|(_, owner)| format!("{} ({owner})", name.to_string_lossy())));
        }
        if !files.is_empty() {
            files.sort_unstable();
            let what = format!("other programs keep files here, which maildex leaves alone: {}", files.join(", "));
            self.detail("neighbours", self.folder.path().to_path_buf(), what, None);
        }
        Ok(())
    }
}

impl Behind {
    fn push(&mut self, damage: impl FnOnce() -> Damage) {
        if self.damage.len() < EACH {
            self.damage.push(damage());
        }
    }
}

/// A file name for the eye.
fn shown_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
