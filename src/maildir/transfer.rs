//! A mail from one folder to another: its name there, and its file.
//!
//! Within a file system the file itself moves, by one rename, so the mail is in one of the two folders at any time and
//! never in both. Elsewhere, and for a copy, another file is written, as every delivery is; a second link would be one
//! inode with two names, and whoever changes the one would change the other.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Uid};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::maildir::change::FlagChange;
use crate::maildir::draft::{Draft, Withdrawn, rename_new, unique_base};
use crate::maildir::flags::Flags;
use crate::maildir::keywords::Keywords;
use crate::maildir::listing::Listing;
use crate::maildir::name::{base_of, own_fields};
use crate::maildir::{Maildir, Sub, open_mail};

/// The longest name of a file, in bytes.
const NAME_MAX: usize = 255;

/// The folder that mail goes to.
pub struct Destination<'m> {
    maildir: &'m Maildir,
    /// Base names that are taken: all, or, where the index knows the others, those that we took.
    taken: HashSet<Vec<u8>>,
    /// What the index knows.
    known: Known<'m>,
    /// Names of keywords here and there, where both are known.
    keywords: Option<(Keywords, Keywords)>,
    /// Only one of the folders has names for its keywords.
    is_one_sided: bool,
    /// What could not be kept of keywords, for people.
    pub lost_keywords: BTreeSet<String>,
    /// Letters of keywords were kept, and may mean something else there.
    pub unsure_keywords: bool,
}

/// What the index of a folder knows of its base names.
pub struct Known<'k> {
    /// Nothing has changed since: it knows all of them.
    pub is_fresh: bool,
    /// Whether a base name is taken. Also by a message whose file is gone, as long as the index does not know that: a file
    /// that got the name, and perhaps the inode, would pass for that message. Only the same file may have it again. And by one
    /// that it knows to be gone: `NeoMutt` unlinks the name of a mail that it has seen go, whatever has that name when it
    /// writes the folder back.
    pub has: Box<Has<'k>>,
}

/// Whether a file may not have a base name.
pub type Has<'k> = dyn FnMut(&[u8], &Stat) -> Result<bool> + 'k;

impl<'m> Destination<'m> {
    /// Lists the folder, once, unless its index knows what is in it.
    pub fn look(from: &Maildir, to: &'m Maildir, known: Known<'m>) -> Result<Destination<'m>> {
        let mut taken = HashSet::new();
        for sub in Sub::ALL.into_iter().filter(|_| !known.is_fresh) {
            let listing = Listing::read(&to.sub(sub)?)?;
            taken.extend((0..listing.len()).map(|at| base_of(listing.get(at).name).to_vec()));
        }
        let [here, there] = [from, to].map(|maildir| Keywords::read(maildir.root()));
        let has_names = |keywords: &Keywords| keywords.names().next().is_some();
        let (has_here, has_there) = (has_names(&here), has_names(&there));
        Ok(Destination {
            maildir: to,
            taken,
            known,
            keywords: (has_here && has_there).then_some((here, there)),
            is_one_sided: has_here != has_there,
            lost_keywords: BTreeSet::new(),
            unsure_keywords: false,
        })
    }

    /// The name that a mail is to get there. The base name stays, without what says something of the
    /// folder that it was in (the UID of mbsync, and what goes with it), unless there is a mail of that name or nothing is left.
    pub fn name_for(&mut self, name: &[u8], stat: &Stat) -> Result<Vec<u8>> {
        let base = base_of(name);
        let kept = |part: &&[u8]| !part.starts_with(b"U=") && !part.starts_with(b"FMD5=");
        let mut parts: Vec<&[u8]> = base.split(|&b| b == b',').collect();
        let stem = parts.remove(0);
        let rest: Vec<u8> = parts.into_iter().filter(kept).flat_map(|part| [b",", part].concat()).collect();
        let mut new = [stem, &rest].concat();
        if new.is_empty() || self.taken.contains(&new) || (self.known.has)(&new, stat)? {
            new = [unique_base().as_bytes(), &rest].concat();
            if new.len() + name.len() - base.len() > NAME_MAX {
                new.truncate(new.len() - rest.len());
                new.extend(own_fields(base));
            }
        }
        Ok(self.with_keywords(&[&new, &name[base.len()..]].concat()))
    }

    /// A mail has this name there now, or would have.
    pub fn add(&mut self, name: &[u8]) {
        self.taken.insert(base_of(name).to_vec());
    }

    /// Letters of keywords mean in each folder what its `dovecot-keywords` says.
    fn with_keywords(&mut self, name: &[u8]) -> Vec<u8> {
        let letters = crate::maildir::name::Name::parse(name).flags.keywords();
        if letters == Flags::NONE {
            return name.to_vec();
        }
        let Some((here, there)) = &self.keywords else {
            self.unsure_keywords |= self.is_one_sided;
            return name.to_vec();
        };
        let mut mapped = Flags::NONE;
        for keyword in here.of(letters) {
            match there.letter_of(&keyword) {
                Some(letter) => mapped = mapped.union(letter),
                None => drop(self.lost_keywords.insert(keyword)),
            }
        }
        let change = FlagChange::of(mapped, letters.without(mapped));
        change.edit(name, false).unwrap_or_else(|_| name.to_vec())
    }

    /// Moves a file here, under a name that is not taken. `None` where that needs a copy: another file system.
    pub fn take(&self, from: &Dir, name: &[u8], sub: Sub, new: &[u8]) -> Result<Option<()>> {
        let dir = self.maildir.sub(sub)?;
        match rename_new(from, name, &dir, new) {
            Ok(()) => Ok(Some(())),
            Err(Errno::XDEV) => Ok(None),
            Err(errno) => Err(Error::io("cannot move", from.path().join(OsStr::from_bytes(name)))(errno)),
        }
    }

    /// Puts a moved file back.
    pub fn give_back(&self, sub: Sub, new: &[u8], from: &Dir, name: &[u8]) -> Result<()> {
        rename_new(&self.maildir.sub(sub)?, new, from, name)
            .map_err(Error::io("cannot put back", self.maildir.path_of(sub, new)))
    }

    /// Copies a file here, if it is the one that `is_it` says.
    pub fn copy(
        &self,
        from: &Dir,
        name: &[u8],
        sub: Sub,
        new: &[u8],
        is_it: &dyn Fn(&Stat) -> bool,
    ) -> Result<Option<Copied>> {
        let path = || from.path().join(OsStr::from_bytes(name));
        let dir = self.maildir.sub(sub)?;
        let (mut file, stat) = match open_mail(from, name) {
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            opened => opened.map_err(Error::io("cannot open", path()))?,
        };
        if !is_it(&stat) {
            return Ok(None);
        }
        let mut draft = Draft::begin(self.maildir, &self.maildir.access())?;
        draft.copy(&mut file)?;
        let after = rustix::fs::fstat(&file).map_err(Error::io("cannot stat", path()))?;
        if !is_unchanged(&stat, &after) {
            return Err(Error::KeepsChanging { path: path() });
        }
        draft.finish(received(&stat), Some(Mode::from_raw_mode(stat.st_mode)))?;
        let copy = draft.stat()?;
        draft.place_as(&dir, new)?;
        Ok(Some(Copied { original: stat, copy }))
    }

    /// Removes a copy that was made, unless somebody has changed or renamed it since.
    pub fn take_back(&self, sub: Sub, new: &[u8], copy: &Stat) -> Result<()> {
        let dir = self.maildir.sub(sub)?;
        let withdrawn = match Withdrawn::take(self.maildir, &dir, new) {
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(()),
            taken => taken?,
        };
        match withdrawn.stat() {
            Ok(stat) if is_unchanged(copy, &stat) => withdrawn.remove(),
            _ => withdrawn.put_back(&dir, new),
        }
    }

    /// Makes the names durable.
    pub fn sync(&self) -> Result<()> {
        Sub::ALL.into_iter().try_for_each(|sub| self.maildir.sub(sub)?.sync())
    }

    /// Whether what stands there now is the file that `is_it` says.
    pub fn has(&self, sub: Sub, new: &[u8], is_it: &dyn Fn(&Stat) -> bool) -> Result<bool> {
        let stat = rustix::fs::statat(&self.maildir.sub(sub)?, OsStr::from_bytes(new), AtFlags::SYMLINK_NOFOLLOW);
        match stat {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && is_it(&stat)),
            // Somebody has renamed it there already, so it was mail.
            Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(Error::io("cannot stat", self.maildir.path_of(sub, new))(errno)),
        }
    }
}

/// What `fstat` says of a file and its copy.
pub struct Copied {
    /// What was copied.
    pub original: Stat,
    /// What came of it.
    pub copy: Stat,
}

/// Whether a file is still what it was.
pub fn is_unchanged(before: &Stat, now: &Stat) -> bool {
    let of = |stat: &Stat| (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    of(before) == of(now)
}

/// The time of delivery.
pub fn received(stat: &Stat) -> SystemTime {
    let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let whole = if stat.st_mtime < 0 { SystemTime::UNIX_EPOCH - seconds } else { SystemTime::UNIX_EPOCH + seconds };
    whole + Duration::from_nanos(stat.st_mtime_nsec)
}

/// Makes what is missing of a Maildir, for those who may use another one.
pub fn create(path: &Path, like: &Maildir) -> Result<()> {
    let mode = |dir: &Dir| rustix::fs::fstat(dir).map_err(Error::io("cannot stat", dir.path()));
    let root = mode(like.root())?;
    let inner = like.sub(Sub::Cur).or_else(|_| like.sub(Sub::New)).and_then(|dir| mode(&dir))?;
    make(path, &root)?;
    for sub in ["tmp", "new", "cur"] {
        make(&path.join(sub), &inner)?;
    }
    Ok(())
}

fn make(path: &Path, like: &Stat) -> Result<()> {
    let failed = |source| Error::Io { path: path.to_path_buf(), doing: "cannot create", source };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(source) => return Err(failed(source)),
    }
    let dir = Dir::open(path)?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        rustix::fs::fchown(&dir, Some(user), Some(group)).map_err(|errno| failed(errno.into()))?;
    }
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(like.st_mode)).map_err(|errno| failed(errno.into()))
}
