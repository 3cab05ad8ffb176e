//! Cutting history: what every replica has heard need not be kept, and with it goes the text of mail that was expunged.
//!
//! A join needs no history, so it may be cut anywhere; but a commit that somebody has not heard of is sent to him whole, with
//! all mail, where it can no longer be told from what he has. So it is cut at commits whose vector every replica's own covers: of
//! these the newest stay, and their parents go. Who was forgotten is not waited for.
//!
//! The list of cuts is git's own (`shallow`); then its collection removes what is no longer reached. A hub is any bare repository, and is
//! cut in the same way, where it is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use super::git::Oid;
use super::repository::Repository;
use super::state::ReplicaId;
use super::text::{parse_versions, put};
use crate::error::{Error, Result};

/// The longest vector that is read.
const VERSIONS_MAX: u64 = 1 << 20;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Commits before.
    pub before: usize,
    /// Commits that stay.
    pub after: usize,
    /// Replicas that have not heard of everything. What they have not heard stays.
    pub late: Vec<ReplicaId>,
}

type Vector = BTreeMap<ReplicaId, u64>;

/// A commit of the history.
struct Commit {
    parents: Vec<Oid>,
    /// None if it is no state; then nothing is known of it, and it stays.
    vector: Option<Vector>,
}

impl Repository {
    /// Opens any bare repository in which replicas meet.
    pub fn open_hub(path: &Path) -> Result<Repository> {
        let none = || Error::NoRepository { path: path.to_path_buf() };
        let path = path.canonicalize().map_err(|_| none())?;
        if !path.join("HEAD").is_file() || !path.join("objects").is_dir() {
            return Err(none());
        }
        let repository = Repository { git: super::git::Git::new(&path) };
        if repository.refs()?.is_empty() { Err(none()) } else { Ok(repository) }
    }

    /// Lets a repository take states whose history was cut.
    pub fn takes_cuts(path: &Path) -> Result<()> {
        let git = super::git::Git::new(path);
        git.run("git config", ["config", "--local", "receive.shallowUpdate", "true"], b"").map(drop)
    }

    /// Cuts what everybody has heard, and collects. `me` is the replica whose repository it is; none for a hub. Nobody may
    /// push to it meanwhile, or what he has just sent may go.
    pub fn cut(&self, me: Option<ReplicaId>) -> Result<Cut> {
        let mut history = self.history()?;
        let tips: HashSet<Oid> = self.refs()?.into_values().collect();
        let vectors = self.vectors(&history)?;
        let floor = floor(vectors.values());
        let is_heard = |commit: &Commit| {
            let covers = |(id, made): (&ReplicaId, &u64)| floor.get(id).is_some_and(|heard| heard >= made);
            commit.vector.as_ref().is_some_and(|vector| vector.iter().all(covers))
        };
        let heard: HashSet<Oid> = history.iter().filter(|(_, commit)| is_heard(commit)).map(|(oid, _)| *oid).collect();
        // Where one that is not heard follows, and where nothing follows.
        let mut ends: BTreeSet<Oid> = tips.intersection(&heard).copied().collect();
        for commit in history.iter().filter(|(oid, _)| !heard.contains(*oid)).map(|(_, commit)| commit) {
            ends.extend(commit.parents.iter().filter(|parent| heard.contains(*parent)));
        }
        let before = history.len();
        let was_cut = self.cuts()?;
        let mut cuts: BTreeSet<Oid> = was_cut.iter().filter(|oid| history.contains_key(*oid)).copied().collect();
        for end in &ends {
            if let Some(commit) = history.get_mut(end)
                && !commit.parents.is_empty()
            {
                commit.parents.clear();
                cuts.insert(*end);
            }
        }
        let stays = reached(&history, tips);
        cuts.retain(|oid| stays.contains(oid));
        if cuts != was_cut {
            self.write_cuts(&cuts)?;
        }
        self.collect()?;
        let late = late(&vectors).into_iter().filter(|id| Some(*id) != me).collect();
        Ok(Cut { before, after: stays.len(), late })
    }

    /// What each replica that counts has heard, as far as is known here.
    fn vectors(&self, history: &HashMap<Oid, Commit>) -> Result<BTreeMap<ReplicaId, Vector>> {
        let mut vectors: BTreeMap<ReplicaId, Vector> = BTreeMap::new();
        for (name, oid) in self.refs()? {
            let id = name.strip_prefix("r/").or_else(|| name.strip_prefix("peer/"));
            let Some(id) = id.and_then(|id| ReplicaId::parse(id.as_bytes())) else { continue };
            let vector = history.get(&oid).and_then(|commit| commit.vector.clone()).unwrap_or_default();
            let known = vectors.entry(id).or_default();
            // The newer of the two: a replica only ever learns.
            if vector.values().sum::<u64>() >= known.values().sum::<u64>() {
                *known = vector;
            }
        }
        Ok(vectors)
    }

    /// Replicas that have not heard of everything that is known here.
    pub fn late(&self) -> Result<Vec<ReplicaId>> {
        let tips: Vec<Oid> = self.refs()?.into_values().collect();
        let mut history: HashMap<Oid, Commit> =
            tips.iter().map(|oid| (*oid, Commit { parents: Vec::new(), vector: None })).collect();
        self.read_vectors(&mut history)?;
        Ok(late(&self.vectors(&history)?))
    }

    /// Whether one state has heard everything that another one had.
    pub(super) fn knows_all_of(&self, one: Oid, other: Oid) -> Result<bool> {
        let mut history: HashMap<Oid, Commit> =
            [one, other].iter().map(|oid| (*oid, Commit { parents: Vec::new(), vector: None })).collect();
        self.read_vectors(&mut history)?;
        let vector = |oid| history.get(&oid).and_then(|commit: &Commit| commit.vector.as_ref());
        Ok(match (vector(one), vector(other)) {
            (Some(one), Some(other)) => other.iter().all(|(id, made)| one.get(id).is_some_and(|heard| heard >= made)),
            _ => false,
        })
    }

    /// How many commits are kept.
    pub fn commits(&self) -> Result<usize> {
        let count = self.git.run("git rev-list", ["rev-list", "--all", "--count"], b"")?;
        Ok(String::from_utf8_lossy(&count).trim().parse().unwrap_or(0))
    }

    /// All commits that are reached.
    fn history(&self) -> Result<HashMap<Oid, Commit>> {
        let listed = self.git.run("git rev-list", ["rev-list", "--all", "--parents"], b"")?;
        let mut history = HashMap::new();
        for line in listed.split(|&byte| byte == b'\n') {
            let mut oids = line.split(|&byte| byte == b' ').map(Oid::parse);
            if let Some(Some(oid)) = oids.next() {
                history.insert(oid, Commit { parents: oids.flatten().collect(), vector: None });
            }
        }
        self.read_vectors(&mut history)?;
        Ok(history)
    }

    fn read_vectors(&self, history: &mut HashMap<Oid, Commit>) -> Result<()> {
        // A commit that is no state of ours has no vv; git ends when it is asked for that, so trees are looked at first.
        let oids: Vec<Oid> = history.keys().copied().collect();
        let mut input = Vec::new();
        for oid in &oids {
            put(&mut input, format_args!("{oid}:vv\n"));
        }
        let found = self.git.run("git cat-file", ["cat-file", "--batch-check"], &input)?;
        let found = String::from_utf8_lossy(&found).into_owned();
        let mut blobs = Vec::new();
        for (oid, line) in oids.iter().zip(found.lines()) {
            let words: Vec<&str> = line.split(' ').collect();
            if let [blob, "blob", len] = words[..]
                && len.parse::<u64>().is_ok_and(|len| len <= VERSIONS_MAX)
            {
                blobs.push((*oid, blob.to_string()));
            }
        }
        let names: Vec<String> = blobs.iter().map(|(_, blob)| blob.clone()).collect();
        self.git.batch()?.objects(names, &mut |object| {
            let mut text = Vec::new();
            if object.contents.read_to_end(&mut text).is_ok()
                && let Some(commit) = history.get_mut(&blobs[object.at].0)
            {
                commit.vector = parse_versions(&text).ok();
            }
            Ok(())
        })
    }

    /// Where history was cut.
    fn cuts(&self) -> Result<BTreeSet<Oid>> {
        let path = self.path().join("shallow");
        match fs::read(&path) {
            Ok(text) => Ok(text.split(|&byte| byte == b'\n').filter_map(Oid::parse).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(source) => Err(Error::Io { path, doing: "cannot read", source }),
        }
    }

    /// As git writes it: under its lock, and at once.
    fn write_cuts(&self, cuts: &BTreeSet<Oid>) -> Result<()> {
        let (path, lock) = (self.path().join("shallow"), self.path().join("shallow.lock"));
        let mut text = Vec::new();
        for oid in cuts {
            put(&mut text, format_args!("{oid}\n"));
        }
        let written = fs::File::options().write(true).create_new(true).open(&lock).and_then(|mut file| {
            let done = file.write_all(&text).and_then(|()| file.sync_all());
            let done = done.and_then(|()| fs::rename(&lock, &path));
            if done.is_err() {
                let _ = fs::remove_file(&lock);
            }
            done?;
            fs::File::open(self.path())?.sync_all()
        });
        written.map_err(|source| Error::Io { path, doing: "cannot write", source })
    }

    /// Removes what is no longer reached.
    fn collect(&self) -> Result<()> {
        self.git.run("git reflog", ["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"], b"")?;
        // Left by a fetch: it names what it has fetched, and keeps it.
        let _ = fs::remove_file(self.path().join("FETCH_HEAD"));
        let repack = ["repack", "-a", "-d", "-q", "--no-write-bitmap-index"];
        self.git.run("git repack", repack, b"")?;
        self.git.run("git prune", ["prune", "--expire=now"], b"")?;
        self.git.run("git prune-packed", ["prune-packed", "-q"], b"").map(drop)
    }

    /// Waits no longer for a replica: what is known of it goes, but for what the own state has. False if it is not known.
    pub fn forget(&self, id: ReplicaId) -> Result<bool> {
        let refs = self.refs()?;
        let mut updates = Vec::new();
        for name in ["r", "peer", "joined/r", "joined/peer"].map(|kind| format!("{kind}/{id}")) {
            if refs.contains_key(&name) {
                put(&mut updates, format_args!("delete refs/maildex/{name}\0\0"));
            }
        }
        let is_known = !updates.is_empty();
        if is_known {
            self.git.run("git update-ref", ["update-ref", "--stdin", "-z"], &updates)?;
        }
        Ok(is_known)
    }
}

/// What all have heard.
fn floor<'v>(mut vectors: impl Iterator<Item = &'v Vector>) -> Vector {
    let Some(mut floor) = vectors.next().cloned() else { return Vector::new() };
    for vector in vectors {
        floor.retain(|id, heard| match vector.get(id) {
            Some(other) => {
                *heard = (*heard).min(*other);
                true
            }
            None => false,
        });
    }
    floor
}

/// Those who have not heard of everything that somebody has.
fn late(vectors: &BTreeMap<ReplicaId, Vector>) -> Vec<ReplicaId> {
    let mut newest = Vector::new();
    for (id, made) in vectors.values().flatten() {
        let known = newest.entry(*id).or_default();
        *known = (*known).max(*made);
    }
    let is_late = |vector: &Vector| newest.iter().any(|(id, made)| vector.get(id).is_none_or(|heard| heard < made));
    vectors.iter().filter(|(_, vector)| is_late(vector)).map(|(id, _)| *id).collect()
}

/// The commits that are reached from these.
fn reached(history: &HashMap<Oid, Commit>, from: HashSet<Oid>) -> HashSet<Oid> {
    let mut reached = HashSet::new();
    let mut todo: Vec<Oid> = from.into_iter().filter(|oid| history.contains_key(oid)).collect();
    while let Some(oid) = todo.pop() {
        if reached.insert(oid) {
            todo.extend(history[&oid].parents.iter().filter(|parent| history.contains_key(*parent)));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_have_heard_is_the_least_of_what_each_has() {
        let vector = |heard: &[(u64, u64)]| heard.iter().map(|(id, made)| (ReplicaId(*id), *made)).collect::<Vector>();
        let (a, b) = (vector(&[(1, 5), (2, 7), (3, 1)]), vector(&[(1, 6), (2, 3)]));
        assert_eq!(floor([&a, &b].into_iter()), vector(&[(1, 5), (2, 3)]));
        assert_eq!(floor(std::iter::once(&a)), a);
        assert_eq!(floor(std::iter::empty()), Vector::new());
    }
}
