//! Lists of UIDs: which number is which mail's, by base name. Those that other programs keep in a folder, and our own, a
//! back-up of what cannot be rebuilt. Reading and writing of the text only; no I/O.
//!
//! A list is read whole and checked whole: numbers that rise, names that can be names, each once. What comes back can be
//! believed, as far as a list by itself can be.

mod courier;
mod dovecot;
pub(crate) mod tsv;

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, Write};

use hashbrown::HashTable;

use crate::format::Uid;
use crate::format::entry::BASE_MAX;
use crate::maildir::name::base_of;

/// The most messages that a list may have: ten times more than anybody has in a folder.
pub const LINES_MAX: usize = 10_000_000;

/// The longest list in bytes.
pub const TEXT_MAX: u64 = 1 << 30;

/// How a list is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own, see `uidlist/tsv.rs`.
    Tsv,
    /// `dovecot-uidlist`, version 3.
    Dovecot,
    /// `courierimapuiddb`, version 1, which old versions of Dovecot wrote, too.
    Courier,
}

/// A list that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidList<'t> {
    /// How it was written.
    pub format: Format,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT: above every number in the list, at most 2^32.
    pub uid_next: u64,
    /// Fields of the header that only their program understands.
    pub fields: &'t [u8],
    /// Number and mail, rising.
    pub lines: Vec<Line<'t>>,
}

/// A number and the mail that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'t> {
    /// The number.
    pub uid: Uid,
    /// The base name of the mail.
    pub base: Cow<'t, [u8]>,
    /// Fields that only their program understands.
    pub fields: &'t [u8],
}

/// Where a list is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadList {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

/// What the first line says.
struct Header<'t> {
    uid_validity: u32,
    uid_next: u64,
    fields: &'t [u8],
    /// How many lines follow, if it says so.
    lines: Option<usize>,
    /// UIDNEXT may lag behind the lines, for these are appended.
    lags: bool,
}

/// Found and expected; without the number of the line.
struct Bad(String, String);

impl Bad {
    fn new(found: &[u8], expected: impl Into<String>) -> Bad {
        Bad(excerpt(found), expected.into())
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::Tsv, Format::Dovecot, Format::Courier];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Tsv => "tsv",
            Format::Dovecot => "dovecot",
            Format::Courier => "courier",
        }
    }

    /// The file in a folder in which its program keeps the list.
    pub const fn file_name(self) -> Option<&'static str> {
        match self {
            Format::Tsv => None,
            Format::Dovecot => Some("dovecot-uidlist"),
            Format::Courier => Some("courierimapuiddb"),
        }
    }

    /// Of which format a list is, by its first line.
    pub fn of(text: &[u8]) -> Option<Format> {
        let first = text.split(|&b| b == b'\n').next().unwrap_or_default();
        match first.split(u8::is_ascii_whitespace).next() {
            Some(b"maildex-uids") => Some(Format::Tsv),
            // The version. A second one was never released.
            Some(b"3" | b"2") => Some(Format::Dovecot),
            Some(b"1") => Some(Format::Courier),
            _ => None,
        }
    }

    /// Whether a base name can stand in it. Where names are not escaped one with a line break cannot.
    pub fn can_hold(self, base: &[u8]) -> bool {
        self == Format::Tsv || !base.contains(&b'\n')
    }

    /// The largest UIDNEXT that it can tell.
    pub const fn uid_next_max(self) -> u64 {
        match self {
            Format::Tsv => 1 << 32,
            Format::Dovecot | Format::Courier => u32::MAX as u64,
        }
    }

    /// Writes the first line. `fields` are those of a list that stood there before.
    pub fn write_header(
        self,
        out: &mut dyn Write,
        uid_validity: u32,
        uid_next: u64,
        lines: usize,
        fields: &[u8],
    ) -> io::Result<()> {
        match self {
            Format::Tsv => tsv::write_header(out, uid_validity, uid_next, lines),
            Format::Dovecot => dovecot::write_header(out, uid_validity, uid_next, fields),
            Format::Courier => courier::write_header(out, uid_validity, uid_next),
        }
    }

    /// Writes a line, in UID order.
    pub fn write_line(self, out: &mut dyn Write, uid: Uid, base: &[u8], fields: &[u8]) -> io::Result<()> {
        match self {
            Format::Tsv => tsv::write_line(out, uid, base),
            Format::Dovecot => dovecot::write_line(out, uid, base, fields),
            Format::Courier => courier::write_line(out, uid, base),
        }
    }

    fn header(self, line: &[u8]) -> Result<Header<'_>, Bad> {
        match self {
            Format::Tsv => tsv::header(line),
            Format::Dovecot => dovecot::header(line),
            Format::Courier => courier::header(line),
        }
    }

    fn line(self, line: &[u8]) -> Result<Line<'_>, Bad> {
        match self {
            Format::Tsv => tsv::line(line),
            Format::Dovecot => dovecot::line(line),
            Format::Courier => courier::line(line),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a list; its format is seen by its first line if it is not given.
pub fn parse(text: &[u8], format: Option<Format>) -> Result<UidList<'_>, BadList> {
    parse_up_to(LINES_MAX, text, format)
}

fn parse_up_to(most: usize, text: &[u8], format: Option<Format>) -> Result<UidList<'_>, BadList> {
    let at = |line| move |Bad(found, expected)| BadList { line, found, expected };
    let whole = text.strip_suffix(b"\n").ok_or_else(|| {
        let last = text.split(|&b| b == b'\n').next_back().unwrap_or_default();
        let bad = if text.is_empty() {
            Bad("an empty file".into(), "a list of UIDs".into())
        } else {
            Bad(excerpt(last) + " and the end of the file", "a line break: the list was cut".into())
        };
        at(1 + memchr::memchr_iter(b'\n', text).count())(bad)
    })?;
    let mut rest = whole.split(|&b| b == b'\n');
    let first = rest.next().unwrap_or_default();
    let format = format.or_else(|| Format::of(text)).ok_or_else(|| {
        at(1)(Bad::new(first, "the first line of a list of UIDs: of maildex, dovecot-uidlist or courierimapuiddb"))
    })?;
    let header = format.header(first).map_err(at(1))?;
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut names = Names::default();
    for (no, text) in (2..).zip(rest) {
        if lines.len() == most {
            return Err(at(no)(Bad(format!("more than {most} messages"), "fewer".into())));
        }
        let line = format.line(text).map_err(at(no))?;
        check_base(&line.base).map_err(at(no))?;
        if let Some(last) = lines.last().filter(|last| last.uid >= line.uid) {
            return Err(at(no)(Bad(format!("UID {}", line.uid), format!("more than {}", last.uid))));
        }
        lines.push(line);
        if let Some(other) = names.insert_last(&lines) {
            let line = lines.last().expect("it was just pushed");
            let found = format!("{} for the second time", excerpt(&line.base));
            return Err(at(no)(Bad(found, format!("one number for each mail; it has UID {}", other.uid))));
        }
    }
    let after = lines.last().map_or(1, |last| u64::from(last.uid.get()) + 1);
    if let Some(expected) = header.lines.filter(|&expected| expected != lines.len()) {
        let bad = Bad(format!("{} messages", lines.len()), format!("{expected}, as the first line says"));
        return Err(at(1 + lines.len())(bad));
    }
    if header.uid_next < after && !header.lags {
        let bad = Bad(format!("UIDNEXT {}", header.uid_next), format!("at least {after}, for the last UID is listed"));
        return Err(at(1)(bad));
    }
    let (uid_validity, fields) = (header.uid_validity, header.fields);
    Ok(UidList { format, uid_validity, uid_next: header.uid_next.max(after), fields, lines })
}

/// The lines by base name.
#[derive(Default)]
struct Names {
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    /// Takes the last line; if its name is there already that line comes back.
    fn insert_last<'l, 't>(&mut self, lines: &'l [Line<'t>]) -> Option<&'l Line<'t>> {
        let last = lines.len() - 1;
        let base = &lines[last].base;
        let hash = self.hasher.hash_one(base);
        if let Some(&at) = self.table.find(hash, |&at| lines[at as usize].base == *base) {
            return Some(&lines[at as usize]);
        }
        self.table.insert_unique(hash, last as u32, |&at| self.hasher.hash_one(&lines[at as usize].base));
        None
    }
}

fn check_base(base: &[u8]) -> Result<(), Bad> {
    let expected = match base {
        [] => "the name of a mail",
        _ if base.contains(&b'/') || base.contains(&0) => "the name of a file, without `/` and NUL",
        _ if base.len() > BASE_MAX => "a name that a file can have",
        _ => return Ok(()),
    };
    Err(Bad::new(base, expected))
}

/// A decimal number without sign, of at most ten digits.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = (1..=10).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn uid(text: &[u8]) -> Result<Uid, Bad> {
    let uid = number(text).and_then(|number| u32::try_from(number).ok()).and_then(Uid::new);
    uid.ok_or_else(|| Bad::new(text, "a UID: a number from 1 to 4294967295"))
}

fn uid_validity(text: &[u8]) -> Result<u32, Bad> {
    let number = number(text).and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0);
    number.ok_or_else(|| Bad::new(text, "UIDVALIDITY: a number from 1 to 4294967295"))
}

fn uid_next(text: &[u8]) -> Result<u64, Bad> {
    let number = number(text).filter(|number| (1..=1 << 32).contains(number));
    number.ok_or_else(|| Bad::new(text, "UIDNEXT: a number from 1 to 4294967296"))
}

/// A base name for a list whose names are cut at what looks like flags; nearly always as it is.
fn write_base(out: &mut dyn Write, base: &[u8]) -> io::Result<()> {
    out.write_all(base)?;
    if base_of(base) == base { Ok(()) } else { out.write_all(b":2,") }
}

/// Some of a text, for messages.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const SHOWN: usize = 60;
    let dots = if text.len() > SHOWN { "..." } else { "" };
    format!("\"{}{dots}\"", text[..text.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
mod tests;
