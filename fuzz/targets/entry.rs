//! The walk over an index file of any bytes: its stretches make up the file, what is called an entry has the right
//! checksum, and what a writer put there whole is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::format::entry::{ALIGN, Entry, Seal};
use maildex::format::header::{HEADER_LEN, Identity, Kind};
use maildex::index::walk::{Stretch, walk};
use maildex::maildir::summary::Summary;
use maildex::map::IndexMap;
use maildex_fuzz::{Input, Scratch, entry_crc, header_page, identity, sealed, write_entry};

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    // A file as it is, or one that is made of pieces.
    let (identity, file, written) = match sealed(data) {
        Some((identity, _)) => (identity, data.to_vec(), Vec::new()),
        None => made(&mut Input(data)),
    };
    let seal = Seal::new(&identity.id, identity.marker);
    let map = SCRATCH.with(|scratch| IndexMap::new(&scratch.put("index", &file))).expect("map it");
    let mut at = HEADER_LEN as u64;
    let mut entries = Vec::new();
    walk(&map, &seal, 0, |stretch| match stretch {
        Stretch::Entry(from, len, entry) => {
            assert_eq!(from, at, "nothing is skipped");
            at += len as u64;
            judge(&identity, &seal, &file, from, len, &entry);
            entries.push((from, at));
        }
        Stretch::Gap(from, to, _) => {
            assert!(from == at && to > from, "from {from} to {to}, at {at}");
            at = to;
        }
    });
    assert!(at == file.len() as u64 || at == HEADER_LEN as u64, "{at} of {}", file.len());
    for place in written {
        let is_inside = |(from, to): &(u64, u64)| (*from..*to).contains(&place);
        assert!(entries.iter().any(is_inside), "the entry at {place} was not found");
    }
});

/// A file of pieces: bytes, entries, entries with a byte changed, entries that belong elsewhere.
fn made(input: &mut Input<'_>) -> (Identity, Vec<u8>, Vec<u64>) {
    let identity = identity();
    let seal = Seal::new(&identity.id, identity.marker);
    let (mut file, mut written) = (header_page(Kind::Index), Vec::new());
    while !input.is_empty() && file.len() < 64 << 10 {
        let kind = input.number::<1>();
        let at = file.len() as u64;
        match kind % 8 {
            0 => file.extend_from_slice(input.piece()),
            1 => file.extend_from_slice(seal.marker()),
            2 => {
                let piece = input.piece();
                file.extend_from_slice(&[seal.marker(), piece].concat());
            }
            kind if at.is_multiple_of(ALIGN) => {
                let mut bytes = entry(input, &seal, if kind == 3 { at + ALIGN } else { at });
                if kind == 4 {
                    let (place, change) = (input.number::<2>() as usize % bytes.len(), input.number::<1>() as u8);
                    bytes[place] ^= change;
                } else if kind > 4 {
                    written.push(at);
                }
                file.extend_from_slice(&bytes);
            }
            _ => file.resize(file.len().next_multiple_of(ALIGN as usize), 0),
        }
    }
    (identity, file, written)
}

/// Writes an entry, and wants it back as it was.
fn entry(input: &mut Input<'_>, seal: &Seal, at: u64) -> Vec<u8> {
    let mut text = || String::from_utf8_lossy(input.piece()).into_owned();
    let summary = Summary {
        subject: text(),
        from: text(),
        message_id: text(),
        in_reply_to: text(),
        references: text(),
        ..Summary::default()
    };
    let base = input.piece();
    let entry = Entry::new(base, input.number::<8>() as i64, input.number::<4>(), &summary);
    let uid = input.number::<4>() as u32;
    let bytes = write_entry(&entry, seal, at, uid);
    let read = seal.open(&bytes, at).expect("what was just written");
    assert_eq!(Entry { uid: read.uid, added: read.added, ..entry }, read);
    bytes
}

/// What the walk calls an entry is one: by its checksum, and as something that would be written so.
fn judge(identity: &Identity, seal: &Seal, file: &[u8], at: u64, len: usize, entry: &Entry<'_>) {
    let bytes = &file[at as usize..at as usize + len];
    assert_eq!(bytes[12..16], entry_crc(identity, at, bytes).to_le_bytes(), "an entry without its checksum");
    assert_eq!(seal.open(bytes, at).as_ref(), Ok(entry));
    // Written again it says the same.
    let mut again = Vec::new();
    entry.write(&mut again);
    seal.close(&mut again, at, entry.uid, entry.added);
    assert_eq!(seal.open(&again, at).as_ref(), Ok(entry));
}
