//! The supervisor after OTP's list functions that the state machine is compared with.

use super::super::super::flags::{AutoShutdown, Flags, Strategy};
use super::super::super::spec::{ChildId, Restart, SpecFields};
use super::{Message, Outcome, Request, World};
use crate::{ExitReason, Pid};

/// The supervisor as OTP's lists would have it.
pub(super) struct Otp {
    flags: Flags,
    /// Newest first.
    restarts: Vec<i64>,
    /// In reverse start order.
    children: Vec<OtpChild>,
    tickets: u64,
    pub(super) world: World<(ChildId, u64)>,
}

#[derive(Clone)]
struct OtpChild {
    fields: SpecFields,
    pid: OtpPid,
}

#[derive(Clone, Copy, PartialEq)]
enum OtpPid {
    Undefined,
    Pid(Pid),
    /// The number tells apart the retries of different failed starts; OTP has none and lets an overtaken retry count twice.
    Restarting(u64),
}

impl Otp {
    pub(super) fn new(flags: &Flags, specs: &[SpecFields], seed: u64) -> Self {
        let mut otp = Self {
            flags: flags.clone(),
            restarts: Vec::new(),
            children: Vec::new(),
            tickets: 0,
            world: World::new(seed),
        };
        let children =
            specs.iter().map(|fields| OtpChild { fields: fields.clone(), pid: OtpPid::Undefined }).collect();
        let (started, failed) = otp.start_children(children);
        otp.children = started;
        if failed.is_some() {
            otp.terminate("failed to start");
        }
        otp
    }

    /// In start order in, in reverse start order out, with the id that failed.
    fn start_children(&mut self, children: Vec<OtpChild>) -> (Vec<OtpChild>, Option<ChildId>) {
        let (mut done, mut failed) = (Vec::new(), None);
        for mut child in children {
            if failed.is_none() {
                match self.world.start(&child.fields.id) {
                    Outcome::Ignored if is_temporary(&child) => continue,
                    Outcome::Ignored => child.pid = OtpPid::Undefined,
                    Outcome::Process(pid) => child.pid = OtpPid::Pid(pid),
                    Outcome::Failed => failed = Some(child.fields.id.clone()),
                }
            }
            done.insert(0, child);
        }
        (done, failed)
    }

    /// In reverse start order in, in start order out.
    fn terminate_children(&mut self, children: Vec<OtpChild>) -> Vec<OtpChild> {
        let mut done = Vec::new();
        for mut child in children {
            if let OtpPid::Pid(pid) = child.pid {
                self.world.stop(pid);
            }
            child.pid = OtpPid::Undefined;
            if !is_temporary(&child) {
                done.insert(0, child);
            }
        }
        done
    }

    fn terminate(&mut self, why: &str) {
        let children = std::mem::take(&mut self.children);
        let mut left = self.terminate_children(children);
        left.reverse();
        self.children = left;
        self.world.finish(why);
    }

    fn position(&self, id: &ChildId) -> Option<usize> {
        self.children.iter().position(|child| child.fields.id == *id)
    }

    fn del_child(&mut self, id: &ChildId) {
        let at = self.position(id).unwrap();
        if is_temporary(&self.children[at]) {
            self.children.remove(at);
        } else {
            self.children[at].pid = OtpPid::Undefined;
        }
    }

    fn add_restart(&mut self) -> bool {
        let now = i64::try_from(self.world.now).unwrap();
        let oldest = now - i64::try_from(self.flags.period.as_secs()).unwrap();
        self.restarts = std::iter::once(now)
            .chain(self.restarts.iter().copied().take_while(|stamp| *stamp >= oldest))
            .collect();
        self.restarts.len() <= self.flags.max_restarts as usize
    }

    fn restart(&mut self, child: &OtpChild) {
        let id = &child.fields.id;
        if !self.add_restart() {
            self.del_child(id);
            return self.terminate("gave up");
        }
        self.world.note("counted");
        let at = self.position(id).unwrap();
        let failed = match self.flags.strategy {
            Strategy::OneForOne => match self.world.start(id) {
                Outcome::Process(pid) => {
                    self.children[at].pid = OtpPid::Pid(pid);
                    None
                },
                Outcome::Ignored => {
                    self.children[at].pid = OtpPid::Undefined;
                    None
                },
                Outcome::Failed => Some(id.clone()),
            },
            Strategy::RestForOne => {
                let before = self.children.split_off(at + 1);
                let mut after = std::mem::take(&mut self.children);
                after[at].pid = OtpPid::Undefined;
                let after = self.terminate_children(after);
                let (after, failed) = self.start_children(after);
                self.children = [after, before].concat();
                failed
            },
            Strategy::OneForAll => {
                self.del_child(id);
                let all = std::mem::take(&mut self.children);
                let all = self.terminate_children(all);
                let (all, failed) = self.start_children(all);
                self.children = all;
                failed
            },
        };
        if let Some(id) = failed {
            let ticket = self.tickets;
            self.tickets += 1;
            let at = self.position(&id).unwrap();
            self.children[at].pid = OtpPid::Restarting(ticket);
            self.world.mailbox.push_back(Message::Retry((id, ticket)));
        }
    }

    fn do_restart(&mut self, child: &OtpChild, reason: &ExitReason) {
        let clean = matches!(reason, ExitReason::Normal | ExitReason::Shutdown | ExitReason::ShutdownWith(_));
        let restart = child.fields.restart;
        if restart == Restart::Permanent || !clean {
            self.world.note(format!("report {}", child.fields.id));
        }
        if restart == Restart::Permanent || (restart == Restart::Transient && !clean) {
            return self.restart(child);
        }
        self.del_child(&child.fields.id);
        let shutdown = child.fields.significant
            && match self.flags.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => {
                    self.children.iter().all(|c| c.pid == OtpPid::Undefined || !c.fields.significant)
                },
            };
        if shutdown {
            self.terminate("auto shutdown");
        }
    }

    pub(super) fn step(&mut self) {
        match self.world.mailbox.pop_front() {
            None => {},
            Some(Message::Exit(pid, reason)) => {
                if let Some(child) = self.children.iter().find(|c| c.pid == OtpPid::Pid(pid)).cloned() {
                    self.do_restart(&child, &reason);
                }
            },
            Some(Message::Retry((id, ticket))) => {
                let child = self.position(&id).map(|at| self.children[at].clone());
                if let Some(child) = child.filter(|c| c.pid == OtpPid::Restarting(ticket)) {
                    self.restart(&child);
                }
            },
            Some(Message::Call(request)) => {
                let reply = self.answer(request);
                self.world.note(reply);
            },
        }
    }

    fn answer(&mut self, request: Request) -> String {
        match request {
            Request::Start(fields) => match self.position(&fields.id).map(|at| self.children[at].pid) {
                Some(OtpPid::Pid(pid)) => format!("already started {pid}"),
                Some(_) => "already present".into(),
                None => {
                    let pid = match self.world.start(&fields.id) {
                        Outcome::Failed => return "started: false".into(),
                        Outcome::Process(pid) => OtpPid::Pid(pid),
                        Outcome::Ignored => OtpPid::Undefined,
                    };
                    if pid != OtpPid::Undefined || fields.restart != Restart::Temporary {
                        self.children.insert(0, OtpChild { fields, pid });
                    }
                    "started: true".into()
                },
            },
            Request::Terminate(id) => match self.position(&id).map(|at| self.children[at].pid) {
                None => "not found".into(),
                Some(pid) => {
                    if let OtpPid::Pid(pid) = pid {
                        self.world.stop(pid);
                    }
                    self.del_child(&id);
                    "ok".into()
                },
            },
            Request::Restart(id) => match self.stopped(&id) {
                Err(reply) => reply.into(),
                Ok(at) => {
                    let pid = match self.world.start(&id) {
                        Outcome::Failed => return "restarted: false".into(),
                        Outcome::Process(pid) => OtpPid::Pid(pid),
                        Outcome::Ignored => OtpPid::Undefined,
                    };
                    self.children[at].pid = pid;
                    "restarted: true".into()
                },
            },
            Request::Delete(id) => match self.stopped(&id) {
                Err(reply) => reply.into(),
                Ok(at) => {
                    self.children.remove(at);
                    "ok".into()
                },
            },
        }
    }

    fn stopped(&self, id: &ChildId) -> Result<usize, &'static str> {
        let at = self.position(id).ok_or("not found")?;
        match self.children[at].pid {
            OtpPid::Undefined => Ok(at),
            OtpPid::Pid(_) => Err("running"),
            OtpPid::Restarting(_) => Err("restarting"),
        }
    }

    pub(super) fn listing(&self) -> Vec<String> {
        let show = |child: &OtpChild| match child.pid {
            OtpPid::Undefined => format!("{}=undefined", child.fields.id),
            OtpPid::Pid(pid) => format!("{}={pid}", child.fields.id),
            OtpPid::Restarting(_) => format!("{}=restarting", child.fields.id),
        };
        self.children.iter().rev().map(show).collect()
    }
}

fn is_temporary(child: &OtpChild) -> bool {
    child.fields.restart == Restart::Temporary
}
