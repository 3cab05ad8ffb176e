//! Names of keywords: Dovecot keeps them in `dovecot-keywords`, one `number name` a line, 0 for the letter `a`.
//!
//! (<https://doc.dovecot.org/main/core/admin/mailbox_formats/maildir.html>). The file is Dovecot's; it is only read.

use std::io::Read;

use crate::dir::Dir;
use crate::maildir::flags::Flags;
use crate::maildir::open_mail;

/// A larger file is none of Dovecot's: 26 keywords.
const FILE_MAX: u64 = 64 << 10;

/// The names that the letters `a` to `z` have in a folder.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    names: [Option<String>; 26],
}

impl Keywords {
    /// Reads the folder's file. Without one, or with one that cannot be read, letters have no names.
    pub fn read(root: &Dir) -> Keywords {
        let mut text = Vec::new();
        let read = open_mail(root, b"dovecot-keywords")
            .map_err(std::io::Error::from)
            .and_then(|(file, _)| file.take(FILE_MAX).read_to_end(&mut text));
        if read.is_ok() { Keywords::parse(&text) } else { Keywords::default() }
    }

    /// Reads the text of `dovecot-keywords`; lines that say nothing are passed over.
    pub fn parse(text: &[u8]) -> Keywords {
        let mut keywords = Keywords::default();
        for line in String::from_utf8_lossy(text).lines() {
            let Some((number, name)) = line.split_once(' ') else { continue };
            let slot = number.parse().ok().and_then(|n: usize| keywords.names.get_mut(n));
            if let (Some(slot), false) = (slot, name.is_empty()) {
                *slot = Some(name.to_string());
            }
        }
        keywords
    }

    /// The letter that a name stands for, as a flag; IMAP keywords do not tell upper case from lower case.
    pub fn letter_of(&self, name: &str) -> Option<Flags> {
        let is_it = |known: &Option<String>| known.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name));
        let number = self.names.iter().position(is_it)?;
        Flags::letter(b'a' + number as u8)
    }

    /// The names there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().flatten().map(String::as_str)
    }

    /// The keywords among the flags, by name, or by letter where it has none.
    pub fn of(&self, flags: Flags) -> Vec<String> {
        let name =
            |letter: char| self.names[letter as usize - 'a' as usize].clone().unwrap_or_else(|| letter.to_string());
        flags.keywords().letters().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_get_their_names() {
        let keywords = Keywords::parse(b"0 $Label1\n2 work stuff\nx y\n26 beyond\n3 \n");
        let flags = b"Sacd".iter().filter_map(|&l| Flags::letter(l)).fold(Flags::NONE, Flags::union);
        assert_eq!(keywords.of(flags), ["$Label1", "work stuff", "d"]);
    }
}
