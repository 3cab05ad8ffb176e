//! Man pages and completions: as the definitions say, well formed, and true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use maildex::sample;

use crate::mailbox::{Mailbox, installed, maildex, skipped};

/// What makes them again.
const AGAIN: &str = "cargo run --features generate -- generate .";

/// The checkout.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// `man` or `completions` below a directory: names and contents.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("a name").to_string();
    entries.map(|path| (name(&path), fs::read_to_string(&path).expect("read"))).collect()
}

fn pages() -> BTreeMap<String, String> {
    files(&Path::new(ROOT).join("man"))
}

/// What a command prints, which must end well.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    format!("{out}{err}")
}

/// The commands among the examples of a help text.
fn examples(help: &str) -> Vec<&str> {
    let examples = help.split_once("\nExamples:\n").map_or("", |(_, examples)| examples);
    examples.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

/// Every verb that is not hidden, with its words: `["lock", "run"]`.
fn verbs() -> Vec<Vec<String>> {
    let mut verbs = Vec::new();
    let mut todo = vec![Vec::new()];
    while let Some(words) = todo.pop() {
        let help = printed(Command::new(maildex()).arg("help").args(&words));
        let Some((_, list)) = help.split_once("\nCommands:\n") else { continue };
        for line in list.lines().take_while(|line| line.starts_with("  ")) {
            let word = line.split_whitespace().next().filter(|&word| line.starts_with(&format!("  {word}")));
            let Some(word) = word.filter(|&word| word != "help") else { continue };
            let verb = [&words[..], &[word.to_string()]].concat();
            verbs.push(verb.clone());
            todo.push(verb);
        }
    }
    verbs
}

#[test]
fn they_are_as_the_definitions_say() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    printed(Command::new(maildex()).arg("generate").arg(temp.path()));
    for part in ["man", "completions"] {
        let (ready, made) = (files(&Path::new(ROOT).join(part)), files(&temp.path().join(part)));
        let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&ready), names(&made), "{part}/ is stale; make it again: {AGAIN}");
        for (name, contents) in made {
            assert!(ready[&name] == contents, "{part}/{name} is stale; make it again: {AGAIN}");
        }
    }
    let (ready, made) = (files(&Path::new(ROOT).join("docs")), files(&temp.path().join("docs")));
    assert_eq!(made.keys().collect::<Vec<_>>(), ["list.svg"]);
    assert!(ready.get("list.svg") == made.get("list.svg"), "docs/list.svg is stale; make it again: {AGAIN}");
}

#[test]
fn pages_of_an_earlier_time_go_and_nothing_else_does() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let man = temp.path().join("man");
    fs::create_dir(&man).expect("mkdir");
    for name in ["maildex-frobnicate.1", "other.1", "maildex.txt"] {
        fs::write(man.join(name), "x").expect("write");
    }
    let run = printed(Command::new(maildex()).arg("generate").arg(temp.path()));
    assert!(run.contains("maildex-frobnicate.1 removed"), "{run}");
    let there = files(&man);
    assert!(there.contains_key("other.1") && there.contains_key("maildex.txt") && there.contains_key("maildex.1"));
    assert!(!there.contains_key("maildex-frobnicate.1"));
}

#[test]
fn every_verb_has_a_page_with_examples() {
    let pages = pages();
    let verbs = verbs();
    assert!(verbs.len() >= 6, "{verbs:?}");
    for verb in verbs {
        let page = format!("maildex-{}.1", verb.join("-"));
        let text = pages.get(&page).unwrap_or_else(|| panic!("no {page}; make it: {AGAIN}"));
        let reference = format!(".BR maildex\\-{} (1)\n", verb.join("-").replace('-', "\\-"));
        let parent = if verb.len() == 1 { "maildex.1".into() } else { format!("maildex-{}.1", verb[0]) };
        assert!(pages[&parent].contains(&reference), "{parent} does not name {page}");
        let has_examples = text.contains("\n.SH EXAMPLES\n") && text.contains("\n.EX\n");
        assert!(has_examples || text.contains("\n.SH VERBS\n"), "{page} has no examples; see src/cli/manual.rs");
    }
}

#[test]
fn the_main_page_reads_from_top_to_bottom_and_is_complete() {
    let page = &pages()["maildex.1"];
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let expected = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "VERBS",
        "OPTIONS",
        "OUTPUT",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ];
    let is_section = |line: &str| expected.iter().any(|section| line == *section || line == format!("\"{section}\""));
    assert_eq!(sections.len(), expected.len(), "{sections:?}");
    assert!(sections.iter().all(|line| is_section(line)), "{sections:?}");
    assert!(!page.contains("\n.\\\" "), "a part was not put in");
    // Every key that scripts get.
    let mail = Mailbox::new().messages(1);
    let build = mail.run(["build", "--json"]).ok().json();
    let list = mail.run(["list", "--json"]).ok().json();
    let flag = mail.run(["flag", "+F", "1", "--json"]).ok().json();
    let changes = mail.run(["changes", "--since", "0", "--json"]).ok().json();
    fs::write(mail.file("dovecot-uidlist"), "3 V1 N1\n").expect("write");
    let uids = mail.run(["uids", "status", "--json"]).ok().json();
    mail.run(["sync", "init"]).ok();
    mail.run(["sync", "add-peer", "hub", "/nowhere"]).ok();
    let synced = mail.run(["sync", "run", "--json"]).fails_with(4).json();
    let replica = mail.run(["sync", "status", "--json"]).ok().json();
    let lock = printed(Command::new(maildex()).args(["lock", "status", "--json"]).arg(mail.path()));
    let lock: serde_json::Value = serde_json::from_str(&lock).expect("one object");
    let output = page.split("\n.SH ").find(|section| section.starts_with("OUTPUT")).expect("a section");
    let words: BTreeSet<&str> = output.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let stat = mail.run(["stat", "--json"]).ok().json();
    for key in [
        &build[0],
        &list[0],
        &stat[0],
        &stat[0]["sizes"][0],
        &stat[0]["ages"][0],
        &stat[0]["top_senders"][0],
        &flag[0],
        &changes[0],
        &uids[0],
        &uids[0]["lists"][0],
        &synced[0],
        &synced[0]["sent"],
        &synced[0]["received"],
        &replica[0],
        &replica[0]["peers"][0],
        &lock,
    ]
    .into_iter()
    .flat_map(|record| record.as_object().expect("an object").keys())
    {
        assert!(words.contains(key.as_str()), "OUTPUT does not say what {key} is");
    }
}

#[test]
fn the_schema_names_every_verb_that_prints_json() {
    let schema = fs::read_to_string(Path::new(ROOT).join("docs/json.schema.json")).expect("read");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let kinds = schema["$defs"].as_object().expect("kinds").values();
    let named: BTreeSet<&str> = kinds
        .filter_map(|kind| kind["description"].as_str()?.trim_end_matches('.').split_once(": "))
        .flat_map(|(_, verbs)| verbs.split(", "))
        .collect();
    for verb in verbs() {
        let verb = verb.join(" ");
        let help = printed(Command::new(maildex()).args(verb.split(' ')).arg("--help"));
        let what =
            "docs/json.schema.json: which object it prints stands in the description, and tests/it/schema.rs tries it";
        assert_eq!(help.contains("      --json\n"), named.contains(&*verb), "{verb}: {what}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_docs() {
    let docs = fs::read_to_string(Path::new(ROOT).join("docs/scripts.md")).expect("read");
    let table = docs.split_once("| exit status | |").expect("a table").1;
    let row = |line: &str| line.strip_prefix("| ")?.split_once(" | ").map(|(code, _)| code.to_string());
    let codes: BTreeSet<String> =
        table.lines().skip(1).take_while(|line| line.starts_with('|')).filter_map(row).collect();
    let page = &pages()["maildex.1"];
    let section = page.split("\n.SH ").find(|section| section.contains("EXIT STATUS\"") || section.starts_with("EXIT"));
    let bold = |line: &str| Some(line.strip_prefix("\\fB")?.strip_suffix("\\fR")?.to_string());
    let of_page: BTreeSet<String> = section.expect("a section").lines().filter_map(bold).collect();
    assert_eq!(codes, of_page);
}

#[test]
fn the_pages_are_sound_roff() {
    for (lint, arguments) in [("mandoc", &["-Tlint", "-Wall"][..]), ("man", &["--warnings", "-E", "ascii", "-l"])] {
        if !installed(lint) {
            skipped("the form of the man pages", "install mandoc and man-db");
            continue;
        }
        for page in pages().keys() {
            let mut command = Command::new(lint);
            command.args(arguments).arg(Path::new(ROOT).join("man").join(page)).env("MANWIDTH", "80");
            let output = command.output().expect("run it");
            let said = String::from_utf8_lossy(if lint == "man" { &output.stderr } else { &output.stdout });
            assert!(output.status.success() && said.is_empty(), "{page}: {said}");
        }
    }
}

#[test]
fn shells_can_read_the_completions() {
    for (shell, file) in [("bash", "maildex.bash"), ("zsh", "_maildex"), ("fish", "maildex.fish")] {
        if !installed(shell) {
            skipped(&format!("completions for {shell}"), &format!("install {shell}"));
            continue;
        }
        printed(Command::new(shell).arg("-n").arg(Path::new(ROOT).join("completions").join(file)));
    }
}

#[test]
fn bash_completes_verbs_and_options() {
    if !installed("bash") {
        skipped("what bash completes", "install bash");
        return;
    }
    let script = Path::new(ROOT).join("completions/maildex.bash");
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, previous) = (words[words.len() - 1], words[words.len() - 2]);
        let script = format!(
            "source '{}'; COMP_WORDS=({line}); COMP_CWORD={}; _maildex maildex '{last}' '{previous}'; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.len() - 1
        );
        printed(Command::new("bash").args(["--norc", "-c", &script]))
    };
    let verbs = complete("maildex c");
    assert!(verbs.contains("cat") && verbs.contains("check") && verbs.contains("count"), "{verbs}");
    assert!(complete("maildex list --js").contains("--json"));
    assert!(complete("maildex list --sort a").contains("arrival"));
    assert!(!verbs.contains("generate") && !complete("maildex g").contains("generate"));
}

#[test]
fn the_page_of_sync_has_the_machines_of_the_readme() {
    let help = printed(Command::new(maildex()).args(["sync", "--help"]));
    let (_, machines) = help.split_once("\nWorked examples:\n").expect("worked examples");
    let machines: Vec<&str> = machines.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).expect("read");
    let (_, section) = readme.split_once("\nA laptop, a desktop, and a hub").expect("the section");
    let blocks = section.split("```").skip(1).step_by(2).take(2);
    // In the README the same service is run by hand.
    let lines = blocks.flat_map(str::lines).filter(|line| line.starts_with("ssh ") || line.contains(" sync "));
    let lines: Vec<&str> = lines.map(|line| line.split(" # ").next().unwrap_or(line).trim_end()).collect();
    assert!(lines.len() >= 7, "{lines:?}");
    for line in lines {
        assert!(machines.contains(&line), "{line:?} is not in src/cli/sync/machines.txt");
    }
    assert!(pages()["maildex-sync.1"].contains("\nssh mail.example.org git init \\-\\-bare mail.git\n"));
}

#[test]
fn every_example_works_when_pasted() {
    let mail = Mailbox::in_memory();
    sample::write(&mail.path(), 0..200).expect("write");
    mail.run(["build"]).ok();
    let home = mail.path().parent().expect("it has one").to_path_buf();
    fs::rename(mail.path(), home.join("Maildir")).expect("rename");
    let mut commands: Vec<String> = Vec::new();
    for verb in verbs() {
        let help = printed(Command::new(maildex()).args(&verb).arg("--help"));
        commands.extend(examples(&help).into_iter().map(String::from));
    }
    assert!(commands.len() > 10, "{commands:?}");
    let query = printed(Command::new(maildex()).args(["help", "query"]));
    commands.extend(examples(&query).into_iter().map(String::from));
    let main = pages()["maildex.1"].replace("\\(ti", "~").replace("\\-", "-").replace("\\(aq", "'");
    let in_main = main.split(".EX\n").skip(1).filter_map(|rest| rest.split("\n.EE").next());
    commands.extend(in_main.map(String::from));
    let bin = maildex().parent().expect("it has one").to_path_buf();
    let path = std::env::var("PATH").expect("a PATH");
    for command in commands {
        let mut sh = Command::new("sh");
        sh.args(["-ec", &command])
            .env("HOME", &home)
            .env_remove("XDG_STATE_HOME")
            .env("PATH", format!("{}:{path}", bin.display()));
        sh.current_dir(&home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = sh.spawn().expect("sh");
        // Only against a hang.
        let until = Instant::now() + Duration::from_mins(2);
        while child.try_wait().expect("wait").is_none() {
            if Instant::now() > until {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().expect("wait");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{}\n{said}", output.status);
    }
}
