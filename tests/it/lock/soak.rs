//! Twenty programs at one lock, and a script that kills them. No sleep decides anything: who finds the witness taken has
//! met another holder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::{lock, run_lock};
use crate::mailbox::{Mailbox, figures, long};
use crate::tally::Tally;

const PROCESSES: usize = 20;

/// A few bytes that are hard to guess, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn two_holders_never_meet_whoever_is_killed() {
    let time = Duration::from_secs(if long() { 60 } else { 3 });
    let mailbox = Mailbox::new();
    let (witness, failures) = (mailbox.file("witness"), mailbox.file("failures"));
    let running: Mutex<BTreeMap<usize, Pid>> = Mutex::default();
    let (acquired, killed) = (AtomicUsize::new(0), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    let begun = Instant::now();
    thread::scope(|scope| {
        for slot in 0..PROCESSES {
            let (mailbox, witness, failures, running, acquired) = (&mailbox, &witness, &failures, &running, &acquired);
            scope.spawn(move || {
                while begun.elapsed() < time {
                    let mut command = lock(mailbox, "run", ["--quiet", "--wait", "5m", "--"]);
                    if slot % 2 == 0 {
                        command.args(["flock", "-n"]).arg(witness).args(["sleep", "0.01"]);
                    } else {
                        // Of a command whose wrapper was killed nobody hears the exit status, so it says so itself.
                        let script = "flock -n \"$0\" sleep 0.01; test $? != 1 || echo taken >> \"$1\"";
                        command.args(["sh", "-c", script]).arg(witness).arg(failures);
                    }
                    let mut child = command.process_group(0).stdin(Stdio::null()).spawn().expect("spawn");
                    running.lock().unwrap().insert(slot, Pid::from_child(&child));
                    // As long as it is in the list it has not been waited for, so its pid is still its own.
                    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                    while waitid(WaitId::Pid(Pid::from_child(&child)), ended).is_err() {}
                    running.lock().unwrap().remove(&slot);
                    let status = child.wait().expect("wait");
                    if status.signal().is_none() {
                        assert_eq!(status.code(), Some(0), "the witness was taken, or the lock was not to be had");
                        acquired.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        while begun.elapsed() < time {
            thread::sleep(Duration::from_millis(5 + random.below(50) as u64));
            let running = running.lock().unwrap();
            let Some((_, &pid)) = running.iter().nth(random.below(PROCESSES)) else { continue };
            let group = random.below(2);
            let done = if group == 1 { kill_process_group(pid, Signal::KILL) } else { kill_process(pid, Signal::KILL) };
            killed[group].fetch_add(usize::from(done.is_ok()), Ordering::Relaxed);
        }
    });
    let failed = fs::read_to_string(&failures).unwrap_or_default();
    assert!(failed.is_empty(), "the witness was taken: {failed}");
    let acquired = acquired.into_inner();
    assert!(acquired > PROCESSES, "only {acquired}");
    run_lock(&mailbox, "run", &["--wait", "1m", "--", "flock", "-w", "60", witness.to_str().unwrap(), "true"]).ok();
    assert!(!mailbox.file("maildex.lock").exists());
    let [wrappers, groups] = killed.map(AtomicUsize::into_inner);
    Tally::Locks.add(acquired);
    Tally::CrashPoints.add(wrappers + groups);
    figures(&format!(
        "{PROCESSES} processes at one lock for {} s: {acquired} acquisitions, {wrappers} wrappers and {groups} groups killed, the witness never failed",
        time.as_secs()
    ));
}
