//! Keeps a mail root the same on several machines; see [`crate::sync`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::folder::{Folder, Setting};
use crate::maildir::Sub;
use crate::maildir::draft::Draft;
use crate::maildir::flags::Flags;
use crate::maildir::name::{Name, canonical};
use crate::sync::local::Local;
use crate::sync::replica::Replica;
use crate::sync::scan::is_folder_name;
use crate::sync::trash::Trashed;
use crate::sync::{Cut, Remote, ReplicaId, Repository};

pub use crate::sync::run::{Lost, Outcome, Plan, Step, run};

/// How it stands with a replica, as of its last run.
#[derive(Debug)]
pub struct Status {
    /// Folders.
    pub folders: usize,
    /// Mails in them; one in two folders counts twice.
    pub mails: usize,
    /// Something could not be done, or was held back; the next run tries again.
    pub pending: bool,
    /// Others, and whether they have got what this one knows.
    pub remotes: Vec<(Remote, bool)>,
    /// Other replicas that have told something, by their ids, which is not taken up yet.
    pub waiting: Vec<String>,
    /// Mail that others have removed, and that can be had back.
    pub trashed: Vec<Trashed>,
    /// Commits that are kept.
    pub commits: usize,
    /// Replicas that have not heard of everything, as far as is known: what was expunged is kept for them.
    pub late: Vec<ReplicaId>,
}

/// Says how it stands. Calls no other machine.
pub fn status(replica: &Replica) -> Result<Status> {
    let repository = &replica.repository;
    let own = repository.own(replica.id)?.map(|commit| commit.to_string()).unwrap_or_default();
    let head = Local::read_head(&replica.own(), &own)?.unwrap_or_default();
    let has = |remote: &Remote| !own.is_empty() && head.pushed.get(&remote.name) == Some(&own);
    Ok(Status {
        folders: head.folders.len(),
        mails: head.folders.values().map(|folder| folder.count).sum(),
        pending: head.pending,
        remotes: repository.remotes()?.into_iter().map(|remote| (remote.clone(), has(&remote))).collect(),
        waiting: repository.peers(replica.id)?.into_iter().map(|peer| peer.replica.to_string()).collect(),
        trashed: replica.trash().list()?,
        commits: repository.commits()?,
        late: repository.late()?.into_iter().filter(|id| *id != replica.id).collect(),
    })
}

/// Lets go of history that every replica has heard.
pub fn cut(replica: &Replica) -> Result<Cut> {
    let _busy = replica.repository.lock()?;
    replica.repository.cut(Some(replica.id))
}

/// The same in a hub.
pub fn cut_hub(path: &Path) -> Result<Cut> {
    let repository = Repository::open_hub(path)?;
    let _busy = repository.lock()?;
    repository.cut(None)
}

/// Waits no longer for a replica, here and in the peers. What could not be done there comes back.
pub fn forget(replica: &Replica, id: ReplicaId, patience: Duration) -> Result<Vec<Error>> {
    let unknown = |found: &str| Error::Sync {
        path: replica.root.clone(),
        found: format!("{id}: {found}"),
        advice: format!("those that are late are named by: maildex sync status {}", replica.root.display()),
    };
    if id == replica.id {
        return Err(unknown("that is this replica itself"));
    }
    let repository = &replica.repository;
    let _busy = repository.lock()?;
    let mut failed = Vec::new();
    for remote in repository.remotes()? {
        failed.extend(repository.forget_at(&remote, id, patience, &mut |_| {}).err());
    }
    if !repository.forget(id)? && failed.is_empty() {
        return Err(unknown("no such replica is known"));
    }
    Ok(failed)
}

/// The same in a hub alone.
pub fn forget_in_hub(path: &Path, id: ReplicaId) -> Result<()> {
    let repository = Repository::open_hub(path)?;
    let _busy = repository.lock()?;
    if repository.forget(id)? {
        return Ok(());
    }
    let advice = format!("those that are there: git -C {} for-each-ref refs/maildex/r", path.display());
    Err(Error::Sync { path: path.into(), found: format!("{id}: no such replica is known"), advice })
}

/// What came of putting mail back.
#[derive(Debug, Default)]
pub struct Restored {
    /// Where it is now.
    pub mails: Vec<PathBuf>,
    /// What could not be put back.
    pub failed: Vec<Error>,
}

/// Puts mail back that another replica has removed. To the next run it is new mail, which no earlier removal covers.
/// `wanted` are base names, paths below the mail root as they were, or ids.
pub fn undelete(replica: &Replica, setting: &Setting, wanted: &[&OsStr]) -> Result<Restored> {
    let trash = replica.trash();
    let mut left: BTreeMap<_, _> = trash.list()?.into_iter().map(|trashed| (trashed.guid, trashed)).collect();
    let mut restored = Restored::default();
    for wanted in wanted {
        let base = |trashed: &Trashed| Name::parse(&trashed.name).base.to_vec();
        let is_it = |trashed: &&Trashed| {
            let path = Path::new(wanted);
            trashed.guid.to_string().as_bytes() == wanted.as_bytes()
                || base(trashed) == Name::parse(wanted.as_bytes()).base
                || trashed.path() == path
        };
        let Some(guid) = left.values().find(is_it).map(|trashed| trashed.guid) else {
            let path = replica.root.clone();
            restored.failed.push(Error::NoMessage { path, wanted: format!("{} in the trash", wanted.display()) });
            continue;
        };
        let trashed = left.remove(&guid).expect("it was just found");
        match put_back(replica, setting, &trashed) {
            Ok(path) => {
                trash.forget(guid)?;
                restored.mails.push(path);
            }
            Err(error) => restored.failed.push(error),
        }
    }
    Ok(restored)
}

fn put_back(replica: &Replica, setting: &Setting, trashed: &Trashed) -> Result<PathBuf> {
    let Name { base, flags, .. } = Name::parse(&trashed.name);
    let path = replica.root.join(OsStr::from_bytes(&trashed.folder));
    if !is_folder_name(&trashed.folder) || base.is_empty() {
        return Err(Error::Outside { path, expected: "a folder below the mail root".into() });
    }
    let mut dir = Dir::open(&replica.root)?;
    for part in trashed.folder.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        dir = dir.sub_or_create(OsStr::from_bytes(part))?;
    }
    for sub in ["tmp", "new", "cur"] {
        dir.sub_or_create(sub)?;
    }
    let folder = Folder::open_with(&path, setting)?;
    let (maildir, access) = (folder.maildir(), folder.maildir().access());
    let mut draft = Draft::begin(maildir, &access)?;
    draft.write(&mut &*replica.trash().read(trashed.guid)?)?;
    draft.finish(trashed.delivered.min(SystemTime::now()), None)?;
    let name = canonical(base, flags.without(Flags::TRASHED), false);
    let cur = maildir.sub(Sub::Cur)?;
    let to = maildir.path_of(Sub::Cur, &name);
    draft.place_as(&cur, &name).map_err(|error| match error.errno() {
        Some(rustix::io::Errno::EXIST) => Error::Taken { path: path.join(OsStr::from_bytes(base)), taken: to.clone() },
        _ => error,
    })?;
    Ok(to)
}
