//! What was applied last here: of each folder which UID is which mail, with which flags. What differs from it in the
//! folders is what happened here since.
//!
//! A text file beside the repository, written whole and renamed. It belongs to one commit of the own ref, and that commit
//! is what makes it count: the next one is written first, as `local.next`, with the commit that it follows; then the own ref
//! moves. So who is killed in between finds either the old commit, or the new one, and the file that goes with it.
//!
//! The mail of each folder is in a list of its own, `mails/<folder>.<n>`, a line for each change: a later line for a UID counts,
//! and one with a `-` alone says that it is gone. The head names the list and its length, and what is behind that length does
//! not count. So a change costs a line, and both `local` and `local.next` can name the same list.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::header::IndexId;
use crate::format::status::Status;
use crate::maildir::flags::Flags;
use crate::sync::join::pairs;
use crate::sync::state::{CUR, FolderId, Guid, Mail};

/// The file.
const NAME: &str = "local";

/// The one that takes its place once the own ref has moved.
const NEXT: &str = "local.next";

/// The directory of the lists.
const LISTS: &str = "mails";

/// A list is written anew when it is longer than this,
const ROOM: usize = 64 << 10;

/// and this for each mail: about twice what it takes.
const LINE: usize = 100;

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
    /// The list of each folder as it is on the disk.
    lists: BTreeMap<FolderId, List>,
}

/// A list as it is on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List {
    number: u32,
    /// Bytes that count.
    len: u64,
    /// What they say.
    mails: Arc<BTreeMap<u32, Known>>,
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
    pub mails: Arc<BTreeMap<u32, Known>>,
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

    /// Whether a file that shows `other` need not be renamed to show this. Nobody takes mail back to `new/`.
    pub fn is_done_by(self, other: Shown) -> bool {
        self.flags == other.flags && (other.cur || !self.cur)
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

impl LocalFolder {
    /// Mail, to be changed.
    pub fn mails_mut(&mut self) -> &mut BTreeMap<u32, Known> {
        Arc::make_mut(&mut self.mails)
    }
}

impl Local {
    /// Reads what goes with the commit `tip` of the own ref; `None` if nothing was ever applied.
    pub fn read(dir: &Path, tip: &str) -> Result<Option<Local>> {
        let Some(mut local) = Local::read_head(dir, tip)? else { return Ok(None) };
        let Local { folders, lists, .. } = &mut local;
        for (id, list) in &mut *lists {
            let folder = folders.get_mut(id).expect("a list is one of a folder");
            folder.mails = Arc::new(read_list(&list_path(dir, *id, list.number), list.len, folder.count)?);
            list.mails = Arc::clone(&folder.mails);
        }
        // Those of folders that are gone, and of runs that were killed.
        let counts = |name: &OsStr| lists.iter().any(|(id, list)| name == list_name(*id, list.number).as_str());
        for entry in fs::read_dir(dir.join(LISTS)).into_iter().flatten().flatten() {
            if !counts(&entry.file_name()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Some(local))
    }

    /// The same without the mail.
    pub fn read_head(dir: &Path, tip: &str) -> Result<Option<Local>> {
        Local::settle(dir, tip)?;
        read_head(&dir.join(NAME))
    }

    /// Decides which of two files counts, after a kill.
    fn settle(dir: &Path, tip: &str) -> Result<()> {
        let next = dir.join(NEXT);
        // One that was not yet whole has never been followed by a commit.
        let follows = match read_head(&next) {
            Ok(None) => return Ok(()),
            Ok(Some(local)) => Some(local.follows),
            Err(_) => None,
        };
        let has_moved = follows.is_some_and(|follows| follows != tip);
        let done = if has_moved { fs::rename(&next, dir.join(NAME)) } else { fs::remove_file(&next) };
        done.map_err(|source| Error::Io { path: next, doing: "cannot put in place", source })
    }

    /// Writes it down, to count as soon as the own ref is another than `self.follows`.
    pub fn prepare(&mut self, dir: &Path) -> Result<()> {
        self.write(dir, NEXT)
    }

    /// Lets what was prepared count: the own ref has moved.
    pub fn confirm(dir: &Path) -> Result<()> {
        let next = dir.join(NEXT);
        fs::rename(&next, dir.join(NAME)).map_err(|source| Error::Io { path: next, doing: "cannot rename", source })
    }

    /// Writes it down, to count at once.
    pub fn save(&mut self, dir: &Path) -> Result<()> {
        self.write(dir, NAME)
    }

    fn write(&mut self, dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(name);
        let failed = |source| Error::Io { path: path.clone(), doing: "cannot write", source };
        self.write_lists(dir).map_err(failed)?;
        let unfinished = path.with_extension("tmp");
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(dir)?.sync_all()
        });
        written.map_err(failed)
    }

    /// Brings the lists up to date: by lines more, or, where they would be more than what is there, by a new list.
    fn write_lists(&mut self, dir: &Path) -> io::Result<()> {
        self.lists.retain(|id, _| self.folders.contains_key(id));
        for (id, folder) in &self.folders {
            let list = self.lists.entry(*id).or_default();
            if Arc::ptr_eq(&list.mails, &folder.mails) {
                continue;
            }
            let changes = changes(&list.mails, &folder.mails);
            let is_new = list.number == 0 || list.len as usize + changes.len() > ROOM + folder.mails.len() * LINE;
            if !changes.is_empty() {
                fs::create_dir_all(dir.join(LISTS))?;
                let number = list.number + u32::from(is_new);
                let mut file =
                    File::options().write(true).create(true).truncate(is_new).open(list_path(dir, *id, number))?;
                let (len, lines) = if is_new { (0, all(&folder.mails)) } else { (list.len, changes) };
                // What a run that was killed has left does not count.
                file.set_len(len)?;
                file.seek(SeekFrom::Start(len))?;
                file.write_all(lines.as_bytes())?;
                file.sync_all()?;
                if is_new {
                    File::open(dir.join(LISTS))?.sync_all()?;
                }
                (list.number, list.len) = (number, len + lines.len() as u64);
            }
            list.mails = Arc::clone(&folder.mails);
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!("{MAGIC}\nfollows {}\npending {}\n", or_dash(&self.follows), u8::from(self.pending));
        for (name, commit) in &self.pushed {
            let _ = writeln!(text, "pushed {name} {commit}");
        }
        for (id, folder) in &self.folders {
            let LocalFolder { name, index, counter, uid_validity, uid_next, mails, .. } = folder;
            let (index, count, name) = (u128::from_be_bytes(*index), mails.len(), escaped(name));
            let _ = write!(text, "folder {:016x} {index:032x} {counter} {uid_validity} {uid_next} {count}", id.0);
            let List { number, len, .. } = &self.lists[id];
            let _ = writeln!(text, " {number} {len} /{name}");
        }
        text.push_str("end\n");
        text
    }
}

fn list_name(id: FolderId, number: u32) -> String {
    format!("{:016x}.{number}", id.0)
}

fn list_path(dir: &Path, id: FolderId, number: u32) -> PathBuf {
    dir.join(LISTS).join(list_name(id, number))
}

/// The lines that make one list of another.
fn changes(old: &BTreeMap<u32, Known>, new: &BTreeMap<u32, Known>) -> String {
    let mut text = String::new();
    for (uid, before, now) in pairs(old, new) {
        match now {
            Some(known) if before != now => print_mail(&mut text, *uid, known),
            Some(_) => {}
            None => _ = writeln!(text, "{uid} -"),
        }
    }
    text
}

fn all(mails: &BTreeMap<u32, Known>) -> String {
    let mut text = String::with_capacity(mails.len() * 64);
    for (uid, known) in mails {
        print_mail(&mut text, *uid, known);
    }
    text
}

fn print_mail(text: &mut String, uid: u32, known: &Known) {
    let _ = write!(text, "{uid} ");
    let _ = match known.guid {
        Some(Guid(bytes)) => write!(text, "{:032x}", u128::from_be_bytes(bytes)),
        None => write!(text, "none"),
    };
    let _ = writeln!(text, " {} {}", known.size, or_dash(&known.shown.to_string()));
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

fn bad(path: &Path, number: usize, line: &str) -> Error {
    Error::Sync {
        path: PathBuf::from(path),
        found: format!("line {number} is {line:?}, which says nothing"),
        advice: "remove the file; the next run reads all mail again, and takes what is missing here for removed".into(),
    }
}

fn read_head(path: &Path) -> Result<Option<Local>> {
    let failed = |source| Error::Io { path: path.to_path_buf(), doing: "cannot read", source };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let text = String::from_utf8_lossy(&text);
    // An end is a line, too: a head that was cut says of nothing what it follows.
    let mut lines = (1..).zip(text.lines().chain([CUT]));
    let mut local = Local::default();
    if let Some((number, line)) = lines.next().filter(|(_, line)| *line != MAGIC) {
        return Err(bad(path, number, line));
    }
    for (number, line) in lines {
        if line == "end" {
            break;
        }
        head_line(&mut local, line).ok_or_else(|| bad(path, number, line))?;
    }
    Ok(Some(local))
}

/// Reads a list: so many bytes of it, which say of so many mails that they are there.
fn read_list(path: &Path, len: u64, count: usize) -> Result<BTreeMap<u32, Known>> {
    let failed = |source| Error::Io { path: path.to_path_buf(), doing: "cannot read", source };
    let mut text = Vec::new();
    if len > 0 {
        File::open(path).and_then(|file| file.take(len).read_to_end(&mut text)).map_err(failed)?;
    }
    if text.len() as u64 != len {
        return Err(bad(path, 1 + memchr::memchr_iter(b'\n', &text).count(), CUT));
    }
    let mut mails = Vec::with_capacity(count);
    for (number, line) in (1..).zip(text.strip_suffix(b"\n").unwrap_or(&text).split(|&byte| byte == b'\n')) {
        if len > 0 {
            mails.push(mail_line(line).ok_or_else(|| bad(path, number, &String::from_utf8_lossy(line)))?);
        }
    }
    // Of several lines for a UID the last one counts.
    let last: BTreeMap<u32, Option<Known>> = mails.into_iter().collect();
    let mails: BTreeMap<u32, Known> = last.into_iter().filter_map(|(uid, known)| Some((uid, known?))).collect();
    if mails.len() == count { Ok(mails) } else { Err(bad(path, 1, &format!("one of {}", mails.len()))) }
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
            let list = List { number: word()?.parse().ok()?, len: word()?.parse().ok()?, ..List::default() };
            let name = unescaped(word()?.strip_prefix('/')?)?;
            let mails = Arc::default();
            local.lists.insert(id, list);
            local.folders.insert(id, LocalFolder { name, index, counter, uid_validity, uid_next, count, mails });
        }
        _ => return None,
    }
    Some(())
}

/// A line of a list; none of the mail is known any more if it is gone.
fn mail_line(line: &[u8]) -> Option<(u32, Option<Known>)> {
    let mut words = line.split(|&byte| byte == b' ');
    let uid = number(words.next()?)?.try_into().ok()?;
    let guid = match words.next()? {
        b"-" => return words.next().is_none().then_some((uid, None)),
        b"none" => None,
        hex => Some(Guid::parse(hex)?),
    };
    let (size, letters) = (number(words.next()?)?, words.next()?);
    let flags = letters.iter().filter_map(|&letter| Flags::letter(letter)).fold(Flags::NONE, Flags::union);
    Some((uid, Some(Known { guid, size, shown: Shown { flags, cur: letters.contains(&CUR) } })))
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
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
            mails: Arc::new(mails.clone()),
        };
        Local {
            follows: follows.into(),
            pending: true,
            pushed: BTreeMap::from([("hub".into(), "c1".into())]),
            folders: BTreeMap::from([
                (FolderId(1), folder(b"", &mails)),
                (FolderId(2), folder(b"a b\n%/\xff", &BTreeMap::new())),
            ]),
            lists: BTreeMap::new(),
        }
    }

    /// What is read, without where it stands.
    fn read(dir: &Path, tip: &str) -> Option<Local> {
        Local::read(dir, tip).unwrap().map(|local| Local { lists: BTreeMap::new(), ..local })
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(read(temp.path(), ""), None);
        local("").save(temp.path()).unwrap();
        assert_eq!(read(temp.path(), ""), Some(local("")));
        let head = Local::read_head(temp.path(), "").unwrap().unwrap();
        assert_eq!((head.folders[&FolderId(1)].count, head.folders[&FolderId(1)].mails.len()), (3, 0));
    }

    #[test]
    fn the_next_one_counts_once_the_own_ref_has_moved() {
        for (tip, counts) in [("c1", "c1"), ("c2", "c1")] {
            let temp = tempfile::tempdir().unwrap();
            local("c0").save(temp.path()).unwrap();
            let mut next = Local::read(temp.path(), "c0").unwrap().unwrap();
            next.follows = "c1".into();
            next.folders.get_mut(&FolderId(1)).unwrap().mails_mut().remove(&7);
            next.prepare(temp.path()).unwrap();
            let (expected, mails) = if tip == counts { ("c0", 3) } else { ("c1", 2) };
            let found = read(temp.path(), tip).unwrap();
            assert_eq!((&*found.follows, found.folders[&FolderId(1)].mails.len()), (expected, mails), "{tip}");
            assert!(!temp.path().join(NEXT).exists());
        }
    }

    #[test]
    fn what_was_cut_is_an_error_and_a_next_one_that_was_cut_is_none() {
        let temp = tempfile::tempdir().unwrap();
        local("c0").save(temp.path()).unwrap();
        let lists = fs::read_dir(temp.path().join(LISTS)).unwrap().map(|entry| entry.unwrap().path());
        let lists: Vec<_> = lists.filter(|path| path.metadata().unwrap().len() > 0).collect();
        for path in lists.iter().chain([&temp.path().join(NAME)]) {
            let text = fs::read(path).unwrap();
            for len in [0, 1, text.len() / 2, text.len() - 2] {
                fs::write(path, &text[..len]).unwrap();
                assert!(matches!(Local::read(temp.path(), ""), Err(Error::Sync { .. })), "{len}");
            }
            fs::write(path, &text).unwrap();
        }
        fs::write(temp.path().join(NEXT), &fs::read(temp.path().join(NAME)).unwrap()[..20]).unwrap();
        assert_eq!(read(temp.path(), "c9"), Some(local("c0")));
    }

    #[test]
    fn a_change_is_a_line_and_what_a_killed_run_has_written_does_not_count() {
        let temp = tempfile::tempdir().unwrap();
        let mut first = local("");
        let known = first.folders[&FolderId(1)].mails[&1];
        let mails = &mut first.folders.get_mut(&FolderId(1)).unwrap().mails;
        *mails = Arc::new((1..=10_000).map(|uid| (uid, known)).collect());
        first.save(temp.path()).unwrap();
        let list = || {
            let paths = fs::read_dir(temp.path().join(LISTS)).unwrap().map(|entry| entry.unwrap().path());
            paths.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
        };
        let (path, len) = (list(), list().metadata().unwrap().len());
        let mut local = Local::read(temp.path(), "").unwrap().unwrap();
        let change = |local: &mut Local, uid, size| {
            local.folders.get_mut(&FolderId(1)).unwrap().mails_mut().insert(uid, Known { size, ..known });
        };
        // Killed before its head was there.
        change(&mut local, 5, 99);
        local.write_lists(temp.path()).unwrap();
        let mut local = Local::read(temp.path(), "").unwrap().unwrap();
        assert_eq!(local.folders[&FolderId(1)].mails[&5], known);
        change(&mut local, 7, 3);
        local.folders.get_mut(&FolderId(1)).unwrap().mails_mut().remove(&8);
        local.save(temp.path()).unwrap();
        assert_eq!(list(), path);
        assert!(path.metadata().unwrap().len() < len + 100);
        let back = read(temp.path(), "").unwrap();
        assert_eq!(back.folders[&FolderId(1)].mails, local.folders[&FolderId(1)].mails);
        // So much that another list is shorter; the old one goes.
        for uid in 1..=9000 {
            change(&mut local, uid, 4);
        }
        for uid in 1..=9000 {
            change(&mut local, uid, 1 << 40);
        }
        local.save(temp.path()).unwrap();
        let uids: Vec<u32> = local.folders[&FolderId(1)].mails.keys().copied().collect();
        let mails = local.folders.get_mut(&FolderId(1)).unwrap().mails_mut();
        for uid in &uids {
            mails.get_mut(uid).expect("it is there").size = 1 << 50;
        }
        local.save(temp.path()).unwrap();
        let back = read(temp.path(), "").unwrap();
        assert_eq!(back.folders[&FolderId(1)].mails, local.folders[&FolderId(1)].mails);
        assert!(list() != path && !path.exists());
    }
}
