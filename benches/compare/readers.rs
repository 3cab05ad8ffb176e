//! Eight readers at once, and a writer beside them; and the memory that a reader has for itself alone.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::report::Row;

/// How long each lasts.
const SPAN: Duration = Duration::from_secs(3);

/// Lists from the index alone. Whoever lists the directory, to take up what others did or for a name that the index does not
/// know, keeps renames waiting for as long as that takes, which is the kernel's doing.
///
/// Reads by so many programs at once, alone and beside a writer. `mail` is the folder; `elsewhere` one of the same size
/// that the readers do not look at: a writer there takes as much of the machine, and nothing of the folder.
pub fn measure(maildex: &Path, mail: &Path, elsewhere: &Path, messages: u32) -> Result<Vec<Row>> {
    let run = |words: &[&str]| -> Result<()> {
        let status = Command::new(maildex).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("maildex {words:?}: {status}").into()) }
    };
    let (mail_text, elsewhere_text) = (mail.display().to_string(), elsewhere.display().to_string());
    run(&["build", &elsewhere_text, "--quiet"])?;
    let mut rows = Vec::new();
    for (what, readers, writes_in) in [
        ("1 reader", 1, None),
        ("2 readers", 2, None),
        ("8 readers", 8, None),
        ("8 readers, a writer elsewhere", 8, Some(&elsewhere_text)),
        ("8 readers, a writer in the folder", 8, Some(&mail_text)),
    ] {
        let is_over = AtomicBool::new(false);
        let (reads, writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begin = Instant::now();
        let read = || -> Result<(), String> {
            while !is_over.load(Ordering::Relaxed) {
                run(&["list", &mail_text, "--no-refresh", "unseen"]).map_err(|error| error.to_string())?;
                reads.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let write = |folder: &str| -> Result<(), String> {
            while !is_over.load(Ordering::Relaxed) {
                let spec = if writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "+F" } else { "-F" };
                run(&["flag", folder, spec, "1:100"]).map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        thread::scope(|scope| -> Result<(), String> {
            let mut all: Vec<_> = (0..readers).map(|_| scope.spawn(read)).collect();
            all.extend(writes_in.map(|folder| scope.spawn(|| write(folder))));
            thread::sleep(SPAN);
            is_over.store(true, Ordering::Relaxed);
            all.into_iter().try_for_each(|one| one.join().expect("it does not panic"))
        })?;
        let reads = reads.into_inner();
        let note = match writes_in {
            Some(_) => format!("{reads} reads, {} writes of 100 flags, none failed", writes.into_inner()),
            None => format!("{reads} reads, none failed"),
        };
        let each_s = begin.elapsed().as_secs_f64() / reads.max(1) as f64;
        rows.push(Row { note, ..Row::single("readers", what, messages, each_s) });
    }
    let private_kib = private_kib(maildex, mail)?;
    rows.push(Row { peak_kib: private_kib, ..Row::single("private-memory", "maildex", messages, 0.0) });
    Ok(rows)
}

/// The most memory of its own that a listing of all has, in KiB: looked at each time when it waits for its pipe.
fn private_kib(maildex: &Path, mail: &Path) -> Result<u64> {
    let mut child = Command::new(maildex).arg("list").arg(mail).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut pipe = child.stdout.take().expect("it is a pipe");
    let status = format!("/proc/{}/status", child.id());
    let mut buffer = vec![0; 1 << 16];
    let mut most = 0;
    loop {
        // A pipe holds less than what is left to print, so it cannot have ended here.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
        most = most.max(kib.unwrap_or(0));
        if pipe.read(&mut buffer)? == 0 {
            break;
        }
    }
    child.wait()?;
    Ok(most)
}
