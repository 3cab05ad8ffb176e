//! What `maildex --version --verbose` says of how the program was built. Nothing here can fail: what is not known is
//! said to be unknown.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
    let profile = env::var("PROFILE").ok();
    // Builds for tests are made so often that they are of no commit: else each commit would compile everything again.
    let is_release = profile.as_deref() == Some("release");
    let commit = if is_release { of_repository().or_else(of_package) } else { None };
    let rustc = env::var_os("RUSTC").and_then(|rustc| output(Command::new(rustc).arg("--version")));
    for (name, value) in
        [("COMMIT", commit), ("TARGET", env::var("TARGET").ok()), ("PROFILE", profile), ("RUSTC", rustc)]
    {
        println!("cargo:rustc-env=MAILDEX_{name}={}", known(value));
    }
}

/// The commit that is checked out, with `-dirty` if files differ from it. Not that of a repository around this one, in
/// which the sources were only unpacked.
fn of_repository() -> Option<String> {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments));
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != env::current_dir().and_then(fs::canonicalize).ok()? {
        return None;
    }
    let log = Path::new(&git(&["rev-parse", "--absolute-git-dir"])?).join("logs/HEAD");
    for path in [log.as_path(), Path::new("src"), Path::new("Cargo.toml"), Path::new("Cargo.lock")] {
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

/// The commit that `cargo package` has written down.
fn of_package() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let sha1 = rest.split('"').nth(1)?;
    Some(sha1.chars().take(12).collect())
}

/// The line that a command prints, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_string()).filter(|text| !text.is_empty() && !text.contains('\n'))
}
