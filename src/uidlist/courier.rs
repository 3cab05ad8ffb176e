//! `courierimapuiddb`, version 1, of Courier; old versions of Dovecot wrote it as `dovecot-uidlist`.
//!
//! ```text
//! 1 1275660208 25022
//! 25006 1276528487.M364837P9451.kurkku,S=1355
//! ```
//!
//! The first line has the version, UIDVALIDITY and UIDNEXT. Then UID and file name, without flags if Courier wrote it.

use std::borrow::Cow;
use std::io::{self, Write};

use super::dovecot::split;
use super::{Bad, Header, Line, uid, uid_next, uid_validity, write_base};
use crate::format::Uid;
use crate::maildir::name::base_of;

pub(super) fn header(line: &[u8]) -> Result<Header<'_>, Bad> {
    let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    match words[..] {
        [b"1", validity, next] => {
            let (uid_validity, uid_next) = (uid_validity(validity)?, uid_next(next)?);
            Ok(Header { uid_validity, uid_next, fields: b"", lines: None, lags: false })
        }
        [b"1", ..] => Err(Bad::new(line, "version, UIDVALIDITY and UIDNEXT")),
        _ => Err(Bad::new(words[0], "version 1 of courierimapuiddb")),
    }
}

pub(super) fn line(line: &[u8]) -> Result<Line<'_>, Bad> {
    let (number, name) = split(line, b' ').ok_or_else(|| Bad::new(line, "a UID and the name of a file"))?;
    Ok(Line { uid: uid(number)?, base: Cow::Borrowed(base_of(name)), fields: b"" })
}

pub(super) fn write_header(out: &mut dyn Write, uid_validity: u32, uid_next: u64) -> io::Result<()> {
    writeln!(out, "1 {uid_validity} {uid_next}")
}

pub(super) fn write_line(out: &mut dyn Write, uid: Uid, base: &[u8]) -> io::Result<()> {
    write!(out, "{uid} ")?;
    write_base(out, base)?;
    out.write_all(b"\n")
}
