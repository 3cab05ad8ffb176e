//! The states of replicas, and the mail, in a bare repository of git.
//!
//! | ref | is |
//! |---|---|
//! | `refs/maildex/r/<id>` | the state of a replica; it alone writes it, and pushes it to others under the same name |
//! | `refs/maildex/peer/<id>` | what was fetched of another one |
//! | `refs/maildex/joined/...` | what of them is in the own state; here only |
//!
//! One writer for each ref: there is no race between pushes, and nothing is ever forced.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use super::busy;
use super::git::{Git, Oid};
use super::guid::Hasher;
use super::import::Import;
use super::peer::MAIL_MAX;
use super::state::{Guid, ReplicaId, State};
use super::text::BadFile;
use super::tree::{self, Log, Shared};
use crate::error::{Error, Result};

/// What is set in each repository, for those who push to it and fetch from it.
const SETTINGS: [(&str, &str); 8] = [
    ("core.fsync", "all"),
    ("core.hooksPath", "/dev/null"),
    ("transfer.fsckObjects", "true"),
    ("receive.shallowUpdate", "true"),
    ("receive.denyNonFastForwards", "true"),
    ("receive.denyDeletes", "true"),
    ("transfer.hideRefs", "refs/maildex/joined"),
    // Last: with it, the repository is ours and whole.
    ("maildex.sync", "1"),
];

/// Mails are not alike, so git need not look for what they have in common: that takes 2.7 s of 20,000 mails, and packing them
/// without 0.06 s. Not so the directories that they are in: there a mail more is a small change.
const ATTRIBUTES: &str = "m/*/* -delta\n";

/// A bare repository of git, ours alone.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) git: Git,
}

/// A state as it is stored.
#[derive(Debug, Clone)]
pub struct Tip {
    /// The commit.
    pub commit: Oid,
    /// The mail root that it is of: random, drawn by the first commit. After a join the smaller one.
    pub root: [u8; 16],
    /// What it says.
    pub state: State,
    /// The contents of each mail, by guid.
    pub(super) mails: Vec<(Guid, Oid)>,
    pub(super) log: Log,
}

/// A state of another replica that has not been joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whose.
    pub replica: ReplicaId,
    /// Where it is: `peer/<id>` or `r/<id>`, below `refs/maildex/`.
    pub name: String,
    /// The commit.
    pub commit: Oid,
}

/// Nobody else works on the repository as long as this lives.
#[derive(Debug)]
pub struct Busy {
    _file: Arc<File>,
}

impl Repository {
    /// Makes one, or opens one that is there. Directories above it are made; nobody else can look into it.
    pub fn init(path: &Path) -> Result<Repository> {
        let failed = |doing| move |source| Error::Io { path: path.to_path_buf(), doing, source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("cannot make"))?;
        let path = path.canonicalize().map_err(failed("cannot open"))?;
        let git = Git::init(&path)?;
        std::fs::create_dir_all(path.join("info")).map_err(failed("cannot make info in"))?;
        std::fs::write(path.join("info/attributes"), ATTRIBUTES).map_err(failed("cannot write info/attributes in"))?;
        for (name, value) in SETTINGS {
            git.run("git config", ["config", name, value], b"")?;
        }
        Ok(Repository { git })
    }

    /// Opens one.
    pub fn open(path: &Path) -> Result<Repository> {
        let none = || Error::NoRepository { path: path.to_path_buf() };
        let path = path.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => none(),
            _ => Error::Io { path: path.to_path_buf(), doing: "cannot open", source },
        })?;
        if !path.join("HEAD").is_file() || !path.join("info/attributes").is_file() {
            return Err(none());
        }
        Ok(Repository { git: Git::new(&path) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.git.dir()
    }

    /// Locks it against other runs of `sync`, without waiting for them; and mends what one that was killed has left.
    pub fn lock(&self) -> Result<Busy> {
        let file = Arc::new(busy::lock(self.path())?);
        self.git.share(&file);
        Ok(Busy { _file: file })
    }

    /// The last commit of a replica.
    pub fn own(&self, me: ReplicaId) -> Result<Option<Oid>> {
        Ok(self.refs()?.remove(&format!("r/{me}")))
    }

    /// What of others is here and was not yet joined.
    pub fn peers(&self, me: ReplicaId) -> Result<Vec<Peer>> {
        let refs = self.refs()?;
        let others = refs.iter().filter_map(|(name, commit)| {
            let id = name.strip_prefix("peer/").or_else(|| name.strip_prefix("r/"))?;
            let replica = ReplicaId::parse(id.as_bytes()).filter(|replica| *replica != me)?;
            let is_joined = refs.get(&format!("joined/{name}")) == Some(commit);
            (!is_joined).then(|| Peer { replica, name: name.clone(), commit: *commit })
        });
        Ok(others.collect())
    }

    /// These states are in the own one, and that is committed.
    pub fn joined(&self, peers: &[Peer]) -> Result<()> {
        let mut updates = Vec::new();
        for peer in peers {
            super::text::put(
                &mut updates,
                format_args!("update refs/maildex/joined/{}\0{}\0\0", peer.name, peer.commit),
            );
        }
        if updates.is_empty() {
            return Ok(());
        }
        self.git.run("git update-ref", ["update-ref", "--stdin", "-z"], &updates).map(drop)
    }

    /// Reads a state and checks all of it, but for the contents of mail.
    pub fn read(&self, commit: Oid) -> Result<Tip> {
        self.read_beside(commit, &mut Shared::default())
    }

    /// The same where others were read already, and will be.
    pub(super) fn read_beside(&self, commit: Oid, shared: &mut Shared) -> Result<Tip> {
        tree::read(&mut self.git.batch()?, commit, shared)
    }

    /// Begins a commit.
    pub fn import(&self) -> Result<Import<'_>> {
        Import::new(self)
    }

    /// Reads mails, in the order given, each from the first of these states that has it. `each` gets the contents; who has
    /// read them to their end may believe that they are of this mail. Else the end is an error,
    /// [`std::io::ErrorKind::InvalidData`].
    pub fn mails(
        &self,
        tips: &[&Tip],
        guids: &[Guid],
        each: &mut dyn FnMut(Guid, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut wanted = Vec::with_capacity(guids.len());
        for guid in guids {
            let found = tips.iter().find_map(|tip| Some((tip.contents_of(*guid)?, tip.state.mails.get(guid)?)));
            let (oid, mail) = found.ok_or_else(|| self.without_contents(*guid))?;
            wanted.push((*guid, oid, mail));
        }
        let names: Vec<String> = wanted.iter().map(|(_, oid, _)| oid.to_string()).collect();
        self.git.batch()?.objects(names, &mut |object| {
            let (guid, _, mail) = wanted[object.at];
            let hasher = Some(Hasher::new(&mail.base));
            each(guid, &mut Contents { guid, is_blob: object.kind == "blob", hasher, bytes: object.contents })
        })
    }

    /// Whether the contents of these mails of a state are of their guids.
    pub(super) fn verify(&self, tip: &Tip, guids: &[Guid]) -> Result<()> {
        let bad = |guid: Guid, found: String, expected: &str| Error::Replica {
            path: self.path().to_path_buf(),
            commit: tip.commit.to_string(),
            bad: Box::new(BadFile::new(format!("m/{:02x}/{guid}", guid.shard()), found, expected)),
        };
        let mut wanted = Vec::with_capacity(guids.len());
        for guid in guids {
            let found = tip.contents_of(*guid).zip(tip.state.mails.get(guid));
            wanted.push((*guid, found.ok_or_else(|| self.without_contents(*guid))?));
        }
        let mut piece = vec![0; 64 << 10];
        let names = wanted.iter().map(|(_, (oid, _))| oid.to_string());
        self.git.batch()?.objects(names, &mut |object| {
            let (guid, (_, mail)) = wanted[object.at];
            if object.kind != "blob" {
                return Err(bad(guid, format!("a {}", object.kind), "a blob"));
            }
            if object.len > MAIL_MAX {
                return Err(bad(guid, format!("{} bytes", object.len), "a mail of at most 1 GiB"));
            }
            let mut hasher = Hasher::new(&mail.base);
            loop {
                match object.contents.read(&mut piece) {
                    Ok(0) => break,
                    Ok(len) => hasher.update(&piece[..len]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        return Err(Error::Io {
                            path: self.path().to_path_buf(),
                            doing: "cannot read mail in",
                            source,
                        });
                    }
                }
            }
            if hasher.finish() != guid {
                return Err(bad(guid, "other contents than its guid is of".into(), "those"));
            }
            Ok(())
        })
    }

    /// Packs what has piled up, if it is much, and waits for that.
    pub fn tidy(&self) -> Result<()> {
        if !self.has_piled_up() {
            return Ok(());
        }
        let gc = ["-c", "gc.auto=4000", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"];
        self.git.run("git gc", gc, b"").map(drop)
    }

    /// What `git gc --auto` looks at: objects in one of 256 directories, and packs. Most of the time there is not much, and
    /// git need not be asked.
    fn has_piled_up(&self) -> bool {
        let count = |dir| std::fs::read_dir(self.path().join(dir)).into_iter().flatten().count();
        count("objects/17") > 4000 / 256 || count("objects/pack") > 2 * 50
    }

    /// Lets nobody push what this replica alone writes.
    pub(super) fn guard(&self, me: ReplicaId) -> Result<()> {
        let own = format!("refs/maildex/r/{me}");
        for hidden in [&own, "refs/maildex/peer"] {
            self.git.run("git config", ["config", "--add", "receive.hideRefs", hidden], b"")?;
        }
        Ok(())
    }

    pub(super) fn without_contents(&self, guid: Guid) -> Error {
        let bad = BadFile::new("m", format!("no contents of {guid}"), "those of each mail");
        Error::Replica { path: self.path().to_path_buf(), commit: "none of the states".into(), bad: Box::new(bad) }
    }

    /// All refs of ours, without `refs/maildex/`.
    pub(super) fn refs(&self) -> Result<BTreeMap<String, Oid>> {
        let format = "--format=%(objectname) %(refname:lstrip=2)";
        let listed = self.git.run("git for-each-ref", ["for-each-ref", format, "refs/maildex/"], b"")?;
        let refs = listed.split(|&byte| byte == b'\n').filter_map(|line| {
            let blank = memchr::memchr(b' ', line)?;
            Some((String::from_utf8(line[blank + 1..].to_vec()).ok()?, Oid::parse(&line[..blank])?))
        });
        Ok(refs.collect())
    }
}

impl Tip {
    /// For each mail the object of git that holds its contents: equal contents, equal object.
    pub fn contents(&self) -> impl Iterator<Item = (Guid, Oid)> {
        self.mails.iter().copied()
    }

    /// The object of git that holds the contents of a mail.
    pub fn contents_of(&self, guid: Guid) -> Option<Oid> {
        self.mails.binary_search_by_key(&guid, |(guid, _)| *guid).ok().map(|at| self.mails[at].1)
    }
}

/// The contents of a mail, which must give its guid.
struct Contents<'b> {
    guid: Guid,
    is_blob: bool,
    /// None once the end was believed.
    hasher: Option<Hasher>,
    bytes: &'b mut dyn Read,
}

impl Read for Contents<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(buffer)?;
        match &mut self.hasher {
            Some(hasher) if len > 0 => hasher.update(&buffer[..len]),
            Some(hasher) if !buffer.is_empty() => {
                if !self.is_blob || hasher.clone().finish() != self.guid {
                    let text = format!("mail {}: found other contents than its guid is of", self.guid);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                self.hasher = None;
            }
            _ => {}
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
