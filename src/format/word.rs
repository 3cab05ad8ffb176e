//! Words of the offsets file: how they are stored, and how those that stand alone carry their own checksum.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::failpoint;

/// A 64-bit word in a mapped file that other processes load while we store.
///
/// One aligned store is all that ever happens to it, so it is never seen half changed. Stores are release and loads
/// acquire: who sees a word sees everything that was stored before it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// The word as it is now.
    #[inline]
    pub fn load(&self) -> u64 {
        // Only relaxed loads are promised to work in pages that are mapped read-only; the fence makes it an acquire.
        let value = u64::from_le(self.0.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        value
    }

    /// Changes it for everybody. Only for words in a map made for writing.
    pub(crate) fn store(&self, value: u64) {
        failpoint::reached();
        self.0.store(value.to_le(), Ordering::Release);
    }
}

/// The lowest `BITS` bits of the sum (xor) of a value's groups of `BITS` bits. Every flipped bit shows, and every run
/// of up to `BITS` flipped bits.
#[inline]
pub(crate) const fn fold<const BITS: u32>(value: u64) -> u64 {
    let mut sum = value;
    let mut shift = BITS;
    while shift < 64 {
        sum ^= value >> shift;
        shift += BITS;
    }
    sum & ((1 << BITS) - 1)
}

/// A number with its own checksum: 54 bits, then 10 bits of checksum that are not zero for a zero number, so that a
/// zeroed page holds no valid number. 54 bits count microseconds from 1970 to the year 2540.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number;

impl Number {
    /// The largest value.
    pub const MAX: u64 = (1 << 54) - 1;
    const ZERO: u64 = 0x2a5;

    /// The word for a value.
    pub const fn encode(value: u64) -> u64 {
        assert!(value <= Number::MAX, "number does not fit 54 bits");
        (fold::<10>(value) ^ Number::ZERO) << 54 | value
    }

    /// The value of a word; `None` if the checksum is wrong.
    #[inline]
    pub const fn decode(word: u64) -> Option<u64> {
        let value = word & Number::MAX;
        if (fold::<10>(value) ^ Number::ZERO) == word >> 54 { Some(value) } else { None }
    }
}

/// The last change of a message: a [`Number`], of which the bits below 53 are the change number, and bit 53 says whether
/// that change moved the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastChange {
    /// The change number.
    pub number: u64,
    /// It took the file to the other directory, or gave it another base name.
    pub moved: bool,
}

impl LastChange {
    /// The largest change number. 53 bits count microseconds from 1970 to the year 2255.
    pub const MAX: u64 = (1 << 53) - 1;
    const MOVED: u64 = 1 << 53;

    /// The word for it.
    pub const fn encode(self) -> u64 {
        assert!(self.number <= LastChange::MAX, "change number does not fit 53 bits");
        Number::encode(self.number | if self.moved { LastChange::MOVED } else { 0 })
    }

    /// The change in a word; `None` if its checksum is wrong.
    #[inline]
    pub fn decode(word: u64) -> Option<LastChange> {
        let value = Number::decode(word)?;
        Some(LastChange { number: value & LastChange::MAX, moved: value & LastChange::MOVED != 0 })
    }
}

const _: () = assert!(LastChange::MAX | LastChange::MOVED == Number::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_number_shows() {
        for value in [0, 1, 0x15_5555_5555_5555, 1_700_000_000_000_000, Number::MAX] {
            let word = Number::encode(value);
            assert_eq!(Number::decode(word), Some(value));
            for bit in 0..64 {
                assert_eq!(Number::decode(word ^ 1 << bit), None, "bit {bit} of {value}");
            }
        }
        assert_eq!((Number::decode(0), Number::decode(u64::MAX)), (None, None));
    }

    #[test]
    fn a_change_says_whether_it_moved_the_file() {
        for number in [0, 1_700_000_000_000_000, LastChange::MAX] {
            let plain = LastChange { number, moved: false };
            assert_eq!(plain.encode(), Number::encode(number), "as it was before there was such a bit");
            for change in [plain, LastChange { moved: true, ..plain }] {
                assert_eq!(LastChange::decode(change.encode()), Some(change));
                assert_eq!(LastChange::decode(change.encode() ^ 1), None);
            }
        }
    }
}
