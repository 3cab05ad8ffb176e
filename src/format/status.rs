//! The status word of a message: flags and state, changed in place by one store.
//!
//! | bits  | meaning                                                                                 |
//! |------:|-----------------------------------------------------------------------------------------|
//! |  0-25 | flags `A`-`Z`                                                                           |
//! | 26-51 | flags `a`-`z`                                                                           |
//! |    52 | NEW: the file is in `new/`                                                              |
//! |    53 | EXPUNGED: the mail is gone, its UID is dead                                             |
//! |    54 | `NO_INFO`: the name has no `:2,`                                                          |
//! |    55 | NONCANONICAL: base and flags do not give the name, it must be looked up                 |
//! |    56 | UNREADABLE: the mail could not be opened, its entry has a base name only                |
//! |    57 | EMPTY: the mail had no bytes when it was indexed                                        |
//! | 58-63 | checksum of the bits below, not zero for zero                                           |
//!
//! The file name is the truth for the flags; the word mirrors it.

use std::fmt;

use crate::format::word::fold;
use crate::maildir::Sub;
use crate::maildir::flags::Flags;
use crate::maildir::name::Name;

/// Flags and state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(u64);

impl Status {
    /// The file is in `new/`.
    pub const NEW: Status = Status(1 << 52);
    /// The mail is gone, its UID is dead.
    pub const EXPUNGED: Status = Status(1 << 53);
    /// The name has no `:2,`.
    pub const NO_INFO: Status = Status(1 << 54);
    /// Base and flags do not give the name.
    pub const NONCANONICAL: Status = Status(1 << 55);
    /// The mail could not be opened when it was indexed.
    pub const UNREADABLE: Status = Status(1 << 56);

    /// The mail had no bytes when it was indexed.
    pub const EMPTY: Status = Status(1 << 57);

    const VALUE: u64 = (1 << 58) - 1;
    const ZERO: u64 = 0b10_1101;

    /// What a file name in a directory says.
    pub fn of_name(sub: Sub, name: &Name<'_>) -> Status {
        let mut status = Status(name.flags.bits());
        if sub == Sub::New {
            status = status.with(Status::NEW);
        }
        if name.is_bare() {
            status = status.with(Status::NO_INFO);
        }
        if !name.is_canonical() {
            status = status.with(Status::NONCANONICAL);
        }
        status
    }

    /// The word in the file.
    pub const fn encode(self) -> u64 {
        (fold::<6>(self.0) ^ Status::ZERO) << 58 | self.0
    }

    /// The status of a word; `None` if its checksum is wrong.
    #[inline]
    pub const fn decode(word: u64) -> Option<Status> {
        let value = word & Status::VALUE;
        if (fold::<6>(value) ^ Status::ZERO) == word >> 58 { Some(Status(value)) } else { None }
    }

    /// With the bits of `other`, too.
    #[must_use]
    pub const fn with(self, other: Status) -> Status {
        Status(self.0 | other.0)
    }

    /// The bits that `other` has, too.
    #[must_use]
    pub const fn only(self, other: Status) -> Status {
        Status(self.0 & other.0)
    }

    /// What the name of the file says, without what its contents are.
    #[must_use]
    pub const fn without_contents(self) -> Status {
        Status(self.0 & !(Status::UNREADABLE.0 | Status::EMPTY.0))
    }

    /// Whether all bits of `other` are set.
    #[inline]
    pub const fn has(self, other: Status) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flag letters.
    pub const fn flags(self) -> Flags {
        Flags::from_bits(self.0)
    }

    /// The directory of the file.
    pub const fn sub(self) -> Sub {
        if self.has(Status::NEW) { Sub::New } else { Sub::Cur }
    }

    /// All bits but the checksum; for masks.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The letters, and the names of the bits that are set: `FS NEW NO_INFO`; `none` for nothing.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Status, &str); 6] = [
            (Status::NEW, "NEW"),
            (Status::EXPUNGED, "EXPUNGED"),
            (Status::NO_INFO, "NO_INFO"),
            (Status::NONCANONICAL, "NONCANONICAL"),
            (Status::UNREADABLE, "UNREADABLE"),
            (Status::EMPTY, "EMPTY"),
        ];
        let flags = self.flags().to_string();
        let names = NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name);
        let words: Vec<_> = Some(&*flags).filter(|flags| !flags.is_empty()).into_iter().chain(names).collect();
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_shows() {
        for bits in [0, 1, Flags::MASK, Status::VALUE, Status::NEW.bits() | Flags::SEEN.bits()] {
            let word = Status(bits).encode();
            assert_eq!(Status::decode(word), Some(Status(bits)));
            for bit in 0..64 {
                assert_eq!(Status::decode(word ^ 1 << bit), None, "bit {bit} of {bits:x}");
            }
        }
        assert_eq!((Status::decode(0), Status::decode(u64::MAX)), (None, None));
    }

    #[test]
    fn a_name_gives_its_word() {
        let status = |sub, name: &[u8]| Status::of_name(sub, &Name::parse(name));
        assert_eq!(status(Sub::New, b"x"), Status::NEW.with(Status::NO_INFO));
        assert_eq!(status(Sub::Cur, b"x:2,").bits(), 0);
        assert_eq!(
            status(Sub::Cur, b"x:2,SF"),
            Status(Flags::SEEN.union(Flags::FLAGGED).bits()).with(Status::NONCANONICAL)
        );
        assert_eq!(status(Sub::New, b"x:2,S").flags(), Flags::SEEN);
    }
}
