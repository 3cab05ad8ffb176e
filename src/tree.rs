//! The folders below a directory: Maildir++ (`.Sent.2026` beside `cur`), nested directories, or both.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::index::OFFSETS;

/// What was found below a directory.
#[derive(Debug, Default)]
pub struct Tree {
    /// Mail folders, the directory itself among them if it is one, by path.
    pub folders: Vec<PathBuf>,
    /// Directories that are none, and that were looked into: above, or beside, those that are.
    pub others: Vec<PathBuf>,
    /// Directories that could not be looked into.
    pub unreadable: Vec<Error>,
}

/// Looks for mail folders, in directories with a leading dot, too, and behind symbolic links. Each is found once, by a
/// path without links if there is one; so a link that leads back up is no trap.
pub fn find(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut seen = HashSet::new();
    let mut directories = VecDeque::from([root.to_path_buf()]);
    let mut links = VecDeque::new();
    while let Some(path) = directories.pop_front().or_else(|| links.pop_front()) {
        match look(&path, &mut seen) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let is_folder = found.is_folder();
                let is_mail = |name: &OsStr| is_folder && ["cur", "new", "tmp"].iter().any(|sub| name == *sub);
                for (name, kind) in found.0.into_iter().filter(|(name, _)| !is_mail(name)) {
                    if kind.is_dir() {
                        directories.push_back(path.join(name));
                    } else if kind.is_symlink() {
                        links.push_back(path.join(name));
                    }
                }
                let found = if is_folder { &mut tree.folders } else { &mut tree.others };
                found.push(path);
            }
            Err(source) if path == root => return Err(Error::Io { path, doing: "cannot open", source }),
            Err(source) if leads_nowhere(&source) => {}
            Err(source) => tree.unreadable.push(Error::Io { path, doing: "cannot open", source }),
        }
    }
    tree.folders.sort_unstable();
    Ok(tree)
}

/// Gone, or a link to nowhere, or to itself.
fn leads_nowhere(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::LOOP))
}

/// The names in a directory.
struct Names(Vec<(std::ffi::OsString, FileType)>);

impl Names {
    fn has(&self, wanted: &str, is: impl Fn(&FileType) -> bool) -> bool {
        self.0.iter().any(|(name, kind)| name == wanted && is(kind))
    }

    /// Directories named `new` or `tmp` are common elsewhere. A folder whose directories are gone is still one if it has
    /// an index.
    fn is_folder(&self) -> bool {
        let directory = |name| self.has(name, FileType::is_dir);
        directory("cur") || (directory("new") && directory("tmp")) || self.has(OFFSETS, FileType::is_file)
    }
}

/// `None` for what is no directory, or was seen before.
fn look(path: &Path, seen: &mut HashSet<(u64, u64)>) -> std::io::Result<Option<Names>> {
    let meta = fs::metadata(path)?;
    if !meta.is_dir() || !seen.insert((meta.dev(), meta.ino())) {
        return Ok(None);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) => names.push((entry.file_name(), kind)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // vanished in between
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Names(names)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(root: &Path, name: &str) {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.join(name).join(sub)).unwrap();
        }
    }

    fn found(root: &Path) -> Vec<String> {
        let tree = find(root).unwrap();
        assert!(tree.unreadable.is_empty(), "{:?}", tree.unreadable);
        let relative = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        tree.folders.iter().map(relative).collect()
    }

    #[test]
    fn folders_of_either_kind_are_found_once_and_by_path() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["", ".Sent", ".Sent.2026", "archive/2025", "archive/2025/q1", ".Sent/cur/no"] {
            folder(temp.path(), name);
        }
        fs::create_dir_all(temp.path().join("project/new")).unwrap();
        fs::create_dir_all(temp.path().join("gone")).unwrap();
        fs::write(temp.path().join("gone/maildex.offsets"), "").unwrap();
        assert_eq!(found(temp.path()), ["", ".Sent", ".Sent.2026", "archive/2025", "archive/2025/q1", "gone"]);
    }

    #[test]
    fn links_are_followed_and_loops_are_not() {
        let (temp, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        folder(temp.path(), "inbox");
        folder(outside.path(), "work");
        let link = |to: &Path, name: &str| symlink(to, temp.path().join(name)).unwrap();
        link(outside.path(), "a.other");
        link(temp.path(), "inbox/up");
        link(&temp.path().join("inbox"), "a.inbox");
        link(Path::new("nowhere"), "dangling");
        link(Path::new("itself"), "itself");
        assert_eq!(found(temp.path()), ["a.other/work", "inbox"]);
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        assert!(find(&temp.path().join("none")).is_err());
        assert!(found(temp.path()).is_empty());
    }
}
