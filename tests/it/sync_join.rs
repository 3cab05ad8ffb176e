//! The join of two states, against the model in Python that it was designed with (`tests/model/sync_model.py`): pairs of
//! states out of random schedules of work and of merges, joined by both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use maildex::sync::state::{Dot, Folder, FolderId, Guid, ReplicaId, State};
use maildex::sync::{Numbering, Why, merge};
use serde_json::Value;

use super::mailbox::{figures, installed, long, skipped};
use crate::tally::Tally;

#[test]
fn the_model_and_the_program_join_alike() {
    if !installed("python3") {
        return skipped("the join of states against its model", "apt-get install python3");
    }
    let count = if long() { 10_000 } else { 300 };
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/pairs.py");
    let mut python = Command::new("python3");
    python.arg("-B").arg(driver).arg(count.to_string()).stdout(Stdio::piped());
    let mut python = python.spawn().expect("start python3");
    let lines = BufReader::new(python.stdout.take().expect("a pipe")).lines();
    let (mut pairs, mut mails, mut burnt, mut reasons) = (0, 0, 0, BTreeMap::new());
    for line in lines {
        let line = line.expect("a line of the model");
        let pair: Value = serde_json::from_str(&line).expect("JSON");
        let said = |part: &str| state(&pair[part]);
        let (a, b) = (said("a"), said("b"));
        let what = |rule: &str| format!("{rule}, pair {pairs}, seed {}\na {a:#?}\nb {b:#?}", pair["seed"]);
        assert_eq!(a.join(&b), said("join"), "{}", what("join"));
        assert_eq!(b.join(&a), said("join"), "{}", what("join"));
        let eager = merge(&a, &b, Numbering::Eager).expect("numbers enough");
        assert_eq!(eager.state, said("eager"), "{}", what("eager"));
        assert_eq!(merge(&b, &a, Numbering::Eager).expect("numbers enough").state, eager.state, "{}", what("eager"));
        let mut lazy = merge(&a, &b, Numbering::Lazy).expect("none is given");
        assert_eq!(lazy.state, said("lazy"), "{}", what("lazy"));
        let given = lazy.state.assign(|_| std::collections::HashMap::new()).expect("numbers enough");
        assert_eq!((&lazy.state, Value::from(given)), (&said("listed"), pair["given"].clone()), "{}", what("listed"));
        // Each mail that is still there under another number is told, with both numbers, and no other.
        let mut told = BTreeSet::new();
        for burnt in &eager.burnt {
            let side = if burnt.ours { &a } else { &b };
            let (was, is) = (&side.folders[&burnt.folder], &eager.state.folders[&burnt.folder]);
            assert_eq!(was.uids[&burnt.old], burnt.guid, "{burnt:?} {}", what("burnt"));
            assert_eq!(burnt.new.map(|new| is.uids[&new]), Some(burnt.guid), "{burnt:?} {}", what("burnt"));
            *reasons.entry(if matches!(burnt.why, Why::OtherMail(_)) { "other mail" } else { "dead" }).or_insert(0) +=
                1;
            assert!(told.insert((burnt.folder, burnt.ours, burnt.old)));
        }
        for (side, ours) in [(&a, true), (&b, false)] {
            for (id, folder) in &side.folders {
                for (uid, guid) in &folder.uids {
                    let is_there = eager.state.mails.get(guid).is_some_and(|mail| mail.places.contains_key(id));
                    let is_kept = eager.state.folders[id].uids.get(uid) == Some(guid);
                    assert_eq!(told.contains(&(*id, ours, *uid)), is_there && !is_kept, "{uid} {}", what("burnt"));
                }
            }
        }
        (pairs, mails, burnt) = (pairs + 1, mails + eager.state.mails.len(), burnt + eager.burnt.len());
    }
    assert!(python.wait().expect("wait").success());
    assert_eq!(pairs, count);
    assert!(burnt > 100 && reasons.len() == 2, "{burnt} burnt, {reasons:?}");
    Tally::Schedules.add(pairs);
    figures(&format!(
        "sync: {pairs} random pairs joined as by the model, {mails} mails, {burnt} burnt numbers: {reasons:?}"
    ));
}

/// A state as the driver prints it.
fn state(said: &Value) -> State {
    let mut state = State::default();
    for (replica, counter) in object(&said["vv"]) {
        state.versions.insert(replica_id(replica), number(counter));
    }
    for place in array(&said["locs"]) {
        let (folder, name) = (FolderId::of(text(&place[0]).as_bytes()), text(&place[1]));
        let dots = array(&place[2]).iter();
        let dots = dots.map(|dot| Dot { replica: replica_id(text(&dot[0])), counter: number(&dot[1]) }).collect();
        let mail = state.mails.entry(guid(name)).or_default();
        let mail = Arc::make_mut(mail);
        mail.base = name.into();
        mail.places.insert(folder, dots);
        mail.flags = object(&said["flags"][name]).map(|(letter, n)| (letter.as_bytes()[0], number(n) as u32)).collect();
    }
    for (name, next) in object(&said["next"]) {
        let uids = object(&said["uid"][name]);
        let uids = uids.map(|(uid, mail)| (uid.parse().expect("a number"), guid(text(mail)))).collect();
        let (uid_validity, uid_next) = (7, number(next) as u32);
        let folder = Folder { name: name.into(), dots: BTreeSet::new(), uid_validity, uid_next, uids };
        state.folders.insert(FolderId::of(name.as_bytes()), folder);
    }
    state
}

/// Names of the model as guids, which sort as these.
fn guid(name: &str) -> Guid {
    let mut guid = [0; 16];
    guid[..name.len()].copy_from_slice(name.as_bytes());
    Guid(guid)
}

/// `r2`, and `r2.1` once it was restored.
fn replica_id(name: &str) -> ReplicaId {
    let mut numbers = name[1..].split('.').map(|number| number.parse::<u64>().expect("a number"));
    let (replica, times) = (numbers.next().expect("there is one"), numbers.next().unwrap_or(0));
    ReplicaId(replica << 32 | times)
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().expect("an object").iter().map(|(key, value)| (key.as_str(), value))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}
