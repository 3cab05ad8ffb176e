//! What shells complete: verbs and options, folders, the words of queries and of flags. The shells themselves are asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use maildex::query::parse::KEYS;

use crate::mailbox::{installed, skipped};

/// Where the completions lie.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");

/// Asks a shell, in a directory with the directories `box` and `inbox` and the file `boat`, what it would offer.
type Shell = fn(&Path, &str) -> BTreeSet<String>;

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.replace('\r', "")
}

/// bash calls a function with the words in variables; so does this.
fn bash(place: &Path, line: &str) -> BTreeSet<String> {
    let script = format!(
        "source {DIRECTORY}/maildex.bash
         [[ $(complete -p maildex) =~ -F\\ ([^ ]+) ]]
         COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()
         ${{BASH_REMATCH[1]}} maildex \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &script, "bash"]).args(line.split(' ')).current_dir(place);
    printed(&mut bash).lines().map(String::from).collect()
}

fn fish(place: &Path, line: &str) -> BTreeSet<String> {
    let script = format!("source {DIRECTORY}/maildex.fish; complete -C '{line}'");
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", &script]).current_dir(place).env("HOME", place);
    let word = |line: &str| line.split('\t').next().unwrap_or_default().trim_end_matches('/').to_string();
    printed(&mut fish).lines().map(word).collect()
}

/// zsh completes at a terminal only. There the line is typed, and in the place of what would be shown the words are
/// printed.
fn zsh(place: &Path, line: &str) -> BTreeSet<String> {
    let settings = format!(
        "PROMPT= RPROMPT= PS2= PROMPT_EOL_MARK=
         fpath=({DIRECTORY} $fpath)
         autoload -Uz compinit; compinit -u -D
         compadd() {{
             [[ \" $* \" == *' -'[OAD]' '* ]] && {{ builtin compadd \"$@\"; return }}
             local -a words
             builtin compadd -A words \"$@\"
             print -rl -- '' \"word:\"${{^words}}
             builtin compadd \"$@\"
         }}
         offer() {{ _main_complete; compstate[insert]= compstate[list]=; print 'all told' }}
         zle -C offer complete-word offer
         bindkey '^I' offer
         print 'now type'"
    );
    fs::write(place.join(".zshrc"), settings).expect("write");
    let script = "zmodload zsh/zpty
         zpty shell 'zsh -d -i'
         zpty -r shell said '*now type*'
         zpty -w -n shell \"$1\"$'\\t'
         zpty -r shell said '*all told*'
         print -r -- \"$said\"
         zpty -d shell";
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "-c", script, "zsh", line])
        .current_dir(place)
        .env("ZDOTDIR", place)
        .env("TERM", "dumb");
    printed(&mut zsh).lines().filter_map(|line| line.strip_prefix("word:")).map(String::from).collect()
}

#[test]
fn bash_knows_verbs_options_folders_and_words() {
    check("bash", bash);
}

#[test]
fn fish_knows_verbs_options_folders_and_words() {
    check("fish", fish);
}

#[test]
fn zsh_knows_verbs_options_folders_and_words() {
    check("zsh", zsh);
}

fn check(name: &str, ask: Shell) {
    if !installed(name) {
        return skipped(&format!("what {name} completes"), &format!("install {name}"));
    }
    let temp = tempfile::tempdir().expect("a temporary directory");
    let place = temp.path();
    for directory in ["box", "inbox"] {
        fs::create_dir(place.join(directory)).expect("mkdir");
    }
    fs::write(place.join("boat"), "").expect("write");
    let keys = |begin: &str| KEYS.iter().filter(|key| key.starts_with(begin)).map(ToString::to_string).collect();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    for (line, expected) in [
        ("maildex che", words(&["check"])),
        ("maildex lock r", words(&["release", "run"])),
        ("maildex list --thr", words(&["--threads"])),
        ("maildex list --sort s", words(&["size", "subject"])),
        ("maildex list b", words(&["box"])),
        ("maildex lock run b", words(&["box"])),
        ("maildex --index-dir /tmp stat in", words(&["inbox"])),
        ("maildex list box ", keys("")),
        ("maildex count box uns", words(&["unseen"])),
        ("maildex list --sort date box seen se", keys("se")),
        ("maildex flag box +s", words(&["+seen"])),
        ("maildex flag box +S --query un", keys("un")),
    ] {
        // Some shells tell no case from another, or offer what is like it.
        let begin = line.rsplit(' ').next().unwrap_or_default();
        let offered: BTreeSet<String> =
            ask(place, line).into_iter().filter(|word| word.starts_with(begin) && !word.is_empty()).collect();
        assert_eq!(offered, expected, "{name}: {line:?}");
    }
    assert!(ask(place, "maildex show box bo").contains("boat"), "{name}: MSG may be a file");
    assert!(!ask(place, "maildex ge").contains("generate"), "{name}: a hidden verb");
}
