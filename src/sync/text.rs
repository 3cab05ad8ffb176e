//! The files of a repository as bytes. This is the specification; ids, shards and counts in paths are hexadecimal digits.
//!
//! | file | holds |
//! |---|---|
//! | `format` | `maildex-sync 1`, `root` and the id of the mail root, `hash sha256-128` |
//! | `vv` | replica, counter: the version vector |
//! | `m/<aa>/<guid>` | the mail, byte for byte; copies share it |
//! | `s/<aa>` | a mail a line, of all guids that begin with aa: guid, places, flags, time of delivery, base name |
//! | `f/<folder>/head` | UIDVALIDITY, UIDNEXT, dots, path of the folder |
//! | `f/<folder>/uid/<uid / 4096>` | UID, guid; live ones only |
//! | `log/<replica>/<n>` | what has changed since `s/` and `f/` were written, see `sync/log.rs` |
//!
//! A file is lines, each ended by a line feed; fields are separated by a tab; lines are sorted, each once. Places are
//! `folder:dots,folder:dots`, dots `replica.counter+replica.counter`, flags each letter and its count, as `*1S1T2`, where `*` is
//! being in `cur/`; times are seconds since 1970. In base names and paths every byte but the printable ones of ASCII is `\xNN`, a backslash `\\`.
//!
//! All of it may come from a replica that is not to be trusted. What is read here is checked line by line; what can only
//! be seen in the whole is checked by [`check`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::io::Write;
use std::sync::Arc;

use super::id;
use super::state::{CUR, Dot, Folder, FolderId, Guid, Mail, ReplicaId, State};
use crate::maildir::name::base_of;
use crate::uidlist::excerpt;
use crate::uidlist::tsv::{unescaped, write_escaped};

/// The longest base name that travels: with flags it must fit into a file name anywhere.
pub const BASE_MAX: usize = 200;

/// The longest path of a folder below the mail root.
pub const FOLDER_MAX: usize = 1000;

/// The most mails.
pub const MAILS_MAX: usize = 4_000_000;

/// The most folders, and the most replicas.
pub const FOLDERS_MAX: usize = 20_000;

/// The most adds that one mail can have in one folder, which takes so many replicas at once.
const DOTS_MAX: usize = 1000;

/// How many numbers are in a file.
pub const NUMBERS: u32 = 4096;

/// Where a file is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The file, as a path in the tree; empty where the whole is meant.
    pub file: String,
    /// The line, from 1; 0 for the file as such.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

/// Found and expected, of one line.
pub(super) type Bad = (String, String);

impl BadFile {
    /// The file as such is wrong.
    pub fn new(file: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> BadFile {
        BadFile { file: file.into(), line: 0, found: found.into(), expected: expected.into() }
    }
}

impl Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)
    }
}

/// Files that programs keep in a Maildir. A directory of such a name would stop them.
const CONTROL: [&[u8]; 9] = [
    b"dovecot-uidlist",
    b"dovecot-uidvalidity",
    b"dovecot-keywords",
    b"dovecot-acl",
    b"dovecot-acl-list",
    b"subscriptions",
    b"courierimapuiddb",
    b"courierimapkeywords",
    b"maildirfolder",
];

/// Why a mail of this base name must stay where it is; `None` if it can travel.
pub fn base_trouble(base: &[u8]) -> Option<&'static str> {
    Some(match base {
        [] => "its base name is empty",
        [b'.', ..] => "its name begins with a dot",
        _ if base.iter().any(|byte| b"/\0".contains(byte)) => "its name has a `/` or a NUL",
        _ if base_of(base) != base => "its base name has what looks like flags",
        _ if base.len() > BASE_MAX => "its base name is longer than 200 bytes",
        _ => return None,
    })
}

/// Why a folder with this path below the mail root must stay where it is; `None` if it can travel.
pub fn folder_trouble(name: &[u8]) -> Option<&'static str> {
    if name.len() > FOLDER_MAX {
        return Some("its path is longer than 1000 bytes");
    }
    name.split(|&byte| byte == b'/').filter(|_| !name.is_empty()).find_map(|part| {
        Some(match part {
            [] | b"." | b".." => "its path has an empty part, `.` or `..`",
            b"cur" | b"new" | b"tmp" => "its path leads into a Maildir's own cur, new or tmp",
            _ if part.starts_with(b"maildex.") || part.starts_with(b"dovecot.") || CONTROL.contains(&part) => {
                "it has the name of a file that programs keep beside the mail"
            }
            _ if part.iter().any(|byte| b":\0".contains(byte)) => "its path has a `:` or a NUL",
            _ if part.len() > BASE_MAX => "a part of its path is longer than 200 bytes",
            _ => return None,
        })
    })
}

/// Prints `format`.
pub fn print_format(root: [u8; 16]) -> Vec<u8> {
    format!("maildex-sync 1\nroot {}\nhash sha256-128\n", Guid(root)).into_bytes()
}

/// Parses `format`; the id of the mail root.
pub fn parse_format(text: &[u8]) -> Result<[u8; 16], BadFile> {
    let bad = |line: usize, found: &[u8], expected: &str| BadFile {
        file: "format".into(),
        line,
        found: excerpt(found),
        expected: expected.into(),
    };
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    if lines[0] != b"maildex-sync 1" {
        return Err(bad(1, lines[0], "maildex-sync 1, the version that is understood here"));
    }
    match lines[1..] {
        [root, b"hash sha256-128", b""] => {
            root.strip_prefix(b"root ").and_then(id::bytes).ok_or_else(|| bad(2, root, "root and 32 digits"))
        }
        _ => Err(bad(2, text, "root, and hash sha256-128")),
    }
}

/// Prints `vv`.
pub fn print_versions(versions: &BTreeMap<ReplicaId, u64>) -> Vec<u8> {
    let mut text = Vec::new();
    for (replica, counter) in versions {
        put(&mut text, format_args!("{replica}\t{counter}\n"));
    }
    text
}

/// Parses `vv`.
pub fn parse_versions(text: &[u8]) -> Result<BTreeMap<ReplicaId, u64>, BadFile> {
    let mut versions = BTreeMap::new();
    lines("vv", text, |line| {
        let (replica, counter) = two(line, "a replica, a tab, and its counter")?;
        let replica = replica_id(replica)?;
        rises(versions.last_key_value().map(|(last, _)| *last), replica)?;
        if versions.len() == FOLDERS_MAX {
            return Err((format!("more than {FOLDERS_MAX} replicas"), "fewer".into()));
        }
        versions.insert(replica, counter_of(counter)?);
        Ok(())
    })?;
    Ok(versions)
}

/// Prints a shard of `s/`: these mails.
pub fn print_mails<'m>(mails: impl Iterator<Item = (&'m Guid, &'m Arc<Mail>)>) -> Vec<u8> {
    let mut text = Vec::new();
    for (guid, mail) in mails {
        print_mail(&mut text, *guid, mail);
        text.push(b'\n');
    }
    text
}

/// Parses a shard of `s/`.
pub fn parse_mails(shard: u8, text: &[u8], mails: &mut BTreeMap<Guid, Arc<Mail>>) -> Result<(), BadFile> {
    lines(&format!("s/{shard:02x}"), text, |line| {
        let (guid, mail) = parse_mail(line)?;
        if guid.shard() != shard {
            return Err((guid.to_string(), format!("a guid that begins with {shard:02x}")));
        }
        rises(mails.last_key_value().map(|(last, _)| *last).filter(|last| last.shard() == shard), guid)?;
        if mails.len() == MAILS_MAX {
            return Err((format!("more than {MAILS_MAX} mails"), "fewer".into()));
        }
        mails.insert(guid, Arc::new(mail));
        Ok(())
    })
}

/// Prints a mail, without a line end.
pub(super) fn print_mail(text: &mut Vec<u8>, guid: Guid, mail: &Mail) {
    put(text, format_args!("{guid}\t"));
    for (at, (folder, dots)) in mail.places.iter().enumerate() {
        put(text, format_args!("{}{folder}:", if at == 0 { "" } else { "," }));
        print_dots(text, dots);
    }
    text.push(b'\t');
    print_flags(text, &mail.flags);
    put(text, format_args!("\t{}\t", mail.delivered));
    escape(text, &mail.base);
}

/// Parses what [`print_mail`] printed.
pub(super) fn parse_mail(line: &[u8]) -> Result<(Guid, Mail), Bad> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let mut field = || fields.next();
    let (Some(guid), Some(places), Some(flags), Some(delivered), Some(base), None) =
        (field(), field(), field(), field(), field(), field())
    else {
        return Err((excerpt(line), "guid, places, flags, time and base name, separated by tabs".into()));
    };
    let mut mail = Mail { base: name(base)?, flags: parse_flags(flags)?, ..Mail::default() };
    mail.delivered = number(delivered).ok_or_else(|| (excerpt(delivered), "seconds since 1970".into()))?;
    if let Some(trouble) = base_trouble(&mail.base) {
        return Err((excerpt(base), format!("the name of a mail; {trouble}")));
    }
    for place in places.split(|&byte| byte == b',') {
        let colon =
            memchr::memchr(b':', place).ok_or_else(|| (excerpt(place), "a folder, a colon, and dots".into()))?;
        let folder = folder_id(&place[..colon])?;
        rises(mail.places.last_key_value().map(|(last, _)| *last), folder)?;
        mail.places.insert(folder, parse_dots(&place[colon + 1..])?);
    }
    Ok((self::guid(guid)?, mail))
}

/// Prints flags and their counts.
pub(super) fn print_flags(text: &mut Vec<u8>, flags: &BTreeMap<u8, u32>) {
    for (letter, count) in flags {
        put(text, format_args!("{}{count}", char::from(*letter)));
    }
}

/// Parses flags and their counts.
pub(super) fn parse_flags(text: &[u8]) -> Result<BTreeMap<u8, u32>, Bad> {
    let bad = || (excerpt(text), "flags: letters in order, each with a count".into());
    let mut flags = BTreeMap::new();
    let mut rest = text;
    while let [letter, counted @ ..] = rest {
        let digits = counted.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let count = number(&counted[..digits]).and_then(|count| u32::try_from(count).ok());
        let rises = flags.last_key_value().is_none_or(|(last, _)| last < letter);
        if !(letter.is_ascii_alphabetic() || *letter == CUR) || !rises {
            return Err(bad());
        }
        flags.insert(*letter, count.filter(|&count| count > 0).ok_or_else(bad)?);
        rest = &counted[digits..];
    }
    Ok(flags)
}

/// Prints `head`, without a line end.
pub(super) fn print_head(text: &mut Vec<u8>, folder: &Folder) {
    put(text, format_args!("{}\t{}\t", folder.uid_validity, folder.uid_next));
    print_dots(text, &folder.dots);
    text.push(b'\t');
    escape(text, &folder.name);
}

/// Parses what [`print_head`] printed; a folder without numbers.
pub(super) fn parse_head(id: FolderId, line: &[u8]) -> Result<Folder, Bad> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b'\t').collect();
    let &[uid_validity, uid_next, dots, path] = &fields[..] else {
        return Err((excerpt(line), "UIDVALIDITY, UIDNEXT, dots and path, separated by tabs".into()));
    };
    let dots = if dots.is_empty() { BTreeSet::new() } else { parse_dots(dots)? };
    let name = name(path)?;
    if let Some(trouble) = folder_trouble(&name) {
        return Err((excerpt(path), format!("the path of a folder; {trouble}")));
    }
    if FolderId::of(&name) != id {
        return Err((format!("the path {}", excerpt(path)), format!("the one that has the id {id}")));
    }
    let uid_validity = uid(uid_validity, "UIDVALIDITY")?;
    Ok(Folder { name, dots, uid_validity, uid_next: uid(uid_next, "UIDNEXT")?, uids: BTreeMap::new() })
}

/// Prints `f/<folder>/head`.
pub fn print_folder(folder: &Folder) -> Vec<u8> {
    let mut text = Vec::new();
    print_head(&mut text, folder);
    text.push(b'\n');
    text
}

/// Parses `f/<folder>/head`.
pub fn parse_folder(id: FolderId, text: &[u8]) -> Result<Folder, BadFile> {
    let file = format!("f/{id}/head");
    let mut folder = None;
    lines(&file, text, |line| {
        if folder.is_some() {
            return Err((excerpt(line), "one line".into()));
        }
        folder = Some(parse_head(id, line)?);
        Ok(())
    })?;
    folder.ok_or_else(|| BadFile::new(file, "nothing", "one line"))
}

/// The files of `f/<folder>/uid/`: their number, and what is in them.
pub fn print_numbers(folder: &Folder) -> Vec<(u32, Vec<u8>)> {
    let mut files: Vec<(u32, Vec<u8>)> = Vec::new();
    for (uid, guid) in &folder.uids {
        if files.last().is_none_or(|(file, _)| *file != uid / NUMBERS) {
            files.push((uid / NUMBERS, Vec::new()));
        }
        let (_, text) = files.last_mut().expect("one was just pushed if there was none");
        put(text, format_args!("{uid}\t{guid}\n"));
    }
    files
}

/// Parses a file of `f/<folder>/uid/`.
pub fn parse_numbers(id: FolderId, file: u32, text: &[u8], folder: &mut Folder) -> Result<(), BadFile> {
    lines(&format!("f/{id}/uid/{file:05x}"), text, |line| {
        let (number, guid) = two(line, "UID, a tab, and a guid")?;
        let uid = uid(number, "a UID")?;
        if uid / NUMBERS != file {
            return Err((format!("UID {uid}"), format!("one from {} on, of {NUMBERS}", file * NUMBERS)));
        }
        rises(folder.uids.last_key_value().map(|(last, _)| *last), uid)?;
        folder.uids.insert(uid, self::guid(guid)?);
        Ok(())
    })
}

/// What a state promises and no line alone can break: counters cover all dots, folders are known, and numbers are below UIDNEXT, of
/// mail that is there, one for each.
pub fn check(state: &State) -> Result<(), BadFile> {
    let bad = |found: String, expected: String| Err(BadFile::new("", found, expected));
    for (count, most, what) in [(state.mails.len(), MAILS_MAX, "mails"), (state.folders.len(), FOLDERS_MAX, "folders")]
    {
        if count > most {
            return bad(format!("{count} {what}"), format!("at most {most}"));
        }
    }
    let unseen = |dots: &BTreeSet<Dot>| dots.iter().find(|dot| !state.has_seen(**dot)).copied();
    for (guid, mail) in &state.mails {
        for (folder, dots) in &mail.places {
            if let Some(dot) = unseen(dots) {
                return bad(
                    format!("mail {guid} with change {} of {}", dot.counter, dot.replica),
                    "no change that vv does not cover".into(),
                );
            }
            if !state.folders.contains_key(folder) {
                return bad(format!("mail {guid} in the folder {folder}"), "a folder that is in f".into());
            }
        }
    }
    for (id, folder) in &state.folders {
        if let Some(dot) = unseen(&folder.dots) {
            return bad(
                format!("folder {id} with change {} of {}", dot.counter, dot.replica),
                "no change that vv does not cover".into(),
            );
        }
        if let Some((last, _)) = folder.uids.last_key_value().filter(|(last, _)| **last >= folder.uid_next) {
            return bad(
                format!("folder {id} with UID {last} and UIDNEXT {}", folder.uid_next),
                "a larger UIDNEXT".into(),
            );
        }
        let mut numbered: Vec<Guid> = folder.uids.values().copied().collect();
        numbered.sort_unstable();
        if let Some([twice, _]) = numbered.array_windows().find(|[a, b]| a == b) {
            return bad(format!("folder {id} with two UIDs of {twice}"), "one UID for each mail".into());
        }
        let is_there = |guid: &&Guid| state.mails.get(guid).is_some_and(|mail| mail.places.contains_key(id));
        if let Some(guid) = numbered.iter().find(|guid| !is_there(guid)) {
            return bad(format!("folder {id} with a UID of {guid}"), "UIDs of mail that is there".into());
        }
    }
    Ok(())
}

/// Calls `each` with every line.
pub(super) fn lines(file: &str, text: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Bad>) -> Result<(), BadFile> {
    let at = |line, (found, expected)| BadFile { file: file.into(), line, found, expected };
    if text.is_empty() {
        return Ok(());
    }
    let Some(whole) = text.strip_suffix(b"\n") else {
        let line = 1 + memchr::memchr_iter(b'\n', text).count();
        return Err(at(line, ("the end of the file".into(), "a line end".into())));
    };
    for (no, line) in (1..).zip(whole.split(|&byte| byte == b'\n')) {
        each(line).map_err(|bad| at(no, bad))?;
    }
    Ok(())
}

/// The two fields of a line.
pub(super) fn two<'l>(line: &'l [u8], expected: &str) -> Result<(&'l [u8], &'l [u8]), Bad> {
    let tab = memchr::memchr(b'\t', line).ok_or_else(|| (excerpt(line), expected.into()))?;
    Ok((&line[..tab], &line[tab + 1..]))
}

pub(super) fn guid(text: &[u8]) -> Result<Guid, Bad> {
    Guid::parse(text).ok_or_else(|| (excerpt(text), "a guid: 32 digits from 0 to f".into()))
}

pub(super) fn folder_id(text: &[u8]) -> Result<FolderId, Bad> {
    FolderId::parse(text).ok_or_else(|| (excerpt(text), "a folder: 16 digits from 0 to f".into()))
}

pub(super) fn replica_id(text: &[u8]) -> Result<ReplicaId, Bad> {
    ReplicaId::parse(text).ok_or_else(|| (excerpt(text), "a replica: 16 digits from 0 to f".into()))
}

pub(super) fn uid(text: &[u8], what: &str) -> Result<u32, Bad> {
    let uid = number(text).and_then(|uid| u32::try_from(uid).ok()).filter(|&uid| uid > 0);
    uid.ok_or_else(|| (excerpt(text), format!("{what}: a number from 1 to 4294967295")))
}

fn counter_of(text: &[u8]) -> Result<u64, Bad> {
    number(text)
        .filter(|&counter| counter > 0)
        .ok_or_else(|| (excerpt(text), "a counter: a number from 1 on, below 10^18".into()))
}

/// A decimal number of at most 18 digits: no counter of a replica gets there, so none overflows. It has one form only, without
/// zeros before it; else one state could be written in many ways, and be many objects of git.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let is_number = is_number && (text.len() == 1 || text[0] != b'0');
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn rises<T: Ord + Display + Copy>(last: Option<T>, next: T) -> Result<(), Bad> {
    match last.filter(|last| *last >= next) {
        Some(last) => Err((next.to_string(), format!("more than {last}, for this is sorted, each once"))),
        None => Ok(()),
    }
}

fn print_dots(text: &mut Vec<u8>, dots: &BTreeSet<Dot>) {
    for (at, dot) in dots.iter().enumerate() {
        put(text, format_args!("{}{}.{}", if at == 0 { "" } else { "+" }, dot.replica, dot.counter));
    }
}

fn parse_dots(text: &[u8]) -> Result<BTreeSet<Dot>, Bad> {
    let mut dots = BTreeSet::new();
    for dot in text.split(|&byte| byte == b'+') {
        let point =
            memchr::memchr(b'.', dot).ok_or_else(|| (excerpt(dot), "a replica, a point, and a counter".into()))?;
        let dot = Dot { replica: replica_id(&dot[..point])?, counter: counter_of(&dot[point + 1..])? };
        if dots.last().is_some_and(|last| *last >= dot) || dots.len() == DOTS_MAX {
            return Err((excerpt(text), "dots that are sorted, each once, and not too many".into()));
        }
        dots.insert(dot);
    }
    Ok(dots)
}

/// A name as [`escape`] writes it, and in no other way.
fn name(text: &[u8]) -> Result<Vec<u8>, Bad> {
    let is_ours = |name: &[u8]| {
        let mut again = Vec::with_capacity(text.len());
        escape(&mut again, name);
        again == text
    };
    let expected = "a name in which what is not printable, and only that, is `\\xNN`, and `\\` is `\\\\`";
    let name = unescaped(text).filter(|name| is_ours(name)).ok_or_else(|| (excerpt(text), expected.into()))?;
    Ok(name.into_owned())
}

fn escape(text: &mut Vec<u8>, name: &[u8]) {
    write_escaped(text, name).expect("a Vec takes everything");
}

pub(super) fn put(text: &mut Vec<u8>, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests;
