//! Writing a commit: new mail, then the state, as one stream for `git fast-import`.
//!
//! Only what has changed is written. A small change is some lines more in the log; when the log is full, `s/` and `f/` are
//! written anew, and git stores those of their files that are not as before.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::git::{FastImport, Oid};
use super::guid::Hasher;
use super::log::{self, LOG_MAX};
use super::repository::{Repository, Tip};
use super::state::{Guid, ReplicaId, State};
use super::text::{self, put};
use super::tree::Log;
use crate::error::{Error, Result};

/// When a log file is this long the next one is begun: each commit stores one of them anew.
const LOG_FILE: usize = 4 << 10;

/// A commit in the making: new mail first, then the state. If it is dropped, nothing has happened.
#[derive(Debug)]
pub struct Import<'r> {
    repository: &'r Repository,
    git: FastImport,
    /// The number that git knows each new mail by.
    marks: HashMap<Guid, u64>,
    blobs: u64,
    /// For pieces of mail.
    piece: Vec<u8>,
}

impl<'r> Import<'r> {
    pub(super) fn new(repository: &'r Repository) -> Result<Import<'r>> {
        Ok(Import {
            repository,
            git: repository.git.fast_import()?,
            marks: HashMap::new(),
            blobs: 0,
            piece: vec![0; 64 << 10],
        })
    }

    /// Adds a mail of this base name and length. If the contents are shorter or longer, or cannot be read, that is the
    /// inner error, and the import can go on without this mail.
    pub fn mail(&mut self, base: &[u8], contents: &mut dyn Read, len: u64) -> Result<io::Result<Guid>> {
        self.blobs += 1;
        let mark = self.blobs;
        let written = write!(self.git.stream, "blob\nmark :{mark}\ndata {len}\n");
        written.map_err(|error| self.git.broken(error))?;
        let mut hasher = Hasher::new(base);
        let mut trouble = None;
        let piece = &mut self.piece;
        let mut left = len;
        while left > 0 {
            let most = piece.len().min(left.try_into().unwrap_or(usize::MAX));
            let got = match trouble {
                None => contents.read(&mut piece[..most]),
                // What was announced must come. This object is then named by nothing, and goes with the next clean-up.
                Some(_) => Ok(most),
            };
            match got {
                Ok(0) => trouble = Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => {
                    hasher.update(&piece[..got]);
                    self.git.stream.write_all(&piece[..got]).map_err(|error| self.git.broken(error))?;
                    left -= got as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => trouble = Some(error),
            }
        }
        self.git.stream.write_all(b"\n").map_err(|error| self.git.broken(error))?;
        if trouble.is_none() {
            trouble = match contents.read(&mut piece[..1]) {
                Ok(0) => None,
                Ok(_) => Some(io::Error::new(io::ErrorKind::InvalidData, "it grew while it was read")),
                Err(error) => Some(error),
            };
        }
        if let Some(error) = trouble {
            return Ok(Err(error));
        }
        let guid = hasher.finish();
        self.marks.insert(guid, mark);
        Ok(Ok(guid))
    }

    /// Commits a state as that of a replica, which had `previous`; `joined` are those that went into it. Each mail of it
    /// must be in one of these, or just added. Nothing is written, and `None` comes back, if the state is as before.
    pub fn commit(
        mut self,
        me: ReplicaId,
        previous: Option<&Tip>,
        joined: &[&Tip],
        state: State,
    ) -> Result<Option<Tip>> {
        if previous.is_some_and(|previous| previous.state == state) {
            return Ok(None);
        }
        text::check(&state).map_err(|bad| Error::Replica {
            path: self.repository.path().to_path_buf(),
            commit: "the new state".into(),
            bad: Box::new(bad),
        })?;
        // The tree that is changed. A replica that has none begins with that of another.
        let base = previous.or(joined.first().copied());
        let parents: Vec<&Tip> = previous.into_iter().chain(joined.iter().copied()).collect();
        let root = parents.iter().map(|tip| tip.root).min().unwrap_or_else(crate::system::random);
        let commit_mark = self.blobs + 1;
        let mails = self.objects(base, &parents, &state)?;
        let mut stream = Vec::new();
        print_commit(&mut stream, me, commit_mark, &parents);
        put(&mut stream, format_args!("M 100644 inline format\n"));
        print_data(&mut stream, &text::print_format(root));
        put(&mut stream, format_args!("M 100644 inline vv\n"));
        print_data(&mut stream, &text::print_versions(&state.versions));
        print_mails(&mut stream, base, &state, &mails);
        let log = print_change(&mut stream, me, base, &state);
        self.git.stream.write_all(&stream).map_err(|error| self.git.broken(error))?;
        let commit = self.names_of(&[commit_mark])?[0];
        let marks: Vec<u64> = mails.iter().filter_map(|(_, object)| object.mark()).collect();
        let mut names = self.names_of(&marks)?.into_iter();
        let mails = mails.into_iter().map(|(guid, object)| match object {
            Stored::Object(oid) => (guid, oid),
            Stored::Mark(_) => (guid, names.next().expect("each was asked for")),
        });
        let mails = mails.collect();
        if previous.is_none() {
            self.repository.guard(me)?;
        }
        self.git.finish()?;
        Ok(Some(Tip { commit, root, state, mails, log }))
    }

    /// Where the contents of each mail of a state are.
    fn objects(&self, base: Option<&Tip>, parents: &[&Tip], state: &State) -> Result<Vec<(Guid, Stored)>> {
        let mut stored = base.into_iter().flat_map(Tip::contents).peekable();
        let find = |guid: Guid| {
            while stored.next_if(|(other, _)| *other < guid).is_some() {}
            if let Some((_, oid)) = stored.next_if(|(other, _)| *other == guid) {
                return Ok((guid, Stored::Object(oid)));
            }
            let elsewhere = || parents.iter().find_map(|tip| tip.contents_of(guid)).map(Stored::Object);
            let found = self.marks.get(&guid).copied().map(Stored::Mark).or_else(elsewhere);
            found.map(|found| (guid, found)).ok_or_else(|| self.repository.without_contents(guid))
        };
        state.mails.keys().copied().map(find).collect()
    }

    /// What git calls the objects of these marks.
    fn names_of(&mut self, marks: &[u64]) -> Result<Vec<Oid>> {
        /// So many requests, and so many answers, fit into a pipe, though it be one page.
        const AHEAD: usize = 48;
        let mut names = Vec::with_capacity(marks.len());
        for marks in marks.chunks(AHEAD) {
            let mut requests = Vec::new();
            for mark in marks {
                put(&mut requests, format_args!("get-mark :{mark}\n"));
            }
            self.git.stream.write_all(&requests).map_err(|error| self.git.broken(error))?;
            for _ in marks {
                let answer = self.git.answer()?;
                names.push(Oid::parse(answer.trim_end().as_bytes()).ok_or_else(|| Error::Git {
                    path: self.repository.path().to_path_buf(),
                    what: "git fast-import",
                    said: format!("found {answer:?} for an object, expected its name"),
                })?);
            }
        }
        Ok(names)
    }
}

/// Where the contents of a mail are.
#[derive(Debug, Clone, Copy)]
enum Stored {
    /// In the repository.
    Object(Oid),
    /// In this import.
    Mark(u64),
}

impl Stored {
    fn mark(self) -> Option<u64> {
        match self {
            Stored::Object(_) => None,
            Stored::Mark(mark) => Some(mark),
        }
    }
}

fn print_commit(stream: &mut Vec<u8>, me: ReplicaId, mark: u64, parents: &[&Tip]) {
    let seconds = crate::system::now().tv_sec.max(0);
    put(stream, format_args!("commit refs/maildex/r/{me}\nmark :{mark}\n"));
    put(stream, format_args!("committer maildex <{me}@maildex> {seconds} +0000\n"));
    print_data(stream, b"sync\n");
    for (at, tip) in parents.iter().enumerate() {
        put(stream, format_args!("{} {}\n", if at == 0 { "from" } else { "merge" }, tip.commit));
    }
}

/// Mails that the tree of the base has not, or should have no more.
fn print_mails(stream: &mut Vec<u8>, base: Option<&Tip>, state: &State, mails: &[(Guid, Stored)]) {
    let path = |guid: Guid| format!("m/{:02x}/{guid}", guid.shard());
    for (guid, object) in mails {
        if let Some(base) = base
            && base.contents_of(*guid).is_some()
        {
            continue;
        }
        match object {
            Stored::Object(oid) => put(stream, format_args!("M 100644 {oid} {}\n", path(*guid))),
            Stored::Mark(mark) => put(stream, format_args!("M 100644 :{mark} {}\n", path(*guid))),
        }
    }
    for (guid, _) in base.into_iter().flat_map(Tip::contents) {
        if !state.mails.contains_key(&guid) {
            put(stream, format_args!("D {}\n", path(guid)));
        }
    }
}

/// The state: some lines more in the log, or all of it.
fn print_change(stream: &mut Vec<u8>, me: ReplicaId, base: Option<&Tip>, state: &State) -> Log {
    let ours = base.filter(|base| base.log.replica.is_none_or(|replica| replica == me));
    let lines = ours.and_then(|base| Some((&base.log, log::between(&base.state, state)?)));
    match lines.filter(|(log, lines)| log.len + lines.len() <= LOG_MAX) {
        // Counters that changed, and nothing else.
        Some((log, lines)) if lines.is_empty() => log.clone(),
        Some((log, lines)) => {
            let goes_on = log.files > 0 && log.last.len() + lines.len() <= LOG_FILE;
            let last = if goes_on { [log.last.as_slice(), &lines].concat() } else { lines.clone() };
            let files = log.files + u32::from(!goes_on);
            put(stream, format_args!("M 100644 inline log/{me}/{:08x}\n", files - 1));
            print_data(stream, &last);
            Log { replica: Some(me), files, len: log.len + lines.len(), last }
        }
        None => {
            print_snapshot(stream, state);
            Log::default()
        }
    }
}

/// All files of `s/` and `f/`, and no log.
fn print_snapshot(stream: &mut Vec<u8>, state: &State) {
    stream.extend_from_slice(b"D s\nD f\nD log\n");
    let mut mails = state.mails.iter().peekable();
    while let Some((first, _)) = mails.peek() {
        let shard = first.shard();
        put(stream, format_args!("M 100644 inline s/{shard:02x}\n"));
        let shard = std::iter::from_fn(|| mails.next_if(|(guid, _)| guid.shard() == shard));
        print_data(stream, &text::print_mails(shard));
    }
    for (id, folder) in &state.folders {
        put(stream, format_args!("M 100644 inline f/{id}/head\n"));
        print_data(stream, &text::print_folder(folder));
        for (file, numbers) in text::print_numbers(folder) {
            put(stream, format_args!("M 100644 inline f/{id}/uid/{file:05x}\n"));
            print_data(stream, &numbers);
        }
    }
}

fn print_data(stream: &mut Vec<u8>, data: &[u8]) {
    put(stream, format_args!("data {}\n", data.len()));
    stream.extend_from_slice(data);
    stream.push(b'\n');
}
