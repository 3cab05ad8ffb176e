//! Replicas that were copied, or put back from a back-up: no mail is lost, and no UID comes to mean another mail.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::replica::Replica;
use crate::mailbox::{Run, mail};

/// A copy as back-ups make one: with all times, owners and modes.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(done.success(), "{} to {}", from.display(), to.display());
}

/// What is to be saved of a replica.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Root,
    Repository,
    Both,
}

impl What {
    fn paths(self, replica: &Replica) -> Vec<std::path::PathBuf> {
        match self {
            What::Root => vec![replica.mailbox.path()],
            What::Repository => vec![replica.repository()],
            What::Both => vec![replica.mailbox.path(), replica.repository()],
        }
    }

    fn save(self, replica: &Replica) {
        for path in self.paths(replica) {
            copy(&path, &path.with_extension("saved"));
        }
    }

    fn restore(self, replica: &Replica) {
        for path in self.paths(replica) {
            fs::remove_dir_all(&path).expect("lose it");
            copy(&path.with_extension("saved"), &path);
        }
    }
}

/// Everything that two replicas have shown, and what must be there in the end.
struct Stage {
    replicas: Vec<Replica>,
    hub: tempfile::TempDir,
    delivered: usize,
}

impl Stage {
    fn new() -> Stage {
        let (replicas, hub) = Replica::with_hub(2);
        let mut stage = Stage { replicas, hub, delivered: 0 };
        stage.deliver(0, 3);
        stage.run(0).ok();
        stage.run(1).ok();
        stage.meet();
        stage
    }

    fn deliver(&mut self, at: usize, count: usize) {
        for _ in 0..count {
            self.delivered += 1;
            let n = self.delivered;
            self.replicas[at].mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
        }
    }

    /// Each is looked at whenever it may have given out numbers, as by a mail program.
    fn look(&mut self) {
        for replica in &mut self.replicas {
            replica.look("");
        }
    }

    fn run(&self, at: usize) -> Run {
        self.replicas[at].mailbox.run(["sync", "run"])
    }

    #[track_caller]
    fn meet(&mut self) {
        for at in [0, 1, 0, 1] {
            self.run(at).ok();
            self.look();
        }
    }

    /// All mail is on both, under the same numbers, and nothing more happens.
    #[track_caller]
    fn agree(&mut self) {
        self.meet();
        let shown: Vec<_> = self.replicas.iter_mut().map(|replica| replica.look("")).collect();
        assert_eq!(shown[0], shown[1]);
        let bases: BTreeSet<&String> = shown[0].1.values().map(|(base, _)| base).collect();
        assert_eq!(bases.len(), self.delivered, "{bases:?}");
        for at in [0, 1] {
            let done = self.run(at).ok();
            assert_eq!(done.errors(), "", "all was said");
            self.replicas[at].mailbox.run(["check"]).ok();
        }
    }

    fn id(&self, at: usize) -> String {
        let text = self.replicas[at].mailbox.run(["sync", "status"]).ok().text();
        text.lines().find_map(|line| line.strip_prefix("replica\t")).expect("an id").to_string()
    }
}

#[test]
fn a_replica_that_was_put_back_loses_no_mail_and_gives_out_no_number_twice() {
    for what in [What::Root, What::Repository, What::Both] {
        let mut stage = Stage::new();
        what.save(&stage.replicas[0]);
        let mut ids = BTreeSet::from([stage.id(0)]);
        // Twice from the same one. Meanwhile it does what all replicas do, and others hear of it.
        for life in 0..2 {
            stage.deliver(0, 4);
            stage.run(0).ok();
            stage.look();
            stage.deliver(1, 2);
            stage.run(1).ok();
            stage.look();
            what.restore(&stage.replicas[0]);
            // Mail comes before anybody has noticed.
            stage.deliver(0, 3);
            let told = stage.run(0).ok();
            assert!(told.errors().contains("goes on as a new replica"), "life {life}: {told}");
            assert!(ids.insert(stage.id(0)), "life {life}: it is a new one");
            stage.agree();
            assert!(!ids.insert(stage.id(0)), "and only once");
        }
    }
}

#[test]
fn mail_whose_index_is_lost_gets_its_numbers_back() {
    let mut stage = Stage::new();
    let before = stage.replicas[0].look("");
    for name in stage.replicas[0].mailbox.own_files().into_keys() {
        stage.replicas[0].mailbox.remove(name);
    }
    stage.deliver(0, 1);
    stage.run(0).ok();
    let after = stage.replicas[0].look("");
    for (uid, shown) in &before.1 {
        assert_eq!(after.1.get(uid), Some(shown), "UID {uid}");
    }
    stage.agree();
}

#[test]
fn two_of_one_replica_become_two() {
    // As a virtual machine that is cloned: nothing tells but what others have heard. Inodes and births are other ones here,
    // so the seal is taken away, as if it fitted.
    let mut stage = Stage::new();
    let hub = stage.hub.path().to_str().expect("UTF-8").to_string();
    let twin = Replica::new();
    let (root, repository) = (twin.mailbox.path(), twin.repository());
    for path in [&root, &repository] {
        fs::remove_dir_all(path).expect("make room");
    }
    copy(&stage.replicas[0].mailbox.path(), &root);
    copy(&stage.replicas[0].repository(), &repository);
    let file = repository.join("maildex/replica");
    let text = fs::read_to_string(&file).expect("the replica");
    let old_root = stage.replicas[0].mailbox.path().canonicalize().expect("a path");
    let new_root = root.canonicalize().expect("a path");
    fs::write(&file, text.replace(old_root.to_str().expect("UTF-8"), new_root.to_str().expect("UTF-8")))
        .expect("write");
    let config = fs::read_to_string(repository.join("config")).expect("the configuration");
    assert!(config.contains(&hub));
    for own in [repository.join("maildex/seal"), stage.replicas[0].repository().join("maildex/seal")] {
        fs::remove_file(own).expect("as if it fitted");
    }
    stage.replicas.push(twin);
    // Both are at work at once, and neither has heard of the other when it commits.
    stage.deliver(0, 2);
    stage.deliver(2, 3);
    stage.run(0).ok();
    fs::rename(&hub, format!("{hub}.away")).expect("the hub is away");
    stage.run(2).fails_with(4);
    fs::rename(format!("{hub}.away"), &hub).expect("and comes back");
    let told = stage.run(2).ok();
    assert!(told.errors().contains("or there are two of it"), "{told}");
    for _ in 0..2 {
        for at in [0, 1, 2] {
            stage.run(at).ok();
            stage.look();
        }
    }
    let shown: Vec<_> = stage.replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0], shown[2]);
    assert_eq!(shown[0].1.len(), stage.delivered);
    assert_ne!(stage.id(0), stage.id(2));
}

#[test]
fn a_root_that_is_away_and_comes_back_is_the_same() {
    let mut stage = Stage::new();
    let id = stage.id(0);
    let (root, away) = (stage.replicas[0].mailbox.path(), stage.replicas[0].mailbox.path().with_file_name("away"));
    fs::rename(&root, &away).expect("unmount");
    fs::create_dir(&root).expect("an empty mount point");
    stage.run(0).fails_with(4).stderr_shows("3 of 3 messages are gone here");
    fs::remove_dir(&root).expect("the mount point");
    fs::rename(&away, &root).expect("mount");
    stage.deliver(0, 1);
    stage.agree();
    assert_eq!(stage.id(0), id);
}

#[test]
fn a_peer_that_forges_what_it_has_heard_takes_no_mail_away() {
    let mut stage = Stage::new();
    stage.deliver(0, 2);
    let hub = stage.hub.path().to_path_buf();
    // What was not told yet must not pass for heard.
    let away = hub.with_extension("away");
    fs::rename(&hub, &away).expect("the hub is away");
    stage.run(0).fails_with(4);
    fs::rename(&away, &hub).expect("and comes back");
    let id = stage.id(0);
    let id = id.split(' ').next().expect("an id");
    let git = |args: &[&str], input: &str| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&hub).args(args).stdin(std::process::Stdio::piped());
        let mut git = git.stdout(std::process::Stdio::piped()).spawn().expect("git");
        std::io::Write::write_all(&mut git.stdin.take().expect("a pipe"), input.as_bytes()).expect("git reads");
        let output = git.wait_with_output().expect("git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let tip = git(&["rev-parse", &format!("refs/maildex/r/{id}")], "");
    let heard = git(&["cat-file", "blob", &format!("{}:vv", tip.trim())], "");
    let line = |line: &str| if line.starts_with(id) { format!("{id}\t1000000\n") } else { format!("{line}\n") };
    let forged = heard.lines().map(line).fold(String::new(), |text, line| text + &line);
    let stream = format!(
        "commit refs/maildex/r/00000000000000ff\ncommitter x <x@x> 0 +0000\ndata 0\nfrom {}\nM 100644 inline vv\ndata {}\n{forged}\n",
        tip.trim(),
        forged.len()
    );
    git(&["fast-import", "--quiet"], &stream);
    stage.run(1).ok();
    let told = stage.run(0).ok();
    assert!(told.errors().contains("others know more of it than it does"), "{told}");
    assert_ne!(stage.id(0).split(' ').next(), Some(id));
    stage.agree();
}
