//! Header records and the words behind them: what is decoded is what was encoded, and one changed bit is noticed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildex::format::header::{HEADER_LEN, Identity, Kind, RECORD_LEN};
use maildex::format::status::Status;
use maildex::format::word::{LastChange, Number};
use maildex::maildir::Sub;
use maildex::map::OffsetsMap;
use maildex_fuzz::{Input, Scratch};

const KINDS: [Kind; 2] = [Kind::Index, Kind::Offsets];

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    if let Some(record) = data.first_chunk::<RECORD_LEN>() {
        for kind in KINDS {
            if let Ok(identity) = Identity::decode(kind, record) {
                assert_eq!(identity.encode(kind), *record, "what passes is what would be written");
            }
            let _ = Identity::unproved_uid_validity(kind, record);
        }
    }
    sealed(&mut Input(data));
    words(data);
});

/// A record that was written, and the same with one bit flipped.
fn sealed(input: &mut Input<'_>) {
    let kind = KINDS[input.number::<1>() as usize % 2];
    let (bit, mut id, mut marker, mut hash_key) = (input.number::<2>() as usize, [0; 16], [0; 8], [0; 16]);
    for field in [&mut id[..], &mut marker, &mut hash_key] {
        let bytes = input.bytes(field.len());
        field[..bytes.len()].copy_from_slice(bytes);
    }
    let generation = input.number::<8>();
    let (uid_validity, uid_floor) = (input.number::<4>() as u32, input.number::<4>() as u32);
    let identity = Identity { id, generation, marker, hash_key, uid_validity, uid_floor };
    let mut record = identity.encode(kind);
    assert_eq!(Identity::decode(kind, &record), Ok(identity));
    record[bit / 8 % RECORD_LEN] ^= 1 << (bit % 8);
    assert!(Identity::decode(kind, &record).is_err(), "bit {bit} of the record");
}

/// The words of the header page, as they come out of a mapped file.
fn words(data: &[u8]) {
    let mut page = data[..data.len().min(HEADER_LEN)].to_vec();
    page.resize(HEADER_LEN, 0);
    let map = SCRATCH.with(|scratch| OffsetsMap::new(&scratch.put("page", &page), false));
    let map = map.expect("map it").expect("a whole page");
    let header = map.header();
    let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().expect("8 bytes"));
    for (value, at) in
        [(header.count(), 128), (header.counter(), 136), (header.oldest(), 144), (header.accounted(), 184)]
    {
        assert_eq!(value.map(Number::encode), value.map(|_| word(at)), "the number at {at}");
    }
    let crc = |at: usize, len: usize| u64::from(crc32c::crc32c(&page[at..at + len]));
    if let Some(boot) = header.boot() {
        assert!(boot[..] == page[160..176] && word(176) == crc(160, 16));
    }
    for (sub, at) in [(Sub::New, 192), (Sub::Cur, 256)] {
        if header.stamp(sub).is_some() {
            assert_eq!(word(at + 48), crc(at, 48), "a stamp without its checksum");
        }
        let _ = header.has_no_stamp(sub);
    }
    if header.born().is_some() {
        assert_eq!(word(328), crc(320, 8));
    }
    let _ = (header.marks(), header.has_no_birth());
    for bytes in data.chunks_exact(8) {
        let word = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        assert!(Number::decode(word).is_none_or(|value| Number::encode(value) == word));
        assert!(LastChange::decode(word).is_none_or(|change| change.encode() == word));
        assert!(Status::decode(word).is_none_or(|status| status.encode() == word));
    }
}
