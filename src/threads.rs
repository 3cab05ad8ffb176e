//! Which messages belong together: the REFERENCES algorithm of RFC 5256 without its fifth step.
//!
//! That step puts mails of one subject into one thread, and with it each day's "backup report". What is left is what
//! Dovecot calls REFS: only ids link. Where headers contradict each other, what a mail says of its own parent counts
//! before what others say of it, and a link that would close a circle is left out.
//!
//! The cost is linear, but for the inverse of Ackermann's function, whatever the headers hold; nothing recurses.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::index::Snapshot;

/// No node, no message.
const NONE: u32 = u32::MAX;

/// What a mail's header says of its place, as [`crate::format::entry::Entry`] keeps it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids<'a> {
    /// `Message-ID:`
    pub message_id: &'a str,
    /// `In-Reply-To:`
    pub in_reply_to: &'a str,
    /// `References:`, the ids separated by one space.
    pub references: &'a str,
}

impl<'a> Ids<'a> {
    /// The ids of the ancestors, oldest first.
    fn ancestors(self) -> impl Iterator<Item = &'a str> {
        let mut references = ids(self.references).peekable();
        let reply = if references.peek().is_some() { None } else { ids(self.in_reply_to).next() };
        references.chain(reply)
    }
}

/// The ids in a list, without their brackets; text that is none is passed over.
fn ids(list: &str) -> impl Iterator<Item = &str> {
    let bare = |word: &'_ str| -> Option<_> { word.strip_prefix('<')?.strip_suffix('>').map(str::len) };
    list.split(' ').filter_map(move |word| bare(word).filter(|&len| len > 0).map(|len| &word[1..=len]))
}

/// Takes up messages one by one, in UID order.
#[derive(Debug, Default)]
pub struct Linker {
    /// The ids met so far, one after the other.
    text: String,
    /// Where the id of each node ends in `text`.
    ends: Vec<usize>,
    by_id: HashTable<u32>,
    hasher: RandomState,
    /// Of each node the message; `NONE` if only its id was met.
    message: Vec<u32>,
    /// Of each message the node.
    node: Vec<u32>,
    /// The ancestors of all messages, as nodes, and where those of each message end.
    ancestors: Vec<u32>,
    ancestors_end: Vec<usize>,
}

impl Linker {
    /// The next message. Of several with one id the first has it.
    pub fn add(&mut self, mail: Ids<'_>) {
        let number = self.node.len() as u32;
        let id = ids(mail.message_id).next().unwrap_or(mail.message_id);
        let node = match id {
            "" => self.nameless(),
            id => match self.named(id) {
                node if self.message[node as usize] == NONE => node,
                _ => self.nameless(),
            },
        };
        self.message[node as usize] = number;
        self.node.push(node);
        for id in mail.ancestors() {
            let ancestor = self.named(id);
            self.ancestors.push(ancestor);
        }
        self.ancestors_end.push(self.ancestors.len());
    }

    /// In the place of a message that is gone, so that the numbers of the others are those of their slots.
    pub fn skip(&mut self) {
        self.node.push(NONE);
        self.ancestors_end.push(self.ancestors.len());
    }

    fn nameless(&mut self) -> u32 {
        self.ends.push(self.text.len());
        self.message.push(NONE);
        self.message.len() as u32 - 1
    }

    fn named(&mut self, id: &str) -> u32 {
        let hash = self.hasher.hash_one(id);
        if let Some(&node) = self.by_id.find(hash, |&node| id_of(&self.text, &self.ends, node) == id) {
            return node;
        }
        self.text.push_str(id);
        let node = self.nameless();
        let Linker { text, ends, by_id, hasher, .. } = self;
        by_id.insert_unique(hash, node, |&node| hasher.hash_one(id_of(text, ends, node)));
        node
    }

    /// The threads of all that was taken up.
    pub fn finish(self) -> Threads {
        let mut forest = Forest::new(self.message.len());
        let own = |number: usize| {
            let start = number.checked_sub(1).map_or(0, |before| self.ancestors_end[before]);
            (self.node[number], &self.ancestors[start..self.ancestors_end[number]])
        };
        // What each says of its own parent comes first.
        for number in 0..self.node.len() {
            if let (node, [.., parent]) = own(number) {
                forest.link(node, *parent);
            }
        }
        for number in 0..self.node.len() {
            let (_, ancestors) = own(number);
            for pair in ancestors.windows(2) {
                forest.link(pair[1], pair[0]);
            }
        }
        let above = nearest(&forest.parent, |node| self.message[node as usize] != NONE);
        let message_above = |&node: &u32| {
            let above = above.get(node as usize).copied().unwrap_or(NONE); // none above a message that is gone
            self.message.get(above as usize).copied().unwrap_or(NONE)
        };
        let parent: Vec<u32> = self.node.iter().map(message_above).collect();
        // The first of a thread is the topmost; where that one is missing, the first of those below it.
        let mut first_below = vec![NONE; self.message.len()];
        for (number, &node) in self.node.iter().enumerate().rev() {
            if node != NONE && parent[number] == NONE {
                first_below[forest.root(node) as usize] = number as u32;
            }
        }
        let first = |&node: &u32| if node == NONE { NONE } else { first_below[forest.root(node) as usize] };
        let first = self.node.iter().map(first).collect();
        Threads { parent, first }
    }
}

fn id_of<'a>(text: &'a str, ends: &[usize], node: u32) -> &'a str {
    let node = node as usize;
    &text[node.checked_sub(1).map_or(0, |before| ends[before])..ends[node]]
}

/// Trees of nodes, which know their parents.
struct Forest {
    parent: Vec<u32>,
    /// Of each node one that is nearer to the root of its tree; of a root itself.
    towards: Vec<u32>,
}

impl Forest {
    fn new(len: usize) -> Forest {
        Forest { parent: vec![NONE; len], towards: (0..len as u32).collect() }
    }

    /// The topmost node above this one.
    fn root(&mut self, mut node: u32) -> u32 {
        while self.towards[node as usize] != node {
            let nearer = self.towards[self.towards[node as usize] as usize];
            self.towards[node as usize] = nearer;
            node = nearer;
        }
        node
    }

    /// Gives a node its parent, unless it has one or would be its own ancestor.
    fn link(&mut self, child: u32, parent: u32) {
        if self.parent[child as usize] == NONE && self.root(parent) != child {
            self.parent[child as usize] = parent;
            self.towards[child as usize] = parent;
        }
    }
}

/// Of each item the nearest ancestor that counts. Each step upwards is gone once.
fn nearest(parent: &[u32], counts: impl Fn(u32) -> bool) -> Vec<u32> {
    const UNKNOWN: u32 = NONE - 1;
    let mut above = vec![UNKNOWN; parent.len()];
    let mut path = Vec::new();
    for start in 0..parent.len() as u32 {
        let mut at = start;
        let found = loop {
            if above[at as usize] != UNKNOWN {
                break above[at as usize];
            }
            path.push(at);
            match parent[at as usize] {
                NONE => break NONE,
                up if counts(up) => break up,
                up => at = up,
            }
        };
        for passed in path.drain(..) {
            above[passed as usize] = found;
        }
    }
    above
}

/// Which messages belong together. Messages are numbered as they were added: those of a folder by their slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    parent: Vec<u32>,
    first: Vec<u32>,
}

/// A message in a listing by threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: u32,
    /// How many of its ancestors are listed.
    pub depth: u32,
    /// Whether a sibling follows; one of those that have no ancestor in the listing, if it has none.
    pub has_next: bool,
    /// Whether it is the first of its thread in the listing.
    pub begins: bool,
}

impl Threads {
    /// The threads of all live messages of a folder. What cannot be read is handed to `bad` and stands alone.
    pub fn of(snapshot: &Snapshot<'_>, bad: &mut dyn FnMut(Error)) -> Result<Threads> {
        let mut entries = snapshot.index().entries()?;
        let mut linker = Linker::default();
        for slot in snapshot.slots() {
            let is_gone = slot.status().map(|status| status.has(Status::EXPUNGED));
            match is_gone.and_then(|is_gone| if is_gone { Ok(None) } else { entries.read(&slot).map(Some) }) {
                Ok(None) => linker.skip(),
                Ok(Some(entry)) => {
                    let (message_id, in_reply_to, references) = (entry.message_id, entry.in_reply_to, entry.references);
                    linker.add(Ids { message_id, in_reply_to, references });
                }
                Err(error) => {
                    bad(error);
                    linker.add(Ids::default());
                }
            }
        }
        Ok(linker.finish())
    }

    /// The message that stands for its thread: the topmost, or the first of the topmost. `None` for no message.
    pub fn first(&self, number: u32) -> Option<u32> {
        self.first.get(number as usize).copied().filter(|&first| first != NONE)
    }

    /// Whether two messages belong together.
    pub fn are_together(&self, one: u32, other: u32) -> bool {
        self.first(one).is_some_and(|first| self.first(other) == Some(first))
    }

    /// The message that this one answers; where that is missing, the nearest before it.
    pub fn parent(&self, number: u32) -> Option<u32> {
        self.parent.get(number as usize).copied().filter(|&parent| parent != NONE)
    }

    /// Puts messages in the order of their threads: each behind the one it answers, siblings as they come, and threads
    /// in the order of their topmost messages. What is not `listed` leaves no gap: its children move up. Numbers of no
    /// message are left out.
    pub fn arrange(&self, listed: &[u32]) -> Vec<Place> {
        let count = self.parent.len();
        let listed = || listed.iter().copied().filter(|&number| self.first(number).is_some());
        let mut is_listed = vec![false; count];
        for number in listed() {
            is_listed[number as usize] = true;
        }
        let above = nearest(&self.parent, |number| is_listed[number as usize]);
        // Of each message, and of each thread by its first, the first and the next in a chain of siblings. Built from
        // the end, so that nothing need be searched.
        let (mut child, mut top, mut next) = (vec![NONE; count], vec![NONE; count], vec![NONE; count]);
        for number in listed().rev() {
            let head = match above[number as usize] {
                NONE => &mut top[self.first[number as usize] as usize],
                parent => &mut child[parent as usize],
            };
            next[number as usize] = std::mem::replace(head, number);
        }
        let mut places = Vec::new();
        let mut path = Vec::new();
        for number in listed() {
            let first = self.first[number as usize] as usize;
            if above[number as usize] != NONE || top[first] != number {
                continue; // comes with its thread
            }
            path.push(number);
            let mut begins = true;
            while let Some(&number) = path.last() {
                let has_next = next[number as usize] != NONE;
                places.push(Place { number, depth: path.len() as u32 - 1, has_next, begins });
                begins = false;
                let mut follows = child[number as usize];
                while follows == NONE {
                    let Some(done) = path.pop() else { break };
                    follows = next[done as usize];
                }
                if follows != NONE {
                    path.push(follows);
                }
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of mails with these ids and references; an empty id for none, `-` for a message that is gone.
    fn threads(mails: &[(&str, &str)]) -> Threads {
        let mut linker = Linker::default();
        for (id, references) in mails {
            let id = if id.is_empty() { String::new() } else { format!("<{id}>") };
            let references: Vec<_> = references.split_whitespace().map(|id| format!("<{id}>")).collect();
            match &*id {
                "<->" => linker.skip(),
                id => linker.add(Ids { message_id: id, references: &references.join(" "), in_reply_to: "" }),
            }
        }
        linker.finish()
    }

    /// The listing of all of them: `0 .1 ..2 | 3`; `~` before the tops of a thread without its first mail.
    fn drawn(threads: &Threads, listed: &[u32]) -> String {
        let mut text = String::new();
        for place in threads.arrange(listed) {
            if !text.is_empty() {
                text += if place.begins { " | " } else { " " };
            }
            text += &".".repeat(place.depth as usize);
            text += &place.number.to_string();
            text += if place.has_next { "+" } else { "" };
        }
        text
    }

    #[track_caller]
    fn assert_drawn(mails: &[(&str, &str)], expected: &str) {
        let threads = threads(mails);
        let listed: Vec<u32> = (0..mails.len() as u32).filter(|&number| mails[number as usize].0 != "-").collect();
        assert_eq!(drawn(&threads, &listed), expected, "{mails:?}");
    }

    #[test]
    fn replies_come_behind_what_they_answer() {
        assert_drawn(&[("a", ""), ("x", ""), ("b", "a"), ("c", "a b"), ("d", "a")], "0 .2+ ..3 .4 | 1");
        assert_drawn(&[("c", "a b"), ("b", "a"), ("a", "")], "2 .1 ..0");
    }

    #[test]
    fn a_missing_mail_leaves_no_gap_and_holds_its_answers_together() {
        assert_drawn(&[("a", ""), ("c", "a b"), ("d", "a b c")], "0 .1 ..2");
        assert_drawn(&[("b", "gone"), ("x", ""), ("c", "gone"), ("d", "gone c")], "0+ 2 .3 | 1");
        assert_drawn(&[("b", "gone1 gone2"), ("c", "gone1")], "0+ 1");
        assert_drawn(&[("a", ""), ("-", "a"), ("c", "a b")], "0 .2");
    }

    #[test]
    fn what_a_mail_says_of_itself_counts_before_what_others_say_of_it() {
        assert_drawn(&[("a", ""), ("b", ""), ("d", "b c"), ("c", "a")], "0 .3 ..2 | 1");
        assert_drawn(&[("d", "b c"), ("c", ""), ("b", "")], "2 .1 ..0");
    }

    #[test]
    fn circles_are_cut() {
        assert_drawn(&[("a", "b"), ("b", "a")], "1 .0");
        assert_drawn(&[("a", "a")], "0");
        assert_drawn(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "c b a d")], "2 .1 ..0 ...3");
        let circle = threads(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "c b a d")]);
        assert_eq!(circle.first(0), Some(2));
    }

    #[test]
    fn of_two_with_one_id_the_first_has_it() {
        assert_drawn(&[("a", ""), ("a", ""), ("b", "a"), ("b", "a"), ("c", "b")], "0 .2+ ..4 .3 | 1");
        assert_drawn(&[("", ""), ("", "")], "0 | 1");
    }

    #[test]
    fn only_ids_link() {
        let mut linker = Linker::default();
        linker.add(Ids { message_id: "1@x", ..Ids::default() });
        linker.add(Ids { message_id: "<2@x>", in_reply_to: "<1@x> <9@x>", ..Ids::default() });
        linker.add(Ids { message_id: "<3@x>", in_reply_to: "Your message of Monday", references: "of Monday <>" });
        linker.add(Ids { message_id: "<4@x>", in_reply_to: "of Monday", ..Ids::default() });
        linker.add(Ids { message_id: "<5@x>", in_reply_to: "<4@x>", references: "<2@x>" });
        assert_eq!(drawn(&linker.finish(), &[0, 1, 2, 3, 4]), "0 .1 ..4 | 2 | 3");
    }

    #[test]
    fn what_is_listed_keeps_its_order_and_moves_up() {
        let all = threads(&[("a", ""), ("b", "a"), ("c", "a b"), ("d", "a b"), ("x", ""), ("y", "x")]);
        assert_eq!(drawn(&all, &[5, 3, 2, 0]), "5 | 0 .3+ .2");
        assert_eq!(drawn(&all, &[2, 3, 5]), "2+ 3 | 5");
        assert_eq!((all.first(3), all.parent(3), all.first(5)), (Some(0), Some(1), Some(4)));
        assert_eq!(drawn(&threads(&[("a", ""), ("-", "")]), &[1, 0, 7]), "0", "what is gone");
        assert!(all.are_together(3, 0) && !all.are_together(3, 4) && !all.are_together(99, 99));
    }

    /// Whatever the headers say, each message is listed once, has an end above it, and is with the one it answers.
    #[test]
    fn random_headers_give_trees() {
        let mut state = 7_u32;
        let mut random = move |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..2000 {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let count = 1 + random(8);
            let mails: Vec<(&str, String)> = (0..count)
                .map(|_| {
                    let references: Vec<_> = (0..random(4)).map(|_| names[random(8) as usize]).collect();
                    (names[random(8) as usize], references.join(" "))
                })
                .collect();
            let mails: Vec<(&str, &str)> = mails.iter().map(|(id, references)| (*id, &**references)).collect();
            let threads = threads(&mails);
            let listed: Vec<u32> = (0..count).collect();
            let places = threads.arrange(&listed);
            let mut numbers: Vec<u32> = places.iter().map(|place| place.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, listed, "{mails:?}");
            for (number, (_, references)) in mails.iter().enumerate() {
                let number = number as u32;
                let (mut top, mut steps) = (number, 0);
                while let Some(parent) = threads.parent(top) {
                    (top, steps) = (parent, steps + 1);
                    assert!(steps <= count, "{mails:?}");
                }
                assert!(threads.are_together(number, top), "{mails:?}");
                // Whoever answers a mail that is there belongs together with it.
                let answered = references.split_whitespace().last();
                if let Some(answered) = answered.and_then(|id| mails.iter().position(|(other, _)| *other == id)) {
                    assert!(threads.are_together(number, answered as u32), "{mails:?}: {number} and {answered}");
                }
            }
        }
    }

    /// Forged chains and stars, which cost the square of their length where each link is walked.
    #[test]
    fn long_chains_are_walked_once() {
        const COUNT: usize = 200_000;
        let begun = std::time::Instant::now();
        let id = |n: usize| format!("<{n}@x>");
        for step in [|n: usize| n.checked_sub(1), |n| Some(n + 1), |n| Some(n * 7919 % COUNT), |_| Some(0)] {
            let mut linker = Linker::default();
            for n in 0..COUNT {
                let parent = step(n).map(id).unwrap_or_default();
                linker.add(Ids { message_id: &id(n), references: &parent, in_reply_to: "" });
            }
            let threads = linker.finish();
            let listed: Vec<u32> = (0..COUNT as u32).collect();
            assert_eq!(threads.arrange(&listed).len(), COUNT);
        }
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }
}
