//! The headers of both files.
//!
//! Both begin with the same record, which never changes while the generation lives. It is 72 bytes in a page of its
//! own, so that a torn write of it harms nothing else. Integers are little-endian, offsets and sizes in bytes.
//!
//! | offset | size | field        | meaning                                                                     |
//! |-------:|-----:|--------------|-----------------------------------------------------------------------------|
//! |      0 |    8 | magic        | `MDXINDEX` or `MDXOFFST`                                                    |
//! |      8 |    4 | version      | 1                                                                           |
//! |     12 |    4 | crc          | CRC32C of the bytes before and after it, up to 72                           |
//! |     16 |   16 | id           | random; kept over compaction                                                |
//! |     32 |    8 | generation   | G of `maildex.index.G`                                                      |
//! |     40 |    8 | marker       | random; begins each entry of this index file; has a NUL and an 0xFF         |
//! |     48 |   16 | `hash_key`     | random; key of the SipHash-1-3 of base names                                |
//! |     64 |    4 | `uid_validity` | UIDVALIDITY (RFC 9051, 2.3.1.1)                                             |
//! |     68 |    4 | `uid_floor`    | UIDs up to this one had been given out when this generation was made, 0 for none |
//!
//! The index file's entries begin at 4096. Behind its record stands
//!
//! | offset | size | field     | meaning                                                                        |
//! |-------:|-----:|-----------|--------------------------------------------------------------------------------|
//! |     72 |   16 | born      | birth of the index file, nanoseconds since 1970, and CRC32C of it: a copy has another |
//!
//! The offsets file's header page goes on, after 56 zero bytes, with words
//! that the writer changes in place, each with its own checksum:
//!
//! | offset | size | field     | meaning                                                                        |
//! |-------:|-----:|-----------|--------------------------------------------------------------------------------|
//! |    128 |    8 | count     | [`Number`]: slots that are published                                           |
//! |    136 |    8 | counter   | [`Number`]: the last change number given out                                   |
//! |    144 |    8 | oldest    | [`Number`]: changes up to this one are no longer known one by one              |
//! |    152 |    8 | marks     | [`Number`]: 1 a writer is at work, 2 the first build has finished, 4 a sync failed |
//! |    160 |   24 | boot      | boot id of the last writer, CRC32C of it                                       |
//! |    184 |    8 | accounted | [`Number`]: bytes of the index file that the slots account for                 |
//! |    192 |   56 | stamp_new | stamp of `new/` before it was last listed: dev, ino, btime, mtime, ctime, settled, CRC32C |
//! |    256 |   56 | stamp_cur | the same of `cur/`                                                             |
//! |    320 |   16 | born      | birth of the offsets file, nanoseconds since 1970, and CRC32C of it: a copy has another |

use std::mem::{offset_of, size_of};

use siphasher::sip::SipHasher13;

use crate::format::field::{Field, Form, are_whole};
use crate::format::word::{LastChange, Number, Word};
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;

/// The format version that this program writes.
pub const VERSION: u32 = 1;

/// Bytes of a header page.
pub const HEADER_LEN: usize = 4096;

/// The 128 random bits that name an index, whatever its generation.
pub type IndexId = [u8; 16];

/// The 128 bits that the kernel draws at each boot.
pub type BootId = [u8; 16];

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `maildex.index.G`
    Index,
    /// `maildex.offsets`
    Offsets,
}

impl Kind {
    /// The bytes that it begins with.
    pub const fn magic(self) -> [u8; 8] {
        match self {
            Kind::Index => *b"MDXINDEX",
            Kind::Offsets => *b"MDXOFFST",
        }
    }
}

/// What both headers say; a value of this type has passed magic, version and CRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Names the index, whatever its generation.
    pub id: IndexId,
    /// Counts compactions and rebuilds, from 1.
    pub generation: u64,
    /// Begins each entry of this index file.
    pub marker: [u8; 8],
    /// Key of the hashes of base names.
    pub hash_key: [u8; 16],
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDs up to this one had been given out when this generation was made; 0 for none.
    pub uid_floor: u32,
}

/// The record at the start of both files, as bytes.
#[repr(C)]
struct Record {
    magic: [u8; 8],
    version: [u8; 4],
    crc: [u8; 4],
    id: [u8; 16],
    generation: [u8; 8],
    marker: [u8; 8],
    hash_key: [u8; 16],
    uid_validity: [u8; 4],
    uid_floor: [u8; 4],
}

/// Bytes of the record at the start of both files.
pub const RECORD_LEN: usize = 72;

const _: () = assert!(size_of::<Record>() == RECORD_LEN && offset_of!(Record, crc) == 12);
const _: () = assert!(offset_of!(Record, id) == 16 && offset_of!(Record, generation) == 32);
const _: () = assert!(offset_of!(Record, marker) == 40 && offset_of!(Record, hash_key) == 48);
const _: () = assert!(offset_of!(Record, uid_validity) == 64 && offset_of!(Record, uid_floor) == 68);

/// The fields of the record, by name.
pub const RECORD: [Field; 9] = [
    Field::new("magic", offset_of!(Record, magic), 8, Form::Text),
    Field::new("version", offset_of!(Record, version), 4, Form::Unsigned),
    Field::new("crc", offset_of!(Record, crc), 4, Form::Hex),
    Field::new("id", offset_of!(Record, id), 16, Form::Bytes),
    Field::new("generation", offset_of!(Record, generation), 8, Form::Unsigned),
    Field::new("marker", offset_of!(Record, marker), 8, Form::Bytes),
    Field::new("hash_key", offset_of!(Record, hash_key), 16, Form::Bytes),
    Field::new("uid_validity", offset_of!(Record, uid_validity), 4, Form::Unsigned),
    Field::new("uid_floor", offset_of!(Record, uid_floor), 4, Form::Unsigned),
];

const _: () = assert!(are_whole(&RECORD, 0, RECORD_LEN));

/// What stands behind the record of the index file, by name.
pub const INDEX_BORN: [Field; 2] =
    [Field::new("born", RECORD_LEN, 8, Form::Signed), Field::new("born.crc", RECORD_LEN + 8, 8, Form::Hex)];

/// Bytes of that.
pub const BORN_LEN: usize = 16;

const _: () = assert!(are_whole(&INDEX_BORN, RECORD_LEN, RECORD_LEN + BORN_LEN));

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadHeader {
    /// Shorter than a header, or another file altogether.
    Magic([u8; 8]),
    /// Another version of the format.
    Version(u32),
    /// The number of another version, in a header of ours: with our number the CRC is right.
    NotVersion(u32),
    /// Found and expected CRC.
    Crc(u32, u32),
}

impl Identity {
    /// The bytes for the start of a file.
    pub fn encode(&self, kind: Kind) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(offset_of!(Record, magic), &kind.magic());
        put(offset_of!(Record, version), &VERSION.to_le_bytes());
        put(offset_of!(Record, id), &self.id);
        put(offset_of!(Record, generation), &self.generation.to_le_bytes());
        put(offset_of!(Record, marker), &self.marker);
        put(offset_of!(Record, hash_key), &self.hash_key);
        put(offset_of!(Record, uid_validity), &self.uid_validity.to_le_bytes());
        put(offset_of!(Record, uid_floor), &self.uid_floor.to_le_bytes());
        let crc = record_crc(&bytes);
        bytes[offset_of!(Record, crc)..][..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the start of a file; only what passed every check comes back.
    pub fn decode(kind: Kind, bytes: &[u8; RECORD_LEN]) -> Result<Identity, BadHeader> {
        let magic = take(bytes, offset_of!(Record, magic));
        if magic != kind.magic() {
            return Err(BadHeader::Magic(magic));
        }
        let version = u32::from_le_bytes(take(bytes, offset_of!(Record, version)));
        let found = u32::from_le_bytes(take(bytes, offset_of!(Record, crc)));
        if version != VERSION {
            let mut ours = *bytes;
            ours[offset_of!(Record, version)..][..4].copy_from_slice(&VERSION.to_le_bytes());
            let is_ours = record_crc(&ours) == found;
            return Err(if is_ours { BadHeader::NotVersion(version) } else { BadHeader::Version(version) });
        }
        let expected = record_crc(bytes);
        if found != expected {
            return Err(BadHeader::Crc(found, expected));
        }
        Ok(Identity {
            id: take(bytes, offset_of!(Record, id)),
            generation: u64::from_le_bytes(take(bytes, offset_of!(Record, generation))),
            marker: take(bytes, offset_of!(Record, marker)),
            hash_key: take(bytes, offset_of!(Record, hash_key)),
            uid_validity: u32::from_le_bytes(take(bytes, offset_of!(Record, uid_validity))),
            uid_floor: u32::from_le_bytes(take(bytes, offset_of!(Record, uid_floor))),
        })
    }

    /// UIDVALIDITY in a record that has the right magic, and may be damaged otherwise. Good only for choosing a greater one.
    pub fn unproved_uid_validity(kind: Kind, bytes: &[u8; RECORD_LEN]) -> Option<u32> {
        let is_one = take(bytes, offset_of!(Record, magic)) == kind.magic();
        is_one.then(|| u32::from_le_bytes(take(bytes, offset_of!(Record, uid_validity))))
    }

    /// The hash of a base name in this index. Keyed, so that nobody can send mail whose names collide.
    pub fn hash(&self, base: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.hash_key).hash(base)
    }
}

fn take<const N: usize>(bytes: &[u8; RECORD_LEN], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a field lies within the record")
}

fn record_crc(bytes: &[u8; RECORD_LEN]) -> u32 {
    let (before, after) = (&bytes[..offset_of!(Record, crc)], &bytes[offset_of!(Record, id)..]);
    crc32c::crc32c_append(crc32c::crc32c(before), after)
}

/// The header page of the offsets file, as it stands there.
#[repr(C)]
pub struct HeaderPage {
    record: [Word; RECORD_LEN / 8],
    zero: [Word; 7],
    count: Word,
    counter: Word,
    oldest: Word,
    marks: Word,
    boot: [Word; 3],
    accounted: Word,
    stamp_new: [Word; 8],
    stamp_cur: [Word; 8],
    born: [Word; 2],
    rest: [Word; 470],
}

const _: () = assert!(size_of::<HeaderPage>() == HEADER_LEN && offset_of!(HeaderPage, count) == 128);
const _: () = assert!(offset_of!(HeaderPage, counter) == 136 && offset_of!(HeaderPage, oldest) == 144);
const _: () = assert!(offset_of!(HeaderPage, marks) == 152 && offset_of!(HeaderPage, boot) == 160);
const _: () = assert!(offset_of!(HeaderPage, accounted) == 184);
const _: () = assert!(offset_of!(HeaderPage, stamp_new) == 192 && offset_of!(HeaderPage, stamp_cur) == 256);
const _: () = assert!(offset_of!(HeaderPage, born) == 320);

/// The words of the header page behind the record, by name. Of boot id and stamps each word is one of its own.
pub const PAGE: [Field; 27] = {
    const fn stamp(at: usize, names: [&'static str; 7]) -> [Field; 7] {
        let [dev, ino, btime, mtime, ctime, settled, crc] = names;
        [
            Field::new(dev, at, 8, Form::Unsigned),
            Field::new(ino, at + 8, 8, Form::Unsigned),
            Field::new(btime, at + 16, 8, Form::Signed),
            Field::new(mtime, at + 24, 8, Form::Signed),
            Field::new(ctime, at + 32, 8, Form::Signed),
            Field::new(settled, at + 40, 8, Form::Unsigned),
            Field::new(crc, at + 48, 8, Form::Hex),
        ]
    }
    let [dev, ino, btime, mtime, ctime, settled, crc] = stamp(
        offset_of!(HeaderPage, stamp_new),
        [
            "stamp_new.dev",
            "stamp_new.ino",
            "stamp_new.btime",
            "stamp_new.mtime",
            "stamp_new.ctime",
            "stamp_new.settled",
            "stamp_new.crc",
        ],
    );
    let of_cur = stamp(
        offset_of!(HeaderPage, stamp_cur),
        [
            "stamp_cur.dev",
            "stamp_cur.ino",
            "stamp_cur.btime",
            "stamp_cur.mtime",
            "stamp_cur.ctime",
            "stamp_cur.settled",
            "stamp_cur.crc",
        ],
    );
    let boot = offset_of!(HeaderPage, boot);
    [
        Field::new("zero", offset_of!(HeaderPage, zero), 56, Form::Zero),
        Field::new("count", offset_of!(HeaderPage, count), 8, Form::Number),
        Field::new("counter", offset_of!(HeaderPage, counter), 8, Form::Number),
        Field::new("oldest", offset_of!(HeaderPage, oldest), 8, Form::Number),
        Field::new("marks", offset_of!(HeaderPage, marks), 8, Form::Number),
        Field::new("boot", boot, 16, Form::Bytes),
        Field::new("boot.crc", boot + 16, 8, Form::Hex),
        Field::new("accounted", offset_of!(HeaderPage, accounted), 8, Form::Number),
        dev,
        ino,
        btime,
        mtime,
        ctime,
        settled,
        crc,
        Field::new("zero", offset_of!(HeaderPage, stamp_new) + 56, 8, Form::Zero),
        of_cur[0],
        of_cur[1],
        of_cur[2],
        of_cur[3],
        of_cur[4],
        of_cur[5],
        of_cur[6],
        Field::new("zero", offset_of!(HeaderPage, stamp_cur) + 56, 8, Form::Zero),
        Field::new("born", offset_of!(HeaderPage, born), 8, Form::Signed),
        Field::new("born.crc", offset_of!(HeaderPage, born) + 8, 8, Form::Hex),
        Field::new("zero", offset_of!(HeaderPage, rest), HEADER_LEN - offset_of!(HeaderPage, rest), Form::Zero),
    ]
};

const _: () = assert!(are_whole(&PAGE, RECORD_LEN, HEADER_LEN));

/// Offsets of the header page's own words; for messages.
pub mod at {
    use super::{HeaderPage, offset_of};
    /// Of `count`.
    pub const COUNT: u64 = offset_of!(HeaderPage, count) as u64;
    /// Of `counter`.
    pub const COUNTER: u64 = offset_of!(HeaderPage, counter) as u64;
    /// Of `oldest`.
    pub const OLDEST: u64 = offset_of!(HeaderPage, oldest) as u64;
    /// Of `accounted`.
    pub const ACCOUNTED: u64 = offset_of!(HeaderPage, accounted) as u64;
    /// Of `marks`.
    pub const MARKS: u64 = offset_of!(HeaderPage, marks) as u64;
    /// Of the boot id.
    pub const BOOT: u64 = offset_of!(HeaderPage, boot) as u64;
    /// Of the birth.
    pub const BORN: u64 = offset_of!(HeaderPage, born) as u64;
    /// Of the stamps of `new/` and `cur/`.
    pub const STAMPS: [u64; 2] = [offset_of!(HeaderPage, stamp_new) as u64, offset_of!(HeaderPage, stamp_cur) as u64];
}

/// State of the whole index, see the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks(u64);

/// The names of marks, by their bit.
pub const MARK_NAMES: [(u64, &str); 3] =
    [(Marks::WRITING.0, "writing"), (Marks::COMPLETE.0, "complete"), (Marks::FAILED.0, "failed")];

impl Marks {
    /// Nothing.
    pub const NONE: Marks = Marks(0);
    /// A writer is at work; to whoever holds the lock it says that the last writer was killed.
    pub const WRITING: Marks = Marks(1);
    /// The first build has finished.
    pub const COMPLETE: Marks = Marks(2);
    /// A sync failed: what was written cannot be trusted, this generation takes no more writes.
    pub const FAILED: Marks = Marks(4);

    /// Whether all of `other` are set.
    pub const fn has(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those of `other`, too.
    #[must_use]
    pub const fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }
}

impl HeaderPage {
    /// The words of the record; [`Identity::decode`] reads their bytes.
    pub fn record(&self) -> &[Word] {
        &self.record
    }

    /// Writes the record of a new file.
    pub(crate) fn set_record(&self, record: &[u8; RECORD_LEN]) {
        for (word, bytes) in self.record.iter().zip(record.chunks_exact(8)) {
            word.store(u64::from_le_bytes(bytes.try_into().expect("chunks of 8")));
        }
    }

    /// Slots that are published.
    pub fn count(&self) -> Option<u64> {
        Number::decode(self.count.load())
    }

    /// Publishes slots.
    pub(crate) fn set_count(&self, count: u64) {
        self.count.store(Number::encode(count));
    }

    /// The last change number.
    pub fn counter(&self) -> Option<u64> {
        Number::decode(self.counter.load()).filter(|&counter| counter < LastChange::MAX)
    }

    /// Says that all changes up to this one have been stored.
    pub(crate) fn set_counter(&self, counter: u64) {
        self.counter.store(Number::encode(counter));
    }

    /// Changes up to this one are no longer known one by one.
    pub fn oldest(&self) -> Option<u64> {
        Number::decode(self.oldest.load()).filter(|&oldest| oldest < LastChange::MAX)
    }

    /// Forgets changes.
    pub(crate) fn set_oldest(&self, oldest: u64) {
        self.oldest.store(Number::encode(oldest));
    }

    /// Bytes of the index file that the slots account for. What stands behind them was written by somebody who did not
    /// come to publish it, or by a writer that another offsets file knows.
    pub fn accounted(&self) -> Option<u64> {
        Number::decode(self.accounted.load())
    }

    /// Says how much of the index file the slots account for.
    pub(crate) fn set_accounted(&self, bytes: u64) {
        self.accounted.store(Number::encode(bytes));
    }

    /// State of the whole index.
    pub fn marks(&self) -> Option<Marks> {
        Number::decode(self.marks.load()).filter(|&marks| marks < 8).map(Marks)
    }

    /// Changes the state of the whole index.
    pub(crate) fn set_marks(&self, marks: Marks) {
        self.marks.store(Number::encode(marks.0));
    }

    /// Boot id of the last writer; `None` if it is torn.
    pub fn boot(&self) -> Option<BootId> {
        checked(&self.boot).map(|words: [u64; 2]| to_bytes(words))
    }

    /// Says who writes.
    pub(crate) fn set_boot(&self, boot: &BootId) {
        let (low, high) = boot.split_at(8);
        let words = [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("half of 16 bytes")));
        store_checked(&self.boot, &words);
    }

    fn stamp_words(&self, sub: Sub) -> &[Word] {
        match sub {
            Sub::New => &self.stamp_new[..7],
            Sub::Cur => &self.stamp_cur[..7],
        }
    }

    /// The stamp of a directory from before it was last listed; `None` if never, or torn.
    pub fn stamp(&self, sub: Sub) -> Option<Stamp> {
        checked(self.stamp_words(sub)).map(|[dev, ino, btime, mtime, ctime, settled]| Stamp {
            dev,
            ino,
            btime_ns: btime as i64,
            mtime_ns: mtime as i64,
            ctime_ns: ctime as i64,
            settled: settled == 1,
        })
    }

    /// Whether a stamp was never recorded.
    pub fn has_no_stamp(&self, sub: Sub) -> bool {
        self.stamp_words(sub).iter().all(|word| word.load() == 0)
    }

    /// How many of the bytes that nothing uses are not zero.
    pub(crate) fn stray(&self) -> usize {
        let spare = [&self.stamp_new[7], &self.stamp_cur[7]];
        self.zero.iter().chain(spare).chain(&self.rest).filter(|word| word.load() != 0).count() * 8
    }

    /// Records a stamp. Seven stores: torn by a crash or seen half stored, its CRC is wrong, and it proves nothing.
    pub(crate) fn set_stamp(&self, sub: Sub, stamp: &Stamp) {
        let words = [
            stamp.dev,
            stamp.ino,
            stamp.btime_ns as u64,
            stamp.mtime_ns as u64,
            stamp.ctime_ns as u64,
            u64::from(stamp.settled),
        ];
        store_checked(self.stamp_words(sub), &words);
    }

    /// When the offsets file was born; `None` if that was not to be known.
    pub fn born(&self) -> Option<i64> {
        checked(&self.born).map(|[born_ns]| born_ns as i64)
    }

    /// Whether no birth was ever written.
    pub fn has_no_birth(&self) -> bool {
        self.born.iter().all(|word| word.load() == 0)
    }

    /// Says which file this is.
    pub(crate) fn set_born(&self, born_ns: i64) {
        store_checked(&self.born, &[born_ns as u64]);
    }

    /// Forgets a directory: its stamp is as if it had never been listed.
    pub(crate) fn forget_stamp(&self, sub: Sub) {
        self.stamp_words(sub).iter().for_each(|word| word.store(0));
    }
}

/// The bytes that say when an index file was born.
pub(crate) fn encode_born(born_ns: i64) -> [u8; BORN_LEN] {
    let born = born_ns as u64;
    to_bytes([born, words_crc(&[born]).into()])
}

/// When the index file was born; `None` if that was not to be known, or is torn.
pub(crate) fn decode_born(bytes: [u8; BORN_LEN]) -> Option<i64> {
    let words = u128::from_le_bytes(bytes);
    let (born, crc) = (words as u64, (words >> 64) as u64);
    (u64::from(words_crc(&[born])) == crc).then_some(born as i64)
}

/// `N` words and their CRC.
fn checked<const N: usize>(words: &[Word]) -> Option<[u64; N]> {
    let values: [u64; N] = std::array::from_fn(|n| words[n].load());
    (u64::from(words_crc(&values)) == words[N].load()).then_some(values)
}

fn store_checked(words: &[Word], values: &[u64]) {
    for (word, &value) in words.iter().zip(values) {
        word.store(value);
    }
    words[values.len()].store(words_crc(values).into());
}

fn words_crc(values: &[u64]) -> u32 {
    values.iter().fold(0, |crc, value| crc32c::crc32c_append(crc, &value.to_le_bytes()))
}

fn to_bytes([low, high]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

#[cfg(test)]
mod tests;
