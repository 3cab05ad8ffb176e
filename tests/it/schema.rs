//! `docs/json.schema.json` against what the verbs print.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::mailbox::{Mailbox, Run, mail, maildex};

/// The schema, read.
fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("read")).expect("JSON")
}

/// The keywords of JSON Schema that only tell people something.
const ANNOTATIONS: [&str; 4] = ["$schema", "$defs", "title", "description"];

/// What is wrong with a value. Stricter than JSON Schema: keys that are not named are wrong, too, for here reader and
/// writer are of one version.
fn faults(schema: &Value, value: &Value, root: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let fault = |what: &str| format!("{at}: {value}: {what}");
    for (keyword, rule) in schema.as_object().expect("a schema") {
        let holds = match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|rule| rule.strip_prefix("#/$defs/")).expect("one of ours");
                wrong.extend(faults(&root["$defs"][name], value, root, at));
                true
            }
            "anyOf" => rule.as_array().expect("a list").iter().any(|one| faults(one, value, root, at).is_empty()),
            "const" => value == rule,
            "enum" => rule.as_array().expect("a list").contains(value),
            "type" => match rule {
                Value::String(kind) => is_a(value, kind),
                kinds => kinds.as_array().expect("a list").iter().any(|kind| is_a(value, kind.as_str().expect("text"))),
            },
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().expect("a number")),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().expect("a number")),
            "format" => {
                assert_eq!(rule, "date-time");
                value.as_str().is_none_or(|text| text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok())
            }
            "contentEncoding" => {
                assert_eq!(rule, "base64");
                value.as_str().is_none_or(|text| BASE64_STANDARD.decode(text).is_ok())
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    wrong.extend(faults(rule, item, root, &format!("{at}[{n}]")));
                }
                true
            }
            "properties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(rule) => wrong.extend(faults(rule, item, root, &format!("{at}.{key}"))),
                        None => wrong.push(fault(&format!("the schema has no {key}"))),
                    }
                }
                true
            }
            "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    wrong.extend(faults(rule, item, root, &format!("{at}.{key}")));
                }
                true
            }
            "required" => {
                let names = rule.as_array().expect("a list").iter().map(|name| name.as_str().expect("text"));
                wrong.extend(names.filter(|name| value.get(name).is_none()).map(|name| fault(&format!("no {name}"))));
                true
            }
            keyword if ANNOTATIONS.contains(&keyword) => true,
            keyword => panic!("nobody looks after {keyword}"),
        };
        if !holds {
            wrong.push(fault(&format!("not as {keyword} says: {rule}")));
        }
    }
    wrong
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        kind => panic!("nobody knows what a {kind} is"),
    }
}

/// Every line is of one of these kinds; returns the kinds that were met.
#[track_caller]
fn assert_kinds(run: &Run, kinds: &[&str]) {
    let schema = schema();
    let mut met = BTreeSet::new();
    for record in run.json() {
        let all: Vec<(&str, Vec<String>)> =
            kinds.iter().map(|kind| (*kind, faults(&schema["$defs"][*kind], &record, &schema, kind))).collect();
        let is_of = all.iter().find(|(_, faults)| faults.is_empty());
        assert!(is_of.is_some(), "{record} is none of {kinds:?}: {all:#?}");
        met.extend(is_of.map(|(kind, _)| *kind));
        assert!(faults(&json!({"anyOf": schema["anyOf"]}), &record, &schema, "line").is_empty(), "{record}");
    }
    assert_eq!(met, kinds.iter().copied().collect(), "all kinds were met\n{run}");
}

#[test]
fn what_the_verbs_print_is_as_the_schema_says() {
    let text = "From: A <a@x.org>\nSubject: s\nDate: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <2@x>\n\
                References: <1@x>\n\nx\n";
    let mail = Mailbox::new()
        .messages(2)
        .message("cur/3:2,FSa", text)
        .message(OsStr::from_bytes(b"cur/4\xff:2,"), "\nno header\n")
        .message("new/5", format!("Subject: {}\n\n", "long ".repeat(2000)));
    std::fs::write(mail.file("dovecot-keywords"), "0 work\n").expect("write");
    let run = |arguments: &[&str]| mail.run(arguments).ok();
    assert_kinds(&run(&["build", "--json"]), &["build"]);
    assert_kinds(&run(&["list", "--json"]), &["message"]);
    assert_kinds(&run(&["list", "--json", "--threads"]), &["message"]);
    assert_kinds(&run(&["show", "1:*", "--json"]), &["message"]);
    assert_kinds(&run(&["changes", "--json"]), &["token"]);
    assert_kinds(&run(&["flag", "+F", "1,3", "--json"]), &["change"]);
    assert_kinds(&run(&["inc", "--json"]), &["change"]);
    let mut replace = mail.command(["replace", "2", "--json"]);
    let mut child =
        replace.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), self::mail("new").as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let replaced: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(faults(&schema()["$defs"]["change"], &replaced, &schema(), "replace"), Vec::<String>::new());
    mail.remove("cur/1.host:2,F");
    assert_kinds(&run(&["changes", "--since", "0", "--json"]), &["event", "token"]);
    assert_kinds(&run(&["watch", "--since", "0", "--once", "--json"]), &["event"]);
    assert_kinds(&run(&["stat", "--json"]), &["stat"]);
    let other = Mailbox::new().message("cur/1.other:2,", self::mail("of the other"));
    let aside = other.path().display().to_string();
    assert_kinds(&run(&["copy", &aside, "3", "--json"]), &["change"]);
    assert_kinds(&run(&["move", &aside, "3", "--json"]), &["change"]);
    other.run(["build"]).ok();
    assert_kinds(&other.run(["dedupe", "--json"]).ok(), &["doubled"]);
    assert_kinds(&other.run(["expunge", "1", "--json"]).ok(), &["change"]);
    let mut deliver = other.command(["deliver", "--json"]);
    let message = std::fs::File::open(other.file(other.mails().first().expect("one is left"))).expect("open");
    assert_kinds(&other.finish(deliver.stdin(message)).ok(), &["change"]);
    other.assert_sound();
    assert_kinds(&run(&["compact", "--json", "--if-dead", "99"]), &["compact"]);
    assert_kinds(&run(&["compact", "--json"]), &["compact"]);
    assert_kinds(&run(&["dump", "--json"]), &["field"]);
    let below = |verb: &[&str]| {
        let mut command = Command::new(maildex());
        command.args(&verb[..2]).arg(mail.path()).args(&verb[2..]);
        mail.finish(&mut command)
    };
    assert_kinds(&below(&["lock", "status", "--json"]).ok(), &["lock"]);
    std::fs::write(mail.file("dovecot-uidlist"), "3 V1 N9\n1 :3\n").expect("write");
    assert_kinds(&below(&["uids", "status", "--json"]).ok(), &["uids"]);
    let mut held = Command::new(maildex());
    held.args(["lock", "run"])
        .arg(mail.path())
        .arg("--")
        .arg(maildex())
        .args(["lock", "status", "--json"])
        .arg(mail.path());
    assert_kinds(&mail.finish(&mut held).ok(), &["lock"]);
    run(&["sync", "init"]);
    run(&["sync", "add-peer", "hub", "/nowhere"]);
    assert_kinds(&mail.run(["sync", "run", "--json"]).fails_with(4), &["synced"]);
    assert_kinds(&run(&["sync", "status", "--json"]), &["replica"]);
    mail.edit("maildex.offsets", |bytes| bytes[4096] ^= 1);
    assert_kinds(&mail.run(["check", "--json"]).fails_with(1), &["finding", "checked"]);
    assert_kinds(&run(&["repair", "--json"]), &["finding", "repaired"]);
    mail.assert_sound();
}

#[test]
fn what_is_not_as_the_schema_says_is_noticed() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let record = mail.run(["list", "--json"]).ok().json().remove(0);
    let schema = schema();
    let faults = |record: &Value| faults(&schema["$defs"]["message"], record, &schema, "message");
    assert_eq!(faults(&record), Vec::<String>::new());
    for key in record.as_object().expect("an object").keys() {
        let mut less = record.clone();
        less.as_object_mut().expect("an object").remove(key);
        assert!(!faults(&less).is_empty(), "without {key}");
        let mut other = record.clone();
        other[key] = json!({"x": 1});
        assert!(!faults(&other).is_empty(), "{key} as an object");
    }
    for (key, value) in
        [("v", json!(2)), ("uid", json!(0)), ("date", json!("today")), ("dir", json!("tmp")), ("x", json!(1))]
    {
        let mut other = record.clone();
        other[key] = value;
        assert!(!faults(&other).is_empty(), "{other}");
    }
    mail.assert_sound();
}
