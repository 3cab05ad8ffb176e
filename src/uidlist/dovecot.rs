//! `dovecot-uidlist`, version 3 (<https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/>).
//!
//! ```text
//! 3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
//! 25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,
//! 25017 W2481 :1276533073.M242911P3632.kurkku:2,F
//! ```
//!
//! The first line has the version, then fields in any order: V is UIDVALIDITY, N UIDNEXT, G names the mailbox, and there
//! may be others. Then UID, fields, and after `:` the name that the file had when the list was written. Lines are
//! appended without a new header, so UIDNEXT is one more than the last UID if that is more.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Bad, Header, Line, uid, uid_next, uid_validity, write_base};
use crate::format::Uid;
use crate::maildir::name::base_of;

pub(super) fn header(line: &[u8]) -> Result<Header<'_>, Bad> {
    let (version, fields) = split(line, b' ').unwrap_or((line, b""));
    if version != b"3" {
        return Err(Bad::new(version, "version 3 of dovecot-uidlist"));
    }
    let field = |letter: u8| words(fields).find_map(|word| word.strip_prefix(&[letter]));
    let missing = |what: &str| Bad::new(line, format!("{what} in the first line"));
    let uid_validity = uid_validity(field(b'V').ok_or_else(|| missing("V and UIDVALIDITY"))?)?;
    let uid_next = uid_next(field(b'N').ok_or_else(|| missing("N and UIDNEXT"))?)?;
    Ok(Header { uid_validity, uid_next, fields, lines: None, lags: true })
}

pub(super) fn line(line: &[u8]) -> Result<Line<'_>, Bad> {
    let at = line.windows(2).position(|at| at == b" :");
    let at = at.ok_or_else(|| Bad::new(line, "a UID, fields, and the name of a file after ` :`"))?;
    let (before, name) = (&line[..at], &line[at + 2..]);
    let (number, fields) = split(before, b' ').unwrap_or((before, b""));
    Ok(Line { uid: uid(number)?, base: Cow::Borrowed(base_of(name)), fields })
}

pub(super) fn write_header(out: &mut dyn Write, uid_validity: u32, uid_next: u64, fields: &[u8]) -> io::Result<()> {
    write!(out, "3 V{uid_validity} N{uid_next}")?;
    for word in words(fields).filter(|word| !word.starts_with(b"V") && !word.starts_with(b"N")) {
        out.write_all(b" ")?;
        out.write_all(word)?;
    }
    out.write_all(b"\n")
}

pub(super) fn write_line(out: &mut dyn Write, uid: Uid, base: &[u8], fields: &[u8]) -> io::Result<()> {
    write!(out, "{uid} ")?;
    if !fields.is_empty() {
        out.write_all(fields)?;
        out.write_all(b" ")?;
    }
    out.write_all(b":")?;
    write_base(out, base)?;
    out.write_all(b"\n")
}

/// What stands before and after the first of these bytes.
pub(super) fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    memchr::memchr(at, text).map(|found| (&text[..found], &text[found + 1..]))
}

fn words(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields.split(|&b| b == b' ').filter(|word| !word.is_empty())
}
