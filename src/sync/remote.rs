//! Other repositories: what they have is fetched, and the own state is pushed to them. What git can reach can be one, by the
//! user's own configuration of git and ssh.

use std::process::ExitStatus;
use std::time::Duration;

use super::git::check_url;
use super::repository::Repository;
use super::state::ReplicaId;
use crate::error::{Error, Result};

/// Replicas whose states are taken from one remote.
const REPLICAS_MAX: usize = 1000;

/// Another repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What the user calls it.
    pub name: String,
    /// Where it is.
    pub url: String,
}

impl Repository {
    /// The repositories that [`Repository::add_remote`] was told.
    pub fn remotes(&self) -> Result<Vec<Remote>> {
        let listed = self.git.run("git config", ["config", "-z", "--list", "--local"], b"")?;
        let listed = String::from_utf8_lossy(&listed);
        let remotes = listed.split('\0').filter_map(|setting| {
            let (key, url) = setting.split_once('\n')?;
            let name = key.strip_prefix("maildex-remote.")?.strip_suffix(".url")?;
            Some(Remote { name: name.into(), url: url.into() })
        });
        Ok(remotes.collect())
    }

    /// A setting of the repository itself.
    pub(super) fn setting(&self, name: &str) -> Result<Option<String>> {
        match self.git.run("git config", ["config", "--local", "--default", "", "--get", name], b"") {
            Ok(value) => Ok(Some(String::from_utf8_lossy(&value).trim().to_string()).filter(|value| !value.is_empty())),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Result<()> {
        self.git.run("git config", ["config", "--local", name, value], b"").map(drop)
    }

    /// Takes another repository to fetch from and push to; under a name that is known, instead of that one.
    pub fn add_remote(&self, remote: &Remote) -> Result<()> {
        check_url(&remote.url)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if remote.name.is_empty() || !remote.name.bytes().all(is_name) {
            return Err(Error::Url {
                url: remote.name.clone(),
                why: "a name has letters, digits, and `-`, `_` and `.` only",
            });
        }
        // Not `remote.`: what git reads there by itself (refspecs, programs to call) is nothing that we want.
        let key = format!("maildex-remote.{}.url", remote.name);
        self.git.run("git config", ["config", &key, &remote.url], b"").map(drop)
    }

    /// Fetches the states of all replicas that a remote has. `patience` is how long git may be silent; `progress` gets
    /// what it says. What could not be fetched, of one replica or of all, comes back.
    pub fn fetch(
        &self,
        remote: &Remote,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> std::result::Result<(), Vec<Error>> {
        let all = "refs/maildex/r/*:refs/maildex/peer/*";
        let Err(error) = self.fetch_some(remote, &[all], patience, progress) else { return Ok(()) };
        if !is_about_objects(&error) {
            return Err(vec![error]);
        }
        // What git refuses of one replica keeps it from all others. So one by one.
        let Ok(ids) = self.replicas_of(remote, patience, progress) else { return Err(vec![error]) };
        let mut failed = Vec::new();
        for id in ids.iter().take(REPLICAS_MAX) {
            let one = format!("refs/maildex/r/{id}:refs/maildex/peer/{id}");
            let fetched = match self.fetch_some(remote, &[&one], patience, progress) {
                Err(Error::Remote { said, .. }) if said.contains("non-fast-forward") => {
                    self.fetch_over_a_cut(remote, *id, patience, progress)
                }
                fetched => fetched,
            };
            failed.extend(fetched.err().map(|error| match error {
                Error::Remote { name, url, doing, said } => {
                    Error::Remote { name, url, doing, said: format!("of the replica {id}: {said}") }
                }
                other => other,
            }));
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// Fetches a state that does not follow the one that is known of the replica, as far as git can see: where history was cut
    /// in between. Then it must know all that the other one knew. Else there are two of that replica, and one of them is not
    /// listened to.
    fn fetch_over_a_cut(
        &self,
        remote: &Remote,
        id: ReplicaId,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let (late, known) = (format!("late/{id}"), format!("peer/{id}"));
        let forced = format!("+refs/maildex/r/{id}:refs/maildex/{late}");
        self.fetch_some(remote, &[&forced], patience, progress)?;
        let refs = self.refs()?;
        let follows = match (refs.get(&known), refs.get(&late)) {
            (Some(known), Some(late)) => self.is_cut() && self.knows_all_of(*late, *known)?,
            _ => false,
        };
        let mut updates = Vec::new();
        if let (true, Some(late)) = (follows, refs.get(&late)) {
            super::text::put(&mut updates, format_args!("update refs/maildex/{known}\0{late}\0\0"));
        }
        super::text::put(&mut updates, format_args!("delete refs/maildex/{late}\0\0"));
        self.git.run("git update-ref", ["update-ref", "--stdin", "-z"], &updates)?;
        if follows {
            return Ok(());
        }
        let said = "what it says does not follow what it said before: there are two of it, or it was put back".into();
        Err(Error::Remote { name: remote.name.clone(), url: remote.url.clone(), doing: "cannot fetch from it", said })
    }

    /// Lets a remote forget a replica. It may be that it does not let us.
    pub fn forget_at(
        &self,
        remote: &Remote,
        id: ReplicaId,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<()> {
        check_url(&remote.url)?;
        if !self.replicas_of(remote, patience, progress)?.contains(&id) {
            return Ok(());
        }
        let refspec = format!(":refs/maildex/r/{id}");
        let ssh = self.ssh(&remote.url);
        let args =
            ssh.iter().map(String::as_str).chain(["push", "--progress", "--no-verify", "--", &remote.url, &refspec]);
        let talked = self.git.talk("git push", args, patience, progress);
        let doing = "cannot let it forget a replica";
        let (status, _, said) = talked.map_err(|error| away(remote, doing, error))?;
        if status.success() { Ok(()) } else { Err(refused(remote, doing, status, &said)) }
    }

    /// What git is to be told for an address of ssh: a host that is not there is given up. Not if the user has said how to
    /// call ssh.
    fn ssh(&self, url: &str) -> Vec<String> {
        let is_ssh = url.starts_with("ssh://") || (url.contains(':') && !url.contains("://"));
        if !is_ssh || self.git.run("git config", ["config", "--get", "core.sshCommand"], b"").is_ok() {
            return Vec::new();
        }
        let ssh = "core.sshCommand=ssh -o ConnectTimeout=30 -o ServerAliveInterval=20 -o ServerAliveCountMax=3";
        vec!["-c".into(), ssh.into()]
    }

    fn fetch_some(
        &self,
        remote: &Remote,
        refspecs: &[&str],
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<()> {
        check_url(&remote.url)?;
        // A fetch over a cut in history that does not update the list of cuts ends well, and does nothing.
        let options = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
        let more = ["--update-shallow", "--refmap=", "--", &remote.url];
        let ssh = self.ssh(&remote.url);
        let args = ssh.iter().map(String::as_str).chain(options).chain(more).chain(refspecs.iter().copied());
        let talked = self.git.talk("git fetch", args, patience, progress);
        let (status, _, said) = talked.map_err(|error| away(remote, "cannot fetch from it", error))?;
        if status.success() { Ok(()) } else { Err(refused(remote, "cannot fetch from it", status, &said)) }
    }

    /// The replicas whose states a remote has.
    fn replicas_of(
        &self,
        remote: &Remote,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Vec<ReplicaId>> {
        let ssh = self.ssh(&remote.url);
        let args = ssh.iter().map(String::as_str).chain(["ls-remote", "--", &remote.url, "refs/maildex/r/*"]);
        let (status, listed, said) = self.git.talk("git ls-remote", args, patience, progress)?;
        if !status.success() {
            return Err(refused(remote, "cannot list it", status, &said));
        }
        let lines = listed.split(|&byte| byte == b'\n');
        let name = |line: &[u8]| {
            let tab = memchr::memchr(b'\t', line)?;
            ReplicaId::parse(line[tab + 1..].strip_prefix(b"refs/maildex/r/")?)
        };
        Ok(lines.filter_map(name).collect())
    }

    /// Pushes the own state to a remote. False if that has it already, or there is none.
    pub fn push(
        &self,
        remote: &Remote,
        me: ReplicaId,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<bool> {
        check_url(&remote.url)?;
        if self.own(me)?.is_none() {
            return Ok(false);
        }
        let refspec = format!("refs/maildex/r/{me}:refs/maildex/r/{me}");
        let options = ["push", "--progress", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no"];
        let more = ["--", remote.url.as_str(), refspec.as_str()];
        let ssh = self.ssh(&remote.url);
        let args = ssh.iter().map(String::as_str).chain(options).chain(more);
        let talked = self.git.talk("git push", args, patience, progress);
        let (status, answer, said) = talked.map_err(|error| away(remote, "cannot push to it", error))?;
        let answer = String::from_utf8_lossy(&answer);
        if !status.success() {
            // What the remote has against it is not among what git says, but in its answer.
            let refusals = answer.lines().filter(|line| line.starts_with('!')).map(|line| line.replace('\t', " "));
            let mut said: Vec<String> = std::iter::once(said).chain(refusals).collect();
            if answer.contains("shallow update not allowed") {
                said.push(
                    "history is cut here, and it must take that; on it run: git config receive.shallowUpdate true"
                        .into(),
                );
            }
            return Err(refused(remote, "cannot push to it", status, &said.join("\n")));
        }
        Ok(!answer.lines().any(|line| line.starts_with("=\t")))
    }
}

/// It does not answer.
fn away(remote: &Remote, doing: &'static str, error: Error) -> Error {
    match error {
        Error::GitSilent { seconds, said, .. } => {
            let after = if said.is_empty() { said } else { format!("; before that: {}", one_line(&said)) };
            let said = format!("it said nothing for {seconds} s{after}");
            Error::Remote { name: remote.name.clone(), url: remote.url.clone(), doing, said }
        }
        other => other,
    }
}

fn refused(remote: &Remote, doing: &'static str, status: ExitStatus, said: &str) -> Error {
    let said = one_line(said);
    let said = if said.is_empty() { status.to_string() } else { said };
    Error::Remote { name: remote.name.clone(), url: remote.url.clone(), doing, said }
}

/// Whether the remote is there, and something that it has is bad.
fn is_about_objects(error: &Error) -> bool {
    let words = ["object", "index-pack", "unpack", "fsck", "rejected", "refs/maildex/"];
    matches!(error, Error::Remote { said, .. } if words.iter().any(|word| said.contains(word)))
}

/// What git said, in one line. Much of it comes from the other side.
fn one_line(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let plain = lines.map(|line| line.replace(char::is_control, " ").trim_start_matches("fatal: ").to_string());
    plain.collect::<Vec<_>>().join("; ")
}
