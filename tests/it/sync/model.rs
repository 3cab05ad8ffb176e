//! Random schedules of `tests/model/schedules.py`, done with real mail, real repositories and the program: after each step
//! the folders must be what the model says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::replica::{Replica, Shown};
use crate::mailbox::{figures, installed, long, skipped};
use crate::tally::Tally;

/// The folders of the model: the root, and one below it.
fn folder(name: &Value) -> &'static str {
    if name == "inbox" { "" } else { "archive" }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn expected(folder: &Value) -> Shown {
    let uids = folder["uids"].as_array().expect("a list").iter();
    let uids = uids.map(|mail| (mail[0].as_u64().expect("a UID"), (text(&mail[1]).into(), text(&mail[2]).into())));
    (folder["next"].as_u64().expect("UIDNEXT"), uids.collect())
}

/// One thing that somebody does to the files of a replica.
fn act(replica: &Replica, step: &Value) {
    let (at, base) = (folder(&step["folder"]), text(&step["base"]));
    match text(&step["op"]) {
        "deliver" => replica.mailbox.deliver(format!("new/{base}"), text(&step["text"])),
        "flag" => {
            let letters = text(&step["letters"]);
            let to = replica.mailbox.file(at).join("cur").join(format!("{base}:2,{letters}"));
            fs::rename(replica.file(at, base), to).expect("rename the mail");
        }
        "expunge" => fs::remove_file(replica.file(at, base)).expect("remove the mail"),
        "move" => {
            let (from, to) = (replica.file(at, base), replica.mailbox.file(folder(&step["to"])).join("cur"));
            let name = from.file_name().expect("a name").to_str().expect("UTF-8");
            let name = if name.contains(':') { name.to_string() } else { format!("{name}:2,") };
            fs::rename(&from, to.join(name)).expect("move the mail");
            replica.on(folder(&step["to"]), &["build"]).ok();
        }
        other => panic!("an unknown step: {other}"),
    }
    // Numbers are given out at once, as in the model.
    replica.on(at, &["build"]).ok();
}

fn replay(schedule: &Value) {
    let count = schedule["replicas"].as_u64().expect("a number") as usize;
    let mut replicas: Vec<_> = (0..count).map(|_| Replica::new()).collect();
    // They begin as one: nobody has given out a number, and UIDVALIDITY is the same.
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(replicas[0].mailbox.file("archive").join(sub)).expect("a second folder");
    }
    replicas[0].sync();
    for replica in &replicas[1..] {
        for sub in ["cur", "new", "tmp"] {
            fs::remove_dir(replica.mailbox.file(sub)).expect("an empty root");
        }
        replica.meets(Some(&replicas[0]));
        replica.mailbox.run(["sync", "run", "--pull-only"]).ok();
    }
    let mut untold = vec![false; count];
    for step in schedule["steps"].as_array().expect("a list") {
        let at = step["r"].as_u64().expect("a replica") as usize;
        if step["op"] != "pull" {
            act(&replicas[at], step);
            untold[at] = true;
            continue;
        }
        let from = step["from"].as_u64().expect("a replica") as usize;
        // What happened there since its last run is told first, if anything did.
        if std::mem::take(&mut untold[from]) {
            replicas[from].meets(None);
            replicas[from].mailbox.run(["sync", "run", "--pull-only"]).ok();
        }
        replicas[at].meets(Some(&replicas[from]));
        replicas[at].mailbox.run(["sync", "run", "--pull-only"]).ok();
        untold[at] = false;
        for (replica, folders) in step["expect"].as_object().expect("states") {
            let replica: usize = replica.parse().expect("a replica");
            for name in ["inbox", "archive"] {
                let shown = replicas[replica].look(folder(&name.into()));
                assert_eq!(shown, expected(&folders[name]), "replica {replica}, {name}, after {step}");
            }
        }
    }
    for replica in &replicas {
        for name in ["", "archive"] {
            replica.on(name, &["check"]).ok();
        }
    }
}

/// The schedules that are asked for with `MAILDEX_SEEDS=200..300`, so that a thousand can be done in pieces.
fn asked_for() -> Option<std::ops::Range<usize>> {
    let text = std::env::var("MAILDEX_SEEDS").ok()?;
    let (first, end) = text.split_once("..").expect("MAILDEX_SEEDS=FIRST..END");
    Some(first.parse().expect("a number")..end.parse().expect("a number"))
}

#[test]
fn folders_are_what_the_model_says() {
    if !installed("python3") {
        skipped("sync beside its model", "install python3");
        return;
    }
    let (seeds, steps) = (if long() { 0..1000 } else { 0..30 }, 40);
    let seeds = asked_for().unwrap_or(seeds);
    let count = seeds.len();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/schedules.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args([seeds.start, count, steps].map(|n| n.to_string()));
    let printed = command.output().expect("run the model");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let lines = String::from_utf8(printed.stdout).expect("UTF-8");
    let schedules: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(schedules.len(), count);
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    let failed: Vec<String> = std::thread::scope(|scope| {
        let worker = || {
            let mut failed = Vec::new();
            while let Some(schedule) = schedules.get(next.fetch_add(1, Ordering::Relaxed)) {
                if std::panic::catch_unwind(|| replay(schedule)).is_err() {
                    failed.push(schedule["seed"].to_string());
                }
            }
            failed
        };
        let workers = [(); 2].map(|()| scope.spawn(worker));
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    let mut ops: BTreeMap<&str, usize> = BTreeMap::new();
    for step in schedules.iter().flat_map(|schedule| schedule["steps"].as_array().expect("a list")) {
        *ops.entry(text(&step["op"])).or_default() += 1;
    }
    Tally::Schedules.add(count);
    Tally::Operations.add(ops.values().sum::<usize>());
    figures(&format!("sync: schedules {seeds:?} of the model, {ops:?}, in {:.0?}", began.elapsed()));
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
