//! Walking an index file without the offsets file: from marker to marker.
//!
//! Entries stand one behind the other, so after a good one comes the next. After a bad one (a torn tail, a flipped bit)
//! every multiple of 8 is tried until the marker of the file is met again. Text cannot hold the marker, and an entry's
//! CRC covers its own place, so a mail's contents are never taken for an entry.

use crate::format::entry::{ALIGN, BadEntry, Entry, Seal};
use crate::format::header::HEADER_LEN;
use crate::map::IndexMap;

/// Bytes searched for a marker at a time.
const WINDOW: usize = 64 << 10;

/// A stretch of an index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// A verified entry: its offset, its length, and what it says.
    Entry(u64, usize, Entry<'a>),
    /// Bytes from here to there that are none, and why the first of them are not.
    Gap(u64, u64, BadEntry),
}

/// Calls `visit` for every stretch from `from` (a multiple of 8, at least 4096) to the end of the map.
pub fn walk(map: &IndexMap, seal: &Seal, from: u64, mut visit: impl FnMut(Stretch<'_>)) {
    let mut at = from.max(HEADER_LEN as u64).next_multiple_of(ALIGN);
    let mut copy = Vec::new();
    while at < map.len() {
        match copy_entry(map, seal, at, &mut copy).and_then(|()| seal.open(&copy, at)) {
            Ok(entry) => {
                visit(Stretch::Entry(at, copy.len(), entry));
                at += copy.len() as u64;
            }
            Err(bad) => {
                let next = next_marker(map, seal, at + ALIGN);
                visit(Stretch::Gap(at, next, bad));
                at = next;
            }
        }
    }
}

/// Copies out the bytes of what claims to be an entry.
pub(crate) fn copy_entry(map: &IndexMap, seal: &Seal, at: u64, copy: &mut Vec<u8>) -> Result<(), BadEntry> {
    let mut head = [0; 16];
    if !map.copy(at, &mut head) {
        return Err(BadEntry::Len(map.len().saturating_sub(at) as u32));
    }
    copy.resize(seal.claimed_len(&head)?, 0);
    if map.copy(at, copy) { Ok(()) } else { Err(BadEntry::Len(copy.len() as u32)) }
}

/// The next aligned place that holds the marker, or the end of the map.
fn next_marker(map: &IndexMap, seal: &Seal, from: u64) -> u64 {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at + ALIGN <= map.len() {
        let len = WINDOW.min((map.len() - at) as usize & !7);
        if !map.copy(at, &mut window[..len]) {
            break;
        }
        if let Some(found) = window[..len].chunks_exact(8).position(|bytes| bytes == seal.marker()) {
            return at + found as u64 * ALIGN;
        }
        at += len as u64;
    }
    map.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Uid;
    use crate::maildir::summary::Summary;
    use std::io::Write;

    /// Three entries with something in between; their offsets.
    fn file(between: &[u8]) -> (std::fs::File, Seal, [u64; 3]) {
        let seal = Seal::new(&[5; 16], [9, 0, 255, 8, 7, 6, 5, 4]);
        let mut bytes = vec![0; HEADER_LEN];
        let summary = Summary { subject: "three".into(), ..Summary::default() };
        let ats = [1, 2, 3].map(|n| {
            let at = bytes.len();
            Entry::new(b"base", 0, 0, &summary).write(&mut bytes);
            seal.close(&mut bytes[at..], at as u64, Uid::new(n).unwrap(), 0);
            bytes.extend_from_slice(between);
            at as u64
        });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, seal, ats)
    }

    fn found(file: &std::fs::File, seal: &Seal) -> Vec<u64> {
        let mut ats = Vec::new();
        walk(&IndexMap::new(file).unwrap(), seal, 0, |stretch| {
            if let Stretch::Entry(at, ..) = stretch {
                ats.push(at);
            }
        });
        ats
    }

    #[test]
    fn entries_are_found_behind_torn_ones() {
        for between in [vec![], vec![0; 8], vec![1; WINDOW], vec![255; WINDOW + 8]] {
            let (file, seal, ats) = file(&between);
            assert_eq!(found(&file, &seal), ats, "{} bytes between", between.len());
        }
    }

    #[test]
    fn a_copied_entry_is_none() {
        let (plain, seal, ats) = file(&[]);
        let mut copy = vec![0; (ats[1] - ats[0]) as usize];
        assert!(IndexMap::new(&plain).unwrap().copy(ats[0], &mut copy));
        let (forged, ..) = file(&copy);
        let real = (0..3).map(|n| ats[0] + n * 2 * copy.len() as u64).collect::<Vec<_>>();
        assert_eq!(found(&forged, &seal), real);
    }
}
