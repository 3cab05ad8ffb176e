use super::super::log;
use super::*;

/// States that have everything in them, by a number.
fn sample(seed: u8) -> State {
    let replica = |n: u8| ReplicaId(u64::from(n) << 60 | 1);
    let dots = |n: u8| -> BTreeSet<Dot> {
        (0..=n % 3).map(|at| Dot { replica: replica(at), counter: 1 + u64::from(n) }).collect()
    };
    let names: [&[u8]; 4] = [b"", b".Sent", b"lists/rust\\\n\t\xff", b"Old 2026"];
    let mut state = State::default();
    for n in 0..4 {
        state.versions.insert(replica(n), 999_999_999_999_999_999);
    }
    for (at, name) in names.iter().enumerate().skip(usize::from(seed % 2)) {
        let (uid_validity, uid_next) = (1 + u32::from(seed % 3), 20_000 + u32::from(seed));
        let dots = if at == 3 { BTreeSet::new() } else { dots(seed) };
        let folder = Folder { name: name.to_vec(), dots, uid_validity, uid_next, uids: BTreeMap::new() };
        state.folders.insert(FolderId::of(name), folder);
    }
    for n in 0..40u8 {
        if n % 5 == seed % 5 {
            continue;
        }
        let mut guid = [n; 16];
        guid[0] = n.wrapping_mul(50);
        let bases: [&[u8]; 3] = [b"1.a,S=5", b"odd \xc3\xa4\\x\t\n", b"-x"];
        let flags = [(b'S', 1 + u32::from(seed % 4)), (b'a', u32::MAX), (b'T', 2)];
        let flags = flags.into_iter().take(usize::from((n ^ seed) % 4)).collect();
        let mut mail = Mail { base: bases[usize::from(n % 3)].to_vec(), flags, ..Mail::default() };
        mail.delivered = u64::from(n % 3) << 33;
        for (at, (id, folder)) in state.folders.iter_mut().enumerate() {
            if (usize::from(n) + at) % 3 == 0 || at == 1 {
                mail.places.insert(*id, dots(n ^ seed));
                folder.uids.insert(1 + u32::from(n) * 499 + u32::from(seed.is_multiple_of(7)), Guid(guid));
            }
        }
        state.mails.insert(Guid(guid), Arc::new(mail));
    }
    check(&state).unwrap();
    state
}

#[test]
fn every_file_comes_back_as_it_was() {
    for seed in 0..32 {
        let state = sample(seed);
        let mut back =
            State { versions: parse_versions(&print_versions(&state.versions)).unwrap(), ..State::default() };
        for shard in 0..=255 {
            let text = print_mails(state.mails.iter().filter(|(guid, _)| guid.shard() == shard));
            parse_mails(shard, &text, &mut back.mails).unwrap();
        }
        for (id, folder) in &state.folders {
            let mut parsed = parse_folder(*id, &print_folder(folder)).unwrap();
            for (file, text) in print_numbers(folder) {
                assert!(text.is_ascii());
                parse_numbers(*id, file, &text, &mut parsed).unwrap();
            }
            back.folders.insert(*id, parsed);
        }
        assert_eq!(back, state);
        check(&back).unwrap();
    }
    assert_eq!(parse_format(&print_format([7; 16])).unwrap(), [7; 16]);
}

#[test]
fn a_log_makes_the_new_state_of_the_old_one() {
    let mut pairs = 0;
    for old in 0..16 {
        for new in 0..16 {
            let (old, mut new) = (sample(old), sample(new));
            // Known folders stay, and their numbers do not fall.
            for (id, folder) in &old.folders {
                let same = new.folders.entry(*id).or_insert_with(|| Folder { uids: BTreeMap::new(), ..folder.clone() });
                same.uid_next = same.uid_next.max(folder.uid_next);
            }
            let text = log::between(&old, &new).expect("it is short");
            let mut state = State { versions: new.versions.clone(), ..old.clone() };
            log::apply("log", &text, &mut state).unwrap();
            assert_eq!(state, new, "{}", text.escape_ascii());
            assert_eq!(text.is_empty(), old == new);
            pairs += 1;
        }
    }
    assert_eq!(pairs, 256);
}

#[test]
fn a_change_that_is_too_long_for_a_log_is_none() {
    let mut state = State::default();
    let folder = state.make_folder(ReplicaId(1), b"", 1);
    let old = state.clone();
    for n in 0..2000u32 {
        let mut guid = [0; 16];
        guid[..4].copy_from_slice(&n.to_be_bytes());
        state.add(ReplicaId(1), folder, Guid(guid), b"1.a");
    }
    assert_eq!(log::between(&old, &state), None);
}

#[test]
fn any_bytes_are_read_or_refused_and_never_more() {
    let state = sample(3);
    let (id, folder) = state.folders.iter().next().unwrap();
    let texts = [
        print_versions(&state.versions),
        print_mails(state.mails.iter().filter(|(guid, _)| guid.shard() == 50)),
        print_folder(folder),
        print_numbers(folder).swap_remove(0).1,
        log::between(&State::default(), &state).unwrap(),
        print_format([1; 16]),
    ];
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut refused = 0;
    for round in 0..6000 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(4) {
                0 => text[at] ^= 1 << random(8),
                1 => drop(text.remove(at)),
                2 => text.insert(at, b"\t\n\\:,.+09af"[random(11)]),
                _ => text.truncate(at.max(1)),
            }
            if text.is_empty() {
                text.push(b'\n');
            }
        }
        let results = [
            parse_versions(&text).map(drop),
            parse_mails(50, &text, &mut BTreeMap::new()),
            parse_folder(*id, &text).map(drop),
            parse_numbers(*id, 0, &text, &mut Folder { uids: BTreeMap::new(), ..folder.clone() }),
            log::apply("log", &text, &mut state.clone()),
            parse_format(&text).map(drop),
        ];
        refused += results.iter().filter(|result| result.is_err()).count();
        for bad in results.into_iter().filter_map(Result::err) {
            assert!(bad.to_string().len() < 500, "{bad}");
        }
    }
    assert!(refused > 6000 * 5, "{refused}");
}

/// Found by the fuzzer: `050` was taken for 50, and `\x41` for `A`. Then one state is many objects of git.
#[test]
fn what_is_read_can_be_written_in_one_way_only() {
    let parse = |uid_next: &str, path: &str| {
        let text = format!("1\t{uid_next}\t0123456789abcdef.1\t{path}\n");
        parse_folder(FolderId::of(b"A b"), text.as_bytes())
    };
    assert_eq!(print_folder(&parse("50", r"A\x20b").unwrap()), b"1\t50\t0123456789abcdef.1\tA\\x20b\n");
    for (uid_next, path) in [("050", r"A\x20b"), ("50", "A b"), ("50", r"\x41\x20b")] {
        assert!(parse(uid_next, path).is_err(), "{uid_next} {path}");
    }
}

#[test]
fn names_that_may_not_travel_say_why() {
    for good in ["1.a", "a b", "x,S=5", "~x", "1;S"] {
        assert_eq!(base_trouble(good.as_bytes()), None, "{good:?}");
    }
    for bad in ["", ".", "..", ".x", "a/b", "a\0", "a:2,", "a;2,S", &"x".repeat(201)] {
        assert!(base_trouble(bad.as_bytes()).is_some(), "{bad:?}");
    }
    for good in ["", ".Sent.2026", "lists/rust", "..x", "Cur"] {
        assert_eq!(folder_trouble(good.as_bytes()), None, "{good:?}");
    }
    for bad in [
        "/",
        "/etc",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "x/cur",
        "new/x",
        "a:b",
        "a\0",
        "maildex.index.1",
        "x/dovecot.list",
    ] {
        assert!(folder_trouble(bad.as_bytes()).is_some(), "{bad:?}");
    }
    assert!(folder_trouble("x/".repeat(600).trim_end_matches('/').as_bytes()).is_some());
}
