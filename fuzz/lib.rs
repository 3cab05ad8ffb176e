//! What the fuzz targets share: how an input is cut into pieces, and folders in memory to put bytes into.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maildex::dir::Dir;
use maildex::format::Uid;
use maildex::format::entry::{Entry, Seal};
use maildex::format::header::{HEADER_LEN, Identity, Kind, RECORD_LEN};

/// An input, from which pieces are taken. When it has come to its end there are zeros.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        piece
    }

    /// A length, and as many bytes.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = self.number::<1>() as usize;
        self.bytes(len)
    }

    /// A number of so many bytes.
    pub fn number<const N: usize>(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let piece = self.bytes(N);
        bytes[..piece.len()].copy_from_slice(piece);
        u64::from_le_bytes(bytes)
    }
}

/// The index whose files the targets make.
pub fn identity() -> Identity {
    Identity {
        id: *b"an index to fuzz",
        generation: 1,
        marker: *b"\x00\xff\x01mark\xfe",
        hash_key: *b"0123456789abcdef",
        uid_validity: 1_000_000_000,
        uid_floor: 0,
    }
}

/// The seal of an index file that begins with these bytes, if its header proves itself.
pub fn sealed(file: &[u8]) -> Option<(Identity, Seal)> {
    let identity = Identity::decode(Kind::Index, file.first_chunk::<RECORD_LEN>()?).ok()?;
    let seal = Seal::new(&identity.id, identity.marker);
    Some((identity, seal))
}

/// CRC32C over what an entry's checksum has to cover, reckoned here and not by the code that is tested.
pub fn entry_crc(identity: &Identity, at: u64, entry: &[u8]) -> u32 {
    crc32c::crc32c(&[&identity.id[..], &at.to_le_bytes(), &entry[8..12], &entry[16..]].concat())
}

/// An entry as the writer would have put it at a place.
pub fn write_entry(entry: &Entry<'_>, seal: &Seal, at: u64, uid: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry.write(&mut bytes);
    seal.close(&mut bytes, at, Uid::new(uid.max(1)).expect("not zero"), 1);
    bytes
}

/// A folder in memory, the same for all inputs.
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Scratch {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(root).expect("a temporary directory");
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir(dir.path().join(sub)).expect("make the Maildir");
        }
        Scratch { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn open(&self) -> Arc<Dir> {
        Arc::new(Dir::open(self.path()).expect("open the folder"))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Makes a file of these bytes. It is a new one, for who has mapped the last one must not see it shrink.
    pub fn put(&self, name: &str, bytes: &[u8]) -> File {
        let path = self.file(name);
        let _ = fs::remove_file(&path);
        let file = File::options().create_new(true).read(true).write(true).open(path).expect("make a file");
        file.write_all_at(bytes, 0).expect("write it");
        file
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

/// The header page of a file of [`identity`].
pub fn header_page(kind: Kind) -> Vec<u8> {
    let mut page = identity().encode(kind).to_vec();
    page.resize(HEADER_LEN, 0);
    page
}
