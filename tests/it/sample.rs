//! The sample folder: the index shows what was made up, and making it again touches nothing else.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::maildir::Sub;
use maildex::maildir::name::{Name, base_of};
use maildex::sample::{KEYWORDS, MARKER, Made, Sample, make, write};

use crate::mailbox::Mailbox;

/// Everything below a directory: contents (none for a directory) and mtime.
fn tree(root: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, i64)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).expect("stat");
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).expect("list").map(|entry| entry.expect("an entry").path()));
        }
        let contents = meta.is_file().then(|| fs::read(&path).expect("read"));
        found.insert(path, (contents, meta.mtime()));
    }
    found
}

/// The same of the mail alone, by path in the folder.
fn mails(root: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, i64)> {
    let in_folder = |path: PathBuf| path.strip_prefix(root).expect("in the folder").to_path_buf();
    let files = tree(root).into_iter().map(|(path, rest)| (in_folder(path), rest));
    files.filter(|(path, _)| path.components().count() == 2).collect()
}

fn quietly(path: &Path, messages: u32) -> Result<Made, Error> {
    make(path, messages, Wait::Forever, &mut |_| (), &mut |_| ())
}

/// An empty directory, and in it the place for a sample.
fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let path = temp.path().join("sample");
    (temp, path)
}

#[test]
fn the_index_says_what_the_sample_says() {
    let mail = Mailbox::new();
    write(&mail.path(), 0..3000).expect("write");
    fs::write(mail.file("dovecot-keywords"), KEYWORDS).expect("write");
    mail.run(["build"]).ok().silent();
    let sample = Sample::new();
    let records = mail.run(["list", "--json"]).ok().silent().json();
    assert_eq!(records.len(), 3000);
    for record in records {
        let path = record["path"].as_str().expect("a path");
        let name = if record.get("path_bytes").is_none() {
            Path::new(path).file_name().expect("a name").as_bytes().to_vec()
        } else {
            let number = path.rsplit(|c: char| !c.is_ascii_digit()).find(|part| part.len() > 1);
            let number = number.and_then(|digits| digits.parse().ok()).expect("a number");
            sample.mail(number).name
        };
        let (_, made) = sample.find(&name).expect("a mail of the sample");
        assert_eq!(made.name, name);
        let parsed = Name::parse(&name);
        assert_eq!(record["subject"], made.subject, "{record}");
        assert_eq!(record["references"], serde_json::json!(made.references), "{record}");
        let parent = made.references.last().map_or("", String::as_str);
        assert_eq!(record["in_reply_to"], parent, "{record}");
        assert_eq!(record["flags"], parsed.flags.to_string(), "{record}");
        assert_eq!(record["dir"], made.sub.as_str(), "{record}");
        assert_eq!(record["size"], made.text.len(), "{record}");
        assert_eq!(record["received_epoch"], made.received_s, "{record}");
        let date = record["date_epoch"].as_i64().expect("a date");
        assert!((made.received_s - 90..=made.received_s).contains(&date), "{record}");
        let keywords = parsed.flags.keywords().letters().map(|letter| match letter {
            'a' => "$Forwarded",
            'b' => "work",
            _ => "$Junk",
        });
        assert_eq!(record["keywords"], serde_json::json!(keywords.collect::<Vec<_>>()), "{record}");
        let from = record["from"].as_str().expect("a sender");
        assert!(from.contains(" <") && !from.contains("=?"), "{record}");
    }
    mail.assert_sound();
}

#[test]
fn it_is_the_same_each_time_and_everywhere() {
    let ((_a, first), (_b, second)) = (place(), place());
    assert_eq!(quietly(&first, 300).expect("make"), Made { written: 300, kept: 0 });
    fs::create_dir(&second).expect("an empty directory is as good");
    assert_eq!(quietly(&second, 300).expect("make"), Made { written: 300, kept: 0 });
    assert_eq!(mails(&first), mails(&second));
    assert_eq!(mails(&first).len(), 300);
    assert!(mails(&first).keys().any(|path| path.starts_with("new")));
}

#[test]
fn it_is_made_as_new_again_from_what_is_there() {
    let (_temp, path) = place();
    quietly(&path, 300).expect("make");
    let as_made = mails(&path);
    let mail = Folder::open(&path).expect("open");
    maildex::ops::build::build(&mail, maildex::ops::build::Options::default(), Wait::Forever, &mut |_| (), &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .expect("build");
    let sample = Sample::new();
    let file = |number: u32| {
        let mail = sample.mail(number);
        path.join(mail.sub.as_str()).join(OsStr::from_bytes(&mail.name))
    };
    let renamed = |number: u32, sub: &str, info: &[u8]| {
        let name = sample.mail(number).name;
        path.join(sub).join(OsStr::from_bytes(&[base_of(&name), info].concat()))
    };
    fs::rename(file(0), renamed(0, "cur", b":2,FST")).expect("flags");
    fs::rename(file(1), renamed(1, "new", b"")).expect("back to new");
    fs::rename(file(2), renamed(2, "cur", b";2,R")).expect("another separator");
    fs::remove_file(file(3)).expect("expunged");
    fs::write(file(4), &sample.mail(4).text[..100]).expect("half written");
    fs::write(file(5), "").expect("not yet written");
    let unread = (10..300).find(|&n| sample.mail(n).sub == Sub::New).expect("some are new");
    fs::rename(file(unread), renamed(unread, "cur", b":2,S")).expect("read");
    assert_eq!(quietly(&path, 300).expect("make"), Made { written: 3, kept: 297 });
    assert_eq!(mails(&path), as_made);
    assert!(!path.join("maildex.offsets").exists() && !path.join("maildex.index.1").exists());
    // Fewer, and more.
    assert_eq!(quietly(&path, 100).expect("make"), Made { written: 0, kept: 100 });
    assert_eq!(mails(&path).len(), 100);
    assert_eq!(quietly(&path, 300).expect("make"), Made { written: 200, kept: 100 });
    assert_eq!(mails(&path), as_made);
    fs::remove_dir_all(path.join("new")).expect("a directory is gone");
    quietly(&path, 300).expect("make");
    assert_eq!(mails(&path), as_made);
}

/// Does something to a sample.
type Spoil<'s> = &'s dyn Fn(&Path);

#[test]
fn what_it_did_not_make_stops_it_before_anything_is_changed() {
    let sample = Sample::new();
    let file = |number: u32| {
        let mail = sample.mail(number);
        format!("{}/", mail.sub.as_str()) + std::str::from_utf8(&mail.name).expect("no odd one")
    };
    let base = |number: u32| String::from_utf8(base_of(&sample.mail(number).name).to_vec()).expect("no odd one");
    let cases: [(&str, Spoil<'_>); 15] = [
        ("a mail of another", &|path| fs::write(path.join("cur/1.host:2,S"), "mine").unwrap()),
        ("a mail of a larger sample", &|path| fs::write(path.join(file(50)), &sample.mail(50).text).unwrap()),
        ("other contents", &|path| fs::write(path.join(file(7)), "mine").unwrap()),
        ("other contents of the same size and time, which would be removed", &|path| {
            let (path, mail) = (path.join(file(15)), sample.mail(15));
            fs::write(&path, vec![b'x'; mail.text.len()]).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mail.received_s as u64);
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }),
        ("the same, and more", &|path| {
            fs::write(path.join(file(7)), [&sample.mail(7).text[..], b"mine"].concat()).unwrap();
        }),
        ("a copy", &|path| {
            fs::copy(path.join(file(7)), path.join(format!("cur/{}:2,DFT", base(7)))).unwrap();
        }),
        ("a directory under a mail's name", &|path| {
            fs::remove_file(path.join(file(7))).unwrap();
            fs::create_dir(path.join(file(7))).unwrap();
        }),
        ("a symbolic link under a mail's name", &|path| {
            fs::rename(path.join(file(7)), path.join("../mine")).unwrap();
            std::os::unix::fs::symlink("../../mine", path.join(file(7))).unwrap();
        }),
        ("mail that is being delivered", &|path| fs::write(path.join("tmp/1.host"), "mine").unwrap()),
        ("another file", &|path| fs::write(path.join("notes"), "mine").unwrap()),
        ("a hidden one", &|path| fs::write(path.join(".mbsyncstate"), "mine").unwrap()),
        ("a subfolder", &|path| fs::create_dir(path.join(".Sent")).unwrap()),
        ("other keywords", &|path| fs::write(path.join("dovecot-keywords"), "0 mine\n").unwrap()),
        ("a marker that is none", &|path| fs::write(path.join(MARKER), "mine").unwrap()),
        ("a marker of another version", &|path| {
            fs::write(path.join(MARKER), "version: 999\nmessages: 20\n").unwrap();
        }),
    ];
    for (what, spoil) in cases {
        let (_temp, path) = place();
        quietly(&path, 20).expect("make");
        spoil(&path);
        let before = tree(&path);
        let error = quietly(&path, 10).expect_err(what);
        assert!(matches!(error, Error::InTheWay { .. }), "{what}: {error}");
        let after = tree(&path);
        // Taking the lock has changed the folder's own mtime.
        let but_root = |tree: BTreeMap<PathBuf, _>| tree.into_iter().skip(1).collect::<Vec<_>>();
        assert!(but_root(before) == but_root(after), "{what}: changed");
    }
}

#[test]
fn a_folder_that_is_no_sample_is_not_even_locked() {
    let mail = Mailbox::new().messages(2);
    let before = tree(&mail.path());
    let error = quietly(&mail.path(), 10).expect_err("somebody's mail");
    assert_eq!(
        error.to_string(),
        format!("{}: it is not empty, and maildex demo did not make it", mail.path().display())
    );
    assert!(tree(&mail.path()) == before);
    let error = quietly(&mail.file("cur/1.host:2,"), 10).expect_err("a file");
    assert!(error.to_string().contains("directory"), "{error}");
    let error = quietly(&mail.file("no/such"), 10).expect_err("nothing to make it in");
    assert!(error.to_string().contains("cannot create"), "{error}");
    assert!(tree(&mail.path()) == before);
}

#[test]
fn what_a_killed_one_left_is_completed() {
    let (_temp, path) = place();
    fs::create_dir(&path).expect("mkdir");
    for left in ["maildex.lock", "maildex.sample.tmp"] {
        fs::write(path.join(left), "").expect("write");
    }
    quietly(&path, 20).expect("killed before there was a marker");
    for sub in ["new", "cur", "tmp"] {
        fs::remove_dir_all(path.join(sub)).expect("remove");
    }
    fs::remove_file(path.join("dovecot-keywords")).expect("remove");
    quietly(&path, 20).expect("killed when there was nothing but a marker");
    assert_eq!(mails(&path).len(), 20);
}

#[test]
fn messages_are_never_written_over_others() {
    let mail = Mailbox::new();
    write(&mail.path(), 10..20).expect("write");
    let before = mails(&mail.path());
    let error = write(&mail.path(), 0..20).expect_err("some are there");
    assert!(error.to_string().contains("cannot create"), "{error}");
    assert!(before.iter().all(|(path, rest)| mails(&mail.path()).get(path) == Some(rest)));
}

#[test]
fn a_sample_that_is_written_into_is_left_alone() {
    let (_temp, path) = place();
    quietly(&path, 20).expect("make");
    let folder = Folder::open(&path).expect("open");
    let lock = folder.lock("test", Wait::Forever, &mut |_| ()).expect("lock");
    let error = make(&path, 10, Wait::For(std::time::Duration::ZERO), &mut |_| (), &mut |_| ()).expect_err("locked");
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert_eq!(mails(&path).len(), 20);
    lock.release().expect("release");
    quietly(&path, 10).expect("make");
}
