//! Reading a state out of a commit: every file of its tree that [`text`](super::text) names, and no other.
//!
//! A tree is read level by level, each with one round of `git cat-file --batch`. What a peer wrote is bounded before it
//! is read: the kinds and lengths of objects, and how many there are.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::git::{Batch, Object, Oid};
use super::log;
use super::state::{Folder, FolderId, Guid, Mail, ReplicaId, State};
use super::text::{self, BadFile, MAILS_MAX};
use super::{id, repository::Tip};
use crate::error::{Error, Result};
use crate::uidlist::excerpt;

/// The longest file, and the longest tree: a shard with many times more mail than anybody has.
const FILE_MAX: u64 = 64 << 20;

/// The most bytes in all files: 250 for each of the most mails.
const ALL_MAX: u64 = 1 << 30;

/// The files of a log that was just begun, or of which the last is full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Who writes it; none if there are no files.
    pub replica: Option<ReplicaId>,
    /// How many files there are.
    pub files: u32,
    /// The bytes in all of them.
    pub len: usize,
    /// The last one.
    pub last: Vec<u8>,
}

/// One entry of a tree of git.
struct Entry<'t> {
    is_tree: bool,
    name: &'t str,
    oid: Oid,
}

/// What is to be read, and what it is.
enum Part {
    Root,
    Format,
    Versions,
    MailShards,
    MailShard(u8),
    /// Noted, and read when it is wanted.
    Mail,
    Shards,
    Shard(u8),
    Folders,
    Folder(FolderId),
    Head(FolderId),
    NumberFiles(FolderId),
    Numbers(FolderId, u32),
    Logs,
    LogFiles(ReplicaId),
    Log(ReplicaId, u32),
}

/// What objects of git were read as: another state that has the same ones need not be read again, and shares the mail. Two
/// replicas have most of theirs in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    mails: HashMap<(u8, Oid), Vec<InShard>>,
    contents: HashMap<(u8, Oid), Vec<(Guid, Oid)>>,
    numbers: HashMap<(FolderId, u32, Oid), Vec<(u32, Guid)>>,
}

/// A mail, and what is known of it.
type InShard = (Guid, Arc<Mail>);

/// What was read so far.
struct Reader<'s> {
    shared: &'s mut Shared,
    root: Option<[u8; 16]>,
    has_versions: bool,
    state: State,
    mails: Vec<(Guid, Oid)>,
    logs: Vec<(String, Vec<u8>)>,
    log: Log,
    len: u64,
}

/// A part, the name of its object, and its path in the tree.
type Wanted = (Part, String, String);

/// Why a part cannot be taken.
enum Trouble {
    Bad(BadFile),
    Io(io::Error),
}

/// Reads a state, and checks that it is one.
pub(super) fn read(batch: &mut Batch, commit: Oid, shared: &mut Shared) -> Result<Tip> {
    let path = batch.dir().to_path_buf();
    let refused = |bad| Error::Replica { path: path.clone(), commit: commit.to_string(), bad: Box::new(bad) };
    let mut reader = Reader::new(shared);
    let mut level = vec![(Part::Root, format!("{commit}^{{tree}}"), String::new())];
    while !level.is_empty() {
        let names: Vec<String> = level.iter().map(|(_, name, _)| name.clone()).collect();
        let mut next = Vec::new();
        batch.objects(names, &mut |object| {
            let (part, name, file) = &level[object.at];
            let oid = Oid::parse(name.as_bytes());
            let parts = reader.take(part, (file, oid), object, commit.raw_len()).map_err(|trouble| match trouble {
                Trouble::Bad(bad) => refused(bad),
                Trouble::Io(source) => Error::Io { path: path.clone(), doing: "cannot read what git gives", source },
            })?;
            next.extend(parts);
            Ok(())
        })?;
        level = next;
    }
    reader.finish(commit).map_err(refused)
}

impl<'s> Reader<'s> {
    fn new(shared: &'s mut Shared) -> Reader<'s> {
        Reader {
            shared,
            root: None,
            has_versions: false,
            state: State::default(),
            mails: Vec::new(),
            logs: Vec::new(),
            log: Log::default(),
            len: 0,
        }
    }

    /// Takes a part of this path and object; the parts that it leads to.
    fn take(
        &mut self,
        part: &Part,
        (file, oid): (&str, Option<Oid>),
        object: Object<'_>,
        oid_len: usize,
    ) -> Result<Vec<Wanted>, Trouble> {
        let bytes = self.bytes(part, file, object)?;
        let mut parts = Vec::new();
        let contents_before = self.mails.len();
        match part {
            Part::Format => self.root = Some(text::parse_format(&bytes)?),
            Part::Versions => {
                self.state.versions = text::parse_versions(&bytes)?;
                self.has_versions = true;
            }
            Part::Shard(shard) => {
                let mut mails = BTreeMap::new();
                text::parse_mails(*shard, &bytes, &mut mails)?;
                let mails: Vec<_> = mails.into_iter().collect();
                self.state.mails.extend(mails.iter().cloned());
                self.shared.mails.extend(oid.map(|oid| ((*shard, oid), mails)));
            }
            Part::Head(id) => {
                self.state.folders.insert(*id, text::parse_folder(*id, &bytes)?);
            }
            Part::Numbers(id, number) => {
                let folder = self.state.folders.get_mut(id);
                let folder = folder.ok_or_else(|| BadFile::new(file, "numbers", "a head beside them"))?;
                let mut read = Folder { uids: BTreeMap::new(), ..folder.clone() };
                text::parse_numbers(*id, *number, &bytes, &mut read)?;
                let uids: Vec<_> = read.uids.into_iter().collect();
                folder.uids.extend(uids.iter().copied());
                self.shared.numbers.extend(oid.map(|oid| ((*id, *number, oid), uids)));
            }
            Part::Log(replica, number) => {
                self.log.replica = Some(*replica);
                if *number != self.log.files {
                    return Err(BadFile::new(file, "it", format!("{:08x} before it", self.log.files)).into());
                }
                self.log.files += 1;
                self.log.len += bytes.len();
                if self.log.len > log::LOG_MAX {
                    let found = format!("{} bytes so far", self.log.len);
                    return Err(BadFile::new(file, found, format!("at most {} in a log", log::LOG_MAX)).into());
                }
                self.logs.push((file.into(), bytes));
            }
            _ => {
                for entry in entries(file, &bytes, oid_len)? {
                    let path = || if file.is_empty() { entry.name.into() } else { format!("{file}/{}", entry.name) };
                    match self.within(part, &entry).filter(|part| part.is_tree() == entry.is_tree) {
                        Some(Part::Mail) => {}
                        Some(part) if self.is_shared(&part, entry.oid) => {}
                        Some(part) => parts.push((part, entry.oid.to_string(), path())),
                        None => {
                            let kind = if entry.is_tree { "a directory" } else { "a file" };
                            return Err(BadFile::new(path(), kind, "only what this format has").into());
                        }
                    }
                }
            }
        }
        if let (Part::MailShard(shard), Some(oid)) = (part, oid) {
            self.shared.contents.insert((*shard, oid), self.mails[contents_before..].to_vec());
        }
        if self.state.mails.len() > MAILS_MAX {
            return Err(BadFile::new(file, format!("more than {MAILS_MAX} mails"), "fewer").into());
        }
        Ok(parts)
    }

    /// Takes a part that was read before, if it was.
    fn is_shared(&mut self, part: &Part, oid: Oid) -> bool {
        match part {
            Part::Shard(shard) => {
                let Some(mails) = self.shared.mails.get(&(*shard, oid)) else { return false };
                self.state.mails.extend(mails.iter().cloned());
            }
            Part::MailShard(shard) => {
                let Some(contents) = self.shared.contents.get(&(*shard, oid)) else { return false };
                self.mails.extend(contents);
            }
            Part::Numbers(id, number) => {
                let numbers = self.shared.numbers.get(&(*id, *number, oid));
                let (Some(numbers), Some(folder)) = (numbers, self.state.folders.get_mut(id)) else { return false };
                folder.uids.extend(numbers.iter().copied());
            }
            _ => return false,
        }
        true
    }

    fn bytes(
        &mut self,
        part: &Part,
        file: &str,
        Object { kind: found, len, contents, .. }: Object<'_>,
    ) -> Result<Vec<u8>, Trouble> {
        let kind = if part.is_tree() { "tree" } else { "blob" };
        if found != kind {
            return Err(BadFile::new(file, format!("a {found}"), format!("a {kind}")).into());
        }
        self.len += len;
        if len > FILE_MAX || self.len > ALL_MAX {
            return Err(BadFile::new(file, format!("{len} bytes"), "fewer").into());
        }
        let mut bytes = Vec::with_capacity(len as usize);
        contents.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }

    /// What an entry of a tree is; `None` if it must not be there.
    fn within(&mut self, tree: &Part, entry: &Entry<'_>) -> Option<Part> {
        let name = entry.name.as_bytes();
        Some(match (tree, name) {
            (Part::Root, b"format") => Part::Format,
            (Part::Root, b"vv") => Part::Versions,
            (Part::Root, b"m") => Part::MailShards,
            (Part::Root, b"s") => Part::Shards,
            (Part::Root, b"f") => Part::Folders,
            (Part::Root, b"log") => Part::Logs,
            (Part::MailShards, _) => Part::MailShard(id::bytes::<1>(name)?[0]),
            (Part::MailShard(shard), _) => {
                let guid = Guid::parse(name).filter(|guid| guid.shard() == *shard && self.mails.len() <= MAILS_MAX)?;
                self.mails.push((guid, entry.oid));
                Part::Mail
            }
            (Part::Shards, _) => Part::Shard(id::bytes::<1>(name)?[0]),
            (Part::Folders, _) => Part::Folder(FolderId::parse(name)?),
            (Part::Folder(id), b"head") => Part::Head(*id),
            (Part::Folder(id), b"uid") => Part::NumberFiles(*id),
            (Part::NumberFiles(id), _) => Part::Numbers(*id, hex(name, 5)?),
            // Two logs would say two things of one state.
            (Part::Logs, _) if self.log.replica.is_none() => {
                self.log.replica = ReplicaId::parse(name);
                Part::LogFiles(self.log.replica?)
            }
            (Part::LogFiles(replica), _) => Part::Log(*replica, hex(name, 8)?),
            _ => return None,
        })
    }

    fn finish(mut self, commit: Oid) -> Result<Tip, BadFile> {
        let root = self.root.ok_or_else(|| BadFile::new("format", "nothing", "a file"))?;
        if !self.has_versions {
            return Err(BadFile::new("vv", "nothing", "a file"));
        }
        for (file, text) in &self.logs {
            log::apply(file, text, &mut self.state)?;
        }
        text::check(&self.state)?;
        // What was shared came first; within a shard the order of the tree is to be right.
        self.mails.sort_by_key(|(guid, _)| guid.shard());
        // The two are in one order, if all is as it should be.
        let stored = self.mails.iter().map(|(guid, _)| guid);
        if !stored.eq(self.state.mails.keys()) {
            let is_stored = |guid: &&Guid| self.mails.iter().any(|(stored, _)| stored == *guid);
            let without = self.state.mails.keys().find(|guid| !is_stored(guid));
            let found = without.map_or("mail that is in no folder".into(), |guid| format!("no contents of {guid}"));
            return Err(BadFile::new("m", found, "those of each mail of s and log, and no other"));
        }
        self.log.last = self.logs.pop().map(|(_, text)| text).unwrap_or_default();
        Ok(Tip { commit, root, state: self.state, mails: self.mails, log: self.log })
    }
}

impl Part {
    fn is_tree(&self) -> bool {
        !matches!(
            self,
            Part::Format
                | Part::Versions
                | Part::Mail
                | Part::Shard(_)
                | Part::Head(_)
                | Part::Numbers(..)
                | Part::Log(..)
        )
    }
}

/// The entries of a tree: a mode, a blank, a name, a NUL, and the bytes of an object's name, for each.
fn entries<'t>(file: &str, bytes: &'t [u8], oid_len: usize) -> Result<Vec<Entry<'t>>, BadFile> {
    let bad = |found: &[u8]| BadFile::new(file, format!("the entry {}", excerpt(found)), "a file or a directory");
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(0, rest).ok_or_else(|| bad(rest))?;
        let (head, behind) = (&rest[..end], &rest[end + 1..]);
        let is_tree = head.starts_with(b"40000 ");
        let name =
            head.strip_prefix(if is_tree { b"40000 ".as_slice() } else { b"100644 " }).ok_or_else(|| bad(head))?;
        let name = std::str::from_utf8(name).map_err(|_| bad(head))?;
        let oid = behind.get(..oid_len).and_then(Oid::from_bytes).ok_or_else(|| bad(head))?;
        if entries.last().is_some_and(|last: &Entry<'_>| last.name >= name) {
            return Err(BadFile::new(file, format!("the entry {name} out of order"), "each name once, in order"));
        }
        if entries.len() == MAILS_MAX {
            return Err(BadFile::new(file, format!("more than {MAILS_MAX} entries"), "fewer"));
        }
        entries.push(Entry { is_tree, name, oid });
        rest = &behind[oid_len..];
    }
    Ok(entries)
}

/// A number of so many digits.
fn hex(name: &[u8], digits: usize) -> Option<u32> {
    let plain = name.len() == digits && name.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte));
    let text = std::str::from_utf8(name).ok().filter(|_| plain)?;
    u32::from_str_radix(text, 16).ok()
}

impl From<BadFile> for Trouble {
    fn from(bad: BadFile) -> Trouble {
        Trouble::Bad(bad)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}
