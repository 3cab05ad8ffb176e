//! A replica for the tests, and what must hold for it at any time, read from its Maildirs and lists of UIDs alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::mailbox::{Mailbox, Run};

/// What a folder shows: UIDNEXT, and of each UID base name and flags.
pub type Shown = (u64, BTreeMap<u64, (String, String)>);

/// A mail root with its repository.
pub struct Replica {
    pub mailbox: Mailbox,
    /// Everything that was ever shown of a folder: UIDVALIDITY, UIDNEXT, and whose each UID was.
    history: BTreeMap<String, (u64, u64, BTreeMap<u64, String>)>,
}

impl Replica {
    /// In memory, where there is one.
    pub fn new() -> Replica {
        Replica::of(Mailbox::in_memory())
    }

    /// Of a mail root.
    pub fn of(mailbox: Mailbox) -> Replica {
        let replica = Replica { mailbox, history: BTreeMap::new() };
        let repository = replica.repository();
        let repository = repository.to_str().expect("a path in UTF-8");
        replica.mailbox.run(["sync", "init", "--repo", repository, "--name", "test"]).ok();
        replica
    }

    /// Replicas that meet in a bare repository, which is returned, too.
    pub fn with_hub(count: usize) -> (Vec<Replica>, tempfile::TempDir) {
        let hub = hub();
        let path = hub.path().to_str().expect("a path in UTF-8");
        let replicas: Vec<_> = (0..count).map(|_| Replica::new()).collect();
        for replica in &replicas {
            replica.mailbox.run(["sync", "add-peer", "hub", path]).ok();
        }
        (replicas, hub)
    }

    pub fn repository(&self) -> PathBuf {
        self.mailbox.path().with_file_name("repository")
    }

    /// `sync run`, which must end well.
    #[track_caller]
    pub fn sync(&self) -> Run {
        self.mailbox.run(["sync", "run"]).ok()
    }

    /// Tells what happened here, before it hears of anybody: as when another one runs at the same moment.
    pub fn tell(&self) {
        let path = self.repository().join("config");
        let config = fs::read_to_string(&path).expect("the configuration");
        let hub = config.lines().find_map(|line| line.trim().strip_prefix("url = ")).expect("a hub");
        self.meets(None);
        self.sync();
        fs::write(&path, &config).expect("write the configuration");
        let mut push = Command::new("git");
        push.arg("--git-dir").arg(self.repository()).args([
            "push",
            "--quiet",
            hub,
            "refs/maildex/r/*:refs/maildex/r/*",
        ]);
        let output = push.output().expect("git");
        assert!(output.status.success(), "{output:?}");
    }

    /// Talks to this one alone from now on, or to nobody.
    pub fn meets(&self, peer: Option<&Replica>) {
        let path = self.repository().join("config");
        let text = fs::read_to_string(&path).expect("the configuration");
        let own = text.split("[maildex-remote").next().expect("the first part");
        let peer = peer.map_or(String::new(), |peer| {
            format!("[maildex-remote \"peer\"]\n\turl = {}\n", peer.repository().display())
        });
        fs::write(path, format!("{own}{peer}")).expect("write the configuration");
    }

    /// A file of the folder with this base name, as `new/NAME` or `cur/NAME`.
    #[track_caller]
    pub fn file(&self, folder: &str, base: &str) -> PathBuf {
        let dir = self.mailbox.file(folder);
        let names = ["new", "cur"].iter().flat_map(|sub| fs::read_dir(dir.join(sub)).into_iter().flatten());
        let mut paths = names.map(|entry| entry.expect("an entry").path());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_str().expect("UTF-8");
            name.split(':').next() == Some(base)
        };
        paths.find(is_it).unwrap_or_else(|| panic!("{base} is not in {}", dir.display()))
    }

    /// Base names and flags of what is in a folder.
    pub fn files(&self, folder: &str) -> BTreeSet<(String, String)> {
        let dir = self.mailbox.file(folder);
        let names = ["new", "cur"].iter().flat_map(|sub| fs::read_dir(dir.join(sub)).into_iter().flatten());
        names
            .map(|entry| {
                let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
                let (base, flags) = name.split_once(":2,").unwrap_or((&name, ""));
                (base.to_string(), flags.to_string())
            })
            .collect()
    }

    /// A verb on a folder below the root.
    #[track_caller]
    pub fn on(&self, folder: &str, verb: &[&str]) -> Run {
        let mut command = Command::new(crate::mailbox::maildex());
        command.args(verb).arg(self.mailbox.file(folder));
        self.mailbox.finish(&mut command)
    }

    /// What a folder shows now. It must agree with its files, and with everything that was shown before: no UID comes to
    /// mean another mail, none comes up below what was UIDNEXT, UIDVALIDITY and UIDNEXT stay or rise.
    #[track_caller]
    pub fn look(&mut self, folder: &str) -> Shown {
        let text = self.on(folder, &["uids", "export"]).ok().text();
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().expect("a header").split('\t').collect();
        let number = |at: usize, key: &str| -> u64 {
            let value = header[at].strip_prefix(key).expect("as it is written").trim();
            value.parse().expect("a number")
        };
        let (uid_validity, uid_next) = (number(1, "uidvalidity"), number(2, "uidnext"));
        let listed: Vec<(u64, String)> = lines
            .map(|line| {
                let (uid, base) = line.split_once('\t').expect("two fields");
                (uid.parse().expect("a UID"), base.to_string())
            })
            .collect();
        let files = self.files(folder);
        let bases: Vec<&String> = listed.iter().map(|(_, base)| base).collect();
        let distinct: BTreeSet<&String> = bases.iter().copied().collect();
        assert!(
            bases.len() == distinct.len() && distinct == files.iter().map(|(base, _)| base).collect(),
            "{folder}: each file has one UID: {listed:?}, {files:?}"
        );
        let first = (uid_validity, 1, BTreeMap::new());
        let (validity, announced, shown) = self.history.entry(folder.to_string()).or_insert(first);
        assert_eq!(*validity, uid_validity, "{folder}: UIDVALIDITY never changes");
        assert!(uid_next >= *announced, "{folder}: UIDNEXT was {announced} and is {uid_next}");
        for (uid, base) in &listed {
            match shown.get(uid) {
                Some(before) => assert_eq!(before, base, "{folder}: UID {uid} was another mail"),
                None => assert!(uid >= announced, "{folder}: UID {uid} is new, and UIDNEXT was {announced}"),
            }
            shown.insert(*uid, base.clone());
        }
        *announced = uid_next;
        let flags: BTreeMap<String, String> = files.into_iter().collect();
        (uid_next, listed.into_iter().map(|(uid, base)| (uid, (base.clone(), flags[&base].clone()))).collect())
    }
}

/// An empty bare repository.
pub fn hub() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let at = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let hub = tempfile::tempdir_in(at).expect("a temporary directory");
    let made = Command::new("git").args(["init", "--quiet", "--bare"]).arg(hub.path()).output().expect("git");
    assert!(made.status.success(), "{made:?}");
    hub
}
