//! Writes what the fuzzer begins with, a directory for each target: `cargo run --example seeds -- DIRECTORY`.
//!
//! Inputs that mean something: the files of the tests, made-up mail, lines as programs write them, states of replicas.
//! Not kept in the repository, for all of it is made of what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maildex::sample;
use maildex::sync::log;
use maildex::sync::state::{Dot, Folder, FolderId, Guid, Mail, ReplicaId, State};
use maildex::sync::text::{print_folder, print_format, print_mails, print_numbers, print_versions};
use maildex_fuzz::Scratch;

struct Seeds(PathBuf);

impl Seeds {
    fn put<B: AsRef<[u8]>>(&self, target: &str, seeds: impl IntoIterator<Item = B>) {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory).expect("make the directory");
        for (number, seed) in seeds.into_iter().enumerate() {
            fs::write(directory.join(format!("seed-{number:03}")), seed).expect("write a seed");
        }
    }
}

fn main() {
    let seeds = Seeds(std::env::args_os().nth(1).expect("a directory").into());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it/fixtures/v1");
    let fixture = |name: &str| fs::read(fixtures.join(name)).expect("read a file of the tests");
    let (offsets, index) = (fixture("maildex.offsets"), fixture("maildex.index.1"));
    seeds.put("header", [&offsets[..4096], &offsets[..512], &index[..4096]]);
    seeds.put("entry", [index, pieces(&[0, 1, 2, 5]), pieces(&[5, 5, 4, 5]), pieces(&[3, 1, 5, 2, 5])]);
    let slots = |good: &[u8]| [&[9, 0][..], &good.iter().flat_map(|good| [*good; 12]).collect::<Vec<_>>()].concat();
    seeds.put("block", [slots(&[0xff; 5]), slots(&[0xff, 0x7e, 0xfd, 0xef]), slots(&[0, 0xff, 1])]);
    seeds.put("heal", [&b""[..], &[0, 0x80, 0, 1, 0][..], &[3, 0, 0x10, 2, 0, 9, 9], &[4, 0, 0x20, 8, 0, 16]]);
    seeds.put("lockfile", ["", "guards pid: 3\nguards started: 4\nguards command: sh\n"].map(lockfile));
    let scratch = Scratch::new();
    sample::write(scratch.path(), 0..60).expect("make mail");
    let (mut names, mut mails) = (Vec::new(), Vec::new());
    for sub in ["new", "cur"] {
        for entry in fs::read_dir(scratch.file(sub)).expect("read the folder") {
            let entry = entry.expect("an entry");
            names.push(entry.file_name().into_encoded_bytes());
            let mut mail = fs::read(entry.path()).expect("read a mail");
            mail.truncate(4096);
            mails.push([&[128], &mail[..]].concat());
        }
    }
    names.extend([&b"1.host,S=12,W=13:2,FS"[..], b"1;2,S", b"1!2,RT", b"1:1,x", b"1:2,S,x"].map(<[u8]>::to_vec));
    seeds.put("names", &names);
    mails.extend(MAILS.iter().map(|mail| [&[77], mail.as_bytes()].concat()));
    seeds.put("summary", mails);
    seeds.put("query", QUERIES);
    seeds.put("spec", SPECS);
    seeds.put("uidlist", UIDLISTS);
    seeds.put("sync", states());
}

/// An input of the target `entry`: pieces of these kinds.
fn pieces(kinds: &[u8]) -> Vec<u8> {
    let mut input = Vec::new();
    for kind in kinds {
        input.push(*kind);
        match kind {
            0 | 2 => input.extend_from_slice(b"\x08somebyte"),
            1 => {}
            _ => {
                for text in ["subject", "from", "<id@x>", "<a@b>", "<c@d> <a@b>", "1.base"] {
                    input.push(text.len() as u8);
                    input.extend_from_slice(text.as_bytes());
                }
                input.extend_from_slice(&[7; 16]);
                if *kind == 4 {
                    input.extend_from_slice(&[20, 0, 1]);
                }
            }
        }
    }
    input
}

fn lockfile(guard: &str) -> String {
    format!(
        "id: 0123456789abcdef0123456789abcdef\nhost: here\nboot: 5d1c8a4e-8f3b-4e6e-9d38-0d6f0f7f5c11\npid: 4711\n\
         pid namespace: 4026531836\nstarted: 12345\nsince: 1700000000\nreason: to fuzz\ncommand: maildex build /m\n{guard}"
    )
}

const MAILS: [&str; 6] = [
    "Subject: =?utf-8?B?R3LDvMOfZQ==?= =?iso-8859-1*de?Q?_=FC?=\r\nFrom: \"a, b\" <c@d>, e@f (comment)\r\n\r\nbody",
    "\u{feff}From: a@b\nTo: undisclosed-recipients:;\nCc: x: a@b, c@d;\nDate: 21 Nov 97 09:55:06 EST\n\n",
    "Subject : folded\n\tline\n  more\nReferences: <a@b> text <c\n d@e>\nIn-Reply-To: Your message of <x@y>\n\n",
    "From one\n>From two\nSubject: a\rDate: Fri, 31 Feb 2026 25:61:61 +9999\r\r\nMessage-ID: <no end\n",
    "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>a</p>\n--b\nContent-Type: message/rfc822\n\nSubject: in\n\nx\n--b--\n",
    "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\nReceived: x\nSubject: \n\n",
];

const QUERIES: [&str; 14] = [
    "unseen",
    "or larger 1M flagged not (from ann seen)",
    "from\0Ann \"x\" (y)",
    "subject \"a \\\"quoted\\\\ text\" body text",
    "since 2026-11-24 before 24-Nov-2026 on 7d sentsince yesterday",
    "before 2026-11-24T08:00:00Z larger 12K smaller 3G",
    "1:5,7,100:*",
    "uid 3:1 not uid *",
    "header X-Spam \"\" messageid <a@b>",
    "keyword a unkeyword $Label1 new old zero",
    "or or all seen deleted (draft answered)",
    "thread 3:5 text x bcc y cc z to w",
    "not not not all",
    "12h",
];

const SPECS: [&str; 7] = [
    "+S\x001.host:2,\x000 $Label1\n1 Non-Junk\n",
    "+RS-T\x001.host:2,TaS,x\x00",
    "=FS\x001.host\x00",
    "+seen,-Flagged,+$label1\x001;2,F\x000 $Label1\n",
    "=\x001:1,x\x00",
    "+a,-b\x001!2,ab\x00",
    "+S-S=D\x00\x00",
];

const UIDLISTS: [&str; 4] = [
    "maildex-uids 1\tuidvalidity 1275660208\tuidnext 25022\tmessages 2\n25006\t1276.kurkku,S=1355\n25017\todd\\x20na\\xefve\\\\\n",
    "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1 Xfoo\n25006 :1276.kurkku,S=1355:2,\n25017 W2481 Pa:b :1276:2,F\n",
    "1 1275660208 25022\n25006 a b\n25017 c:2,F\n",
    "3 N1 V5\n1 :a\n4294967295 :b;2,\n",
];

/// Inputs of the target `sync`.
fn states() -> Vec<Vec<u8>> {
    let (one, two) = (ReplicaId(0x0123_4567_89ab_cdef), ReplicaId(0xfedc_ba98_7654_3210));
    let dot = |replica, counter| BTreeSet::from([Dot { replica, counter }]);
    let folder = |name: &[u8], uids: &[(u32, Guid)]| Folder {
        name: name.to_vec(),
        dots: dot(one, 1),
        uid_validity: 1_000_000_000,
        uid_next: 5000,
        uids: uids.iter().copied().collect(),
    };
    let (a, b) = (Guid([0x11; 16]), Guid([0x22; 16]));
    let (root, work) = (FolderId::of(b""), FolderId::of(b"work/a b"));
    let mail = |base: &str, flags: &[(u8, u32)], places: &[(FolderId, BTreeSet<Dot>)]| {
        Arc::new(Mail {
            base: base.as_bytes().to_vec(),
            flags: flags.iter().copied().collect(),
            delivered: 1_700_000_000,
            places: places.iter().cloned().collect(),
        })
    };
    let before = State {
        versions: BTreeMap::from([(one, 9)]),
        mails: BTreeMap::from([(a, mail("1.host", &[(b'S', 1)], &[(root, dot(one, 2))]))]),
        folders: BTreeMap::from([(root, folder(b"", &[(1, a)]))]),
    };
    let after = State {
        versions: BTreeMap::from([(one, 9), (two, 4)]),
        mails: BTreeMap::from([
            (a, mail("1.host", &[(b'F', 1), (b'S', 2)], &[(root, dot(one, 2))])),
            (b, mail("2.host,S=3", &[], &[(root, dot(two, 3)), (work, dot(two, 4))])),
        ]),
        folders: BTreeMap::from([(root, folder(b"", &[(1, a), (4097, b)])), (work, folder(b"work/a b", &[(7, b)]))]),
    };
    let files = |state: &State, with: &[u8]| {
        let mut text = [b"0", &print_versions(&state.versions)[..]].concat();
        for (id, folder) in &state.folders {
            text.extend([b"\0f", &print_folder(folder)[..]].concat());
            if *id == root || state.folders.len() == 1 {
                for (_, numbers) in print_numbers(folder) {
                    text.extend([b"\0u", &numbers[..]].concat());
                }
            }
        }
        for (guid, mail) in &state.mails {
            text.extend([b"\0s", &print_mails([(guid, mail)].into_iter())[..]].concat());
        }
        text.extend_from_slice(with);
        text
    };
    let log = log::between(&before, &after).expect("a short log");
    let versions = State { versions: after.versions.clone(), ..before.clone() };
    let local = "maildex-sync-local 1\nfollows -\npending 0\npushed hub 0123456789abcdef0123456789abcdef01234567\n\
        folder 0123456789abcdef 0123456789abcdef0123456789abcdef 7 1000000000 9 2 /a%20b\n\n\
        1 11111111111111111111111111111111 12 FS\n8 - 3 -\nend\n";
    vec![
        files(&before, b""),
        files(&after, b""),
        files(&versions, &[b"\0=\0l", &log[..]].concat()),
        [b"1", &print_format([7; 16])[..]].concat(),
        [b"2", local.as_bytes()].concat(),
    ]
}
