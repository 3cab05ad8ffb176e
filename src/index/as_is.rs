//! The files of an index as they are, for whoever looks for what is wrong with them: either may be missing or damaged, and
//! the two may disagree. What does not prove itself is told and not believed; the rest can be read all the same.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::dir::{Dir, born_ns};
use crate::error::{Damage, Error, Result};
use crate::format::block::Block;
use crate::format::entry::{BadEntry, Entry, Seal};
use crate::format::header::{HeaderPage, Identity, Kind, RECORD};
use crate::index::generation::generations;
use crate::index::open::{read_identity, too_short};
use crate::index::walk::copy_entry;
use crate::index::{OFFSETS, describe, index_name, is_copy};
use crate::map::{IndexMap, OffsetsMap};

/// Tries while the files are replaced under us.
const MAX_TRIES: usize = 10;

/// Both files, as far as they are there.
#[derive(Debug)]
pub struct AsIs {
    dir: Arc<Dir>,
    offsets: Option<(File, OffsetsMap)>,
    entries: Option<(File, IndexMap)>,
    /// What a header that proves itself says: that of the offsets file, else that of the index file.
    identity: Option<Identity>,
    /// Proves entries; `None` if no header proves itself, or the index file is that of another index.
    seal: Option<Seal>,
    /// G of the index file.
    generation: Option<u64>,
    /// What is wrong with the files as a whole, and with their headers.
    damage: Vec<Damage>,
}

impl AsIs {
    /// Opens what there is in a directory; `None` if that is none of our files.
    pub fn open(dir: &Arc<Dir>) -> Result<Option<AsIs>> {
        for _ in 0..MAX_TRIES {
            let before = dir.id_of(OFFSETS)?;
            let found = AsIs::open_once(dir)?;
            // A compaction that came in between looks like damage.
            let is_whole = found.as_ref().is_some_and(|found| found.damage.is_empty());
            if is_whole || dir.id_of(OFFSETS)? == before {
                return Ok(found);
            }
        }
        Err(Error::KeepsChanging { path: dir.path().join(OFFSETS) })
    }

    fn open_once(dir: &Arc<Dir>) -> Result<Option<AsIs>> {
        let mut found = AsIs {
            dir: Arc::clone(dir),
            offsets: None,
            entries: None,
            identity: None,
            seal: None,
            generation: None,
            damage: Vec::new(),
        };
        let generations = generations(dir)?;
        let offsets = dir.open_file(OFFSETS, false)?;
        if offsets.is_none() && generations.is_empty() {
            return Ok(None);
        }
        match offsets {
            Some(file) => found.take_offsets(file)?,
            None => found.tell(OFFSETS, "offsets file", "no file", "the file that names the index file"),
        }
        let own = found.identity.clone();
        match &own {
            Some(identity) => found.take_index(identity.generation, Some(identity))?,
            None => match generations.last() {
                Some(&newest) => found.take_index(newest, None)?,
                None => found.tell(&index_name(1), "index", "no file of any generation", "an index file"),
            },
        }
        Ok(Some(found))
    }

    fn take_offsets(&mut self, file: File) -> Result<()> {
        let path = || self.dir.path().join(OFFSETS);
        let map =
            OffsetsMap::new(&file, false).map_err(|source| Error::Io { path: path(), doing: "cannot map", source })?;
        let Some(map) = map else {
            return self.remember(too_short(path(), &file));
        };
        match read_identity(&file, Kind::Offsets, path()) {
            Ok(identity) => self.identity = Some(identity),
            Err(error) => self.remember(error)?,
        }
        self.offsets = Some((file, map));
        Ok(())
    }

    /// The index file that the offsets file names, or the newest one where that says nothing.
    fn take_index(&mut self, generation: u64, offsets: Option<&Identity>) -> Result<()> {
        let name = index_name(generation);
        self.generation = Some(generation);
        let Some(file) = self.dir.open_file(&name, false)? else {
            self.tell(&name, "index", "no file", &format!("the file that {OFFSETS} names"));
            return Ok(());
        };
        let map = map_index(&file, self.index_path())?;
        let own = match read_identity(&file, Kind::Index, self.index_path()) {
            Ok(own) => Some(own),
            Err(error) => {
                self.remember(error)?;
                None
            }
        };
        if let (Some(own), Some(offsets)) = (&own, offsets) {
            self.compare(&name, own, offsets);
        }
        let is_another = matches!((&own, offsets), (Some(own), Some(offsets)) if own.id != offsets.id);
        let proof = own.as_ref().or(offsets).filter(|_| !is_another);
        self.seal = proof.map(|identity| Seal::new(&identity.id, identity.marker));
        self.identity = self.identity.take().or(own);
        self.entries = Some((file, map));
        Ok(())
    }

    /// Both headers have the same record, but for the magic and so the CRC.
    fn compare(&mut self, name: &str, own: &Identity, offsets: &Identity) {
        let (is, should) = (own.encode(Kind::Index), offsets.encode(Kind::Index));
        for field in RECORD.iter().filter(|field| field.name != "crc") {
            let (is, should) = (field.of(&is), field.of(&should));
            if is != should {
                // Of the index file of another index everything is another one.
                let what = if field.name == "id" { "index id" } else { field.name };
                let path = self.dir.path().join(name);
                let expected = format!("the one in {OFFSETS}");
                let found = "another one".into();
                self.damage.push(Damage { path, at: field.at as u64, what: what.into(), found, expected });
                if field.name == "id" {
                    return;
                }
            }
        }
    }

    fn tell(&mut self, name: &str, what: &str, found: &str, expected: &str) {
        let path = self.dir.path().join(name);
        let (found, expected) = (found.into(), expected.into());
        self.damage.push(Damage { path, at: 0, what: what.into(), found, expected });
    }

    /// Damage is remembered; anything else stops us.
    fn remember(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Damaged(damage) => {
                self.damage.push(damage);
                Ok(())
            }
            error => Err(error),
        }
    }

    /// What is wrong with the files as a whole, and with their headers.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What a header that proves itself says.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The generation that the offsets file names, or the newest that there is.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Path of the offsets file; for messages.
    pub fn offsets_path(&self) -> PathBuf {
        self.dir.path().join(OFFSETS)
    }

    /// Path of the index file; for messages.
    pub fn index_path(&self) -> PathBuf {
        self.dir.path().join(index_name(self.generation.unwrap_or(1)))
    }

    /// The header page of the offsets file.
    pub fn header(&self) -> Option<&HeaderPage> {
        self.offsets.as_ref().map(|(_, map)| map.header())
    }

    /// A block of the offsets file.
    pub fn block(&self, block: usize) -> Option<&Block> {
        self.offsets.as_ref()?.1.block(block)
    }

    /// Blocks that the offsets file has room for.
    pub fn blocks(&self) -> usize {
        self.offsets.as_ref().map_or(0, |(_, map)| map.blocks())
    }

    /// Length of the offsets file in bytes, as it is now.
    pub fn offsets_len(&self) -> Option<u64> {
        self.offsets.as_ref()?.0.metadata().ok().map(|meta| meta.len())
    }

    /// Whether the offsets file is a copy that no writer has taken over.
    pub fn is_copy(&self) -> bool {
        self.offsets.as_ref().is_some_and(|(file, map)| is_copy(map.header(), born_ns(file)))
    }

    /// What proves entries, and the index file.
    pub fn entries(&self) -> Option<(&Seal, &IndexMap)> {
        Some((self.seal.as_ref()?, &self.entries.as_ref()?.1))
    }

    /// Maps what the files have become since.
    pub fn look_again(&mut self) -> Result<()> {
        let offsets_path = self.offsets_path();
        if let Some((file, map)) = &mut self.offsets {
            let failed = |source| Error::Io { path: offsets_path, doing: "cannot map", source };
            // What was cut meanwhile is looked at as long as it was; the kernel says what of it has gone.
            let now = OffsetsMap::new(file, false).map_err(failed)?;
            if let Some(longer) = now.filter(|now| now.blocks() >= map.blocks()) {
                *map = longer;
            }
        }
        let index_path = self.index_path();
        if let Some((file, map)) = &mut self.entries {
            *map = map_index(file, index_path)?;
        }
        Ok(())
    }

    /// The entry at a place, copied out and verified. `None` if there are no entries to be had.
    pub fn entry<'c>(&self, at: u64, copy: &'c mut Vec<u8>) -> Option<Result<Entry<'c>, BadEntry>> {
        let (seal, map) = self.entries()?;
        Some(if map.len() >= at.saturating_add(16) && at.is_multiple_of(8) {
            copy_entry(map, seal, at, copy).and_then(|()| seal.open(copy, at))
        } else {
            Err(BadEntry::Len(0))
        })
    }

    /// What is wrong with the bytes that should be an entry.
    pub fn bad_entry(&self, at: u64, what: &str, bad: BadEntry) -> Damage {
        let len = self.entries.as_ref().map_or(0, |(_, map)| map.len());
        let (field, found, expected) = describe(bad, at, len);
        Damage { path: self.index_path(), at, what: format!("{field} of {what}"), found, expected }
    }
}

fn map_index(file: &File, path: PathBuf) -> Result<IndexMap> {
    IndexMap::new(file).map_err(|source| Error::Io { path, doing: "cannot map", source })
}
