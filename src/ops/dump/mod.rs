//! The files of an index as they are: every field with its offset, what proves itself and what does not.
//!
//! Needs no index that can be opened: either file will do, with any bytes in it. Read and never mapped, so that a disk that
//! fails costs the bytes that it cannot give and nothing else; in pieces, so that memory does not grow with the files.

mod blocks;
mod entries;
mod headers;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::format::field::{Field, Form};
use crate::format::word::Number;
use crate::index::generation::generations;
use crate::index::{OFFSETS, index_name};
use crate::query::uidset::UidSet;

/// What is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The headers of both files.
    pub header: bool,
    /// The slots of the offsets file.
    pub blocks: bool,
    /// The entries of the index files.
    pub entries: bool,
    /// Slots and entries of these only.
    pub uids: Vec<UidSet>,
}

/// What a field is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The header page.
    Header,
    /// The slot with this number.
    Slot(u32),
    /// The entry of this UID, as far as it says one.
    Entry(u32),
    /// Bytes that are none.
    Gap,
}

/// One field as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// Offset of the field in bytes.
    pub at: u64,
    /// How many bytes it takes.
    pub len: u64,
    /// What it is a part of.
    pub part: Part,
    /// Its name.
    pub field: &'a str,
    /// What it says.
    pub value: String,
    /// Why that cannot be.
    pub damage: Option<String>,
}

/// Takes what is shown, field by field.
pub type Show<'s> = &'s mut dyn FnMut(&Shown<'_>) -> Result<()>;

/// Shows the files of an index in a directory.
pub fn dump(dir: &Dir, wanted: &Wanted, show: Show<'_>) -> Result<()> {
    let offsets = Source::open(dir, OFFSETS)?;
    let generations = generations(dir)?;
    if offsets.is_none() && generations.is_empty() {
        return Err(Error::NoIndex { path: dir.path().to_path_buf() });
    }
    let mut indexes = Vec::new();
    for generation in generations {
        indexes.extend(Source::open(dir, &index_name(generation))?);
    }
    let last = wanted.last(offsets.as_ref(), &indexes);
    let mut dump = Dump { wanted, last, show };
    if let Some(offsets) = &offsets {
        if wanted.header {
            dump.record(offsets)?;
            dump.page(offsets)?;
        }
        if wanted.blocks {
            dump.blocks(offsets, &indexes)?;
        }
    }
    for index in &indexes {
        if wanted.header {
            dump.record(index)?;
            dump.birth(index)?;
        }
        if wanted.entries {
            dump.entries(index, offsets.as_ref())?;
        }
    }
    Ok(())
}

impl Wanted {
    /// The UID that `*` stands for.
    fn last(&self, offsets: Option<&Source>, indexes: &[Source]) -> Option<u32> {
        if !self.uids.iter().any(UidSet::has_last) {
            return None;
        }
        let of_entries = || indexes.iter().filter_map(|index| entries::last_uid(index, offsets)).max();
        offsets.and_then(blocks::last_uid).or_else(of_entries)
    }
}

/// A dump that is under way.
struct Dump<'a> {
    wanted: &'a Wanted,
    last: Option<u32>,
    show: Show<'a>,
}

impl Dump<'_> {
    /// Whether slots and entries of a UID, or of what looks like one, are wanted.
    fn wants(&self, uid: u32) -> bool {
        use crate::format::Uid;
        let last = self.last.and_then(Uid::new);
        let is_in = |uid| self.wanted.uids.iter().any(|set| set.contains(uid, last));
        self.wanted.uids.is_empty() || Uid::new(uid).is_some_and(is_in)
    }

    fn show(&mut self, source: &Source, part: Part, field: &str, place: (u64, u64), said: Said) -> Result<()> {
        let (at, len) = place;
        let Said { value, damage } = said;
        (self.show)(&Shown { file: &source.name, at, len, part, field, value, damage })
    }

    /// A stretch that the disk does not give, or that is not there.
    fn missing(&mut self, source: &Source, part: Part, place: (u64, u64), why: String) -> Result<()> {
        self.show(source, part, "-", place, Said { value: String::new(), damage: Some(why) })
    }
}

/// What a field says, and what is wrong with that.
struct Said {
    value: String,
    damage: Option<String>,
}

impl Said {
    fn sound(value: impl Into<String>) -> Said {
        Said { value: value.into(), damage: None }
    }

    fn expecting(self, expected: Option<String>) -> Said {
        let damage = expected.map(|expected| format!("expected {expected}"));
        Said { damage: damage.or(self.damage), ..self }
    }
}

/// What the bytes of a field say by themselves.
fn said(field: &Field, bytes: &[u8]) -> Said {
    let mut eight = [0; 8];
    let whole = bytes.len().min(8);
    eight[..whole].copy_from_slice(&bytes[..whole]);
    let number = u64::from_le_bytes(eight);
    match field.form {
        Form::Text if bytes.iter().all(u8::is_ascii_graphic) => Said::sound(String::from_utf8_lossy(bytes)),
        Form::Text | Form::Bytes => Said::sound(hex(bytes)),
        Form::Hex => Said::sound(format!("{number:#0width$x}", width = 2 + 2 * bytes.len())),
        Form::Unsigned | Form::Bits => Said::sound(number.to_string()),
        Form::Signed => Said::sound((number as i64).to_string()),
        Form::Number => match Number::decode(number) {
            Some(value) => Said::sound(value.to_string()),
            None => Said { value: format!("{number:#018x}"), damage: Some("a wrong checksum".into()) },
        },
        Form::Zero => match bytes.iter().position(|&byte| byte != 0) {
            None => Said::sound("zeros"),
            Some(first) => Said {
                value: format!("not all zero, first at {first}"),
                damage: Some("expected zeros, which nothing reads".into()),
            },
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // a String takes everything
        hex
    })
}

/// A file that is read in pieces.
struct Source {
    name: String,
    path: PathBuf,
    file: File,
}

impl Source {
    fn open(dir: &Dir, name: &str) -> Result<Option<Source>> {
        let (path, name) = (dir.path().join(name), name.to_string());
        Ok(dir.open_file(&name, false)?.map(|file| Source { name, path, file }))
    }

    fn len(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.file).map_err(Error::io("cannot stat", &self.path))?;
        Ok(stat.st_size as u64)
    }

    /// Where the next bytes stand that take space on the disk, from a place on; what lies before is a hole, zeros that
    /// nobody wrote. The place itself where the file system does not tell, and the end if there are none.
    fn next_data(&self, at: u64, end: u64) -> u64 {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data.min(end),
            Err(rustix::io::Errno::NXIO) => end,
            Err(_) => at,
        }
    }

    /// The bytes at a place, as many of them as there are.
    fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut filled) = (vec![0; len], 0);
        while filled < len {
            match self.file.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}
