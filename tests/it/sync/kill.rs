//! A run that is killed at any of its system calls: the next one ends as if nothing had happened.
//!
//! One pair of replicas lives through all of it. In each round the same things happen to new mail, one run is killed at
//! another place, and then all meet; what comes of it, counted from UIDNEXT at the beginning, is what comes of a round in
//! which nobody is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use maildex::sync::guid;

use super::replica::Replica;
use crate::mailbox::{figures, long, mail, skipped};
use crate::sweep::{CALLS, SIGKILL, STRACE, strace_works};
use crate::tally::Tally;

/// The folders of both, the first with UIDs that both give out.
const FOLDERS: [&str; 2] = ["", "archive"];

/// What is in a folder after a round: UIDs from UIDNEXT before it on, base names without the round, flags.
type Found = Vec<BTreeMap<u64, (String, String)>>;

struct Pair {
    replicas: Vec<Replica>,
    _hub: tempfile::TempDir,
    round: usize,
}

impl Pair {
    fn new() -> Pair {
        let (replicas, hub) = Replica::with_hub(2);
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(replicas[0].mailbox.file("archive").join(sub)).expect("a folder");
            fs::remove_dir(replicas[1].mailbox.file(sub)).expect("an empty root");
        }
        replicas[0].sync();
        replicas[1].sync();
        Pair { replicas, _hub: hub, round: 0 }
    }

    fn name(&self, mail: &str) -> String {
        format!("{}.{:04}.{mail}", 1_700_000_000 + self.round, self.round)
    }

    /// Contents of two mails that get new numbers in this order: that of their guids.
    fn in_order(&self, mails: [&str; 2]) -> [String; 2] {
        let guid = |name: &str, text: &str| guid::of(self.name(name).as_bytes(), &mut text.as_bytes()).expect("bytes");
        let first = mail(mails[0]);
        let texts = (0..).map(|n| mail(&format!("{} {n}", mails[1])));
        let second = texts.into_iter().find(|text| guid(mails[1], text) > guid(mails[0], &first)).expect("one of many");
        [first, second]
    }

    /// What happens in a round before the run that may be killed: on both sides mail comes, under the same numbers, moves,
    /// goes, and gets flags.
    fn prepare(&mut self) {
        self.round += 1;
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
        for replica in &self.replicas {
            replica.mailbox.run(["build", "-r"]).ok();
        }
    }

    /// UIDNEXT of both folders, by what the first replica shows.
    fn start(&mut self) -> Vec<u64> {
        FOLDERS.map(|folder| self.replicas[0].look(folder).0).to_vec()
    }

    /// Lets both meet until nothing is new, and says what is in the folders.
    fn meet(&mut self, start: &[u64]) -> Found {
        for at in [0, 1, 0, 1] {
            self.replicas[at].sync();
        }
        let mut found = Vec::new();
        for (folder, start) in FOLDERS.iter().zip(start) {
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
        }
        found
    }
}

/// The changing calls of a run of the second replica, without those of git: name, and which one of that name.
fn points(pair: &mut Pair) -> Vec<(String, usize)> {
    pair.prepare();
    pair.replicas[0].sync();
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = traced(&pair.replicas[1], log.path().to_str().expect("UTF-8"), None);
    pair.replicas[1].mailbox.finish(&mut command).ok();
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

#[test]
fn a_run_that_is_killed_anywhere_is_completed_by_the_next() {
    if !strace_works() {
        return skipped("kill sweep of sync", STRACE);
    }
    let mut pair = Pair::new();
    let points = points(&mut pair);
    assert!(points.len() > 50, "{points:?}");
    pair.meet(&[1, 1]);
    // As it should be.
    pair.prepare();
    let start = pair.start();
    pair.replicas[0].sync();
    pair.replicas[1].sync();
    let expected = pair.meet(&start);
    assert_eq!(expected.iter().map(BTreeMap::len).sum::<usize>(), 5, "{expected:?}");
    let step = if long() { 1 } else { 9 };
    let (mut tried, mut kills, mut others) = (0, 0, Vec::new());
    for point in points.iter().step_by(step) {
        pair.prepare();
        let start = pair.start();
        pair.replicas[0].sync();
        let output = traced(&pair.replicas[1], "/dev/null", Some(point)).output().expect("strace");
        let killed = output.status.signal() == Some(SIGKILL);
        assert!(killed || output.status.success(), "{point:?}: {output:?}");
        (tried, kills) = (tried + 1, kills + usize::from(killed));
        pair.replicas[1].sync();
        let found = pair.meet(&start);
        let mails = |found: &Found| -> Vec<Vec<(String, String)>> {
            found
                .iter()
                .map(|folder| {
                    let mut mails: Vec<_> = folder.values().cloned().collect();
                    mails.sort();
                    mails
                })
                .collect()
        };
        assert_eq!(mails(&found), mails(&expected), "{point:?}");
        if found != expected {
            others.push(format!("{point:?}: {found:?}"));
        }
    }
    Tally::CrashPoints.add(kills);
    figures(&format!(
        "sync killed at {tried} of {} system calls: {kills} kills, mail and flags always as undisturbed, other UIDs {} times",
        points.len(),
        others.len()
    ));
    assert!(kills * 10 >= tried * 9, "{kills} of {tried}");
    assert!(others.is_empty(), "{others:#?}");
}
