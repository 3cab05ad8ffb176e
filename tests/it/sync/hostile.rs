//! A peer that means harm: what it has put into the hub by hand is refused whole, with the reason, and nothing changes here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::replica::Replica;
use crate::mailbox::{Run, mail, maildex};

/// The ref that the peer writes to.
const EVIL: &str = "refs/maildex/r/00000000000000ff";

fn git(hub: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(hub).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut git = git.spawn().expect("git");
    let mut stdin = git.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("git reads"));
        git.wait_with_output().expect("git")
    });
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8").trim_end_matches('\n').to_string()
}

/// A hub with what a good replica has told, and one that is to meet it, which has a mail of its own.
struct Stage {
    good: Replica,
    here: Replica,
    hub: tempfile::TempDir,
    /// What the good one has told.
    tip: String,
}

impl Stage {
    fn new() -> Stage {
        let (mut replicas, hub) = Replica::with_hub(2);
        let (here, good) = (replicas.pop().expect("one"), replicas.pop().expect("another"));
        good.mailbox.deliver("cur/1.good:2,S", mail("good"));
        good.sync();
        here.sync();
        here.mailbox.deliver("new/2.here", mail("here"));
        here.sync();
        good.sync();
        here.sync();
        let tip = text(git(hub.path(), &["for-each-ref", "--format=%(objectname)", "refs/maildex/r"], b""));
        let tip = tip.lines().next().expect("a commit").to_string();
        Stage { good, here, hub, tip }
    }

    /// The peer takes what the good one has told, with these files in place of its own.
    fn forge(&self, edits: &[(&str, Option<&[u8]>)]) {
        let mut stream = format!("commit {EVIL}\ncommitter x <x@x> 0 +0000\ndata 0\nfrom {}\n", self.tip).into_bytes();
        for (path, contents) in edits {
            match contents {
                None => stream.extend(format!("D {path}\n").bytes()),
                Some(contents) => {
                    stream.extend(format!("M 100644 inline {path}\ndata {}\n", contents.len()).bytes());
                    stream.extend_from_slice(contents);
                    stream.push(b'\n');
                }
            }
        }
        git(self.hub.path(), &["fast-import", "--quiet", "--force"], &stream);
    }

    /// The peer makes a tree by hand: mode, name, object; beside what the good one has.
    fn forge_tree(&self, entries: &[(&str, &[u8], &str)]) {
        let listed = git(self.hub.path(), &["ls-tree", "-z", &self.tip], b"");
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let raw = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
        };
        for line in listed.split(|&b| b == 0).filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line).expect("UTF-8");
            let (head, name) = line.split_once('\t').expect("a tab");
            let words: Vec<&str> = head.split(' ').collect();
            let mode = words[0].trim_start_matches('0');
            all.push((format!("{mode} {name}").into_bytes(), raw(words[2])));
        }
        for (mode, name, object) in entries {
            all.push(([mode.as_bytes(), b" ", name].concat(), raw(object)));
        }
        // As git sorts them: a directory as if a slash came behind its name.
        all.sort_by_key(|(head, _)| {
            let blank = head.iter().position(|&b| b == b' ').expect("a blank");
            let slash: &[u8] = if head.starts_with(b"40000") { b"/" } else { b"" };
            [&head[blank + 1..], slash].concat()
        });
        let tree: Vec<u8> = all.iter().flat_map(|(head, oid)| [head.as_slice(), b"\0", oid].concat()).collect();
        let tree = text(git(self.hub.path(), &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &tree));
        let commit = format!("tree {tree}\nparent {}\nauthor x <x@x> 0 +0000\ncommitter x <x@x> 0 +0000\n\n", self.tip);
        let commit = git(self.hub.path(), &["hash-object", "-t", "commit", "-w", "--stdin"], commit.as_bytes());
        git(self.hub.path(), &["update-ref", EVIL, &text(commit)], b"");
    }

    /// What the good one has told of the root, with another UIDNEXT: a file, and what is to be in it.
    fn with_uid_next(&self, uid_next: &str) -> (String, Vec<u8>) {
        const ROOT: &str = "e3b0c44298fc1c14";
        let show = |path: &str| git(self.hub.path(), &["cat-file", "blob", &format!("{}:{path}", self.tip)], b"");
        let head = text(show(&format!("f/{ROOT}/head")));
        let fields: Vec<&str> = head.splitn(3, '\t').collect();
        let [validity, _, rest] = fields[..] else { panic!("{head:?}") };
        let line = format!("{validity}\t{uid_next}\t{rest}\n");
        let tree = text(git(self.hub.path(), &["ls-tree", "-r", "--name-only", &self.tip], b""));
        // What the log says comes later.
        match tree.lines().rfind(|path| path.starts_with("log/")) {
            Some(path) => (path.into(), [show(path), format!("folder\t{ROOT}\t{line}").into_bytes()].concat()),
            None => (format!("f/{ROOT}/head"), line.into_bytes()),
        }
    }

    fn own_commits(&self) -> String {
        text(git(&self.here.repository(), &["for-each-ref", "refs/maildex/r"], b""))
    }

    /// The peer is refused for this reason; nothing changes, and others are heard. Then it is gone.
    #[track_caller]
    fn is_refused(&self, reason: &str) -> Run {
        let (before, commits) = (self.here.mailbox.mails(), self.own_commits());
        let run = self.here.mailbox.run(["sync", "run"]).fails_with(4);
        assert!(run.errors().contains(reason), "expected {reason:?}\n{run}");
        assert!(run.errors().contains("00000000000000ff"), "it says whose that is\n{run}");
        assert_eq!((self.here.mailbox.mails(), self.own_commits()), (before, commits), "{run}");
        let name = format!("{}.good", self.here.mailbox.mails().len() + 100);
        self.good.mailbox.deliver(format!("cur/{name}:2,"), mail(&name));
        let _ = self.good.mailbox.run(["sync", "run"]);
        self.here.mailbox.run(["sync", "run"]).fails_with(4);
        let here: BTreeSet<String> = self.here.files("").into_iter().map(|(base, _)| base).collect();
        assert!(here.contains(&name), "one bad peer keeps nobody from the others: {here:?}");
        self.forget();
        self.here.sync();
        self.good.sync();
        run
    }

    /// The peer is gone.
    fn forget(&self) {
        git(self.hub.path(), &["update-ref", "-d", EVIL], b"");
        for replica in [&self.here, &self.good] {
            git(&replica.repository(), &["update-ref", "-d", "refs/maildex/peer/00000000000000ff"], b"");
        }
    }
}

fn blob_path(base: &str, contents: &str) -> (String, String) {
    let mut hash = Sha256::new();
    hash.update(base.split(',').next().expect("a stem"));
    hash.update([0]);
    hash.update(contents);
    let guid = hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    (format!("m/{}/{guid}", &guid[..2]), guid)
}

/// What the log has to say for a mail in the root to be there.
fn with_mail(stage: &Stage, base: &str, guid: &str) -> Vec<(String, Vec<u8>)> {
    let tree = text(git(stage.hub.path(), &["ls-tree", "-r", "--name-only", &stage.tip], b""));
    let shard = format!("s/{}", &guid[..2]);
    let before = if tree.lines().any(|path| path == shard) {
        git(stage.hub.path(), &["cat-file", "blob", &format!("{}:{shard}", stage.tip)], b"")
    } else {
        Vec::new()
    };
    let line = format!("{guid}\te3b0c44298fc1c14:00000000000000ff.1\t\t0\t{base}\n");
    let mut lines: Vec<Vec<u8>> = before.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    lines.push(line.into_bytes());
    lines.sort();
    let versions = git(stage.hub.path(), &["cat-file", "blob", &format!("{}:vv", stage.tip)], b"");
    let versions = [b"00000000000000ff\t1\n".to_vec(), versions].concat();
    vec![(shard, lines.concat()), ("vv".into(), versions)]
}

#[test]
fn numbers_and_mail_that_would_do_harm_are_refused_whole() {
    let stage = Stage::new();
    for (uid_next, reason) in [
        ("4294967295", "UIDNEXT 4294967295"),
        ("4294967296", "found \"4294967296\", expected UIDNEXT"),
        ("3221225473", "or no number is left for new mail"),
    ] {
        let (path, forged) = stage.with_uid_next(uid_next);
        stage.forge(&[(&path, Some(&forged))]);
        stage.is_refused(reason);
    }
    // A mail that is not what its guid is of: new, and in the place of one that is known.
    let (blob, guid) = blob_path("9.evil", "as it was promised\n");
    let mut edits = with_mail(&stage, "9.evil", &guid);
    edits.push((blob, b"another\n".to_vec()));
    let edits: Vec<(&str, Option<&[u8]>)> = edits.iter().map(|(p, c)| (p.as_str(), Some(c.as_slice()))).collect();
    stage.forge(&edits);
    stage.is_refused("found other contents than its guid is of");
    let (blob, _) = blob_path("1.good", &mail("good"));
    stage.forge(&[(&blob, Some(b"another\n"))]);
    stage.is_refused("found other contents than are known here");
    // Counters that leave none for the next change.
    let versions = text(git(stage.hub.path(), &["cat-file", "blob", &format!("{}:vv", stage.tip)], b""));
    let forged = versions.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}\t999999999999999999", line.split('\t').next().expect("a replica"));
        text
    });
    stage.forge(&[("vv", Some(forged.as_bytes()))]);
    stage.is_refused("a counter that can be reached");
    // A way out of the mail root.
    let id: String = Sha256::digest(b"../out").iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    stage.forge(&[(&format!("f/{id}/head"), Some(b"7\t1\t\t../out\n"))]);
    stage.is_refused("`.` or `..`");
    stage.here.mailbox.run(["check"]).ok();
}

#[test]
fn trees_that_no_program_of_git_makes_are_refused() {
    let stage = Stage::new();
    let blob = text(git(stage.hub.path(), &["hash-object", "-w", "--stdin"], b"x"));
    let tree = text(git(stage.hub.path(), &["mktree"], format!("100644 blob {blob}\tformat\n").as_bytes()));
    let commit = stage.tip.clone();
    let cases: [(&str, &[u8], &str); 7] = [
        ("40000", b"..", &tree),
        ("40000", b".git", &tree),
        ("100644", b"x/../../../y", &blob),
        ("120000", b"zz", &blob),
        ("160000", b"zz", &commit),
        ("100644", b"vv", &blob),
        ("100755", b"zz", &blob),
    ];
    for entry in cases {
        stage.forge_tree(&[entry]);
        // By git, when it is fetched, or by us, when it is read.
        stage.is_refused("");
    }
    // No commit at all.
    git(stage.hub.path(), &["update-ref", EVIL, &blob], b"");
    stage.is_refused("");
    stage.here.mailbox.run(["check"]).ok();
}

/// Runs with so little memory that nothing without a bound would fit.
fn run_in(replica: &Replica, kilobytes: u32) -> Run {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {kilobytes} && exec \"$@\"")).arg("sh").arg(maildex());
    command.args(["sync", "run"]).arg(replica.mailbox.path());
    command.env("XDG_STATE_HOME", replica.mailbox.path().parent().expect("a directory"));
    replica.mailbox.finish(&mut command)
}

#[test]
fn ten_million_lines_are_refused_in_bounded_memory() {
    let stage = Stage::new();
    let lines = b"0000000000000001\t1\n".repeat(10_000_000);
    stage.forge(&[("vv", Some(&lines))]);
    let run = run_in(&stage.here, 1_500_000).fails_with(4);
    assert!(run.errors().contains("vv: found 190000000 bytes, expected fewer"), "{run}");
    stage.forget();
    let sorted = (0..100_000u32).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{n:016x}\t1");
        text
    });
    stage.forge(&[("vv", Some(sorted.as_bytes()))]);
    let run = run_in(&stage.here, 1_500_000).fails_with(4);
    assert!(run.errors().contains("more than 20000 replicas"), "{run}");
    assert_eq!(stage.here.mailbox.mails().len(), 2);
}

#[test]
fn removals_by_others_that_are_spread_over_many_folders_are_held_back() {
    let (replicas, _hub) = Replica::with_hub(2);
    for folder in 0..5 {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(replicas[0].mailbox.file(format!(".f{folder}")).join(sub)).expect("make a folder");
        }
        for n in 0..8 {
            replicas[0].mailbox.deliver(format!(".f{folder}/cur/{n}.{folder}:2,S"), mail(&format!("{n} {folder}")));
        }
    }
    replicas[0].sync();
    replicas[1].sync();
    for folder in 0..5 {
        for n in 0..6 {
            fs::remove_file(replicas[0].file(&format!(".f{folder}"), &format!("{n}.{folder}"))).expect("remove");
        }
    }
    replicas[0].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    let here = |at: usize| (0..5).map(|folder| replicas[at].files(&format!(".f{folder}")).len()).sum::<usize>();
    replicas[1].mailbox.run(["sync", "run"]).fails_with(4).stderr_has("6 of 8 messages are gone elsewhere");
    assert_eq!((here(0), here(1)), (10, 40), "30 of 40, though no folder loses more than 20");
    replicas[1].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    assert_eq!(here(1), 10);
}

#[test]
fn a_folder_whose_name_no_other_machine_takes_stays() {
    let (replicas, _hub) = Replica::with_hub(2);
    for folder in ["a:b", "plain"] {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(replicas[0].mailbox.file(folder).join(sub)).expect("make a folder");
        }
        replicas[0].mailbox.deliver(format!("{folder}/new/1.host"), mail(folder));
    }
    replicas[0].mailbox.run(["sync", "run"]).ok().stderr_has("a:b: stays here");
    replicas[1].sync();
    assert_eq!(replicas[1].files("plain").len(), 1, "and keeps nothing else from being told");
    assert!(!replicas[1].mailbox.file("a:b").exists());
}

#[test]
fn urls_that_would_run_something_are_refused_however_they_came_in() {
    let replica = Replica::new();
    let ran = replica.mailbox.path().with_file_name("ran");
    let touch = format!("touch {}", ran.display());
    let urls = [
        format!("ext::sh -c {touch}"),
        format!("--upload-pack={touch}"),
        format!("-oProxyCommand={touch}"),
        format!("ssh://-oProxyCommand={touch}/x"),
        format!("-oProxyCommand={touch}:x"),
        "fd::7".into(),
    ];
    for url in &urls {
        // One that looks like an option comes behind `--`.
        let mut command = replica.mailbox.command(["sync", "add-peer", "--", "evil", url]);
        let added = replica.mailbox.finish(&mut command);
        assert!(!added.errors().is_empty() || url.starts_with("ssh:"), "{added}");
        // By hand it gets past that, and not past git.
        git(&replica.repository(), &["config", "maildex-remote.evil.url", url], b"");
        let run = replica.mailbox.run(["sync", "run"]).fails_with(4);
        assert!(run.errors().contains("evil") || run.errors().contains(url), "{run}");
        assert!(!ran.exists(), "{url} was run: {run}");
    }
}
