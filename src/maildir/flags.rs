//! The flags of a mail: the letters after `:2,` in its file name.
//!
//! `D`raft, `F`lagged, `P`assed, `R`eplied, `S`een and `T`rashed come from the Maildir page
//! (<https://cr.yp.to/proto/maildir.html>); `a` to `z` are keywords whose names Dovecot keeps in `dovecot-keywords`.
//! Other letters are kept as they are.

use std::fmt;

/// A set of flag letters, `A`-`Z` and `a`-`z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u64);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// Composed and not sent (`D`).
    pub const DRAFT: Flags = Flags::letter_const(b'D');
    /// Marked by the user (`F`).
    pub const FLAGGED: Flags = Flags::letter_const(b'F');
    /// Forwarded, resent or bounced (`P`).
    pub const PASSED: Flags = Flags::letter_const(b'P');
    /// Answered (`R`).
    pub const REPLIED: Flags = Flags::letter_const(b'R');
    /// Read (`S`).
    pub const SEEN: Flags = Flags::letter_const(b'S');
    /// To be removed (`T`); IMAP's `\Deleted`.
    pub const TRASHED: Flags = Flags::letter_const(b'T');

    /// Those of the Maildir page: `DFPRST`.
    pub const STANDARD: Flags = Flags(
        Flags::DRAFT.0 | Flags::FLAGGED.0 | Flags::PASSED.0 | Flags::REPLIED.0 | Flags::SEEN.0 | Flags::TRASHED.0,
    );

    /// Bits 0-25 are `A`-`Z`, 26-51 `a`-`z`.
    pub(crate) const MASK: u64 = (1 << 52) - 1;

    const fn letter_const(letter: u8) -> Flags {
        match Flags::letter(letter) {
            Some(flags) => flags,
            None => panic!("not a letter"),
        }
    }

    /// The set of one letter; `None` if it is none.
    pub const fn letter(letter: u8) -> Option<Flags> {
        match letter {
            b'A'..=b'Z' => Some(Flags(1 << (letter - b'A'))),
            b'a'..=b'z' => Some(Flags(1 << (letter - b'a' + 26))),
            _ => None,
        }
    }

    pub(crate) const fn from_bits(bits: u64) -> Flags {
        Flags(bits & Flags::MASK)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without the others.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether every letter of `other` is here.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The letters in the order in which they stand in a file name: ASCII.
    pub fn letters(self) -> impl Iterator<Item = char> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as u8;
            left &= left.wrapping_sub(1);
            match bit {
                0..26 => Some((b'A' + bit).into()),
                26..52 => Some((b'a' + bit - 26).into()),
                _ => None,
            }
        })
    }

    /// The keyword letters alone, `a`-`z`.
    #[must_use]
    pub const fn keywords(self) -> Flags {
        Flags(self.0 >> 26 << 26)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().try_for_each(|letter| fmt::Write::write_char(f, letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_the_order_of_a_file_name() {
        let flags = b"zTaSAZ".iter().filter_map(|&l| Flags::letter(l)).fold(Flags::NONE, Flags::union);
        assert_eq!(flags.to_string(), "ASTZaz");
        assert_eq!(flags.keywords().to_string(), "az");
        assert!(flags.contains(Flags::SEEN) && !flags.contains(Flags::DRAFT));
        assert_eq!(Flags::letter(b','), None);
    }
}
