//! What the machine allows: the least that the work of a verb can cost, as programs of their own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags};

use crate::Result;

/// The first argument of a process that does the least.
pub const LIMIT: &str = "limit";

/// Bytes of a line of a listing.
pub const LINE: usize = 110;

pub fn main(words: &[String]) -> ExitCode {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().unwrap_or(0);
    let done = match words[..] {
        ["nothing"] => Ok(()),
        ["stamps", dir] => stamps(Path::new(dir)),
        ["names", dir] => names(Path::new(dir), |_, _| ()),
        ["heads", dir, threads, order, "all"] => heads(Path::new(dir), number(threads), order == "inode", usize::MAX),
        ["heads", dir, threads, order, last] => heads(Path::new(dir), number(threads), order == "inode", number(last)),
        ["rename", dir, from, to] => rename(Path::new(dir), from, to),
        ["renames", dir] => renames(Path::new(dir)),
        ["words", file] => sum_words(Path::new(file)).map(drop),
        ["lines", count] => lines(number(count)),
        ["words-lines", file, count] => sum_words(Path::new(file)).and_then(|_| lines(number(count))),
        ["sync", file, count] => sync(Path::new(file), number(count)),
        _ => Err("no such limit".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open_dir(path: &Path) -> Result<rustix::fd::OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Two stats: what it takes to know that nothing has changed.
fn stamps(dir: &Path) -> Result<()> {
    let dir = open_dir(dir)?;
    for sub in ["new", "cur"] {
        rustix::fs::statx(&dir, sub, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    }
    Ok(())
}

/// One pass over a directory.
fn names(dir: &Path, mut each: impl FnMut(&[u8], u64)) -> Result<()> {
    let dir = open_dir(dir)?;
    let mut buffer = vec![MaybeUninit::uninit(); 1 << 18];
    let mut entries = RawDir::new(&dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(b".") {
            each(entry.file_name().to_bytes_with_nul(), entry.ino());
        }
    }
    Ok(())
}

/// Opens every file, reads a page, closes it. With `last`, only the last ones of the listing.
fn heads(path: &Path, threads: usize, by_inode: bool, last: usize) -> Result<()> {
    let (mut pool, mut all) = (Vec::new(), Vec::new());
    names(path, |name, ino| {
        all.push((ino, pool.len()..pool.len() + name.len()));
        pool.extend_from_slice(name);
    })?;
    if by_inode {
        all.sort_unstable_by_key(|(ino, _)| *ino);
    }
    let all = &all[all.len().saturating_sub(last)..];
    let dir = open_dir(path)?;
    let next = AtomicUsize::new(0);
    let read_some = || -> Result<(), rustix::io::Errno> {
        let mut buffer = [0; 4096];
        loop {
            let first = next.fetch_add(64, Ordering::Relaxed);
            if first >= all.len() {
                return Ok(());
            }
            for (_, name) in &all[first..all.len().min(first + 64)] {
                let name =
                    std::ffi::CStr::from_bytes_with_nul(&pool[name.clone()]).map_err(|_| rustix::io::Errno::INVAL)?;
                let file = rustix::fs::openat(&dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                rustix::io::read(&file, &mut buffer)?;
            }
        }
    };
    let done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(read_some)).collect();
        let own = read_some();
        others.into_iter().map(|other| other.join().expect("it does not panic")).fold(own, Result::and)
    });
    Ok(done?)
}

fn rename(dir: &Path, from: &str, to: &str) -> Result<()> {
    let dir = open_dir(dir)?;
    Ok(rustix::fs::renameat(&dir, from, &dir, to)?)
}

/// Renames what standard input says: old name, tab, new name, one a line.
fn renames(dir: &Path) -> Result<()> {
    let dir = open_dir(dir)?;
    let mut line = Vec::new();
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    while input.read_until(b'\n', &mut line)? > 0 {
        let at = line.iter().position(|&byte| byte == b'\t').ok_or("no tab")?;
        rustix::fs::renameat(&dir, &line[..at], &dir, &line[at + 1..line.len() - 1])?;
        line.clear();
    }
    Ok(())
}

/// A column of a word for each message, read once.
fn sum_words(path: &Path) -> Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    let mut sum = 0u64;
    loop {
        let got = file.read(&mut buffer)?;
        if got == 0 {
            return Ok(std::hint::black_box(sum));
        }
        for word in buffer[..got].chunks_exact(8) {
            sum += u64::from_le_bytes(word.try_into().expect("eight bytes")) & 1;
        }
    }
}

/// So many lines of a listing, to standard output.
fn lines(count: usize) -> Result<()> {
    let mut line = [b'x'; LINE];
    line[LINE - 1] = b'\n';
    let mut out = Vec::with_capacity(1 << 16);
    let mut stdout = File::options().write(true).open("/dev/stdout")?;
    for _ in 0..count {
        if out.len() + LINE > out.capacity() {
            stdout.write_all(&out)?;
            out.clear();
        }
        out.extend_from_slice(std::hint::black_box(&line));
    }
    Ok(stdout.write_all(&out)?)
}

/// A page written and synced, so many times.
fn sync(path: &Path, count: usize) -> Result<()> {
    let mut file = File::create(path)?;
    for _ in 0..count {
        file.write_all(&[1; 4096])?;
        rustix::fs::fsync(&file)?;
    }
    Ok(fs::remove_file(path)?)
}

/// The names in `cur/`, sorted.
pub fn sorted_names(dir: &Path) -> Result<Vec<OsString>> {
    let mut all = Vec::new();
    names(dir, |name, _| all.push(OsString::from_vec(name[..name.len() - 1].to_vec())))?;
    all.sort_unstable();
    Ok(all)
}

/// The path of a program that does nothing, linked as most programs are.
pub fn dynamic_nothing(dir: &Path) -> Result<PathBuf> {
    let (source, program) = (dir.join("nothing.rs"), dir.join("nothing"));
    fs::write(&source, "fn main() {}\n")?;
    let words = ["rustc", "-O", "-o"].map(String::from);
    crate::measure::Cmd::new(words.into_iter().chain([program.display().to_string(), source.display().to_string()]))
        .output()?;
    Ok(program)
}
