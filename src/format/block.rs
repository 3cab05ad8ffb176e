//! A block of the offsets file: 512 messages, one page a column. This table is the specification; `docs/design.md`
//! says why.
//!
//! Integers are little-endian, offsets and sizes in bytes. Block `n` starts at `4096 + n * 24576`.
//!
//! | offset | size | column    | of each message                                                          |
//! |-------:|-----:|-----------|--------------------------------------------------------------------------|
//! |      0 | 4096 | status    | u64; flags and state, see [`Status`](super::status::Status)              |
//! |   4096 | 4096 | changed   | u64; number of the last change, and whether that moved the file, see [`LastChange`](super::word::LastChange) |
//! |   8192 | 4096 | entry_at  | u64; offset of the entry in the index file                               |
//! |  12288 | 4096 | hash      | u64; hash of the base name, proved by the entry                          |
//! |  16384 | 4096 | inode     | u64; inode of the file when it was last listed, a hint                   |
//! |  20480 | 4096 | uid       | u32 UID, u32 CRC32C of (UID, index id, slot number); never changes       |

use std::mem::{offset_of, size_of};

use crate::format::field::{Field, Form, are_whole};
use crate::format::header::IndexId;
use crate::format::word::Word;
use crate::format::{SlotNo, Uid};

/// Messages in a block.
pub const SLOTS: usize = 512;

/// Bytes of a block.
pub const BLOCK_LEN: usize = 24576;

/// One column of a block: a page.
pub type Column = [Word; SLOTS];

/// A block, as it stands in the file.
#[repr(C)]
pub struct Block {
    /// Flags and state.
    pub status: Column,
    /// Change numbers.
    pub changed: Column,
    /// Offsets of the entries in the index file.
    pub entry_at: Column,
    /// Hashes of the base names.
    pub hash: Column,
    /// Inodes.
    pub inode: Column,
    /// UIDs, each with its CRC.
    pub uid: Column,
}

const _: () = assert!(size_of::<Block>() == BLOCK_LEN);
const _: () = assert!(offset_of!(Block, status) == 0 && offset_of!(Block, changed) == 4096);
const _: () = assert!(offset_of!(Block, entry_at) == 8192 && offset_of!(Block, hash) == 12288);
const _: () = assert!(offset_of!(Block, inode) == 16384 && offset_of!(Block, uid) == 20480);

/// The columns, by name. The form is that of each word.
pub const COLUMNS: [Field; 6] = {
    const PAGE: usize = SLOTS * size_of::<Word>();
    [
        Field::new("status", offset_of!(Block, status), PAGE, Form::Bits),
        Field::new("changed", offset_of!(Block, changed), PAGE, Form::Number),
        Field::new("entry_at", offset_of!(Block, entry_at), PAGE, Form::Unsigned),
        Field::new("hash", offset_of!(Block, hash), PAGE, Form::Hex),
        Field::new("inode", offset_of!(Block, inode), PAGE, Form::Unsigned),
        Field::new("uid", offset_of!(Block, uid), PAGE, Form::Unsigned),
    ]
};

const _: () = assert!(are_whole(&COLUMNS, 0, BLOCK_LEN));

/// The word of the last column.
pub fn encode_uid(uid: Uid, id: &IndexId, slot: SlotNo) -> u64 {
    u64::from(uid_crc(uid.get(), id, slot)) << 32 | u64::from(uid.get())
}

/// The UID in a word of the last column; `None` if it is not one of this index and slot.
pub fn decode_uid(word: u64, id: &IndexId, slot: SlotNo) -> Option<Uid> {
    let uid = word as u32;
    if uid_crc(uid, id, slot) == (word >> 32) as u32 { Uid::new(uid) } else { None }
}

fn uid_crc(uid: u32, id: &IndexId, slot: SlotNo) -> u32 {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&uid.to_le_bytes());
    bytes[4..20].copy_from_slice(id);
    bytes[20..].copy_from_slice(&slot.0.to_le_bytes());
    crc32c::crc32c(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_word_is_good_in_its_own_slot_and_index_only() {
        let (id, slot) = ([7; 16], SlotNo(3));
        let word = encode_uid(Uid::new(42).unwrap(), &id, slot);
        assert_eq!(decode_uid(word, &id, slot), Uid::new(42));
        assert_eq!(decode_uid(word, &id, SlotNo(4)), None);
        assert_eq!(decode_uid(word, &[8; 16], slot), None);
        for bit in 0..64 {
            assert_eq!(decode_uid(word ^ 1 << bit, &id, slot), None);
        }
        assert_eq!(decode_uid(0, &id, slot), None, "a zeroed page");
    }
}
