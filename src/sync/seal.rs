//! How a replica knows itself: the file `seal`, written at the end of each run, says where everything was. No program can
//! set the birth of a file, so a copy, and what was put back from a back-up, are not what it says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::state::FolderId;
use crate::dir::born_ns;
use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::format::header::IndexId;
use crate::sync::scan::folder_name;

/// The file, beside `local`.
const NAME: &str = "seal";

/// Its first line.
const MAGIC: &str = "maildex-sync-seal 1";

/// Where the system says which machine this is.
const MACHINE: &str = "/etc/machine-id";

/// What was where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// The machine; `-` if it has no name.
    pub machine: String,
    /// The file itself.
    pub own: Born,
    /// The mail root.
    pub root: Born,
    /// How many changes the replica had made.
    pub counter: u64,
    /// The index of each folder.
    pub folders: BTreeMap<FolderId, IndexSeal>,
}

/// Inode and birth, 0 where the file system knows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Born {
    ino: u64,
    born_ns: i64,
}

/// An index as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexSeal {
    index: IndexId,
    generation: u64,
    born_ns: i64,
}

impl Born {
    pub(super) fn of(file: &File) -> io::Result<Born> {
        use std::os::unix::fs::MetadataExt;
        Ok(Born { ino: file.metadata()?.ino(), born_ns: born_ns(file).unwrap_or(0) })
    }

    pub(super) fn at(path: &Path) -> Result<Born> {
        let born = File::open(path).and_then(|file| Born::of(&file));
        born.map_err(|source| Error::Io { path: path.to_path_buf(), doing: "cannot open", source })
    }
}

impl IndexSeal {
    /// Of the index of a folder as it is now; `None` if it has none, or one that was copied and is not yet its own.
    pub(super) fn of(folder: &mut Folder) -> Option<IndexSeal> {
        let index = folder.index().ok().filter(|index| !index.is_copy())?;
        let (id, generation) = (index.identity().id, index.identity().generation);
        Some(IndexSeal { index: id, generation, born_ns: index.header().born().unwrap_or(0) })
    }

    /// Whether the index was put back since, or is a copy. Who makes a new generation makes a later one; the same one has
    /// the same birth. Another index was made anew here, which the look at the folder sees by itself.
    pub(super) fn was_put_back(&self, now: &IndexSeal) -> bool {
        let is_same =
            now.generation > self.generation || (now.generation == self.generation && now.born_ns == self.born_ns);
        self.index == now.index && !is_same
    }
}

/// Which machine this is.
pub(super) fn machine() -> String {
    let text = fs::read_to_string(MACHINE).unwrap_or_default();
    let id: String = text.trim().chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    if id.is_empty() { "-".into() } else { id }
}

impl Seal {
    /// Reads it; `None` if there is none, as before the first run.
    pub(super) fn read(dir: &Path) -> Result<Option<Seal>> {
        let path = dir.join(NAME);
        match fs::read_to_string(&path) {
            // One that says nothing is not that of the last run, whatever has happened to it.
            Ok(text) => Ok(Some(parse(&text).unwrap_or_else(Seal::broken))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, doing: "cannot read", source }),
        }
    }

    /// Whether the file is the one that was written, where it was written.
    pub(super) fn is_own(&self, dir: &Path) -> Result<bool> {
        Ok(Born::at(&dir.join(NAME))? == self.own)
    }

    fn broken() -> Seal {
        let none = Born { ino: 0, born_ns: 0 };
        Seal { machine: machine(), own: none, root: none, counter: 0, folders: BTreeMap::new() }
    }

    /// Writes it for what is there now.
    pub(super) fn write<'p>(
        dir: &Path,
        root: &Path,
        counter: u64,
        folders: impl Iterator<Item = &'p Path>,
        setting: &Setting,
    ) -> Result<()> {
        let mut seals = BTreeMap::new();
        for path in folders {
            let Some(name) = folder_name(root, path) else { continue };
            let seal = Folder::open_with(path, setting).ok().and_then(|mut folder| IndexSeal::of(&mut folder));
            seals.extend(seal.map(|seal| (FolderId::of(&name), seal)));
        }
        let root = Born::at(root)?;
        let (path, unfinished) = (dir.join(NAME), dir.join("seal.tmp"));
        let written = File::create(&unfinished).and_then(|mut file| {
            let seal = Seal { machine: machine(), own: Born::of(&file)?, root, counter, folders: seals };
            file.write_all(seal.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(dir)?.sync_all()
        });
        written.map_err(|source| Error::Io { path, doing: "cannot write", source })
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let Seal { machine, own, root, counter, folders } = self;
        let mut text = format!(
            "{MAGIC}\nmachine {machine}\nself {} {}\nroot {} {}\ncounter {counter}\n",
            own.ino, own.born_ns, root.ino, root.born_ns
        );
        for (id, IndexSeal { index, generation, born_ns }) in folders {
            let index = u128::from_be_bytes(*index);
            let _ = writeln!(text, "folder {id} {index:032x} {generation} {born_ns}");
        }
        text.push_str("end\n");
        text
    }
}

fn parse(text: &str) -> Option<Seal> {
    let mut lines = text.strip_suffix("end\n")?.lines();
    if lines.next()? != MAGIC {
        return None;
    }
    let machine = lines.next()?.strip_prefix("machine ")?.to_string();
    let born = |line: &str| {
        let (ino, born_ns) = line.split_once(' ')?;
        Some(Born { ino: ino.parse().ok()?, born_ns: born_ns.parse().ok()? })
    };
    let own = born(lines.next()?.strip_prefix("self ")?)?;
    let root = born(lines.next()?.strip_prefix("root ")?)?;
    let counter = lines.next()?.strip_prefix("counter ")?.parse().ok()?;
    let folder = |line: &str| {
        let words: Vec<&str> = line.strip_prefix("folder ")?.split(' ').collect();
        let [id, index, generation, born_ns] = words[..] else { return None };
        let index = u128::from_str_radix(index, 16).ok()?.to_be_bytes();
        let seal = IndexSeal { index, generation: generation.parse().ok()?, born_ns: born_ns.parse().ok()? };
        Some((FolderId::parse(id.as_bytes())?, seal))
    };
    let folders = lines.map(folder).collect::<Option<_>>()?;
    Some(Seal { machine, own, root, counter, folders })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_as_it_was_written_and_a_copy_of_it_is_known() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(Seal::read(temp.path()).unwrap(), None);
        Seal::write(temp.path(), temp.path(), 7, std::iter::empty(), &Setting::default()).unwrap();
        let seal = Seal::read(temp.path()).unwrap().unwrap();
        assert_eq!((seal.counter, &seal.machine, seal.root), (7, &machine(), Born::at(temp.path()).unwrap()));
        assert_eq!(parse(&seal.text()), Some(seal));
        let seal = Seal::read(temp.path()).unwrap().unwrap();
        assert!(seal.is_own(temp.path()).unwrap());
        let path = temp.path().join(NAME);
        fs::copy(&path, temp.path().join("copy")).unwrap();
        fs::rename(temp.path().join("copy"), &path).unwrap();
        assert!(!Seal::read(temp.path()).unwrap().unwrap().is_own(temp.path()).unwrap());
        fs::write(&path, "maildex-sync-seal 1\nmach").unwrap();
        assert!(!Seal::read(temp.path()).unwrap().unwrap().is_own(temp.path()).unwrap(), "cut");
    }

    #[test]
    fn a_later_generation_was_made_here_and_an_earlier_one_put_back() {
        let seal = |generation, born_ns| IndexSeal { index: [1; 16], generation, born_ns };
        let before = seal(5, 50);
        for (now, was_put_back) in
            [(seal(5, 50), false), (seal(6, 60), false), (seal(5, 51), true), (seal(4, 40), true)]
        {
            assert_eq!(before.was_put_back(&now), was_put_back, "{now:?}");
        }
        assert!(!before.was_put_back(&IndexSeal { index: [2; 16], ..seal(1, 70) }));
    }
}
