//! A run that is killed at any of its system calls: the next one ends as if nothing had happened.
//!
//! One pair of replicas lives through all of it. In each round the same things happen to new mail, one run is killed at
//! another place, and then all meet; what comes of it, counted from UIDNEXT at the beginning, is what comes of a round in
//! which nobody is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use maildex::sync::guid;

use super::replica::Replica;
use crate::mailbox::{figures, long, mail, skipped};
use crate::sweep::{CALLS, SIGKILL, STRACE, strace_works};
use crate::tally::Tally;

/// Whose run is killed, and what it has to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The second replica: it takes up mail, flags, moves and removals, and has some of its own, under the same numbers.
    Receives,
    /// The first one: it tells of mail, flags, a move, a removal, and of folders that were made, renamed and removed.
    Sends,
}

/// What is in a folder after a round: UIDs from UIDNEXT before it on, base names without the round, flags.
type Found = Vec<BTreeMap<u64, (String, String)>>;

struct Pair {
    replicas: Vec<Replica>,
    _hub: tempfile::TempDir,
    side: Side,
    round: usize,
}

impl Pair {
    fn new(side: Side) -> Pair {
        let (replicas, hub) = Replica::with_hub(2);
        make(&replicas[0], "archive");
        for sub in ["cur", "new", "tmp"] {
            fs::remove_dir(replicas[1].mailbox.file(sub)).expect("an empty root");
        }
        replicas[0].sync();
        replicas[1].sync();
        Pair { replicas, _hub: hub, side, round: 0 }
    }

    /// Which one is killed.
    fn victim(&self) -> usize {
        usize::from(self.side == Side::Receives)
    }

    fn name(&self, mail: &str) -> String {
        format!("{}.{:04}.{mail}", 1_700_000_000 + self.round, self.round)
    }

    /// A folder of this round.
    fn folder(&self, name: &str) -> String {
        format!("{name}.{:04}", self.round)
    }

    /// The folders in which mail is left: two that stay, and two of the round.
    fn folders(&self) -> Vec<String> {
        let mut folders = vec![String::new(), "archive".into()];
        if self.side == Side::Sends {
            folders.extend([self.folder("made"), self.folder("renamed")]);
        }
        folders
    }

    /// Contents of two mails that get new numbers in this order: that of their guids.
    fn in_order(&self, mails: [&str; 2]) -> [String; 2] {
        let guid = |name: &str, text: &str| guid::of(self.name(name).as_bytes(), &mut text.as_bytes()).expect("bytes");
        let first = mail(mails[0]);
        let texts = (0..).map(|n| mail(&format!("{} {n}", mails[1])));
        let second = texts.into_iter().find(|text| guid(mails[1], text) > guid(mails[0], &first)).expect("one of many");
        [first, second]
    }

    /// What happens in a round before the run that may be killed.
    fn prepare(&mut self) {
        if self.side == Side::Sends && self.round > 0 {
            for folder in ["made", "renamed"] {
                fs::remove_dir_all(self.replicas[0].mailbox.file(self.folder(folder))).expect("remove a folder");
            }
        }
        self.round += 1;
        match self.side {
            Side::Receives => self.prepare_to_receive(),
            Side::Sends => self.prepare_to_send(),
        }
        for replica in &self.replicas {
            replica.mailbox.run(["build", "-r"]).ok();
        }
    }

    fn prepare_to_receive(&self) {
        let [a, b] = [&self.replicas[0].mailbox, &self.replicas[1].mailbox];
        let names = ["back", "flagged", "gone", "moved"].map(|mail| self.name(mail));
        let [in_back, in_moved] = self.in_order(["back", "moved"]);
        for (name, text) in names.iter().zip([in_back, mail("flagged"), mail("gone"), in_moved]) {
            a.deliver(format!("cur/{name}:2,"), text);
        }
        self.replicas[0].sync();
        self.replicas[1].sync();
        self.replicas[1].mailbox.run(["inc"]).ok();
        let [back, flagged, gone, moved] = names;
        a.rename(format!("cur/{moved}:2,"), format!("archive/cur/{moved}:2,"));
        a.remove(format!("cur/{gone}:2,"));
        a.rename(format!("cur/{flagged}:2,"), format!("cur/{flagged}:2,S"));
        let [in_a, in_b] = self.in_order(["from.a", "from.b"]);
        a.deliver(format!("new/{}", self.name("from.a")), in_a);
        b.deliver(format!("new/{}", self.name("from.b")), in_b);
        b.rename(format!("cur/{flagged}:2,"), format!("cur/{flagged}:2,F"));
        b.rename(format!("cur/{back}:2,"), format!("archive/cur/{back}:2,R"));
        self.replicas[0].mailbox.run(["build", "-r"]).ok();
        self.replicas[0].sync();
    }

    fn prepare_to_send(&self) {
        let a = &self.replicas[0].mailbox;
        let [flagged, gone, moved] = ["flagged", "gone", "moved"].map(|mail| self.name(mail));
        for name in [&flagged, &gone, &moved] {
            a.deliver(format!("cur/{name}:2,"), mail(name));
        }
        for folder in ["old", "gone"] {
            let folder = self.folder(folder);
            make(&self.replicas[0], &folder);
            a.deliver(format!("{folder}/cur/{}:2,", self.name("within")), mail(&folder));
        }
        self.replicas[0].sync();
        self.replicas[1].sync();
        a.rename(format!("cur/{moved}:2,"), format!("archive/cur/{moved}:2,"));
        a.remove(format!("cur/{gone}:2,"));
        a.rename(format!("cur/{flagged}:2,"), format!("cur/{flagged}:2,S"));
        a.deliver(format!("new/{}", self.name("from.a")), mail("from a"));
        a.rename(self.folder("old"), self.folder("renamed"));
        fs::remove_dir_all(a.file(self.folder("gone"))).expect("remove a folder");
        let made = self.folder("made");
        make(&self.replicas[0], &made);
        a.deliver(format!("{made}/new/{}", self.name("first")), mail("first"));
    }

    /// UIDNEXT of the folders that stay, by what the first replica shows.
    fn start(&mut self) -> Vec<u64> {
        ["", "archive"].map(|folder| self.replicas[0].look(folder).0).to_vec()
    }

    /// Lets both meet until nothing is new, and says what is in the folders.
    fn meet(&mut self, start: &[u64]) -> Found {
        for at in [0, 1, 0, 1] {
            self.replicas[at].sync();
        }
        let mut found = Vec::new();
        for (folder, start) in self.folders().iter().zip(start.iter().chain(&[1, 1])) {
            let shown: Vec<_> = self.replicas.iter_mut().map(|replica| replica.look(folder)).collect();
            assert_eq!(shown[0], shown[1], "{folder:?}");
            let mark = format!(".{:04}.", self.round);
            let relative = shown[0].1.iter().filter_map(|(uid, (base, flags))| {
                let mail = base.split_once(&mark)?.1.to_string();
                Some((uid.wrapping_sub(*start), (mail, flags.clone())))
            });
            found.push(relative.collect());
        }
        for replica in &self.replicas {
            replica.mailbox.run(["check", "-r"]).ok();
            let tmp = fs::read_dir(replica.mailbox.file("tmp")).expect("tmp").count();
            assert_eq!(tmp, 0, "left over in tmp");
            for gone in ["old", "gone"].map(|folder| replica.mailbox.file(self.folder(folder))) {
                assert!(!gone.exists(), "{}", gone.display());
            }
        }
        found
    }

    /// The changing calls of a run of the victim, without those of git: name, and which one of that name.
    fn points(&mut self) -> Vec<(String, usize)> {
        self.prepare();
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let victim = &self.replicas[self.victim()];
        let mut command = traced(victim, log.path().to_str().expect("UTF-8"), None);
        victim.mailbox.finish(&mut command).ok();
        let log = fs::read_to_string(log.path()).expect("the log of strace");
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut points = Vec::new();
        for (name, arguments) in log.lines().filter_map(|line| line.split_once('(')) {
            if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let nth = counts.entry(name).or_default();
                *nth += 1;
                let opens = matches!(name, "open" | "openat");
                if !opens || arguments.contains("O_CREAT") || arguments.contains("O_TMPFILE") {
                    points.push((name.to_string(), *nth));
                }
            }
        }
        points
    }
}

/// Makes a folder below the root, some time ago: then its UIDVALIDITY need not be waited for.
fn make(replica: &Replica, folder: &str) {
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(replica.mailbox.file(folder).join(sub)).expect("make a folder");
    }
    let past = SystemTime::now() - Duration::from_hours(1);
    let folder = fs::File::open(replica.mailbox.file(folder)).expect("open the folder");
    folder.set_times(fs::FileTimes::new().set_modified(past)).expect("set its time");
}

fn traced(replica: &Replica, log: &str, kill: Option<&(String, usize)>) -> Command {
    let run = replica.mailbox.command(["sync", "run"]);
    let mut strace = Command::new("strace");
    // Without -f: what git does it does to its own files, and whole.
    strace.args(["-o", log, "-e", &format!("trace={CALLS}")]);
    if let Some((name, nth)) = kill {
        strace.args(["-e", &format!("inject={name}:signal=KILL:when={nth}")]);
    }
    strace.arg(run.get_program()).args(run.get_args());
    for (key, value) in run.get_envs() {
        match value {
            Some(value) => strace.env(key, value),
            None => strace.env_remove(key),
        };
    }
    strace
}

/// Kills every so-manieth of the changing calls.
fn sweep(side: Side, step: usize) {
    if !strace_works() {
        return skipped("kill sweep of sync", STRACE);
    }
    let mut pair = Pair::new(side);
    let points = pair.points();
    assert!(points.len() > 50, "{points:?}");
    pair.meet(&[1, 1]);
    // As it should be.
    pair.prepare();
    let start = pair.start();
    pair.replicas[pair.victim()].sync();
    let expected = pair.meet(&start);
    assert_eq!(expected.iter().map(BTreeMap::len).sum::<usize>(), 5, "{expected:?}");
    let (mut tried, mut kills, mut others) = (0, 0, Vec::new());
    for point in points.iter().step_by(if long() { 1 } else { step }) {
        pair.prepare();
        let start = pair.start();
        let victim = &pair.replicas[pair.victim()];
        let output = traced(victim, "/dev/null", Some(point)).output().expect("strace");
        let killed = output.status.signal() == Some(SIGKILL);
        assert!(killed || output.status.success(), "{point:?}: {output:?}");
        (tried, kills) = (tried + 1, kills + usize::from(killed));
        victim.sync();
        let found = pair.meet(&start);
        assert_eq!(mails(&found), mails(&expected), "{point:?}");
        if found != expected {
            others.push(format!("{point:?}: {found:?}"));
        }
    }
    Tally::CrashPoints.add(kills);
    figures(&format!(
        "sync that {} killed at {tried} of {} system calls: {kills} kills, mail and flags always as undisturbed, other UIDs {} times",
        if side == Side::Sends { "sends" } else { "receives" },
        points.len(),
        others.len()
    ));
    // How often a call is made depends on the moment; a run that did not come so far was not killed.
    assert!(kills * 2 >= tried, "{kills} of {tried}");
    assert!(others.is_empty(), "{others:#?}");
}

/// What is in each folder, without UIDs.
fn mails(found: &Found) -> Vec<Vec<(String, String)>> {
    let sorted = |folder: &BTreeMap<u64, (String, String)>| {
        let mut mails: Vec<_> = folder.values().cloned().collect();
        mails.sort();
        mails
    };
    found.iter().map(sorted).collect()
}

#[test]
fn a_run_that_is_killed_anywhere_is_completed_by_the_next() {
    sweep(Side::Receives, 9);
}

#[test]
fn a_run_that_tells_is_completed_by_the_next_wherever_it_was_killed() {
    sweep(Side::Sends, 11);
}
