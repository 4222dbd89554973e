//! Process groups keep the statements of OTP's suite (PG numbers) that are about one node.

mod common;

use common::*;
use purlin_core::pg::{Change, PgError};
use purlin_core::*;

/// A scope under the test's process.
async fn scope<G: registry::Key>(name: &'static str) -> Pg<G> {
    Pg::<G>::new(name).start_link().await.unwrap()
}

fn is_unknown<T: std::fmt::Debug>(result: Result<T, PgError>) -> bool {
    matches!(result, Err(PgError::Unknown { scope }) if scope == "rooms")
}

fn sorted(mut pids: Vec<Pid>) -> Vec<Pid> {
    pids.sort_unstable();
    pids
}

/// The events that are in the mailbox now.
fn events(me: &mut Me) -> Vec<GroupEvent<&'static str>> {
    std::iter::from_fn(|| me.try_receive()).map(|message| message.downcast().unwrap()).collect()
}

fn event(
    monitor: GroupMonitor,
    change: Change,
    group: &'static str,
    pids: impl Into<Vec<Pid>>,
) -> GroupEvent<&'static str> {
    GroupEvent { monitor, change, group, pids: pids.into() }
}

#[test]
fn pg1_who_has_joined_is_a_member_and_a_local_one_at_once() {
    on_every_path(|me| async move {
        let rooms = scope::<String>("rooms").await;
        rooms.join("lobby".to_owned(), me.pid()).await.unwrap();
        assert_eq!(rooms.get_members("lobby").unwrap(), [me.pid()]);
        assert_eq!(rooms.get_local_members("lobby").unwrap(), [me.pid()]);
        assert_eq!(rooms.which_groups().unwrap(), ["lobby"]);
        assert_eq!(rooms.which_local_groups().unwrap(), ["lobby"]);
        assert_eq!(rooms.get_members("cellar").unwrap(), []);
    });
}

#[test]
fn pg2_a_process_joins_several_times_and_has_to_leave_as_often() {
    on_every_path(|_| async move {
        let rooms = scope("rooms").await;
        let member = idle();
        for n in 1..=3 {
            rooms.join("lobby", member).await.unwrap();
            assert_eq!(rooms.get_members("lobby").unwrap(), vec![member; n]);
        }
        for n in (0..3).rev() {
            rooms.leave("lobby", member).await.unwrap();
            assert_eq!(rooms.get_members("lobby").unwrap(), vec![member; n]);
        }
        assert!(matches!(rooms.leave("lobby", member).await, Err(PgError::NotJoined)));
    });
}

#[test]
fn pg3_a_list_joins_with_its_repetitions() {
    on_every_path(|_| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        rooms.join("lobby", [a, b, a]).await.unwrap();
        assert_eq!(sorted(rooms.get_members("lobby").unwrap()), sorted(vec![a, a, b]));
        rooms.join("lobby", vec![]).await.unwrap();
        rooms.join("cellar", Vec::new()).await.unwrap();
        assert_eq!(rooms.which_groups().unwrap(), ["lobby"]);
    });
}

#[test]
fn pg4_leaving_without_having_joined_is_refused_and_a_list_only_if_none_had() {
    on_every_path(|_| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        assert!(matches!(rooms.leave("lobby", a).await, Err(PgError::NotJoined)));
        rooms.join("lobby", a).await.unwrap();
        assert!(matches!(rooms.leave("lobby", b).await, Err(PgError::NotJoined)));
        assert!(matches!(rooms.leave("cellar", a).await, Err(PgError::NotJoined)));
        assert!(matches!(rooms.leave("lobby", vec![]).await, Err(PgError::NotJoined)));
        rooms.leave("lobby", [b, a]).await.unwrap();
        assert!(matches!(rooms.leave("lobby", [b, a]).await, Err(PgError::NotJoined)));
    });
}

#[test]
fn pg5_the_last_to_leave_takes_the_group_with_it() {
    on_every_path(|_| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        rooms.join("lobby", [a, b]).await.unwrap();
        rooms.leave("lobby", a).await.unwrap();
        assert_eq!(rooms.which_groups().unwrap(), ["lobby"]);
        rooms.leave("lobby", b).await.unwrap();
        assert_eq!(rooms.which_groups().unwrap(), [""; 0]);
        assert_eq!(rooms.get_members("lobby").unwrap(), []);
    });
}

#[test]
fn pg6_a_process_of_another_node_is_refused_and_nobody_of_its_list_joins() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let (here, there) = (builder.start(), Node::builder().start());
        let stranger = there.scope(async { idle() }).await;
        here.scope(async {
            let rooms = Pg::<&str>::new("rooms").start().await.unwrap();
            let member = idle();
            let refused = rooms.join("lobby", [member, stranger]).await;
            assert!(matches!(refused, Err(PgError::NotLocal(pid)) if pid == stranger));
            let refused = rooms.leave("lobby", stranger).await;
            assert!(matches!(refused, Err(PgError::NotLocal(pid)) if pid == stranger));
            assert_eq!(rooms.get_members("lobby").unwrap(), []);
        })
        .await;
        here.shutdown().await;
        there.shutdown().await;
    });
}

#[test]
fn pg7_a_member_that_ends_is_gone_from_everywhere_as_often_as_it_had_joined() {
    on_every_path(|mut me| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        rooms.join("lobby", [a, b, a]).await.unwrap();
        rooms.join("cellar", a).await.unwrap();
        let (monitor, _) = rooms.monitor_scope(&me).await.unwrap();
        process::exit(a, ExitReason::Kill);
        // At once, whatever the scope's process knows.
        assert_eq!(rooms.get_members("lobby").unwrap(), [b]);
        assert_eq!(rooms.get_local_members("cellar").unwrap(), []);
        assert_eq!(rooms.which_groups().unwrap(), ["lobby"]);
        assert_eq!(next::<GroupEvent<&str>>(&mut me).await, event(monitor, Change::Leave, "lobby", [a, a]));
        assert_eq!(next::<GroupEvent<&str>>(&mut me).await, event(monitor, Change::Leave, "cellar", [a]));
        let status = sys::get_status(rooms.server().unwrap().pid()).await.unwrap();
        assert_eq!(status.state, "scope \"rooms\": groups: 1, members: 1, monitors: 1");
    });
}

#[test]
fn pg7_a_process_that_has_ended_does_not_join() {
    on_every_path(|mut me| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        let (_, members) = rooms.monitor(&me, "lobby").await.unwrap();
        assert_eq!(members, []);
        process::exit(a, ExitReason::Kill);
        end_of(&mut me, a).await;
        rooms.join("lobby", [a, b]).await.unwrap();
        assert_eq!(rooms.get_members("lobby").unwrap(), [b]);
        assert_eq!(next::<GroupEvent<&str>>(&mut me).await.pids, [b]);
        assert!(matches!(rooms.leave("lobby", a).await, Err(PgError::NotJoined)));
        nothing(&mut me);
    });
}

#[test]
fn pg15_scopes_know_nothing_of_each_other() {
    on_every_path(|mut me| async move {
        let rooms = scope("rooms").await;
        let others = scope("others").await;
        let (_, now) = others.monitor_scope(&me).await.unwrap();
        assert_eq!(now, []);
        rooms.join("lobby", me.pid()).await.unwrap();
        assert_eq!(others.get_members("lobby").unwrap(), []);
        assert!(matches!(others.leave("lobby", me.pid()).await, Err(PgError::NotJoined)));
        rooms.leave("lobby", me.pid()).await.unwrap();
        nothing(&mut me);
    });
}

#[test]
fn pg16_a_scope_that_runs_is_not_started_again() {
    on_every_path(|_| async move {
        let builder = Pg::<&str>::new("rooms");
        let rooms = builder.clone().start_link().await.unwrap();
        let running = rooms.server().unwrap().pid();
        let again = Pg::<&str>::new("rooms").start().await.unwrap_err();
        assert_eq!(again, StartError::AlreadyStarted(running));
        assert_eq!(builder.start().await.unwrap_err(), StartError::AlreadyStarted(running));
        // Under no name, the scope itself notices.
        let other = Pg::<&str>::new("others");
        let first = pg::PgServer::start(other.clone()).await.unwrap();
        let StartError::Failed(reason) = pg::PgServer::start(other.clone()).await.unwrap_err() else {
            panic!()
        };
        assert_eq!(reason.to_string(), format!("the scope \"others\" is running as {first}"));
        assert_eq!(other.handle().which_groups().unwrap(), [""; 0]);
        assert_eq!(Pg::<&str>::named("rooms").which_groups().unwrap(), [""; 0]);
        first.stop().await.unwrap();
    });
}

#[test]
fn pg20_several_monitors_of_one_process_are_independent() {
    on_every_path(|mut me| async move {
        let rooms = scope("rooms").await;
        let a = idle();
        let (first, _) = rooms.monitor(&me, "lobby").await.unwrap();
        let (second, _) = rooms.monitor(&me, "lobby").await.unwrap();
        let (all, _) = rooms.monitor_scope(&me).await.unwrap();
        let (other, _) = rooms.monitor(&me, "cellar").await.unwrap();
        rooms.join("lobby", a).await.unwrap();
        let mut told = events(&mut me);
        told.sort_by_key(|event| event.monitor);
        assert_eq!(told, [first, second, all].map(|monitor| event(monitor, Change::Join, "lobby", [a])));
        assert!(rooms.demonitor(second).await.unwrap());
        assert!(!rooms.demonitor(second).await.unwrap());
        rooms.leave("lobby", a).await.unwrap();
        let mut told = events(&mut me);
        told.sort_by_key(|event| event.monitor);
        assert_eq!(told, [first, all].map(|monitor| event(monitor, Change::Leave, "lobby", [a])));
        for monitor in [first, all, other] {
            assert!(rooms.demonitor(monitor).await.unwrap());
        }
        rooms.join("cellar", a).await.unwrap();
        assert_eq!(events(&mut me), []);
    });
}

/// A server that watches a group which it is in.
struct Watcher {
    seen: Vec<(Change, Vec<Pid>)>,
}

impl GenServer for Watcher {
    type Args = Pg<&'static str>;
    async fn init(rooms: Pg<&'static str>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let (_, members) = rooms.monitor(cx, "lobby").await?;
        assert_eq!(members, []);
        rooms.join("lobby", cx.pid()).await?;
        Ok(Watcher { seen: Vec::new() })
    }
}

impl HandleInfo<GroupEvent<&'static str>> for Watcher {
    async fn handle_info(&mut self, event: GroupEvent<&'static str>, _: &mut Cx<Self>) {
        self.seen.push((event.change, event.pids));
    }
}

struct Seen;
impl HandleCall<Seen> for Watcher {
    type Reply = Vec<(Change, Vec<Pid>)>;
    async fn handle_call(&mut self, _: Seen, _: &mut Cx<Self>) -> Self::Reply {
        self.seen.clone()
    }
}

#[test]
fn pg21_who_watches_a_group_that_it_is_in_is_told_of_itself_and_its_end_ends_the_monitor() {
    on_every_path(|mut me| async move {
        let rooms = scope("rooms").await;
        let watcher = Watcher::start(rooms.clone()).await.unwrap();
        rooms.join("lobby", me.pid()).await.unwrap();
        // What the scope sends and what the test asks have no order between them.
        let seen = loop {
            let seen = watcher.call(Seen).await.unwrap();
            if seen.len() >= 2 {
                break seen;
            }
            process::yield_now().await;
        };
        assert_eq!(seen, [(Change::Join, vec![watcher.pid()]), (Change::Join, vec![me.pid()])]);
        let (monitor, _) = rooms.monitor(&me, "lobby").await.unwrap();
        watcher.stop().await.unwrap();
        let told = next::<GroupEvent<&str>>(&mut me).await;
        assert_eq!(told, event(monitor, Change::Leave, "lobby", [watcher.pid()]));
        // Only the test's own monitor is left.
        let status = sys::get_status(rooms.server().unwrap().pid()).await.unwrap();
        assert_eq!(status.state, "scope \"rooms\": groups: 1, members: 1, monitors: 1");
    });
}

#[test]
fn pg23_monitoring_a_scope_begins_with_all_groups_and_their_members() {
    on_every_path(|me| async move {
        let rooms = scope("rooms").await;
        let (a, b) = (idle(), idle());
        rooms.join("lobby", [a, b]).await.unwrap();
        rooms.join("cellar", b).await.unwrap();
        rooms.join("attic", a).await.unwrap();
        rooms.leave("attic", a).await.unwrap();
        let (_, mut now) = rooms.monitor_scope(&me).await.unwrap();
        now.sort();
        let all = now.into_iter().map(|(group, pids)| (group, sorted(pids))).collect::<Vec<_>>();
        assert_eq!(all, [("cellar", vec![b]), ("lobby", sorted(vec![a, b]))]);
        let (_, lobby) = rooms.monitor(&me, "lobby").await.unwrap();
        assert_eq!(sorted(lobby), sorted(vec![a, b]));
    });
}

#[test]
fn pg24_reads_do_not_wait_for_the_scope() {
    everywhere(|me| async move {
        let rooms = scope("rooms").await;
        rooms.join("lobby", me.pid()).await.unwrap();
        let server = rooms.server().unwrap().pid();
        sys::suspend(server).await.unwrap();
        assert_eq!(rooms.get_members("lobby").unwrap(), [me.pid()]);
        assert_eq!(rooms.get_local_members("lobby").unwrap(), [me.pid()]);
        assert_eq!(rooms.which_groups().unwrap(), ["lobby"]);
        sys::resume(server).await.unwrap();
    });
}

#[test]
fn pg25_a_scope_that_does_not_run_is_unknown_and_an_empty_one_when_it_runs_again() {
    on_every_path(|me| async move {
        let builder = Pg::<&str>::new("rooms");
        let rooms = builder.handle();
        let named = Pg::<&str>::named("rooms");
        for rooms in [&rooms, &named] {
            assert!(is_unknown(rooms.get_members("lobby")));
            assert!(is_unknown(rooms.which_groups()));
            assert!(is_unknown(rooms.join("lobby", me.pid()).await));
            assert!(is_unknown(rooms.monitor_scope(&me).await));
        }
        builder.clone().start().await.unwrap();
        named.join("lobby", me.pid()).await.unwrap();
        named.server().unwrap().stop().await.unwrap();
        for rooms in [&rooms, &named] {
            assert!(is_unknown(rooms.get_members("lobby")));
            assert!(is_unknown(rooms.leave("lobby", me.pid()).await));
        }
        builder.start_link().await.unwrap();
        for rooms in [&rooms, &named] {
            assert_eq!(rooms.get_members("lobby").unwrap(), []);
        }
        let other = Pg::<u32>::named("rooms").which_groups().unwrap_err();
        assert!(matches!(&other, PgError::WrongType { scope, .. } if scope == "rooms"), "{other}");
    });
}

#[test]
fn pg28_both_queries_show_the_same_members() {
    on_every_path(|_| async move {
        let rooms = scope("rooms").await;
        let members: Vec<Pid> = (0..20).map(|_| idle()).collect();
        for (n, member) in members.iter().enumerate() {
            rooms.join("lobby", vec![*member; n % 3 + 1]).await.unwrap();
        }
        let all = sorted(rooms.get_members("lobby").unwrap());
        assert_eq!(all.len(), (0..20).map(|n| n % 3 + 1).sum::<usize>());
        assert_eq!(all, sorted(rooms.get_local_members("lobby").unwrap()));
    });
}

#[test]
fn pg29_any_value_is_a_groups_name() {
    on_every_path(|me| async move {
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        enum Group {
            Everybody,
            Room { floor: i32, number: u32 },
            Named(String),
        }
        let scope = scope::<Group>("rooms").await;
        let names = [
            Group::Everybody,
            Group::Room { floor: -1, number: 7 },
            Group::Room { floor: 1, number: 7 },
            Group::Named(String::new()),
        ];
        for (n, name) in names.iter().enumerate() {
            scope.join(name.clone(), vec![me.pid(); n + 1]).await.unwrap();
        }
        for (n, name) in names.iter().enumerate() {
            assert_eq!(scope.get_members(name).unwrap().len(), n + 1);
        }
        assert_eq!(scope.which_groups().unwrap().len(), names.len());
    });
}

#[test]
fn the_default_scope_is_found_by_every_default_handle() {
    everywhere(|me| async move {
        let pg = Pg::<u32>::new(pg::DEFAULT_SCOPE).start_link().await.unwrap();
        pg.join(7, me.pid()).await.unwrap();
        assert_eq!(Pg::<u32>::default().get_members(&7).unwrap(), [me.pid()]);
        assert_eq!(Pg::<u32>::default().scope(), "pg");
    });
}

#[test]
fn who_is_no_process_watches_nothing() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(async {
            let rooms = Pg::<&str>::new("rooms").start().await.unwrap();
            let (tell, told) = tokio::sync::oneshot::channel();
            let lender = process::spawn(async move |mailbox: Mailbox<GroupEvent<&'static str>>| {
                drop(tell.send(mailbox));
                std::future::pending::<()>().await;
            });
            let mailbox = told.await.unwrap();
            assert!(matches!(rooms.monitor(&mailbox, "lobby").await, Err(PgError::NoProcess)));
            // Joining is anybody's business.
            rooms.join("lobby", lender.pid()).await.unwrap();
            assert_eq!(rooms.get_members("lobby").unwrap(), [lender.pid()]);
        })
        .await;
        node.shutdown().await;
    });
}
