//! How each peer is asked for the same work.

use std::fs;

use super::{Kind, Tool, Work, flagged, lines, spread};
use crate::Result;
use crate::measure::Cmd;

impl Tool<'_> {
    /// What a peer is called for; `None` if it cannot do that.
    pub(super) fn peer(&mut self, work: Work) -> Result<Option<Cmd>> {
        Ok(match self.kind {
            Kind::Limit | Kind::Maildex => None,
            Kind::Mblaze => self.mblaze(work)?,
            Kind::Dovecot => self.dovecot(work)?,
            Kind::Mairix => {
                let rc = self.path("rc");
                match work {
                    Work::Build
                    | Work::RefreshNothing
                    | Work::RefreshOne
                    | Work::RefreshMany
                    | Work::RefreshRenamed => Some(Cmd::new(["mairix", "-f", &rc])),
                    Work::ListUnseen => Some(Cmd::new(["mairix", "-f", &rc, "-r", "F:-s"])),
                    _ => None,
                }
            }
            Kind::Neomutt => match work {
                Work::Build | Work::RefreshNothing | Work::RefreshOne | Work::RefreshMany | Work::RefreshRenamed => {
                    Some(self.neomutt("<exit>"))
                }
                Work::FlagOne => Some(self.neomutt("<flag-message><sync-mailbox><exit>")),
                _ => None,
            },
            Kind::Notmuch => self.notmuch(work)?,
            Kind::Mu => self.mu(work)?,
        })
    }

    fn mblaze(&mut self, work: Work) -> Result<Option<Cmd>> {
        let mail = self.mail.display().to_string();
        Ok(match work {
            // It has no index: a listing reads every mail.
            Work::Build | Work::ListAll => Some(Cmd::sh(format!("mlist {mail} | mscan"))),
            Work::CountUnseen => Some(Cmd::new(["mlist", "-i", &mail])),
            Work::ListUnseen => Some(Cmd::new(["mlist", "-s", &mail])),
            Work::FlagOne => {
                let from = self.toggled_name()?;
                let spec = if self.flips { "-F" } else { "-f" };
                Some(Cmd::new(["mflag", spec, &format!("{mail}/cur/{from}")]))
            }
            Work::FlagMany => {
                let list = self.path("list");
                fs::write(&list, self.pick_paths()?)?;
                Some(Cmd::new(["mflag", "-F"]).reading(list))
            }
            _ => None,
        })
    }

    fn dovecot(&mut self, work: Work) -> Result<Option<Cmd>> {
        let uids = |this: &Tool<'_>| -> Result<String> {
            let words = this.doveadm(&["search", "mailbox", "INBOX", "unflagged"]);
            let lines = Cmd { env: this.env(), ..Cmd::new(words) }.output()?;
            Ok(lines.lines().filter_map(|line| line.split(' ').nth(1)).collect::<Vec<_>>().join("\n"))
        };
        let fields = "uid flags hdr.subject.utf8 hdr.from.utf8 date.sent";
        let words = match work {
            Work::Build | Work::RefreshNothing | Work::RefreshOne | Work::RefreshMany | Work::RefreshRenamed => {
                self.doveadm(&["index", "INBOX"])
            }
            Work::CountUnseen => self.doveadm(&["mailbox", "status", "unseen", "INBOX"]),
            Work::ListUnseen => self.doveadm(&["search", "mailbox", "INBOX", "unseen"]),
            Work::ListAll => self.doveadm(&["-f", "tab", "fetch", fields, "mailbox", "INBOX", "all"]),
            Work::FlagOne => {
                if self.message.is_empty() {
                    self.message = spread(&uids(self)?, 1).concat();
                }
                self.flips = !self.flips;
                let change = if self.flips { "add" } else { "remove" };
                self.doveadm(&["flags", change, "\\Flagged", "mailbox", "INBOX", "uid", &self.message])
            }
            Work::FlagMany => {
                let set = spread(&uids(self)?, flagged(self.messages)).join(",");
                self.doveadm(&["flags", "add", "\\Flagged", "mailbox", "INBOX", "uid", &set])
            }
            Work::ShowOne => return Ok(None),
        };
        Ok(Some(Cmd::new(words)))
    }

    fn notmuch(&mut self, work: Work) -> Result<Option<Cmd>> {
        let unflagged = |this: &Tool<'_>| {
            let cmd = Cmd::new(["notmuch", "search", "--output=messages", "not", "tag:flagged"]);
            Cmd { env: this.env(), ..cmd }.output()
        };
        Ok(match work {
            Work::Build | Work::RefreshNothing | Work::RefreshOne | Work::RefreshMany | Work::RefreshRenamed => {
                Some(Cmd::new(["notmuch", "new", "--quiet"]))
            }
            Work::CountUnseen => Some(Cmd::new(["notmuch", "count", "tag:unread"])),
            Work::ListUnseen => Some(Cmd::new(["notmuch", "search", "--output=files", "tag:unread"])),
            Work::ListAll => Some(Cmd::new(["notmuch", "search", "*"])),
            Work::ShowOne => None,
            Work::FlagOne => {
                if self.message.is_empty() {
                    self.message = spread(&unflagged(self)?, 1).concat();
                }
                self.flips = !self.flips;
                let change = if self.flips { "+flagged" } else { "-flagged" };
                Some(Cmd::new(["notmuch", "tag", change, "--", &self.message]))
            }
            Work::FlagMany => {
                let list = self.path("list");
                let all = spread(&unflagged(self)?, flagged(self.messages));
                fs::write(&list, lines(all.iter().map(|id| format!("+flagged -- {id}"))))?;
                Some(Cmd::new(["notmuch", "tag", "--batch"]).reading(list))
            }
        })
    }

    fn mu(&mut self, work: Work) -> Result<Option<Cmd>> {
        let home = format!("--muhome={}", self.path("mu"));
        Ok(match work {
            Work::Build | Work::RefreshNothing | Work::RefreshOne | Work::RefreshMany | Work::RefreshRenamed => {
                Some(Cmd::new(["mu", "index", "--quiet", &home]))
            }
            Work::CountUnseen => Some(Cmd::sh(format!("mu find {home} --fields l flag:unread | wc -l"))),
            Work::ListUnseen => Some(Cmd::new(["mu", "find", &home, "--fields", "l", "flag:unread"])),
            Work::ListAll => Some(Cmd::new(["mu", "find", &home, "--fields", "d f s", ""])),
            Work::ShowOne => None,
            Work::FlagOne | Work::FlagMany => {
                let ids = Cmd::new(["mu", "find", &home, "--fields", "i", "NOT flag:flagged"]).output()?;
                let count = if work == Work::FlagOne { 1 } else { flagged(self.messages) };
                let moves = spread(&ids, count).into_iter().map(|id| format!("(move :msgid \"{id}\" :flags \"+F\")"));
                let list = self.path("list");
                fs::write(&list, lines(moves))?;
                Some(Cmd::new(["mu", "server", &home]).reading(list))
            }
        })
    }

    /// The doveadm of somebody who is not root: Dovecot refuses to be that.
    fn doveadm(&self, rest: &[&str]) -> Vec<String> {
        let (is_root, rc) = (rustix::process::geteuid().is_root(), self.path("rc"));
        let user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"].into_iter().filter(|_| is_root);
        user.chain(["doveadm", "-c", &rc]).chain(rest.iter().copied()).map(String::from).collect()
    }

    /// neomutt on a terminal that it believes in.
    fn neomutt(&self, keys: &str) -> Cmd {
        let (rc, mail) = (self.path("rc"), self.mail.display().to_string());
        let line = format!("TERM=xterm neomutt -n -F {rc} -f {mail} -e 'push {keys}'");
        Cmd::new(["script", "-qec", &line, "/dev/null"])
    }
}
