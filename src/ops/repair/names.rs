//! Names of mail that a person wants put in order: two files of one base name, and flag letters out of order.
//!
//! Only names change, and never over another file. Mail that is indexed keeps its UID; a second file of a base name, which
//! had none, gets one at the next refresh.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::status::Status;
use crate::maildir::Sub;
use crate::maildir::draft::{rename_new, unique_base};
use crate::maildir::listing::Listing;
use crate::maildir::name::{self, Name};
use crate::ops::check::{Finding, Severity};
use crate::ops::repair::Mended;
use crate::refresh::join::{Listings, Names};

/// What can be put in order.
#[derive(Debug, Default)]
pub struct Disorder {
    /// Mail that is to get another name.
    pub renames: Vec<Rename>,
    /// Second names of one file: the one that is indexed, and the other. Nobody can put that right by renaming.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// A mail that is to get another name.
#[derive(Debug)]
pub struct Rename {
    sub: Sub,
    from: Vec<u8>,
    to: Vec<u8>,
    /// Another file has its base name, and is the one that is indexed. Else its flag letters are out of order.
    pub is_twin: bool,
}

impl Rename {
    /// Its path in the folder, and the path that it is to get.
    pub fn paths(&self, folder: &Folder) -> (PathBuf, PathBuf) {
        (folder.maildir().path_of(self.sub, &self.from), folder.maildir().path_of(self.sub, &self.to))
    }

    /// What is wrong with it, and what is made of it.
    pub(crate) fn describe(&self, folder: &Folder) -> Mended {
        let (path, to) = self.paths(folder);
        let (what, found, expected) = if self.is_twin {
            ("base name", "that of another mail, which is indexed", "one of its own")
        } else {
            ("flag letters out of order, or twice", "them so", "each once, sorted")
        };
        let (severity, kind) = (Severity::Note, "name");
        let (what, found, expected) = (what.into(), found.into(), expected.into());
        let finding = Finding { severity, kind, path, at: None, what, found, expected, hint: None };
        Mended { finding, made: format!("it {}", to.display()) }
    }

    /// Renames it. `false` if it is no longer there.
    pub(crate) fn carry_out(&self, folder: &Folder) -> Result<bool> {
        let dir = folder.maildir().sub(self.sub)?;
        let (from, to) = self.paths(folder);
        match rename_new(&dir, &self.from, &dir, &self.to) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::EXIST) => Err(Error::Taken { path: from, taken: to }),
            Err(errno) => Err(Error::io("cannot rename", from)(errno)),
        }
    }
}

/// Looks at all names.
pub fn disorder(folder: &mut Folder) -> Result<Disorder> {
    let maildir = folder.maildir().clone();
    let listing = |sub| maildir.sub(sub).ok().as_ref().map(Listing::read).transpose();
    let listings: Listings = [listing(Sub::New)?, listing(Sub::Cur)?];
    let (indexed, hasher) = (indexed(folder), RandomState::new());
    let mut names = Names::collect(&listings, |base| hasher.hash_one(base));
    let links = |sub: Sub, name: &[u8]| {
        let stat = rustix::fs::statat(maildir.sub(sub).ok()?, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
        stat.ok().map(|stat| stat.st_nlink)
    };
    let (mut found, mut twins) = (Disorder::default(), HashSet::new());
    for (first, second) in names.settle_twins(links, |_, ino| indexed.contains(&ino)) {
        let (one, other) = (names.listed(&first), names.listed(&second));
        twins.insert((second.sub, other.name));
        if one.ino == other.ino {
            found.links.push((maildir.path_of(first.sub, one.name), maildir.path_of(second.sub, other.name)));
        } else {
            let (sub, from) = (second.sub, other.name.to_vec());
            found.renames.push(Rename { sub, to: with_new_base(&from), from, is_twin: true });
        }
    }
    for sub in Sub::ALL {
        for listed in listings[sub as usize].iter().flat_map(Listing::iter) {
            if let Some(to) = name::in_order(listed.name)
                && !twins.contains(&(sub, listed.name))
            {
                found.renames.push(Rename { sub, from: listed.name.to_vec(), to, is_twin: false });
            }
        }
    }
    found.renames.sort_by(|a, b| (a.sub as usize, &a.from).cmp(&(b.sub as usize, &b.from)));
    Ok(found)
}

/// The inodes of live messages, as far as the index can be read.
fn indexed(folder: &mut Folder) -> HashSet<u64> {
    let Ok(Ok(snapshot)) = folder.index().map(crate::index::Index::snapshot) else { return HashSet::new() };
    let lives = |status: Status| !status.has(Status::EXPUNGED);
    snapshot.slots().filter(|slot| slot.status().is_ok_and(lives)).map(|slot| slot.inode()).collect()
}

/// A name that was never used, for a mail of this one. Flags, and what else says something of the mail itself, stay.
fn with_new_base(old: &[u8]) -> Vec<u8> {
    let Name { base, info, .. } = Name::parse(old);
    let mut to = unique_base().into_bytes();
    to.extend(name::own_fields(base));
    to.extend(name::in_order(old).as_deref().map_or(info, |ordered| Name::parse(ordered).info));
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_base_keeps_what_is_true_of_the_mail() {
        let kept = |old: &[u8]| {
            let to = with_new_base(old);
            let at = to.iter().position(|&b| b == b',' || b == b':').unwrap_or(to.len());
            String::from_utf8(to[at..].to_vec()).unwrap()
        };
        assert_eq!(kept(b"1.host"), "");
        assert_eq!(kept(b"1.host:2,SF"), ":2,FS");
        assert_eq!(kept(b"1.host,U=17,S=12,FMD5=ab,W=13:2,S,x"), ",S=12,W=13:2,S,x");
        assert_eq!(kept(b"1.host:1,odd"), ":1,odd");
    }
}
