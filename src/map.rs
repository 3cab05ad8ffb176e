//! The fence: everything `unsafe` about mapped files is in here, and nothing else is.
//!
//! Other processes store into the pages that we read, so a map is never a `&[u8]`: it is atomic words ([`Word`]) of
//! which every bit pattern is valid, and entries are copied out of it word by word before anything looks at them. Our
//! files are never cut while they are mapped (see `docs/design.md`, "Publishing"), so a page that was inside the file
//! once stays inside.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // each SAFETY comment says why the pointer is aligned

use std::fs::File;
use std::io;
use std::mem::{align_of, size_of};

use memmap2::{MmapOptions, MmapRaw};

use crate::format::block::{BLOCK_LEN, Block};
use crate::format::header::{HEADER_LEN, HeaderPage, RECORD_LEN};
use crate::format::word::Word;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("maildex needs 64-bit Linux: it maps whole indexes and uses O_TMPFILE, renameat2 and inotify");

/// A map of the offsets file.
#[derive(Debug)]
pub struct OffsetsMap {
    map: MmapRaw,
}

impl OffsetsMap {
    /// Maps the file; `None` if it is shorter than a header. A map that is not `writable` must not be stored to.
    pub fn new(file: &File, writable: bool) -> io::Result<Option<OffsetsMap>> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if len < HEADER_LEN {
            return Ok(None);
        }
        Ok(Some(OffsetsMap { map: map(file, len, writable)? }))
    }

    /// The header page.
    pub fn header(&self) -> &HeaderPage {
        const { assert!(HEADER_LEN == size_of::<HeaderPage>() && align_of::<HeaderPage>() <= 4096) }
        // SAFETY: (1) `new` refused a map shorter than HEADER_LEN; (2) a map starts on a page; (3) HeaderPage is made of
        // atomic words, for which any bytes are valid; (4) other processes only store to them; (5) the reference lives
        // no longer than the map.
        unsafe { &*self.map.as_mut_ptr().cast::<HeaderPage>() }
    }

    /// The bytes of the record at the start of the header page.
    pub fn record(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        copy_words(self.header().record(), &mut bytes);
        bytes
    }

    /// Whole blocks in the map.
    pub fn blocks(&self) -> usize {
        (self.map.len() - HEADER_LEN) / BLOCK_LEN
    }

    /// A block; `None` beyond the map.
    pub fn block(&self, block: usize) -> Option<&Block> {
        const { assert!(BLOCK_LEN == size_of::<Block>() && align_of::<Block>() <= 4096) }
        if block >= self.blocks() {
            return None;
        }
        // SAFETY: (1) the block was just checked to end within the map; (2) a map starts on a page, HEADER_LEN and
        // BLOCK_LEN are whole pages; (3) to (5) as in `header`.
        Some(unsafe { &*self.map.as_mut_ptr().add(HEADER_LEN + block * BLOCK_LEN).cast::<Block>() })
    }
}

/// A map of an index file, for reading.
#[derive(Debug)]
pub struct IndexMap {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<MmapRaw>,
}

impl IndexMap {
    /// Maps the file as long as it is now.
    pub fn new(file: &File) -> io::Result<IndexMap> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        Ok(IndexMap { map: if len == 0 { None } else { Some(map(file, len, false)?) } })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.map.as_ref().map_or(0, |map| map.len() as u64)
    }

    /// Whether the file was empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out, starting at a multiple of 8. `false`, and nothing copied, if they go beyond the map.
    pub fn copy(&self, at: u64, out: &mut [u8]) -> bool {
        let Some(map) = &self.map else { return out.is_empty() };
        let words = out.len().div_ceil(8);
        let fits = at.is_multiple_of(8) && at.checked_add(8 * words as u64).is_some_and(|end| end <= map.len() as u64);
        if fits {
            // SAFETY: (1) the words were just checked to lie within the map, whose length fits usize; (2) a map starts
            // on a page and `at` is a multiple of 8; (3) any bytes are valid words; (4) other processes only store to
            // them; (5) the slice is gone before the map is.
            let words = unsafe { std::slice::from_raw_parts(map.as_ptr().add(at as usize).cast::<Word>(), words) };
            copy_words(words, out);
        }
        fits
    }
}

fn map(file: &File, len: usize, writable: bool) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.len(len);
    if writable { options.map_raw(file) } else { options.map_raw_read_only(file) }
}

fn copy_words(words: &[Word], out: &mut [u8]) {
    let mut chunks = out.chunks_exact_mut(8);
    for (chunk, word) in chunks.by_ref().zip(words) {
        chunk.copy_from_slice(&word.load().to_le_bytes());
    }
    let tail = chunks.into_remainder();
    if let (false, Some(last)) = (tail.is_empty(), words.last()) {
        tail.copy_from_slice(&last.load().to_le_bytes()[..tail.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nothing_is_read_beyond_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(IndexMap::new(&file).unwrap().is_empty());
        assert!(OffsetsMap::new(&file, true).unwrap().is_none(), "an empty file has no header");
        file.write_all(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let map = IndexMap::new(&file).unwrap();
        let mut eight = [0; 8];
        assert!(map.copy(0, &mut eight) && eight == [1, 2, 3, 4, 5, 6, 7, 8]);
        for at in [1, 8, 16, u64::MAX, u64::MAX - 7] {
            assert!(!map.copy(at, &mut eight), "{at}");
        }
        let mut three = [0; 3];
        assert!(map.copy(0, &mut three) && three == [1, 2, 3]);
    }

    #[test]
    fn half_a_block_is_none() {
        let file = tempfile::tempfile().unwrap();
        file.set_len((HEADER_LEN + 2 * BLOCK_LEN - 1) as u64).unwrap();
        let map = OffsetsMap::new(&file, true).unwrap().unwrap();
        assert!(map.blocks() == 1 && map.block(0).is_some() && map.block(1).is_none());
        map.block(0).unwrap().status[511].store(7);
        let again = OffsetsMap::new(&file, false).unwrap().unwrap();
        assert_eq!(again.block(0).unwrap().status[511].load(), 7, "two maps share their pages");
    }
}
