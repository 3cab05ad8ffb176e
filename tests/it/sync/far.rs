//! Another machine as the hub, by ssh: an sshd of our own, on the loopback interface, that git reaches as its user has told it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::replica::Replica;
use crate::mailbox::{Run, figures, installed, mail, skipped};

/// A hang, and not a slow machine.
const LIMIT: Duration = Duration::from_mins(1);

/// An sshd, and a user who can log in to it by a key.
pub struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Sshd {
    /// `None`, said loudly, where there is none.
    pub fn new() -> Option<Sshd> {
        if !Path::new("/usr/sbin/sshd").exists() || !installed("ssh") || !installed("ssh-keygen") {
            skipped("a hub that is reached by ssh", "apt-get install openssh-server openssh-client");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        for key in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key));
            assert!(command.status().expect("ssh-keygen").success());
        }
        fs::copy(dir.path().join("user.pub"), dir.path().join("authorized")).expect("copy the key");
        // sshd insists on this one, wherever all else is.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = Sshd { dir, port: 0, child: None };
        sshd.start();
        Some(sshd)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it, at the port that it had, or at one that is free.
    pub fn start(&mut self) {
        let began = Instant::now();
        loop {
            if self.port == 0 {
                let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
                self.port = free.local_addr().expect("an address").port();
            }
            let at = self.dir.path().display();
            let config = format!(
                "Port {}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nMaxStartups 100\nSetEnv PATH={}\n",
                self.port,
                std::env::var("PATH").expect("PATH")
            );
            fs::write(self.file("sshd_config"), config).expect("write");
            let user = Command::new("id").arg("-un").output().expect("id");
            let user = String::from_utf8(user.stdout).expect("UTF-8");
            let config = format!(
                "Host maildex-test\nHostName 127.0.0.1\nPort {}\nUser {}\nIdentityFile {at}/user\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n",
                self.port,
                user.trim()
            );
            fs::write(self.file("ssh_config"), config).expect("write");
            fs::write(self.file(".gitconfig"), format!("[core]\n\tsshCommand = ssh -F {at}/ssh_config\n"))
                .expect("write");
            let mut command = Command::new("/usr/sbin/sshd");
            command.arg("-D").arg("-e").arg("-f").arg(self.file("sshd_config"));
            let log = fs::File::create(self.file("log")).expect("a log");
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("sshd");
            while child.try_wait().expect("sshd").is_none() {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    self.child = Some(child);
                    return;
                }
                assert!(began.elapsed() < LIMIT, "{}", fs::read_to_string(self.file("log")).unwrap_or_default());
                std::thread::sleep(Duration::from_millis(10));
            }
            // Somebody else was quicker to take the port. Who was told of it must find it again, though.
            let said = fs::read_to_string(self.file("log")).unwrap_or_default();
            assert!(said.contains("already in use") && began.elapsed() < LIMIT, "{said}");
            std::thread::sleep(Duration::from_millis(50));
            self.port = 0;
        }
    }

    /// Ends it, and whom it serves.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill sshd");
            child.wait().expect("sshd");
        }
    }

    /// A command of a user who has this in the configuration of git.
    pub fn command(&self, replica: &Replica, args: &[&str]) -> Command {
        let mut command = replica.mailbox.command(args);
        command.env("HOME", self.dir.path()).env_remove("XDG_CONFIG_HOME").env_remove("SSH_AUTH_SOCK");
        command
    }

    pub fn run(&self, replica: &Replica, args: &[&str]) -> Run {
        replica.mailbox.finish(&mut self.command(replica, args))
    }
}

/// Of a repository, by ssh.
pub fn url(path: &Path) -> String {
    format!("ssh://maildex-test{}", path.display())
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A child that is ended with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long it takes; if it takes for ever, what the watchers have said.
fn until(said: &dyn Fn() -> String, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

#[test]
fn watchers_tell_each_other_by_ssh_and_a_hub_that_is_away_is_no_harm() {
    let Some(mut sshd) = Sshd::new() else { return };
    let hub = super::replica::hub();
    let replicas = [Replica::new(), Replica::new()];
    for replica in &replicas {
        sshd.run(replica, &["sync", "add-peer", "hub", &url(hub.path())]).ok();
        sshd.run(replica, &["sync", "run"]).ok();
    }
    // They have met, and have mail: no index is begun anew any more.
    replicas[0].mailbox.deliver("new/00.first", mail("first"));
    for replica in replicas.iter().chain(&replicas) {
        sshd.run(replica, &["sync", "run"]).ok();
    }
    let commits = || {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(hub.path()).args(["rev-list", "--count", "--all"]);
        String::from_utf8(git.output().expect("git").stdout).expect("UTF-8").trim().parse::<usize>().expect("a number")
    };
    let before = commits();
    let log = sshd.file("watchers");
    let watchers: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let mut command = sshd.command(replica, &["watch", "--sync", "--sync-every", "1"]);
            let stderr = fs::File::options().create(true).append(true).open(&log).expect("a log");
            Ends(command.stdout(Stdio::null()).stderr(stderr).spawn().expect("watch"))
        })
        .collect();
    let is_listed = |replica: &Replica, base: &str| {
        let run = replica.mailbox.run(["list", "--paths"]);
        run.code() == Some(0) && run.text().contains(base)
    };
    let said = || fs::read_to_string(&log).unwrap_or_default();
    for (from, to) in [(0, 1), (1, 0)] {
        let base = format!("0.{from}");
        replicas[from].mailbox.deliver(format!("new/{base}"), mail(&base));
        until(&said, || is_listed(&replicas[to], &base));
    }
    let rounds = 5;
    let mut took = Vec::new();
    for n in 1..=rounds {
        let base = format!("{n}.host");
        replicas[0].mailbox.deliver(format!("new/{base}"), mail(&base));
        took.push(until(&said, || is_listed(&replicas[1], &base)));
    }
    took.sort();
    let made = commits() - before;
    assert!(made <= 2 * (rounds + 3), "one commit a run and replica at most: {made}");
    figures(&format!(
        "sync by ssh, both watching: a delivery is listed on the other side after {:.2} s at best, {:.2} s as a rule, {:.2} s at worst; {rounds} deliveries, {made} commits",
        took[0].as_secs_f64(),
        took[rounds / 2].as_secs_f64(),
        took[rounds - 1].as_secs_f64()
    ));
    drop(watchers);
    // A run that they have begun goes on to its end.
    for replica in &replicas {
        until(&said, || sshd.run(replica, &["sync", "run"]).code() == Some(0));
    }
    // Away: said clearly, and what happens here is told later.
    sshd.stop();
    replicas[0].mailbox.deliver("new/9.host", mail("while it is away"));
    let run = sshd.run(&replicas[0], &["sync", "run"]).fails_with(4);
    run.stderr_shows("peer hub (ssh://maildex-test/");
    run.stderr_shows("cannot fetch from it: ");
    run.stderr_shows("hint: nothing is lost");
    sshd.start();
    for at in [0, 1] {
        sshd.run(&replicas[at], &["sync", "run"]).ok();
    }
    assert!(is_listed(&replicas[1], "9.host"));
    for replica in &replicas {
        replica.mailbox.run(["check"]).ok();
    }
}

#[test]
fn a_hub_that_takes_the_call_and_says_nothing_is_left_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let replica = Replica::new();
    let url = format!("git://127.0.0.1:{port}/mail.git");
    replica.mailbox.run(["sync", "add-peer", "far", &url]).ok();
    replica.mailbox.deliver("new/1.host", mail("one"));
    let run = replica.mailbox.run(["sync", "run", "--timeout", "0.3"]).fails_with(4);
    run.stderr_shows("cannot fetch from it: it said nothing");
    // All else was done.
    replica.mailbox.run(["list"]).ok().stdout_has("one");
    replica.mailbox.run(["sync", "status"]).ok().stdout_has("is behind");
}
