//! An index whose slots hold anything: a reader gets what is proved, or an error; `check` tells of each that does not hold.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use maildex::folder::Folder;
use maildex::format::block::{BLOCK_LEN, COLUMNS, SLOTS, encode_uid};
use maildex::format::entry::Entry;
use maildex::format::header::{HEADER_LEN, Kind};
use maildex::format::status::Status;
use maildex::format::word::{LastChange, Number};
use maildex::format::{SlotNo, Uid};
use maildex::index::{OFFSETS, index_name};
use maildex::maildir::summary::Summary;
use maildex::ops::check::{Severity, check};
use maildex_fuzz::{Input, Scratch, header_page, identity, write_entry};

thread_local!(static SCRATCH: Scratch = Scratch::new());

/// Columns of a block.
const STATUS: usize = 0;
const CHANGED: usize = 1;
const ENTRY_AT: usize = 2;
const HASH: usize = 3;
const UID: usize = 5;

fuzz_target!(|data: &[u8]| {
    SCRATCH.with(|scratch| {
        let input = &mut Input(data);
        let identity = identity();
        let seal = maildex::format::entry::Seal::new(&identity.id, identity.marker);
        let (mut offsets, mut index) = (header_page(Kind::Offsets), header_page(Kind::Index));
        offsets.resize(HEADER_LEN + BLOCK_LEN, 0);
        let counter = input.number::<2>();
        let mut slots = 0;
        let mut entries = Vec::new();
        while !input.is_empty() && slots < SLOTS {
            // What of the slot is as a writer would have it; the rest is as it comes.
            let good = input.number::<1>() as u8;
            let uid = if good & 1 == 0 { input.number::<4>() as u32 } else { slots as u32 + 1 };
            let base = format!("{slots}.fuzz");
            let at = index.len() as u64;
            if good & 2 != 0 {
                let summary = Summary::default();
                index.extend(write_entry(&Entry::new(base.as_bytes(), 0, 0, &summary), &seal, at, uid));
                entries.push(at);
            }
            let mut word = |is_good: bool, good: u64| if is_good { good } else { input.number::<8>() };
            let words = [
                word(good & 4 != 0, Status::NEW.encode()),
                word(good & 8 != 0, LastChange { number: 1, moved: false }.encode()),
                word(good & 16 != 0, at),
                word(good & 32 != 0, identity.hash(base.as_bytes())),
                0,
                word(
                    good & 64 != 0,
                    encode_uid(Uid::new(uid.max(1)).expect("not zero"), &identity.id, SlotNo(slots as u32)),
                ),
            ];
            for (column, word) in COLUMNS.iter().zip(words) {
                let place = HEADER_LEN + column.at + 8 * slots;
                offsets[place..place + 8].copy_from_slice(&word.to_le_bytes());
            }
            slots += 1;
        }
        for (at, number) in [(128, slots as u64), (136, counter), (144, 0), (152, 2), (184, index.len() as u64)] {
            offsets[at..at + 8].copy_from_slice(&Number::encode(number).to_le_bytes());
        }
        scratch.put(OFFSETS, &offsets);
        scratch.put(&index_name(1), &index);
        judge(scratch, &offsets, &entries);
        let _ = fs::remove_file(scratch.file(OFFSETS));
    });
});

fn judge(scratch: &Scratch, offsets: &[u8], written: &[u64]) {
    let mut folder = Folder::open(scratch.path()).expect("open the folder");
    let mut found = Vec::new();
    let checked = check(&folder, false, &mut |finding| {
        if finding.severity == Severity::Damage {
            found.push(finding.to_string());
        }
    });
    let _ = checked.expect("both headers are whole");
    let index = folder.complete_index().expect("both headers are whole");
    let id = index.identity().id;
    let snapshot = index.snapshot().expect("count and counter are whole");
    let mut entries = snapshot.index().entries().expect("map the index");
    for slot in snapshot.slots() {
        let word = |column: usize| {
            let at = HEADER_LEN + COLUMNS[column].at + 8 * slot.no().0 as usize;
            u64::from_le_bytes(offsets[at..at + 8].try_into().expect("8 bytes"))
        };
        let (uid, status, change) = (slot.uid(), slot.status(), slot.last_change());
        if let Ok(uid) = &uid {
            assert_eq!(encode_uid(*uid, &id, slot.no()), word(UID));
        }
        if let Ok(status) = &status {
            assert_eq!(status.encode(), word(STATUS));
        }
        if let Ok(change) = &change {
            assert_eq!(change.encode(), word(CHANGED));
        }
        assert_eq!((slot.entry_at(), slot.hash()), (word(ENTRY_AT), word(HASH)));
        let entry = entries.read(&slot).map(|entry| (entry.uid, entry.base.len()));
        if let Ok((of_entry, _)) = &entry {
            assert!(written.contains(&word(ENTRY_AT)) && uid.as_ref().is_ok_and(|uid| uid == of_entry));
        }
        if uid.is_err() || status.is_err() || change.is_err() || entry.is_err() {
            assert!(!found.is_empty(), "check says that all is well: {uid:?} {status:?} {change:?} {entry:?}");
        }
    }
}
