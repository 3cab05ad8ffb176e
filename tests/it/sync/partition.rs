//! Three replicas and a hub behind an sshd, each at work by itself, while the network comes, goes, and breaks off in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::far::{Sshd, url};
use super::replica::{Replica, Shown, hub};
use crate::mailbox::{Run, figures, long, mail, maildex};
use crate::tally::Tally;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// What was done to a mail, on whatever replica.
#[derive(Default)]
struct Fate {
    touched_on: BTreeSet<usize>,
    was_removed: bool,
    was_removed_last: bool,
}

/// What all replicas see.
struct World {
    /// The sshd, and whether it runs.
    sshd: Mutex<(Sshd, bool)>,
    /// How often it was stopped or started.
    changes: AtomicUsize,
    fates: Mutex<BTreeMap<String, Fate>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    operations: usize,
    looks: usize,
    partitions: usize,
    syncs: usize,
    syncs_that_failed: usize,
    numbers_burnt: usize,
}

/// A replica, and who works on it.
struct Site<'a> {
    at: usize,
    replica: Replica,
    home: tempfile::TempDir,
    random: Random,
    is_cut_off: bool,
    delivered: usize,
    made: usize,
    counts: Counts,
    world: &'a World,
}

/// A path below the mail root.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.into() } else { format!("{folder}/{name}") }
}

impl Site<'_> {
    fn new<'a>(at: usize, hub: &Path, world: &'a World) -> Site<'a> {
        let home = tempfile::tempdir().expect("a home");
        let site = Site {
            at,
            replica: Replica::new(),
            home,
            random: Random(0x9e37_79b9_7f4a_7c15 ^ (at as u64 + 1)),
            is_cut_off: false,
            delivered: 0,
            made: 0,
            counts: Counts::default(),
            world,
        };
        let (sshd, path) = (world.sshd.lock().expect("nobody panicked"), site.home.path().display());
        // Byte by byte: who asks waits for an answer to what it has said so far. What git waits for is the one that breaks off,
        // and nobody else holds the pipe to it.
        let wrapper = format!(
            "#!/bin/sh\nread -r how bytes < {path}/network\nset -- ssh -F {} \"$@\"\npipe={path}/pipe.$$\nexec 3<&0\ncase $how in\nwhole) exec \"$@\" ;;\nhears) mkfifo $pipe && {{ \"$@\" <&3 >$pipe & exec dd bs=1 count=$bytes status=none <$pipe 3<&-; }} ;;\ntells) mkfifo $pipe && {{ dd bs=1 count=$bytes status=none <&3 >$pipe & exec \"$@\" <$pipe 3<&-; }} ;;\nesac\necho 'no route to host' >&2\nexit 255\n",
            sshd.0.file("ssh_config").display()
        );
        fs::write(site.home.path().join("ssh"), wrapper).expect("write");
        fs::set_permissions(site.home.path().join("ssh"), fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::write(site.home.path().join(".gitconfig"), format!("[core]\n\tsshCommand = {path}/ssh\n")).expect("write");
        fs::write(site.home.path().join("network"), "whole 0\n").expect("write");
        let url = url(hub);
        drop(sshd);
        site.run(&["sync", "add-peer", "hub", &url]).ok();
        site
    }

    /// Runs a verb on the mail root.
    fn run(&self, args: &[&str]) -> Run {
        let mut command = self.replica.mailbox.command(args);
        command.env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").env_remove("SSH_AUTH_SOCK");
        self.replica.mailbox.finish(&mut command)
    }

    /// Runs a verb on a folder.
    fn on(&self, verb: &str, folder: &str, args: &[&str]) -> Run {
        let mut command = Command::new(maildex());
        command.arg(verb).arg(self.replica.mailbox.file(folder)).args(args);
        self.replica.mailbox.finish(&mut command)
    }

    /// All folders that are there now.
    fn folders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.replica.mailbox.path()).expect("the mail root");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let is_folder = |name: &String| self.replica.mailbox.file(name).join("cur").is_dir();
        let mut folders: Vec<_> = names.filter(is_folder).chain([String::new()]).collect();
        folders.sort();
        folders
    }

    fn folder(&mut self) -> String {
        let folders = self.folders();
        folders[self.random.below(folders.len())].clone()
    }

    /// What all folders show.
    fn look(&mut self) -> Vec<(String, Shown)> {
        self.folders().into_iter().map(|folder| (folder.clone(), self.replica.look(&folder))).collect()
    }

    /// One thing that somebody does.
    fn work(&mut self) {
        self.counts.operations += 1;
        let folder = self.folder();
        match self.random.below(24) {
            0..=6 => self.deliver(&folder),
            act @ 7..=17 => self.change(act, &folder),
            18 if self.made < 4 => {
                let made = format!("made-{}-{}", self.at, self.made);
                for sub in ["cur", "new", "tmp"] {
                    fs::create_dir_all(self.replica.mailbox.file(&made).join(sub)).expect("make a folder");
                }
                self.made += 1;
                self.deliver(&made);
                self.on("build", &made, &[]).ok();
            }
            18..=20 => self.network(),
            _ => self.sync(),
        }
        if self.random.below(2) == 0 {
            self.replica.look(&folder);
            self.counts.looks += 1;
        }
    }

    fn deliver(&mut self, folder: &str) {
        self.delivered += 1;
        let base = format!("{}.r{}", self.delivered, self.at);
        self.world.fates.lock().expect("nobody panicked").insert(base.clone(), Fate::default());
        self.replica.mailbox.deliver(below(folder, &format!("new/{base}")), mail(&base));
    }

    /// Changes a mail of the folder, as maildex or another program does it.
    fn change(&mut self, act: usize, folder: &str) {
        let files: Vec<_> = self.replica.files(folder).into_iter().collect();
        if files.is_empty() {
            return self.deliver(folder);
        }
        let (base, flags) = &files[self.random.below(files.len())];
        let by_verb = self.random.below(2) == 0;
        let path = self.replica.file(folder, base);
        let name = format!("cur/{base}:2,{flags}");
        match act {
            7..=12 => {
                let letter = ["F", "R", "S"][self.random.below(3)];
                let has = flags.contains(letter);
                if by_verb {
                    let change = format!("{}{letter}", if has { '-' } else { '+' });
                    self.on("flag", folder, &[&change, base]).ok();
                } else {
                    let mut letters: BTreeSet<&str> = flags.split_terminator("").filter(|f| !f.is_empty()).collect();
                    if !letters.remove(letter) {
                        letters.insert(letter);
                    }
                    let letters: String = letters.into_iter().collect();
                    fs::rename(path, self.replica.mailbox.file(below(folder, &format!("cur/{base}:2,{letters}"))))
                        .expect("flag the mail");
                }
            }
            13..=15 => {
                let to = self.folder();
                // It may be there already, moved elsewhere meanwhile.
                if self.replica.files(&to).iter().any(|(there, _)| there == base) {
                    return;
                }
                // Not by `move`, which gives mail another name where its own was given out before; here names are what tells mails apart.
                fs::rename(path, self.replica.mailbox.file(below(&to, &name))).expect("move the mail");
            }
            _ if by_verb => drop(self.on("expunge", folder, &[base]).ok()),
            _ => fs::remove_file(path).expect("remove the mail"),
        }
        let mut fates = self.world.fates.lock().expect("nobody panicked");
        let fate = fates.get_mut(base).expect("it was delivered");
        fate.touched_on.insert(self.at);
        fate.was_removed_last = act > 15;
        fate.was_removed |= fate.was_removed_last;
    }

    /// The network of this replica changes, or the hub goes, or comes back.
    fn network(&mut self) {
        let mut sshd = self.world.sshd.lock().expect("nobody panicked");
        if !sshd.1 || self.random.below(6) == 0 {
            self.world.changes.fetch_add(1, Ordering::SeqCst);
            if sshd.1 {
                sshd.0.stop();
                self.counts.partitions += 1;
            } else {
                sshd.0.start();
            }
            sshd.1 = !sshd.1;
            return;
        }
        drop(sshd);
        let how = ["whole", "whole", "whole", "whole", "away", "hears", "tells"][self.random.below(7)];
        self.is_cut_off = how != "whole";
        self.counts.partitions += usize::from(self.is_cut_off);
        let bytes = 1 + (1 << self.random.below(16)) + self.random.below(100);
        fs::write(self.home.path().join("network"), format!("{how} {bytes}\n")).expect("write");
    }

    /// When the sshd was last changed, and whether it runs.
    fn hub(&self) -> (usize, bool) {
        let sshd = self.world.sshd.lock().expect("nobody panicked");
        (self.world.changes.load(Ordering::SeqCst), sshd.1)
    }

    /// Meets the others, if the network is there.
    fn sync(&mut self) {
        let before = self.hub();
        let run = self.run(&["sync", "run"]);
        self.counts.syncs += 1;
        self.counts.numbers_burnt += run.errors().matches(" is dead").count();
        if !self.is_cut_off && before.1 && self.hub() == before {
            run.ok();
        } else if run.code() != Some(0) {
            self.counts.syncs_that_failed += 1;
            run.fails_with(4).stderr_shows("peer hub (ssh://maildex-test/");
        }
    }
}

#[test]
fn replicas_that_are_cut_off_at_random_become_the_same() {
    let Some(sshd) = Sshd::new() else { return };
    let world =
        World { sshd: Mutex::new((sshd, true)), changes: AtomicUsize::new(0), fates: Mutex::new(BTreeMap::new()) };
    let hub = hub();
    let mut sites: Vec<_> = (0..3).map(|at| Site::new(at, hub.path(), &world)).collect();
    // They begin as one.
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(sites[0].replica.mailbox.file("archive").join(sub)).expect("make a folder");
        for site in &sites[1..] {
            fs::remove_dir(site.replica.mailbox.file(sub)).expect("an empty root");
        }
    }
    for _ in 0..5 {
        sites[0].deliver("");
    }
    sites.iter_mut().for_each(Site::sync);
    let (began, minutes, steps) = (Instant::now(), Duration::from_mins(10), 60);
    std::thread::scope(|scope| {
        for site in &mut sites {
            scope.spawn(move || {
                while if long() { began.elapsed() < minutes } else { site.counts.operations < steps } {
                    site.work();
                }
            });
        }
    });
    let worked = began.elapsed();
    // The network is whole again: all hear what all have told.
    {
        let mut sshd = world.sshd.lock().expect("nobody panicked");
        if !sshd.1 {
            sshd.0.start();
            sshd.1 = true;
        }
    }
    for site in &mut sites {
        fs::write(site.home.path().join("network"), "whole 0\n").expect("write");
        site.is_cut_off = false;
    }
    for _ in 0..3 {
        sites.iter_mut().for_each(Site::sync);
    }
    let shown: Vec<_> = sites.iter_mut().map(Site::look).collect();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0], shown[2]);
    for (site, shown) in sites.iter_mut().zip(&shown) {
        let done = site.run(&["sync", "run", "--json"]).ok().json().remove(0);
        for (key, count) in ["sent", "received"].iter().flat_map(|side| done[side].as_object().expect("counts")) {
            assert_eq!(count, 0, "replica {}: {key} in {done}", site.at);
        }
        assert_eq!(&site.look(), shown, "a further run changes nothing");
        site.run(&["check", "-r"]).ok();
    }
    let there: BTreeSet<&String> =
        shown[0].iter().flat_map(|(_, (_, uids))| uids.values().map(|(base, _)| base)).collect();
    let fates = world.fates.lock().expect("nobody panicked");
    for (base, fate) in &*fates {
        assert!(fate.was_removed || there.contains(base), "{base} is lost, and nobody has removed it");
        let is_gone_for_sure = fate.was_removed_last && fate.touched_on.len() == 1;
        assert!(
            !is_gone_for_sure || !there.contains(base),
            "{base} is back, and nobody but its remover has touched it"
        );
    }
    let sum = |count: fn(&Counts) -> usize| sites.iter().map(|site| count(&site.counts)).sum::<usize>();
    Tally::Operations.add(sum(|counts| counts.looks));
    figures(&format!(
        "sync: three replicas and a hub by ssh at work for {worked:.0?}: {} operations, {} partitions, {} syncs of which {} failed for the network, {} mails of which {} are left, {} numbers burnt; all three are the same",
        sum(|counts| counts.operations),
        sum(|counts| counts.partitions),
        sum(|counts| counts.syncs),
        sum(|counts| counts.syncs_that_failed),
        fates.len(),
        there.len(),
        sum(|counts| counts.numbers_burnt),
    ));
}
