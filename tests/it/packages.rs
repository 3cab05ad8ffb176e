//! What others install: the Debian package with its units, and what goes into the one of the registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::mailbox::{Mailbox, Run, installed, maildex, skipped};

fn of_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Debian's tools on a root directory of their own, so that nothing of this machine is touched.
struct Root {
    scratch: Mailbox,
    path: PathBuf,
}

impl Root {
    fn new() -> Root {
        let scratch = Mailbox::new();
        let path = scratch.path().with_file_name("root");
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"] {
            fs::create_dir_all(path.join(directory)).expect("mkdir");
        }
        fs::write(path.join("var/lib/dpkg/status"), "").expect("write");
        Root { scratch, path }
    }

    /// `dpkg` there. What the program is linked with is not there, and is not asked for.
    fn dpkg(&self, arguments: &[&str]) -> Run {
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new(if is_root { "dpkg" } else { "fakeroot" });
        if !is_root {
            command.arg("dpkg");
        }
        let log = self.path.join("var/log/dpkg.log");
        command.arg(format!("--root={}", self.path.display())).arg(format!("--log={}", log.display()));
        command.args(["--force-depends", "--force-script-chrootless"]).args(arguments).env("LC_ALL", "C");
        self.scratch.finish(&mut command)
    }

    /// Files that the package has brought.
    fn files(&self) -> BTreeSet<String> {
        fn walk(directory: &Path, root: &Path, files: &mut BTreeSet<String>) {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, root, files);
                } else {
                    files.insert(path.strip_prefix(root).expect("within").to_str().expect("UTF-8").into());
                }
            }
        }
        let mut files = BTreeSet::new();
        walk(&self.path, &self.path, &mut files);
        files.retain(|file| !file.starts_with("var/"));
        files
    }
}

#[test]
fn the_debian_package_is_built_installed_and_removed() {
    let needed = ["python3", "dpkg", "dpkg-deb", "dpkg-shlibdeps", "strip"];
    let is_root = rustix::process::geteuid().is_root();
    let has_toml =
        || Command::new("python3").args(["-c", "import tomllib"]).output().is_ok_and(|run| run.status.success());
    if !needed.into_iter().all(installed) || !(is_root || installed("fakeroot")) || !has_toml() {
        return skipped(
            "the Debian package",
            "install dpkg-dev, binutils, Python 3.11, and fakeroot unless you are root",
        );
    }
    let root = Root::new();
    let mut build = Command::new("python3");
    build.arg(of_project("packaging/deb.py")).arg("--binary").arg(maildex()).arg("--out").arg(&root.path);
    // Only what compresses it is left out; a debug build would take long.
    let built =
        root.scratch.finish(build.env("DPKG_DEB_COMPRESSOR_TYPE", "none").env("SOURCE_DATE_EPOCH", "1700000000"));
    let package = built.ok().silent().text().trim().to_string();
    let name = format!("/maildex_{}-1_", env!("CARGO_PKG_VERSION"));
    assert!(package.contains(&name), "{package}");
    let depends = root.scratch.finish(Command::new("dpkg-deb").args(["--field", &package, "Depends"])).ok().text();
    assert!(depends.contains("libc6 (>= "), "{depends}");

    root.dpkg(&["--install", &package]).ok();
    fs::remove_file(&package).expect("remove");
    root.dpkg(&["--verify", "maildex"]).ok().stdout("");
    let version = root.scratch.finish(Command::new(root.path.join("usr/bin/maildex")).arg("--version"));
    version.ok().stdout(format!("maildex {}\n", env!("CARGO_PKG_VERSION")));
    let files = root.files();
    for file in [
        "usr/bin/maildex",
        "usr/lib/systemd/user/maildex-compact@.service",
        "usr/lib/systemd/user/maildex-compact@.timer",
        "usr/lib/systemd/user/maildex-watch@.service",
        "usr/share/bash-completion/completions/maildex",
        "usr/share/doc/maildex/changelog.gz",
        "usr/share/doc/maildex/copyright",
        "usr/share/fish/vendor_completions.d/maildex.fish",
        "usr/share/zsh/vendor-completions/_maildex",
    ] {
        assert!(files.contains(file), "{file} is not in {files:#?}");
    }
    for page in fs::read_dir(of_project("man")).expect("the pages") {
        let page = page.expect("a page").file_name().into_string().expect("UTF-8");
        let section = page.rsplit('.').next().expect("a section");
        assert!(files.contains(&format!("usr/share/man/man{section}/{page}.gz")), "{page} is not in {files:#?}");
    }

    root.dpkg(&["--purge", "maildex"]).ok();
    assert_eq!(root.files(), BTreeSet::new());
    assert_eq!(fs::read_to_string(root.path.join("var/lib/dpkg/status")).expect("the status").trim(), "");
}

/// The command of a unit, for a folder, and run by this program.
fn command_of(unit: &str, folder: &Path) -> Command {
    let text = fs::read_to_string(of_project("packaging/systemd").join(unit)).expect("a unit");
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let arguments = line.strip_prefix("/usr/bin/maildex ").expect("the program").split(' ');
    let mut command = Command::new(maildex());
    command.args(arguments.map(|argument| argument.replace("%f", folder.to_str().expect("UTF-8"))));
    command
}

#[test]
fn the_units_call_verbs_that_there_are() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.finish(&mut command_of("maildex-compact@.service", &mail.path())).ok();
    // Without the options it would watch for ever.
    let watch = command_of("maildex-watch@.service", &mail.path()).args(["--since", "0", "--once"]).output();
    let watch = watch.expect("run");
    assert!(watch.status.success() && watch.stdout.split(|&byte| byte == b'\n').count() == 4, "{watch:?}");
    for unit in fs::read_dir(of_project("packaging/systemd")).expect("units") {
        let path = unit.expect("a unit").path();
        let text = fs::read_to_string(&path).expect("a unit");
        let page = text.lines().find_map(|line| line.strip_prefix("Documentation=man:")).expect("a page");
        let page = page.replace('(', ".").replace(')', "");
        assert!(of_project("man").join(&page).exists(), "{path:?}: {page}");
    }
}

/// `cargo package` needs a checkout to say what it would take.
#[test]
fn the_registry_gets_what_is_needed_and_no_more() {
    if !of_project(".git").exists() {
        return;
    }
    let mut list = Command::new(env!("CARGO"));
    list.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(of_project(""));
    let list = list.output().expect("run cargo");
    assert!(list.status.success(), "{list:?}");
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(!said.contains("manifest has no"), "{said}");
    let files: BTreeSet<_> = String::from_utf8_lossy(&list.stdout).lines().map(String::from).collect();
    for file in ["src/lib.rs", "build.rs", "man/maildex.1", "completions/_maildex", "LICENSE-MIT", "Cargo.lock"] {
        assert!(files.contains(file), "{file} is not in {files:#?}");
    }
    for file in &files {
        assert!(!file.contains(':') && !file.starts_with(".ci/") && !file.starts_with("target/"), "{file}");
    }
}
