//! Opening an index: two files that must be of one generation.
//!
//! The offsets file names its generation, so it is opened first. A compaction may replace both in between; then the
//! name of the offsets file stands for another file, and it is opened again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::dir::{Dir, FileId, born_ns, id_of_file};
use crate::error::{Damage, Error, Result};
use crate::format::entry::Seal;
use crate::format::header::{BORN_LEN, BadHeader, Identity, Kind, RECORD_LEN, VERSION, decode_born};
use crate::index::{Index, OFFSETS, index_name};
use crate::map::OffsetsMap;

/// Tries while the files are replaced under us.
const MAX_TRIES: usize = 10;

impl Index {
    /// Opens the index in a directory; `None` if there is no offsets file.
    pub fn open(dir: &Arc<Dir>, writable: bool) -> Result<Option<Index>> {
        Index::open_again(dir, writable, &mut || ())
    }

    /// `again` is called before each try but the first.
    fn open_again(dir: &Arc<Dir>, writable: bool, again: &mut dyn FnMut()) -> Result<Option<Index>> {
        // The file seen before stays open: otherwise its inode may be given to the next one, which then looks like it.
        let mut seen: Option<(FileId, File)> = None;
        let mut last = None;
        for _ in 0..MAX_TRIES {
            if seen.is_some() {
                again();
            }
            let Some(offsets_file) = dir.open_file(OFFSETS, writable)? else { return Ok(None) };
            let path = || dir.path().join(OFFSETS);
            let offsets_id = id_of_file(&offsets_file).map_err(Error::io("cannot stat", path()))?;
            if seen.as_ref().is_some_and(|(seen, _)| *seen == offsets_id) {
                break; // the same file as before, so waiting will not help
            }
            let offsets = OffsetsMap::new(&offsets_file, writable)
                .map_err(|source| Error::Io { path: path(), doing: "cannot map", source })?
                .ok_or_else(|| too_short(path(), &offsets_file))?;
            let identity =
                Identity::decode(Kind::Offsets, &offsets.record()).map_err(|bad| bad_header(path(), &bad))?;
            match open_index_file(dir, &identity, writable) {
                Ok(entries_file) => {
                    let seal = Seal::new(&identity.id, identity.marker);
                    let dir = Arc::clone(dir);
                    let born_ns = born_ns(&offsets_file);
                    return Ok(Some(Index {
                        dir,
                        identity,
                        seal,
                        offsets_file,
                        offsets_id,
                        offsets,
                        entries_file,
                        writable,
                        born_ns,
                        burnt: 0,
                    }));
                }
                Err(error) => last = Some(error),
            }
            seen = Some((offsets_id, offsets_file));
        }
        Err(last.unwrap_or_else(|| Error::KeepsChanging { path: dir.path().join(OFFSETS) }))
    }
}

/// Opens the index file that an offsets file names.
fn open_index_file(dir: &Dir, identity: &Identity, writable: bool) -> Result<File> {
    let name = index_name(identity.generation);
    let path = || dir.path().join(&name);
    let Some(file) = dir.open_file(&name, writable)? else {
        let (found, expected) = ("no file".into(), format!("the file that {OFFSETS} names"));
        return Err(Error::Damaged(Damage { path: path(), at: 0, what: "index".into(), found, expected }));
    };
    let found = read_identity(&file, Kind::Index, path())?;
    if found != *identity {
        let what = if found.id == identity.id { "header" } else { "index id" };
        let expected = format!("the one in {OFFSETS}");
        return Err(Error::Damaged(Damage {
            path: path(),
            at: 0,
            what: what.into(),
            found: "another one".into(),
            expected,
        }));
    }
    Ok(file)
}

/// Reads and checks the header of one of our files.
pub(crate) fn read_identity(file: &File, kind: Kind, path: PathBuf) -> Result<Identity> {
    let mut record = [0; RECORD_LEN];
    match file.read_exact_at(&mut record, 0) {
        Ok(()) => Identity::decode(kind, &record).map_err(|bad| bad_header(path, &bad)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(too_short(path, file)),
        Err(source) => Err(Error::Io { path, doing: "cannot read", source }),
    }
}

/// Whether an index file is a copy. That matters only where no offsets file says which UIDs were given out since.
pub(crate) fn is_copied_index(file: &File) -> bool {
    let mut born = [0; BORN_LEN];
    let then = file.read_exact_at(&mut born, RECORD_LEN as u64).ok().and_then(|()| decode_born(born));
    matches!((then, born_ns(file)), (Some(then), Some(now)) if then != now)
}

/// UIDVALIDITY as it stands in one of our files, whatever else is wrong with its header.
pub(crate) fn unproved_uid_validity(file: &File, kind: Kind, path: PathBuf) -> Result<Option<u32>> {
    let mut record = [0; RECORD_LEN];
    match file.read_exact_at(&mut record, 0) {
        Ok(()) => Ok(Identity::unproved_uid_validity(kind, &record)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(source) => Err(Error::Io { path, doing: "cannot read", source }),
    }
}

pub(crate) fn too_short(path: PathBuf, file: &File) -> Error {
    let found = file.metadata().map_or_else(|_| "less".into(), |meta| format!("{} bytes", meta.len()));
    Error::Damaged(Damage { path, at: 0, what: "header".into(), found, expected: "at least 4096 bytes".into() })
}

fn bad_header(path: PathBuf, bad: &BadHeader) -> Error {
    let (at, what, found, expected) = match bad {
        BadHeader::Version(found) => return Error::Version { path, found: *found, expected: VERSION },
        BadHeader::NotVersion(found) => (8, "version", found.to_string(), VERSION.to_string()),
        BadHeader::Magic(found) => {
            (0, "magic", format!("\"{}\"", found.escape_ascii()), "the magic of this file".to_string())
        }
        BadHeader::Crc(found, expected) => (12, "header crc", format!("{found:#010x}"), format!("{expected:#010x}")),
    };
    Error::Damaged(Damage { path, at, what: what.into(), found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::generation::{NewGeneration, Start, first_identity};
    use crate::lock::{Lock, Wait};
    use crate::maildir::Maildir;
    use std::time::Duration;

    /// A file system may give the inode of a removed file to the next one. Then the new offsets file looked like the one
    /// that was there before two compactions, and that like damage.
    #[test]
    fn a_new_offsets_file_on_the_old_ones_inode_is_another_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::create_dir(path("cur")).unwrap();
        let dir = Arc::new(Dir::open(temp.path()).unwrap());
        let access = Maildir::new(Arc::clone(&dir), false).unwrap().access();
        let lock = Lock::acquire(&dir, "a test", Wait::For(Duration::ZERO), access, &mut |_| ()).unwrap();
        let first = NewGeneration::begin(&dir, &lock, access, first_identity(0)).unwrap();
        first.commit(&Start::without_history(0, true)).unwrap();
        std::fs::rename(path("maildex.index.1"), path("aside")).unwrap();
        let offsets = std::fs::read(path(OFFSETS)).unwrap();
        let mut replace = || {
            std::fs::remove_file(path(OFFSETS)).unwrap();
            std::fs::write(path(OFFSETS), &offsets).unwrap();
            std::fs::rename(path("aside"), path("maildex.index.1")).unwrap();
        };
        assert!(Index::open_again(&dir, false, &mut replace).unwrap().is_some());
        // Without a new one it is damage at once.
        std::fs::rename(path("maildex.index.1"), path("aside")).unwrap();
        assert!(matches!(Index::open(&dir, false), Err(Error::Damaged(_))));
    }
}
