//! History is cut: what was expunged is nowhere any more, and nobody is left out, however late.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::replica::Replica;
use crate::mailbox::{figures, mail, maildex};

/// What must be nowhere in the end.
const SECRET: &str = "the-text-that-must-go";

fn git(repository: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("--git-dir").arg(repository).args(args).output().expect("git");
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether any object in a repository, reached or not, packed or not, has the text.
fn holds(repository: &Path) -> bool {
    let all = git(repository, &["cat-file", "--batch-all-objects", "--batch", "--unordered", "--buffer"]);
    all.contains(SECRET)
}

/// Every file of a repository but the trash, as bytes: reflogs, the list of what was fetched, logs of crashes.
fn files_hold(directory: &Path) -> bool {
    fs::read_dir(directory).expect("list").map(|entry| entry.expect("an entry").path()).any(|path| {
        if path.is_dir() {
            !path.ends_with("maildex/trash") && files_hold(&path)
        } else {
            fs::read(&path).is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
        }
    })
}

fn id(replica: &Replica) -> String {
    let text = replica.mailbox.run(["sync", "status"]).ok().text();
    let line = text.lines().find_map(|line| line.strip_prefix("replica\t")).expect("an id");
    line.split(' ').next().expect("an id").to_string()
}

/// `sync cut` on a hub: the directory comes in place of the mail root.
fn cut_hub(hub: &Path) -> String {
    let output = Command::new(maildex()).args(["sync", "cut"]).arg(hub).output().expect("maildex");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn all(replicas: &[Replica], hub: &Path) -> Vec<PathBuf> {
    replicas.iter().map(Replica::repository).chain([hub.to_path_buf()]).collect()
}

/// All meet, so that each has heard that the others have heard.
fn meet(replicas: &[Replica]) {
    for _ in 0..3 {
        for replica in replicas {
            replica.sync();
        }
    }
}

fn same(replicas: &mut [Replica]) -> usize {
    let shown: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{shown:?}");
    shown[0].1.len()
}

#[test]
fn expunged_mail_is_in_no_object_of_any_peer_after_all_have_cut() {
    let (mut replicas, hub) = Replica::with_hub(3);
    for n in 0..10 {
        replicas[n % 3].mailbox.deliver(format!("cur/{n}.host:2,"), mail(&format!("mail {n}")));
    }
    replicas[0].mailbox.deliver("cur/secret.host:2,", mail(SECRET));
    meet(&replicas);
    for n in 0..20 {
        let replica = &replicas[n % 3];
        let flags = if n % 2 == 0 { "S" } else { "" };
        let to = replica.mailbox.file(format!("cur/0.host:2,{flags}"));
        fs::rename(replica.file("", "0.host"), to).expect("flag");
        replica.sync();
    }
    for repository in all(&replicas, hub.path()) {
        assert!(holds(&repository), "{}: git keeps what was told", repository.display());
    }
    fs::remove_file(replicas[0].file("", "secret.host")).expect("expunge");
    replicas[0].sync();
    // One that has not heard of it: said, and its text stays.
    let told = replicas[0].mailbox.run(["sync", "cut"]).ok();
    let (second, third) = (id(&replicas[1]), id(&replicas[2]));
    assert!(told.errors().contains(&second) && told.errors().contains(&third), "{told}");
    let status = replicas[0].mailbox.run(["sync", "status"]).ok().text();
    assert!(status.contains(&format!("late\t{second}\n")), "{status}");
    meet(&replicas);
    let before: usize = git(hub.path(), &["rev-list", "--all", "--count"]).trim().parse().expect("a number");
    for replica in &replicas {
        let told = replica.mailbox.run(["sync", "cut"]).ok();
        assert_eq!(told.errors(), "", "{told}");
        assert!(!replica.mailbox.run(["sync", "status"]).ok().text().contains("late\t"));
    }
    assert_eq!(cut_hub(hub.path()), "");
    let after: usize = git(hub.path(), &["rev-list", "--all", "--count"]).trim().parse().expect("a number");
    assert!(after < before && after <= 6, "{before} commits, then {after}");
    for repository in all(&replicas, hub.path()) {
        assert!(!holds(&repository), "{} still holds it", repository.display());
        assert!(!files_hold(&repository), "{} still holds it", repository.display());
        assert_eq!(git(&repository, &["fsck", "--strict", "--no-dangling", "--no-progress"]), "");
    }
    figures(&format!(
        "sync cut: {before} commits in the hub, then {after}; the expunged text is in none of 4 repositories"
    ));
    // And everything goes on.
    replicas[2].mailbox.deliver("new/11.host", mail("after the cut"));
    fs::rename(replicas[1].file("", "0.host"), replicas[1].mailbox.file("cur/0.host:2,F")).expect("flag");
    meet(&replicas);
    assert_eq!(same(&mut replicas), 11);
    for repository in all(&replicas, hub.path()) {
        assert!(!holds(&repository), "{}: nobody has sent it again", repository.display());
    }
    // Again, and nothing is left to cut but what has come since.
    for replica in &replicas {
        replica.mailbox.run(["sync", "cut"]).ok().silent();
    }
    meet(&replicas);
    assert_eq!(same(&mut replicas), 11);
}

#[test]
fn one_that_is_late_and_one_that_was_forgotten_come_back_across_a_cut() {
    for forget in [false, true] {
        let (mut replicas, hub) = Replica::with_hub(3);
        for n in 0..6 {
            replicas[n % 3].mailbox.deliver(format!("cur/{n}.host:2,"), mail(&format!("mail {n}")));
        }
        meet(&replicas);
        // The third goes away, and does things meanwhile.
        let late = replicas.pop().expect("three");
        let away = id(&late);
        late.mailbox.deliver("new/7.late", mail("of the late one"));
        fs::rename(late.file("", "1.host"), late.mailbox.file("cur/1.host:2,R")).expect("flag");
        fs::remove_file(late.file("", "2.host")).expect("expunge");
        replicas[0].mailbox.deliver("new/8.host", mail("meanwhile"));
        fs::remove_file(replicas[1].file("", "3.host")).expect("expunge");
        for n in 0..6 {
            let flags = if n % 2 == 0 { "S" } else { "" };
            let to = replicas[0].mailbox.file(format!("cur/0.host:2,{flags}"));
            fs::rename(replicas[0].file("", "0.host"), to).expect("flag");
            meet(&replicas);
        }
        if forget {
            let told = replicas[0].mailbox.run(["sync", "forget", &away]).ok();
            assert_eq!(told.errors(), "", "{told}");
            replicas[1].mailbox.run(["sync", "forget", &away]).ok();
            replicas[1].mailbox.run(["sync", "forget", &away]).fails_with(3).stderr_has("no such replica is known");
            meet(&replicas);
        }
        for replica in &replicas {
            let told = replica.mailbox.run(["sync", "cut"]).ok();
            assert_eq!(told.errors().contains(&away), !forget, "{told}");
        }
        cut_hub(hub.path());
        let kept: usize = git(hub.path(), &["rev-list", "--all", "--count"]).trim().parse().expect("a number");
        assert!(!forget || kept <= 4, "{kept} commits are kept");
        replicas.push(late);
        meet(&replicas);
        assert_eq!(same(&mut replicas), 6, "6 and 2 that came, less 2 that were removed");
        let flags = &replicas[0].look("").1;
        assert!(flags.values().any(|(_, flags)| flags.contains('R')), "what it did is heard: {flags:?}");
        for replica in &replicas {
            replica.mailbox.run(["sync", "cut"]).ok().silent();
            assert_eq!(git(&replica.repository(), &["fsck", "--strict", "--no-dangling", "--no-progress"]), "");
            replica.mailbox.run(["check"]).ok();
        }
    }
}

#[test]
fn a_new_one_begins_with_a_hub_that_was_cut() {
    let (mut replicas, hub) = Replica::with_hub(2);
    for n in 0..6 {
        replicas[0].mailbox.deliver(format!("cur/{n}.host:2,"), mail(&format!("mail {n}")));
        replicas[0].sync();
    }
    meet(&replicas);
    for replica in &replicas {
        replica.mailbox.run(["sync", "cut"]).ok();
    }
    cut_hub(hub.path());
    let new = Replica::new();
    new.mailbox.run(["sync", "add-peer", "hub", hub.path().to_str().expect("UTF-8")]).ok();
    replicas.push(new);
    meet(&replicas);
    assert_eq!(same(&mut replicas), 6);
    // And a new hub with what was cut.
    let other = super::replica::hub();
    for replica in &replicas {
        replica.mailbox.run(["sync", "add-peer", "hub", other.path().to_str().expect("UTF-8")]).ok();
    }
    replicas[1].mailbox.deliver("new/9.host", mail("by the new hub"));
    meet(&replicas);
    assert_eq!(same(&mut replicas), 7);
}

#[test]
fn the_trash_keeps_mail_for_as_long_as_was_said() {
    let (replicas, _hub) = Replica::with_hub(2);
    for n in 0..2 {
        replicas[0].mailbox.deliver(format!("cur/{n}.host:2,"), mail(&format!("mail {n}")));
    }
    for at in [0, 1, 0] {
        replicas[at].sync();
    }
    fs::remove_file(replicas[0].file("", "0.host")).expect("expunge");
    replicas[0].sync();
    replicas[1].sync();
    let trash = |replica: &Replica| replica.mailbox.run(["sync", "status", "--trash"]).ok().text().lines().count();
    assert_eq!(trash(&replicas[1]), 1);
    let repository = replicas[1].repository();
    let repository = repository.to_str().expect("UTF-8");
    replicas[1].mailbox.run(["sync", "init", "--repo", repository, "--trash-days", "7"]).ok();
    replicas[1].sync();
    assert_eq!(trash(&replicas[1]), 1, "it came a moment ago");
    replicas[1].mailbox.run(["sync", "init", "--repo", repository, "--trash-days", "0"]).ok();
    replicas[1].sync();
    assert_eq!(trash(&replicas[1]), 0);
}
