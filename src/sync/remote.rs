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
            let fetched = self.fetch_some(remote, &[&one], patience, progress);
            failed.extend(fetched.err().map(|error| match error {
                Error::Remote { name, url, doing, said } => {
                    Error::Remote { name, url, doing, said: format!("of the replica {id}: {said}") }
                }
                other => other,
            }));
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
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
        let args = options.iter().chain(&more).chain(refspecs);
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
        let args = ["ls-remote", "--", &remote.url, "refs/maildex/r/*"];
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
        let talked = self.git.talk("git push", options.iter().chain(&more), patience, progress);
        let (status, answer, said) = talked.map_err(|error| away(remote, "cannot push to it", error))?;
        let answer = String::from_utf8_lossy(&answer);
        if !status.success() {
            // What the remote has against it is not among what git says, but in its answer.
            let refusals = answer.lines().filter(|line| line.starts_with('!')).map(|line| line.replace('\t', " "));
            let said: Vec<String> = std::iter::once(said).chain(refusals).collect();
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
