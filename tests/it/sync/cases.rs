//! What is done on two replicas at once, in every order of meetings.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use super::replica::Replica;
use crate::mailbox::{long, mail};

type Files = BTreeSet<(String, String)>;

fn files(expected: &[(&str, &str)]) -> Files {
    expected.iter().map(|(base, flags)| ((*base).to_string(), (*flags).to_string())).collect()
}

/// Makes a folder below the root.
fn make(replica: &Replica, folder: &str) {
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(replica.mailbox.file(folder).join(sub)).expect("make a folder");
    }
}

fn rename(replica: &Replica, from: &str, to: &str) {
    fs::rename(replica.mailbox.file(from), replica.mailbox.file(to)).expect("rename");
}

/// Two replicas with the same mail, `1.host` and `2.host`, in the root and an empty folder `archive` each.
fn two() -> (Vec<Replica>, tempfile::TempDir) {
    let (mut replicas, hub) = Replica::with_hub(2);
    let [a, b] = &mut replicas[..] else { unreachable!("two were made") };
    make(a, "archive");
    make(a, "other");
    a.mailbox.deliver("cur/1.host:2,", mail("one"));
    a.mailbox.deliver("cur/2.host:2,", mail("two"));
    a.sync();
    for sub in ["cur", "new", "tmp"] {
        fs::remove_dir(b.mailbox.file(sub)).expect("an empty root");
    }
    b.sync();
    // Received without a flag, and then opened by a mail reader.
    b.mailbox.run(["inc"]).ok();
    (replicas, hub)
}

/// What one of two replicas does with what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Hears and tells, as usual.
    Sync(usize),
    /// Tells what happened here, before it hears of the other: as two do that run at the same moment.
    Tell(usize),
    /// Hears, and tells nothing.
    Hear(usize),
}

use Step::{Hear, Sync, Tell};

/// Orders in which two replicas can meet. A run with nothing to do changes nothing, so with [`Sync`] alone there are two; and
/// there is the one in which each joins what the other one knew before it joined.
fn orders() -> Vec<Vec<Step>> {
    let end = [Sync(0), Sync(1), Sync(0)];
    if !long() {
        let crosswise = [&[Tell(0), Tell(1), Hear(0), Hear(1)][..], &end].concat();
        return vec![end.to_vec(), vec![Sync(1), Sync(0), Sync(1)], crosswise];
    }
    let all = [Sync(0), Sync(1), Tell(0), Tell(1), Hear(0), Hear(1)];
    let mut orders = vec![Vec::new()];
    for _ in 0..3 {
        orders = orders.iter().flat_map(|order| all.map(|step| [&order[..], &[step]].concat())).collect();
    }
    orders.into_iter().map(|order| [order, end.to_vec()].concat()).collect()
}

/// Takes these steps.
fn meet(replicas: &[Replica], order: &[Step]) {
    for step in order {
        match *step {
            Sync(at) => drop(replicas[at].sync()),
            Tell(at) => replicas[at].tell(),
            Hear(at) => drop(replicas[at].mailbox.run(["sync", "run", "--pull-only"]).ok()),
        }
    }
}

/// Does one thing on each of two replicas, lets them meet in each order, and sees that the same comes of it, on both, and
/// that nothing more happens after that.
fn everywhere(on_a: impl Fn(&Replica), on_b: impl Fn(&Replica), expected: &[(&str, &[(&str, &str)])]) {
    for order in orders() {
        let (mut replicas, _hub) = two();
        on_a(&replicas[0]);
        on_b(&replicas[1]);
        meet(&replicas, &order);
        for folder in ["", "archive", "other"] {
            let wanted = expected.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, files)| *files);
            for (at, replica) in replicas.iter_mut().enumerate() {
                assert_eq!(replica.files(folder), files(wanted), "{order:?}: {folder:?} of replica {at}");
            }
            let shown: Vec<_> = replicas.iter_mut().map(|replica| replica.look(folder)).collect();
            assert_eq!(shown[0], shown[1], "{order:?}: {folder:?}");
        }
        for replica in &replicas {
            let done = replica.mailbox.run(["sync", "run", "--json"]).ok().json().remove(0);
            for (key, count) in ["sent", "received"].iter().flat_map(|side| done[side].as_object().expect("counts")) {
                assert_eq!(count, 0, "{order:?}: {key} in {done}");
            }
            replica.mailbox.run(["check", "-r"]).ok();
        }
    }
}

#[test]
fn a_move_beside_a_flag_is_both() {
    everywhere(
        |a| rename(a, "cur/1.host:2,", "archive/cur/1.host:2,"),
        |b| {
            b.mailbox.run(["flag", "+R", "1"]).ok();
        },
        &[("", &[("2.host", "")]), ("archive", &[("1.host", "R")])],
    );
}

#[test]
fn a_removal_beside_a_flag_is_a_removal() {
    everywhere(
        |a| a.mailbox.remove("cur/1.host:2,"),
        |b| rename(b, "cur/1.host:2,", "cur/1.host:2,S"),
        &[("", &[("2.host", "")])],
    );
}

#[test]
fn a_removal_does_not_cover_mail_that_was_flagged_meanwhile() {
    everywhere(
        |a| a.mailbox.remove("cur/1.host:2,"),
        |b| rename(b, "cur/1.host:2,", "cur/1.host:2,F"),
        &[("", &[("1.host", "F"), ("2.host", "")])],
    );
}

#[test]
fn mail_that_is_moved_to_two_folders_is_in_both() {
    everywhere(
        |a| rename(a, "cur/1.host:2,", "archive/cur/1.host:2,"),
        |b| rename(b, "cur/1.host:2,", "other/cur/1.host:2,"),
        &[("", &[("2.host", "")]), ("archive", &[("1.host", "")]), ("other", &[("1.host", "")])],
    );
}

#[test]
fn of_a_move_and_a_removal_the_move_stays() {
    everywhere(
        |a| rename(a, "cur/1.host:2,", "archive/cur/1.host:2,"),
        |b| b.mailbox.remove("cur/1.host:2,"),
        &[("", &[("2.host", "")]), ("archive", &[("1.host", "")])],
    );
}

#[test]
fn flags_of_both_sides_are_united_letter_by_letter() {
    everywhere(
        |a| {
            rename(a, "cur/1.host:2,", "cur/1.host:2,Sa");
            rename(a, "cur/2.host:2,", "cur/2.host:2,S");
        },
        |b| rename(b, "cur/1.host:2,", "cur/1.host:2,RSz"),
        &[("", &[("1.host", "RSaz"), ("2.host", "S")])],
    );
}

#[test]
fn a_mail_that_mutt_gives_another_name_in_another_folder_has_moved() {
    for order in orders() {
        let (replicas, _hub) = two();
        rename(&replicas[0], "cur/1.host:2,", "archive/cur/9.mutt:2,S");
        rename(&replicas[1], "cur/1.host:2,", "cur/1.host:2,R");
        meet(&replicas, &order);
        for (replica, base) in replicas.iter().zip(["9.mutt", "1.host"]) {
            assert_eq!(replica.files(""), files(&[("2.host", "")]), "{order:?}");
            assert_eq!(replica.files("archive"), files(&[(base, "RS")]), "{order:?}: each keeps the name that it has");
        }
    }
}

#[test]
fn mbsync_may_rename_mail_on_one_side() {
    for order in orders() {
        let (mut replicas, _hub) = two();
        let before = replicas[0].look("");
        rename(&replicas[0], "cur/1.host:2,", "cur/1.host,U=7:2,S");
        rename(&replicas[1], "cur/1.host:2,", "cur/1.host:2,F");
        meet(&replicas, &order);
        assert_eq!(replicas[0].files(""), files(&[("1.host,U=7", "FS"), ("2.host", "")]), "{order:?}");
        assert_eq!(replicas[1].files(""), files(&[("1.host", "FS"), ("2.host", "")]), "{order:?}");
        let uids = |replica: &Replica| -> Vec<String> {
            let text = replica.mailbox.run(["uids", "export"]).ok().text();
            text.lines().skip(1).map(|line| line.split('\t').next().expect("a UID").to_string()).collect()
        };
        assert_eq!(
            (uids(&replicas[0]), uids(&replicas[1])),
            (vec!["1".into(), "2".into()], vec!["1".into(), "2".into()])
        );
        assert_eq!(replicas[1].look("").0, before.0, "no number was given out");
    }
}

#[test]
fn mail_that_comes_to_both_at_once_is_in_both() {
    everywhere(
        |a| {
            a.mailbox.deliver("new/3.a", mail("three"));
            a.mailbox.run(["build"]).ok();
        },
        |b| {
            b.mailbox.deliver("new/3.b", mail("three"));
            b.mailbox.run(["build"]).ok();
        },
        &[("", &[("1.host", ""), ("2.host", ""), ("3.a", ""), ("3.b", "")])],
    );
}

#[test]
fn a_number_that_was_given_to_two_mails_is_dead() {
    let (mut replicas, _hub) = two();
    for (at, replica) in replicas.iter_mut().enumerate() {
        replica.mailbox.deliver(format!("new/1000000003.{at}.host"), mail(&format!("offline {at}")));
        let (uid_next, shown) = replica.look("");
        assert_eq!((uid_next, &*shown[&3].0), (4, &*format!("1000000003.{at}.host")), "both give out 3");
    }
    let told = |replica: &Replica| replica.mailbox.run(["sync", "run"]).ok().errors();
    assert_eq!(told(&replicas[0]), "", "nobody has said anything else yet");
    let second = told(&replicas[1]);
    assert!(second.contains("UID 3 is dead") && second.contains("1000000003.1.host is UID "), "{second}");
    let first = told(&replicas[0]);
    assert!(first.contains("UID 3 is dead") && first.contains("1000000003.0.host is UID "), "{first}");
    let before: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(before[0], before[1]);
    let uids: Vec<u64> = before[0].1.keys().copied().collect();
    assert_eq!(uids, [1, 2, 4, 5], "above UIDNEXT of both, which was 4");
    for replica in &replicas {
        assert_eq!(told(replica), "");
    }
    let after: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(before, after, "a third sync changes nothing");
}

#[test]
fn folders_are_made_renamed_and_removed() {
    let (mut replicas, _hub) = two();
    let [a, b] = &mut replicas[..] else { unreachable!("two were made") };
    for folder in [".Lists.git", "deep/er/still", "name with blanks"] {
        make(a, folder);
        a.mailbox.deliver(format!("{folder}/new/1.in"), mail(folder));
    }
    a.sync();
    b.sync();
    for folder in [".Lists.git", "deep/er/still", "name with blanks"] {
        assert_eq!(b.files(folder), files(&[("1.in", "")]), "{folder}");
        assert_eq!(a.look(folder), b.look(folder));
    }
    // A flag meanwhile comes along.
    fs::rename(b.file(".Lists.git", "1.in"), b.mailbox.file(".Lists.git/cur/1.in:2,S")).expect("flag");
    rename(a, ".Lists.git", ".Lists.maildex");
    fs::remove_dir_all(a.mailbox.file("name with blanks")).expect("remove a folder");
    for replica in [&*b, &*a, &*b] {
        replica.sync();
    }
    for replica in [&mut *a, &mut *b] {
        assert_eq!(replica.files(".Lists.maildex"), files(&[("1.in", "S")]));
        for gone in [".Lists.git", "name with blanks"] {
            assert!(!replica.mailbox.file(gone).exists(), "{gone}");
        }
        replica.mailbox.run(["check", "-r"]).ok();
    }
    assert_eq!(a.look(".Lists.maildex"), b.look(".Lists.maildex"));
}

/// When a mail was delivered, in seconds since 1970, as its file says.
fn delivered(replica: &Replica, folder: &str, base: &str) -> u64 {
    let meta = fs::metadata(replica.file(folder, base)).expect("it is there");
    meta.modified().expect("mtime").duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn the_time_of_delivery_goes_with_a_mail_and_comes_back_with_it() {
    let (replicas, _hub) = two();
    let [a, b] = [&replicas[0], &replicas[1]];
    // As of what was fetched from elsewhere: the name says nothing of it.
    a.mailbox.deliver("new/1600000000.x.host", mail("old"));
    let file = fs::File::options().write(true).open(a.file("", "1600000000.x.host")).expect("open");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_234_567_890)).expect("set its time");
    a.sync();
    b.sync();
    assert_eq!(delivered(b, "", "1600000000.x.host"), 1_234_567_890);
    rename(a, "new/1600000000.x.host", "archive/cur/1600000000.x.host:2,S");
    a.sync();
    b.sync();
    assert_eq!(delivered(b, "archive", "1600000000.x.host"), 1_234_567_890);
    a.mailbox.remove("archive/cur/1600000000.x.host:2,S");
    a.sync();
    b.sync();
    b.mailbox.run(["sync", "undelete", "1600000000.x.host"]).ok();
    b.sync();
    a.sync();
    assert_eq!(delivered(a, "archive", "1600000000.x.host"), 1_234_567_890);
}

#[test]
fn new_mail_is_new_everywhere_until_somebody_has_seen_that_it_came() {
    let (replicas, _hub) = two();
    let [a, b] = [&replicas[0], &replicas[1]];
    let has = |replica: &Replica, names: [&str; 2]| {
        let found: Vec<_> = ["1.new", "2.new"].map(|base| replica.file("", base)).into();
        assert_eq!(found, names.map(|name| replica.mailbox.file(name)));
    };
    for n in ["1.new", "2.new"] {
        a.mailbox.deliver(format!("new/{n}"), mail(n));
    }
    a.sync();
    b.sync();
    has(b, ["new/1.new", "new/2.new"]);
    // A mail reader takes up one of them, and reads nothing.
    rename(b, "new/1.new", "cur/1.new:2,");
    b.sync();
    a.sync();
    has(a, ["cur/1.new:2,", "new/2.new"]);
    // Marked as new again: here, and for who comes later.
    rename(a, "cur/1.new:2,", "new/1.new");
    for replica in [a, b, a, b] {
        replica.sync();
    }
    has(a, ["new/1.new", "new/2.new"]);
    has(b, ["cur/1.new:2,", "new/2.new"]);
    let c = Replica::new();
    for sub in ["cur", "new", "tmp"] {
        fs::remove_dir(c.mailbox.file(sub)).expect("an empty root");
    }
    c.meets(Some(b));
    c.sync();
    has(&c, ["new/1.new", "new/2.new"]);
    assert!(c.file("", "1.host").ends_with("cur/1.host:2,"), "{:?}", c.files(""));
}

#[test]
fn an_index_that_was_lost_gets_its_numbers_back_and_none_is_given_out_twice() {
    for loses in [0, 1] {
        let (mut replicas, _hub) = two();
        let before: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
        let validity = |replica: &Replica| {
            let text = replica.mailbox.run(["uids", "export"]).ok().text();
            text.lines().next().and_then(|line| line.split('\t').nth(1)).map(str::to_string)
        };
        let known = validity(&replicas[0]);
        // It has shown 3 to somebody, and nobody was told.
        replicas[loses].mailbox.deliver("new/3.gone", mail("gone"));
        assert_eq!(replicas[loses].look("").0, 4);
        replicas[loses].mailbox.remove("new/3.gone");
        replicas[loses].mailbox.deliver("new/4.new", mail("new"));
        for name in replicas[loses].mailbox.own_files().into_keys() {
            replicas[loses].mailbox.remove(name);
        }
        replicas[loses].mailbox.run(["build"]).ok();
        assert_ne!(validity(&replicas[loses]), known);
        for at in [loses, 1 - loses, loses, 1 - loses] {
            let told = replicas[at].sync().errors();
            assert_eq!(told.contains("UIDVALIDITY"), at == loses && !told.is_empty(), "{told}");
        }
        for replica in &replicas {
            assert_eq!(validity(replica), known);
        }
        let after: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
        assert_eq!(after[0], after[1]);
        for (uid, shown) in &before[0].1 {
            assert_eq!(after[0].1.get(uid), Some(shown));
        }
        let (new, (base, _)) = after[0].1.last_key_value().expect("mail");
        assert!(*new > 1000 && base == "4.new", "{after:?}: 3 to 1000000 may have been shown");
        replicas[loses].mailbox.run(["check"]).ok();
    }
}

#[test]
fn a_folder_that_was_removed_and_made_anew_is_another_one() {
    let (mut replicas, _hub) = two();
    let [a, b] = &mut replicas[..] else { unreachable!("two were made") };
    a.mailbox.deliver("archive/cur/1.old:2,", mail("old"));
    a.sync();
    b.sync();
    fs::remove_dir_all(a.mailbox.file("archive")).expect("remove the folder");
    a.sync();
    b.sync();
    assert!(!b.mailbox.file("archive").exists());
    make(b, "archive");
    b.mailbox.deliver("archive/new/2.new", mail("new"));
    b.sync();
    a.sync();
    let header = |replica: &Replica| replica.on("archive", &["uids", "export"]).ok().text();
    assert_eq!(header(a), header(b));
    assert_eq!(a.files("archive"), files(&[("2.new", "")]));
}
