//! A change of flags: how people write it (`+S`, `-F`, `+RS-T`, `=FS`, `+seen`), and what it does to a file name.
//!
//! The grammar, which the man page calls SPEC: parts separated by commas, each of which is `+`, `-` or `=` followed by
//!
//! - standard letters (`DFPRST`), and then perhaps another sign and more letters: `+RS-T`
//! - one name: `seen`, `answered`, `flagged`, `draft`, `trashed`, `passed`, or one from `dovecot-keywords`
//! - one keyword letter, `a` to `z`: never several, so that a misspelt `+seem` is an error and not four keywords
//!
//! Letters come first: a keyword that somebody named `S` does not change what `+S` means.
//! `=` sets the standard letters to exactly these and leaves keywords alone; it stands for letters only.
//!
//! In a file name only the letters that were asked for change: each is put where it belongs in ASCII order, or taken out
//! wherever it stands. All other bytes stay: other letters, sorted or not, and what follows a second comma.

use crate::error::{Error, Refusal, Result};
use crate::maildir::flags::Flags;
use crate::maildir::keywords::Keywords;
use crate::maildir::name::Name;

/// Flags to be set, and flags to be cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlagChange {
    set: Flags,
    clear: Flags,
}

/// Bytes that a file name can have (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Names that go with the standard letters.
const NAMES: [(&str, Flags); 9] = [
    ("seen", Flags::SEEN),
    ("answered", Flags::REPLIED),
    ("flagged", Flags::FLAGGED),
    ("draft", Flags::DRAFT),
    ("trashed", Flags::TRASHED),
    ("passed", Flags::PASSED),
    // What other programs call them.
    ("replied", Flags::REPLIED),
    ("deleted", Flags::TRASHED),
    ("forwarded", Flags::PASSED),
];

impl FlagChange {
    /// Sets some flags and clears others.
    pub fn of(set: Flags, clear: Flags) -> FlagChange {
        FlagChange { set, clear }
    }

    /// Reads a SPEC. The names of keywords are those of the folder.
    pub fn parse(spec: &str, keywords: &Keywords) -> Result<FlagChange> {
        let mut change = FlagChange::default();
        for part in spec.split(',') {
            change.add(part, keywords).map_err(|expected| Error::Spec { spec: spec.into(), expected })?;
        }
        Ok(change)
    }

    fn add(&mut self, part: &str, keywords: &Keywords) -> Result<(), String> {
        const GRAMMAR: &str = "+, - or = and then flags, as in +S or -F or +RS-T or =FS";
        let mut chars = part.chars();
        let Some(sign @ ('+' | '-' | '=')) = chars.next() else { return Err(GRAMMAR.into()) };
        let word = chars.as_str();
        if word.starts_with('-') {
            return Err("a known option, or + or - and then flags".into());
        }
        let mut lettered = *self;
        let wrong = match lettered.add_letters(part) {
            Ok(()) => {
                *self = lettered;
                return Ok(());
            }
            Err(wrong) => wrong,
        };
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, flags)| flags);
        let keyword = match *word.as_bytes() {
            [letter @ b'a'..=b'z'] => Flags::letter(letter),
            _ => keywords.letter_of(word),
        };
        match named.or(keyword) {
            Some(_) if sign == '=' => Err(format!("letters after =, or +{word}")),
            Some(flags) => {
                self.then(sign, flags);
                Ok(())
            }
            None => Err(wrong.unwrap_or_else(|| unknown(word, keywords))),
        }
    }

    /// `+RS-T`, `=FS`. An error without a text: there are other letters.
    fn add_letters(&mut self, part: &str) -> Result<(), Option<String>> {
        let mut rest = part;
        while let Some(sign) = rest.chars().next() {
            let after = &rest[sign.len_utf8()..];
            let end = after.find(['+', '-', '=']).unwrap_or(after.len());
            let letters = &after[..end];
            if letters.is_empty() && sign != '=' {
                return Err(Some(format!("flags after {sign}")));
            }
            let mut flags = Flags::NONE;
            for letter in letters.chars() {
                let flag = u8::try_from(letter).ok().and_then(Flags::letter);
                match flag.filter(|&flag| Flags::STANDARD.contains(flag)) {
                    Some(flag) => flags = flags.union(flag),
                    None => return Err(None),
                }
            }
            self.then(sign, flags);
            rest = &after[end..];
        }
        Ok(())
    }

    /// Of what is said twice, the last word counts.
    fn then(&mut self, sign: char, flags: Flags) {
        let (set, clear) = match sign {
            '+' => (flags, Flags::NONE),
            '-' => (Flags::NONE, flags),
            _ => (flags, Flags::STANDARD.without(flags)),
        };
        self.set = self.set.without(clear).union(set);
        self.clear = self.clear.without(set).union(clear);
    }

    /// Whether it sets any flag; mail that gets one belongs into `cur/`.
    pub fn sets(&self) -> bool {
        self.set != Flags::NONE
    }

    /// The file name with the flags changed. With `info` it gets an info even if there is no flag to put into it.
    pub fn edit(&self, name: &[u8], info: bool) -> Result<Vec<u8>, Refusal> {
        let Name { base, info: old, flags } = Name::parse(name);
        let unchanged = flags.contains(self.set) && flags.without(self.clear) == flags;
        if unchanged && (!info || !old.is_empty()) {
            return Ok(name.to_vec());
        }
        if old.is_empty() && !info && !self.sets() {
            return Ok(name.to_vec());
        }
        let old = if old.is_empty() { b":2," } else { old };
        let (Some(head), Some(rest)) = (old.get(..3), old.get(3..)) else { return Err(Refusal::Info) };
        if head[1..] != *b"2," {
            return Err(Refusal::Info);
        }
        let (letters, rest) = rest.split_at(memchr::memchr(b',', rest).unwrap_or(rest.len()));
        let letters = self.edit_letters(letters);
        let edited = [base, head, &letters, rest].concat();
        if edited.len() > NAME_MAX && edited.len() > name.len() { Err(Refusal::TooLong) } else { Ok(edited) }
    }

    fn edit_letters(&self, letters: &[u8]) -> Vec<u8> {
        let cleared = |&&letter: &&u8| Flags::letter(letter).is_none_or(|flag| !self.clear.contains(flag));
        let mut edited: Vec<u8> = letters.iter().filter(cleared).copied().collect();
        for letter in self.set.letters().map(|letter| letter as u8) {
            if !edited.contains(&letter) {
                let at = edited.iter().position(|&other| other > letter).unwrap_or(edited.len());
                edited.insert(at, letter);
            }
        }
        edited
    }
}

/// What is wrong with letters that are none of the standard ones.
fn unknown(word: &str, keywords: &Keywords) -> String {
    let mut known: Vec<_> = NAMES[..6].iter().map(|(name, _)| (*name).to_string()).collect();
    known.extend(keywords.names().map(str::to_string));
    let known = known.join(", ");
    format!("letters of DFPRST, one keyword letter a to z, or a name ({known}), not {word:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(letters: &str) -> Flags {
        letters.bytes().filter_map(Flags::letter).fold(Flags::NONE, Flags::union)
    }

    fn parse(spec: &str) -> Result<FlagChange> {
        FlagChange::parse(spec, &Keywords::parse(b"0 $Label1\n1 Non-Junk\n2 seen\n3 S\n"))
    }

    #[test]
    fn a_spec_means_what_the_man_page_says() {
        for (spec, set, clear) in [
            ("+S", "S", ""),
            ("-F", "", "F"),
            ("+RS-T", "RS", "T"),
            ("+RS,-T", "RS", "T"),
            ("=FS", "FS", "DPRT"),
            ("=", "", "DFPRST"),
            ("=S-F+R", "SR", "DFPT"),
            ("+seen", "S", ""),
            ("-SEEN,+Answered", "R", "S"),
            ("+a,-b", "a", "b"),
            ("-h", "", "h"),
            ("-n", "", "n"),
            ("-r", "", "r"),
            ("+$label1", "a", ""),
            ("-Non-Junk,+F", "F", "b"),
            ("+S-S", "", "S"),
            ("-S,+S", "S", ""),
            ("+SS", "S", ""),
        ] {
            assert_eq!(parse(spec).unwrap(), FlagChange { set: flags(set), clear: flags(clear) }, "{spec}");
        }
    }

    #[test]
    fn what_is_no_spec_is_refused_and_never_read_as_keywords() {
        for spec in [
            "", "+", "-", "S", "seen", "+seem", "+ab", "+Sa", "+X", "--qurey", "+S,", ",+S", "+S-", "+ä", "=seen",
            "=a", "+é", "++S",
        ] {
            assert!(matches!(parse(spec), Err(Error::Spec { .. })), "{spec:?}: {:?}", parse(spec));
        }
    }

    #[test]
    fn only_the_letters_asked_for_change() {
        let edit = |spec: &str, name: &[u8]| parse(spec).unwrap().edit(name, false);
        for (name, with, back) in [
            (&b"x"[..], &b"x:2,F"[..], &b"x:2,"[..]),
            (b"x:2,", b"x:2,F", b"x:2,"),
            (b"x:2,SS", b"x:2,FSS", b"x:2,SS"),
            (b"x:2,TS", b"x:2,FTS", b"x:2,TS"),
            (b"x:2,S,ext", b"x:2,FS,ext", b"x:2,S,ext"),
            (b"x:2,,F", b"x:2,F,F", b"x:2,,F"),
            (b"\xff\xfe:2,", b"\xff\xfe:2,F", b"\xff\xfe:2,"),
            (b"x:2,abcXYZ", b"x:2,FabcXYZ", b"x:2,abcXYZ"),
            (b"x:2,S1T", b"x:2,FS1T", b"x:2,S1T"),
            (b"x;2,S", b"x;2,FS", b"x;2,S"),
            (b"x!2,S", b"x!2,FS", b"x!2,S"),
        ] {
            assert_eq!(edit("+F", name).unwrap(), with, "{}", name.escape_ascii());
            assert_eq!(edit("-F", with).unwrap(), back, "{}", name.escape_ascii());
        }
        assert_eq!(edit("-S", b"x").unwrap(), b"x", "nothing to clear");
        assert_eq!(edit("-S", b"x:1,foo").unwrap(), b"x:1,foo", "nothing to clear");
        assert_eq!(edit("=FS", b"x:2,DaSTz").unwrap(), b"x:2,FaSz", "what was there stays where it was");
        assert_eq!(edit("+S", b"x:2,TS").unwrap(), b"x:2,TS", "it is there already");
        assert_eq!(edit("-S", b"x:2,SaS").unwrap(), b"x:2,a", "wherever it stands");
    }

    #[test]
    fn a_name_that_can_take_no_flag_is_left_alone() {
        let edit = |name: &[u8]| parse("+F").unwrap().edit(name, false);
        for name in [&b"x:1,foo"[..], b"x:2", b"x:", b"x:3,S"] {
            assert_eq!(edit(name), Err(Refusal::Info), "{}", name.escape_ascii());
        }
        let long = [&[b'x'; 252][..], b":2,"].concat();
        assert_eq!(edit(&long), Err(Refusal::TooLong));
        assert_eq!(edit(&[b'x'; 252]), Err(Refusal::TooLong));
        assert!(edit(&[b'x'; 251]).is_ok());
    }
}
