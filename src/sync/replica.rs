//! A replica: a mail root here, and the repository that keeps what it knows.
//!
//! In the repository there is a directory `maildex/` of our own: `replica` says which one this is, `local` what was applied
//! last, `trash/` is mail that others have removed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sync::repository::Repository;
use crate::sync::state::ReplicaId;
use crate::sync::trash::{KEPT, Trash};

/// Our own directory in the repository.
const OWN: &str = "maildex";

/// The setting of the repository that says how many days the trash keeps mail.
const TRASH_DAYS: &str = "maildex.trashDays";

/// The file that says which replica it is.
const REPLICA: &str = "replica";

/// A mail root with its repository.
#[derive(Debug)]
pub struct Replica {
    /// The mail root.
    pub root: PathBuf,
    /// Which one of those that meet.
    pub id: ReplicaId,
    /// Which it was before it was copied, or put back from a back-up.
    pub was: Vec<ReplicaId>,
    /// What people call it.
    pub name: String,
    /// The repository.
    pub repository: Repository,
    /// Where it is.
    pub path: PathBuf,
}

impl Replica {
    /// Makes one, or opens the one that is there.
    pub fn init(root: &Path, path: &Path, name: &str) -> Result<Replica> {
        if !root.is_dir() {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(Error::Io { path: root.into(), doing: "cannot open", source });
        }
        let (real_root, real) = (real(root)?, real_parent(path)?);
        if real.starts_with(&real_root) {
            let found = format!("the repository would be in the mail root {}", root.display());
            return Err(Error::Sync {
                path: path.into(),
                found,
                advice: "name another directory with --repo DIR".into(),
            });
        }
        Repository::init(path)?;
        let own = path.join(OWN);
        fs::create_dir_all(&own).map_err(|source| Error::Io { path: own.clone(), doing: "cannot create", source })?;
        let file = own.join(REPLICA);
        if !file.exists() {
            write(&own, ReplicaId::random(), name, &real_root, &[])?;
        }
        Replica::open(root, path)
    }

    /// Opens it.
    pub fn open(root: &Path, path: &Path) -> Result<Replica> {
        let file = path.join(OWN).join(REPLICA);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let found = "is not synchronised with anything".into();
                let advice = format!("begin with: maildex sync init {}", root.display());
                return Err(Error::Sync { path: root.into(), found, advice });
            }
            Err(source) => return Err(Error::Io { path: file, doing: "cannot read", source }),
        };
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let Some(id) = value("id").and_then(|id| ReplicaId::parse(id.as_bytes())) else {
            let found = "does not say which replica it is".into();
            let advice = "put it back from a back-up; or make a new replica in another directory".into();
            return Err(Error::Sync { path: file, found, advice });
        };
        let theirs = value("root").unwrap_or_default();
        if Path::new(theirs) != real(root)? {
            let found = format!("the repository {} is that of {theirs}", path.display());
            let advice = "each mail root has a repository of its own: name another directory with --repo DIR".into();
            return Err(Error::Sync { path: root.into(), found, advice });
        }
        let name = value("name").unwrap_or_default().to_string();
        let was = text.lines().filter_map(|line| ReplicaId::parse(line.strip_prefix("was ")?.as_bytes())).collect();
        let repository = Repository::open(path)?;
        Ok(Replica { root: root.into(), id, was, name, repository, path: path.into() })
    }

    /// The same mail root as another replica, from now on.
    pub(super) fn renamed(&self, id: ReplicaId) -> Result<Replica> {
        let was = [self.was.as_slice(), &[self.id]].concat();
        write(&self.own(), id, &self.name, &real(&self.root)?, &was)?;
        let (root, path) = (self.root.clone(), self.path.clone());
        Ok(Replica { root, id, was, name: self.name.clone(), repository: self.repository.clone(), path })
    }

    /// Our own directory in the repository.
    pub fn own(&self) -> PathBuf {
        self.path.join(OWN)
    }

    /// How long mail that others have removed is kept.
    pub fn trash_kept(&self) -> Result<Duration> {
        let days = self.repository.setting(TRASH_DAYS)?.and_then(|days| days.parse::<u32>().ok());
        Ok(days.map_or(KEPT, |days| Duration::from_secs(u64::from(days) * 24 * 3600)))
    }

    /// Says so.
    pub fn set_trash_days(&self, days: u32) -> Result<()> {
        self.repository.set(TRASH_DAYS, &days.to_string())
    }

    /// Mail that others have removed.
    pub fn trash(&self) -> Trash {
        Trash::at(self.own().join("trash"))
    }
}

/// Writes down which replica it is.
fn write(own: &Path, id: ReplicaId, name: &str, root: &Path, was: &[ReplicaId]) -> Result<()> {
    let mut text = format!("id {id}\nname {name}\nroot {}\n", root.display());
    for id in was {
        let _ = writeln!(text, "was {id}");
    }
    let (file, unfinished) = (own.join(REPLICA), own.join("replica.tmp"));
    let written = fs::File::create(&unfinished).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&unfinished, &file)?;
        fs::File::open(own)?.sync_all()
    });
    written.map_err(|source| Error::Io { path: file, doing: "cannot write", source })
}

fn real(path: &Path) -> Result<PathBuf> {
    let failed = |source| Error::Io { path: path.into(), doing: "cannot find out the real path", source };
    fs::canonicalize(path).map_err(failed)
}

/// The real path of something that need not be there yet.
fn real_parent(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match absolute.ancestors().find(|above| above.exists()) {
        Some(above) => Ok(real(above)?.join(absolute.strip_prefix(above).unwrap_or(Path::new("")))),
        None => Ok(absolute),
    }
}
