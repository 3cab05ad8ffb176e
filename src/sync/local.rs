//! What was applied last here: of each folder which UID is which mail, with which flags. What differs from it in the
//! folders is what happened here since.
//!
//! A text file beside the repository, written whole and renamed. It belongs to one commit of the own ref, and that commit
//! is what makes it count: the next one is written first, as `local.next`, with the commit that it follows; then the own ref
//! moves. So who is killed in between finds either the old commit, or the new one, and the file that goes with it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::header::IndexId;
use crate::format::status::Status;
use crate::maildir::flags::Flags;
use crate::sync::state::{CUR, FolderId, Guid, Mail};

/// The file.
const NAME: &str = "local";

/// The one that takes its place once the own ref has moved.
const NEXT: &str = "local.next";

/// Its first line.
const MAGIC: &str = "maildex-sync-local 1";

/// What was applied last here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// The commit of the own ref that the own ref pointed to before; empty if there was none.
    pub follows: String,
    /// The state of the own ref is not applied yet, or not all of it.
    pub pending: bool,
    /// The commit of the own ref that each peer has got.
    pub pushed: BTreeMap<String, String>,
    /// Folders.
    pub folders: BTreeMap<FolderId, LocalFolder>,
}

/// A folder as it was when it was last looked at, or written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalFolder {
    /// Its path below the mail root.
    pub name: Vec<u8>,
    /// Its index.
    pub index: IndexId,
    /// The change counter of the index with which it shows what stands here; 0 if it has to be looked at.
    pub counter: u64,
    /// UIDVALIDITY of the index.
    pub uid_validity: u32,
    /// UIDNEXT of the index.
    pub uid_next: u64,
    /// How many mails.
    pub count: usize,
    /// Mail, by UID. Empty if only the head was read.
    pub mails: BTreeMap<u32, Known>,
}

/// A mail as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Which one; none for mail that stays here.
    pub guid: Option<Guid>,
    /// Bytes.
    pub size: u64,
    /// What its name says.
    pub shown: Shown,
}

/// What name and directory of a file say of a mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    /// Flags.
    pub flags: Flags,
    /// It is in `cur/`.
    pub cur: bool,
}

impl Shown {
    /// What the index says.
    pub fn of(status: Status) -> Shown {
        Shown { flags: status.flags(), cur: !status.has(Status::NEW) }
    }

    /// What the state of a mail asks for. Mail with a flag is never in `new/`.
    pub fn of_mail(mail: &Mail) -> Shown {
        let flags = mail.letters().filter_map(Flags::letter).fold(Flags::NONE, Flags::union);
        Shown { flags, cur: mail.has(CUR) || flags != Flags::NONE }
    }

    /// The letters that say the same in a state.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        self.cur.then_some(CUR).into_iter().chain(self.flags.letters().map(|letter| letter as u8))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().try_for_each(|letter| f.write_char(letter.into()))
    }
}

impl Local {
    /// Reads what goes with the commit `tip` of the own ref; `None` if nothing was ever applied.
    pub fn read(dir: &Path, tip: &str) -> Result<Option<Local>> {
        Local::settle(dir, tip)?;
        read(&dir.join(NAME), true)
    }

    /// The same without the mail.
    pub fn read_head(dir: &Path, tip: &str) -> Result<Option<Local>> {
        Local::settle(dir, tip)?;
        read(&dir.join(NAME), false)
    }

    /// Decides which of two files counts, after a kill.
    fn settle(dir: &Path, tip: &str) -> Result<()> {
        let next = dir.join(NEXT);
        // One that was not yet whole has never been followed by a commit.
        let follows = match read(&next, false) {
            Ok(None) => return Ok(()),
            Ok(Some(local)) => Some(local.follows),
            Err(_) => None,
        };
        let has_moved = follows.is_some_and(|follows| follows != tip);
        let done = if has_moved { fs::rename(&next, dir.join(NAME)) } else { fs::remove_file(&next) };
        done.map_err(|source| Error::Io { path: next, doing: "cannot put in place", source })
    }

    /// Writes it down, to count as soon as the own ref is another than `self.follows`.
    pub fn prepare(&self, dir: &Path) -> Result<()> {
        self.write(&dir.join(NEXT))
    }

    /// Lets what was prepared count: the own ref has moved.
    pub fn confirm(dir: &Path) -> Result<()> {
        let next = dir.join(NEXT);
        fs::rename(&next, dir.join(NAME)).map_err(|source| Error::Io { path: next, doing: "cannot rename", source })
    }

    /// Writes it down, to count at once.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.write(&dir.join(NAME))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("tmp");
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        });
        written.map_err(|source| Error::Io { path: path.to_path_buf(), doing: "cannot write", source })
    }

    fn text(&self) -> String {
        let mut text = format!("{MAGIC}\nfollows {}\npending {}\n", or_dash(&self.follows), u8::from(self.pending));
        for (name, commit) in &self.pushed {
            let _ = writeln!(text, "pushed {name} {commit}");
        }
        for (id, folder) in &self.folders {
            let LocalFolder { name, index, counter, uid_validity, uid_next, mails, .. } = folder;
            let (index, count, name) = (u128::from_be_bytes(*index), mails.len(), escaped(name));
            let _ =
                writeln!(text, "folder {:016x} {index:032x} {counter} {uid_validity} {uid_next} {count} /{name}", id.0);
        }
        text.push('\n');
        for folder in self.folders.values() {
            for (uid, known) in &folder.mails {
                let guid = known.guid.map_or("-".into(), |Guid(bytes)| format!("{:032x}", u128::from_be_bytes(bytes)));
                let _ = writeln!(text, "{uid} {guid} {} {}", known.size, or_dash(&known.shown.to_string()));
            }
        }
        text.push_str("end\n");
        text
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for &byte in name {
        if byte.is_ascii_graphic() && byte != b'%' { text.push(byte.into()) } else { _ = write!(text, "%{byte:02x}") }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        name.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    Some(name)
}

/// What no line says.
const CUT: &str = "the end of the file";

fn read(path: &Path, mails: bool) -> Result<Option<Local>> {
    let failed = |source| Error::Io { path: path.to_path_buf(), doing: "cannot read", source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut lines = BufReader::with_capacity(1 << 18, file).lines();
    let mut number = 0;
    let mut next = || {
        number += 1;
        // An end is no empty line: that ends the head, and a head that was cut says of nothing what it follows.
        let line = lines.next().transpose().map_err(failed)?;
        Ok((number, line.unwrap_or_else(|| CUT.into())))
    };
    let bad = |(number, line): &(usize, String)| Error::Sync {
        path: PathBuf::from(path),
        found: format!("line {number} is {line:?}, which says nothing"),
        advice: "remove the file; the next run reads all mail again, and takes what is missing here for removed".into(),
    };
    let first = next()?;
    if first.1 != MAGIC {
        return Err(bad(&first));
    }
    let mut local = Local::default();
    loop {
        let line = next()?;
        if line.1.is_empty() {
            break;
        }
        head_line(&mut local, &line.1).ok_or_else(|| bad(&line))?;
    }
    if mails {
        for folder in local.folders.values_mut() {
            for _ in 0..folder.count {
                let line = next()?;
                let (uid, known) = mail_line(&line.1).ok_or_else(|| bad(&line))?;
                folder.mails.insert(uid, known);
            }
        }
        let last = next()?;
        if last.1 != "end" {
            return Err(bad(&last));
        }
    }
    Ok(Some(local))
}

fn head_line(local: &mut Local, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    match word()? {
        "follows" => local.follows = Some(word()?).filter(|&commit| commit != "-").unwrap_or_default().into(),
        "pending" => local.pending = word()? == "1",
        "pushed" => drop(local.pushed.insert(word()?.into(), word()?.into())),
        "folder" => {
            let id = FolderId(u64::from_str_radix(word()?, 16).ok()?);
            let index = u128::from_str_radix(word()?, 16).ok()?.to_be_bytes();
            let (counter, uid_validity) = (word()?.parse().ok()?, word()?.parse().ok()?);
            let (uid_next, count) = (word()?.parse().ok()?, word()?.parse().ok()?);
            let name = unescaped(word()?.strip_prefix('/')?)?;
            let mails = BTreeMap::new();
            local.folders.insert(id, LocalFolder { name, index, counter, uid_validity, uid_next, count, mails });
        }
        _ => return None,
    }
    Some(())
}

fn mail_line(line: &str) -> Option<(u32, Known)> {
    let mut words = line.split(' ');
    let uid = words.next()?.parse().ok()?;
    let guid = match words.next()? {
        "-" => None,
        hex => Some(Guid(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())),
    };
    let size = words.next()?.parse().ok()?;
    let letters = words.next()?.as_bytes();
    let flags = letters.iter().filter_map(|&letter| Flags::letter(letter)).fold(Flags::NONE, Flags::union);
    Some((uid, Known { guid, size, shown: Shown { flags, cur: letters.contains(&CUR) } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(follows: &str) -> Local {
        let flags = Flags::SEEN.union(Flags::FLAGGED);
        let known = |n| Known { guid: Some(Guid([n; 16])), size: 17, shown: Shown { flags, cur: n == 1 } };
        let stays = Known { guid: None, size: 0, shown: Shown::default() };
        let mails = BTreeMap::from([(1, known(1)), (7, known(2)), (9, stays)]);
        let folder = |name: &[u8], mails: &BTreeMap<_, _>| LocalFolder {
            name: name.to_vec(),
            index: [0xab; 16],
            counter: 12,
            uid_validity: 1,
            uid_next: 1 << 32,
            count: mails.len(),
            mails: mails.clone(),
        };
        Local {
            follows: follows.into(),
            pending: true,
            pushed: BTreeMap::from([("hub".into(), "c1".into())]),
            folders: BTreeMap::from([
                (FolderId(1), folder(b"", &mails)),
                (FolderId(2), folder(b"a b\n%/\xff", &BTreeMap::new())),
            ]),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(Local::read(temp.path(), "").unwrap(), None);
        local("").save(temp.path()).unwrap();
        assert_eq!(Local::read(temp.path(), "").unwrap(), Some(local("")));
        let head = Local::read_head(temp.path(), "").unwrap().unwrap();
        assert_eq!((head.folders[&FolderId(1)].count, head.folders[&FolderId(1)].mails.len()), (3, 0));
    }

    #[test]
    fn the_next_one_counts_once_the_own_ref_has_moved() {
        for (tip, counts) in [("c1", "c1"), ("c2", "c1")] {
            let temp = tempfile::tempdir().unwrap();
            local("c0").save(temp.path()).unwrap();
            local("c1").prepare(temp.path()).unwrap();
            let expected = if tip == counts { "c0" } else { "c1" };
            assert_eq!(Local::read(temp.path(), tip).unwrap().unwrap().follows, expected, "{tip}");
            assert!(!temp.path().join(NEXT).exists());
        }
    }

    #[test]
    fn what_was_cut_is_an_error_and_a_next_one_that_was_cut_is_none() {
        let temp = tempfile::tempdir().unwrap();
        local("c0").save(temp.path()).unwrap();
        let text = fs::read(temp.path().join(NAME)).unwrap();
        for len in [0, 1, text.len() / 2, text.len() - 2] {
            fs::write(temp.path().join(NAME), &text[..len]).unwrap();
            assert!(matches!(Local::read(temp.path(), ""), Err(Error::Sync { .. })), "{len}");
        }
        local("c0").save(temp.path()).unwrap();
        fs::write(temp.path().join(NEXT), &text[..20]).unwrap();
        assert_eq!(Local::read(temp.path(), "c9").unwrap(), Some(local("c0")));
    }
}
